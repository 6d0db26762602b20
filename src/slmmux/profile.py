"""A profile: which models answer, how many samples, by which rule, and what that was chosen from.

`slmmux search --write` makes the file; `ask`, `run` and `eval` take it with `--profile`.
`profile_file` reads it, `profile_text` writes it, `profile_pool` puts it over a configuration.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from slmmux.results import Json
from slmmux.rules import Calibration, Rule
from slmmux.stopping import Schedule
from slmmux.types import Interval, RuleName
from slmmux.waves import Stopping

SCHEMA = "slmmux.profile/1"
FEW = 50  # questions: fewer are worth less than simply asking all models (docs/selection.md)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileModel:
    """A model of the profile and how it did on the validation questions.

    Attributes:
        name: in the pool.
        validation_accuracy: mean over questions of the share of correct samples, 0..1 (rule 8).
        correct, samples: over all validation questions.
        fingerprint: of everything that shaped the samples; a bank tells variants apart by it.
        settings: what shaped them, as far as the bank knows: model id, API, prompt (a hash),
            temperature, top_p, max_tokens. Never a key.
        samples_each: the fewest and the most on one question; None in older files.
    """

    name: str
    validation_accuracy: float
    correct: int
    samples: int
    fingerprint: str
    settings: Mapping[str, Json]
    samples_each: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleAccuracy:
    """What a rule scored on the validation questions.

    Attributes:
        models: that the rule was given: the best subset's, or one of them.
        stderr: standard error of the accuracy, over questions.
        ci95: of the accuracy.
    """

    rule: str
    models: tuple[str, ...]
    accuracy: float
    stderr: float
    ci95: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """What the search maximised, and what it was for these models (rule 9).

    Attributes:
        name: `paper` or `accuracy`.
        value: of the objective.
        weight: λ, how much contradictions count.
        correct: what makes a model correct on a question: `mode`, `any` or `at-least:C`.
        union: share of questions where some model is correct.
        contradiction: share where one is consistently wrong while another is correct.
        sizes: numbers of models that were searched.
    """

    name: str
    value: float
    weight: float
    correct: str
    union: float
    contradiction: float
    sizes: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """What the choice was made from.

    Attributes:
        bank: file name, for a person.
        digest, question_digest: `table_digest` of everything that was searched, and of its
            questions alone.
        models: how many models were searched.
        samples: of all of them.
        run_seed: of the samples.
    """

    bank: str
    digest: str
    question_digest: str
    tasks: tuple[str, ...]
    questions: int
    models: int
    samples: int
    run_seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Everything that the file says.

    Attributes:
        source: where it was read, for messages.
        tool: name and version of what wrote it.
        created: date, where the writer said one.
        rule: how the samples become one answer (`slmmux.rules`).
        calibration: of these models at this k; rule `calibrated` answers by it, and `eval`
            has it for the method of that name. None where there is none.
        why_rule, why_models: the choices, a sentence each.
        seed: of everything random in making the choice.
        k: samples from each model, at most.
        stopping, schedule: as in `[mux]`; None leaves them to the configuration.
        models: in pool order, which settles ties.
        objective: None where nothing was searched.
        scores: of every rule, on the validation questions.
    """

    source: str
    tool: str
    created: str | None
    rule: RuleName
    calibration: Calibration | None
    why_rule: str
    why_models: str
    seed: int
    k: int
    stopping: Stopping | None
    schedule: Schedule | None
    models: tuple[ProfileModel, ...]
    objective: Objective | None
    scores: tuple[RuleAccuracy, ...]
    data: Data

    @property
    def voting(self) -> Rule:
        """The rule with its calibration."""
        return Rule(self.rule, self.calibration if self.rule == "calibrated" else None)

    @property
    def caution(self) -> str | None:
        """What speaks against relying on the choice, in words; None where nothing does."""
        if self.data.questions >= FEW:
            return None
        count = self.data.questions
        return (
            f"chosen on {count} question{'s' * (count != 1)}: fewer than {FEW} hardly tell models "
            "or rules apart; until there are more, rather ask all models"
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Of the models, pool order."""
        return tuple(model.name for model in self.models)

    @property
    def accuracies(self) -> dict[str, float]:
        """Validation accuracy by name."""
        return {model.name: model.validation_accuracy for model in self.models}
