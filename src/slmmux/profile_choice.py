"""Search → profile: the number of models, the rule, and everything that was measured for both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from slmmux._version import __version__
from slmmux.errors import UsageError
from slmmux.evaluate import refusal
from slmmux.profile import Data, Objective, Profile, ProfileModel, RuleAccuracy
from slmmux.profile_size import SizeChoice, choose_size, why
from slmmux.results import Json
from slmmux.rule_choice import Choice, RuleScore, choose_rule
from slmmux.rules import RULES, Calibration
from slmmux.search import Subset
from slmmux.search_outcome import SearchOutcome
from slmmux.subsamples import shortage
from slmmux.table import MISSING, Table, lookup
from slmmux.table_digest import digest, question_digest
from slmmux.types import RuleName

if TYPE_CHECKING:
    from slmmux.bank.rows import BankModel

# Of everything that a bank may know about a model, what a profile repeats: no import can smuggle a
# key into it.
_TEXTS = ("model", "endpoint", "api", "prompt")
_NUMBERS = ("temperature", "top_p", "max_tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """The best subset of one size, and the rule that serves it best."""

    subset: Subset
    rules: Choice

    @property
    def chosen(self) -> RuleScore:
        """What the rule that was chosen makes of the validation questions."""
        return next(score for score in self.rules.scores if score.rule == self.rules.rule)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileChoice:
    """What was compared and what was taken.

    Attributes:
        candidates: by size.
        size: that was taken.
    """

    candidates: Mapping[int, Candidate]
    size: SizeChoice

    @property
    def taken(self) -> Candidate:
        """The candidate of the size that was taken."""
        return self.candidates[self.size.size]


def choose(
    table: Table, outcome: SearchOutcome, size: int | None = None, *, allow_missing: bool = False
) -> ProfileChoice:
    """The rule for the best subset of every size, and the size.

    Args:
        table: that was searched.
        outcome: of the search.
        size: to take, whatever the scores; None is `choose_size`'s.
        allow_missing: missing samples vote for nothing.

    Raises:
        UsageError: the size was not searched, samples are missing, or nobody was ever right.
    """
    missing = shortage(table.samples.classes, table.models, outcome.sets.k, first=False)
    if missing.samples and not allow_missing:
        raise UsageError(refusal(table, outcome.sets.k, missing))
    if not lookup(table.right, table.samples.classes).any():
        raise UsageError(
            f"no sample of any model is right on any of {len(table.questions)} questions, so "
            "there is nothing to choose by: see whether the references and the kind of answer "
            "(--kind) are right"
        )
    candidates = {}
    for number, ranking in outcome.rankings.items():
        subset = ranking.subsets[0]
        rules = choose_rule(table.of(subset.members), outcome.sets.k)
        candidates[number] = Candidate(subset=subset, rules=rules)
    scores = {number: candidate.chosen.scores for number, candidate in candidates.items()}
    return ProfileChoice(candidates=candidates, size=choose_size(scores, size))


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What the numbers do not say about themselves.

    Attributes:
        bank: file name.
        models: the bank's, pool order, as many as the searched table has.
        created: a date; None leaves it out, so that equal choices are equal files.
    """

    bank: str
    models: "Sequence[BankModel]"
    created: str | None = None


def profile_of(
    choice: ProfileChoice, table: Table, outcome: SearchOutcome, origin: Origin
) -> Profile:
    """The profile of what was taken.

    Args:
        choice: by `choose`.
        table: that was searched.
        outcome: of the search.
        origin: where the samples come from.
    """
    taken = choice.taken
    names = _names(table, origin.models)
    rule = _rule_name(taken.rules.rule)
    k = 1 if taken.rules.rule == "single" else outcome.sets.k
    return Profile(
        source="",
        tool=f"slmmux {__version__}",
        created=origin.created,
        rule=rule,
        calibration=_calibration(taken.rules.calibration, taken.rules.models, k, names),
        why_rule=taken.rules.why,
        why_models=_why_models(choice, outcome),
        seed=outcome.seed,
        k=k,
        stopping="exact",
        schedule=None,
        models=tuple(_model(table, outcome, origin, names, name) for name in taken.rules.models),
        objective=_objective(taken.subset, outcome),
        scores=tuple(
            RuleAccuracy(
                rule=result.rule,
                models=tuple(names[name] for name in result.models),
                accuracy=result.estimate.accuracy,
                stderr=result.estimate.stderr,
                ci95=result.estimate.ci95,
            )
            for result in taken.rules.scores
        ),
        data=_data(table, origin),
    )


def _rule_name(word: str) -> RuleName:
    """What serves a rule: one model's most common answer, or only sample, is SLM-MUX with it."""
    return next((rule for rule in RULES if rule == word), "mux")


def _why_models(choice: ProfileChoice, outcome: SearchOutcome) -> str:
    taken, size = choice.taken, choice.size.size
    total = outcome.rankings[size].total
    what = "objective" if outcome.objective == "paper" else "accuracy of SLM-MUX"
    best = f"the best {what} of {total:,} subset{'s' * (total != 1)} of {size}"
    if not outcome.rankings[size].proven:
        best += " (not proven: the time limit came first)"
    sure = outcome.stability.get(size)
    if sure is not None:
        best += f", in {sure.told} of {sure.resamples:,} bootstrap resamples"
        if sure.within_noise:
            best += (
                f"; the questions do not tell it from {sure.within_noise} of the "
                f"{sure.ranked - 1} next best"
            )
    alone = "" if len(taken.rules.models) == size else "; of these, one model alone answers best"
    return f"{why(choice.size)}; {best}{alone}"


def _model(
    table: Table, outcome: SearchOutcome, origin: Origin, names: Mapping[str, str], name: str
) -> ProfileModel:
    place = table.models.index(name)
    recorded = origin.models[place]
    classes = table.samples.classes[:, [place]]
    counts = (classes != MISSING).sum(axis=2)
    return ProfileModel(
        name=names[name],
        validation_accuracy=outcome.accuracy.by_model[name],
        correct=int(lookup(table.right, classes).sum()),
        samples=int((classes != MISSING).sum()),
        fingerprint=recorded.fingerprint,
        settings=_shown(recorded.settings),
        samples_each=(int(counts.min()), int(counts.max())),
    )


def _names(table: Table, models: "Sequence[BankModel]") -> dict[str, str]:
    """What the pool calls the table's models: NAME, where the bank says NAME#FINGERPRINT."""
    bare = [model.name for model in models]
    return {
        name: plain if bare.count(plain) == 1 else name
        for name, plain in zip(table.models, bare, strict=True)
    }


def _calibration(
    found: Calibration | None, models: Sequence[str], k: int, names: Mapping[str, str]
) -> Calibration | None:
    """Of the models that are served at this k; a calibration of others says nothing about them."""
    if found is None or found.models != models or found.k != k:
        return None
    return replace(found, models=tuple(names[name] for name in found.models))


def _shown(settings: Mapping[str, Json]) -> dict[str, Json]:
    texts = {key: settings[key] for key in _TEXTS if isinstance(settings.get(key), str)}
    numbers = {
        key: settings[key]
        for key in _NUMBERS
        if isinstance(settings.get(key), int | float) and not isinstance(settings[key], bool)
    }
    return {**texts, **numbers}


def _objective(subset: Subset, outcome: SearchOutcome) -> Objective:
    return Objective(
        name=outcome.objective,
        value=float(subset.objective),
        weight=float(outcome.weight),
        correct=outcome.correct,
        union=subset.union / subset.cells,
        contradiction=subset.contradiction / subset.cells,
        sizes=tuple(outcome.rankings),
    )


def _data(table: Table, origin: Origin) -> Data:
    return Data(
        bank=origin.bank,
        digest=digest(table),
        question_digest=question_digest(table),
        tasks=tuple(dict.fromkeys(question.task for question in table.questions)),
        questions=len(table.questions),
        models=len(table.models),
        samples=int((table.samples.classes != MISSING).sum()),
        run_seed=table.run_seed,
    )
