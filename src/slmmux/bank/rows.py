"""What goes into a bank and comes out of it, and the hashes that identify questions and models."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, Self, TypeAlias

from slmmux.pool import EMBEDDED
from slmmux.prompts import INSTRUCTIONS, render
from slmmux.results import Json
from slmmux.types import Kind, Model, Question, Sample

# One row of `Bank.votes`: question, model, index, key, answer, failed (0 or 1), prompt tokens,
# completion tokens, cost.
Vote: TypeAlias = tuple[
    int, int, int, str | None, str | None, int, int | None, int | None, float | None
]

_NOT_SHAPING = ("price_per_mtok_in", "price_per_mtok_out", "validation_accuracy")


@dataclass(frozen=True, slots=True, kw_only=True)
class BankQuestion:
    """A question as the bank knows it.

    Attributes:
        id: the bank's own number, of no meaning outside of this file.
        name: the question's id in its task.
        text: None where an import did not say.
        kind: None where nobody said; `Bank.kinds` tells how its answers are read then.
        reference: the right answer; None unknown.
        metadata: subject, level and the like, and what the task's own grader needs.
    """

    id: int
    task: str
    name: str
    text: str | None = None
    kind: Kind | None = None
    choices: tuple[str, ...] = ()
    reference: str | None = None
    metadata: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class BankModel:
    """A model as the bank knows it.

    Attributes:
        id: the bank's own number; ascending numbers are the pool order.
        fingerprint: hash of the settings: models of one name with two of them are two models.
        settings: what shaped the samples, as far as known.
    """

    id: int
    name: str
    fingerprint: str
    settings: Mapping[str, Json]


@dataclass(frozen=True, slots=True, order=True)
class SampleKey:
    """What a bank holds at most one sample for; question and model are the bank's numbers."""

    question: int
    model: int
    run_seed: int
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BankSample:
    """A sample as the bank keeps it.

    Attributes:
        text: the reply; None when it failed, or when only the answer is known.
        answer: as written; None votes for nothing.
        answer_key: class of the answer; None with it.
        prompt_tokens, completion_tokens, tokens_estimated, cost: None unknown.
        drawn_at: ISO 8601, UTC.
    """

    key: SampleKey
    text: str | None = None
    reasoning: str | None = None
    answer: str | None = None
    answer_key: str | None = None
    finish_reason: str | None = None
    error: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    tokens_estimated: bool | None = None
    cost: float | None = None
    seed: int | None = None
    seed_honoured: bool | None = None
    latency_s: float | None = None
    drawn_at: str | None = None

    @classmethod
    def of(
        cls, sample: Sample, key: SampleKey, *, cost: float | None = None, drawn_at: str
    ) -> Self:
        """A sample that was just drawn."""
        return cls(
            key=key,
            text=sample.text,
            reasoning=sample.reasoning,
            answer=sample.answer.text if sample.answer else None,
            answer_key=sample.answer.key if sample.answer else None,
            finish_reason=sample.finish_reason,
            error=sample.error,
            prompt_tokens=sample.usage.prompt_tokens,
            completion_tokens=sample.usage.completion_tokens,
            tokens_estimated=sample.usage.estimated,
            cost=cost,
            seed=sample.seed,
            seed_honoured=sample.seed_honoured,
            latency_s=sample.latency_s,
            drawn_at=drawn_at,
        )

    def row(self) -> tuple[object, ...]:
        """The columns of table `samples`, in the order of `SAMPLE_COLUMNS`."""
        key = self.key
        return (
            *(key.question, key.model, key.run_seed, key.index),
            *(self.answer, self.answer_key, self.finish_reason),
            *(self.prompt_tokens, self.completion_tokens, self.tokens_estimated),
            *(self.cost, self.seed, self.seed_honoured, self.latency_s, self.drawn_at),
            *(self.error, self.text, self.reasoning),
        )


SAMPLE_COLUMNS = (
    *("question", "model", "run_seed", "idx", "answer", "key", "finish_reason"),
    *("prompt_tokens", "completion_tokens", "tokens_estimated", "cost", "seed", "seed_honoured"),
    *("latency_s", "drawn_at", "error", "text", "reasoning"),
)


class Problem(Protocol):
    """What a task gives the bank: a question, its reference and whatever else is known of it."""

    @property
    def question(self) -> Question:
        """What is asked."""

    @property
    def reference(self) -> str | None:
        """The right answer; None unknown."""

    @property
    def metadata(self) -> Mapping[str, Json]:
        """Subject, level and the like."""


def settings_of(model: Model) -> dict[str, Json]:
    """Everything about a model that shapes its samples: not its name, seed, prices or key."""
    return {
        "model": model.model,
        "endpoint": EMBEDDED if model.base_url == EMBEDDED else "openai",
        "api": model.api,
        "prompt": _prompt_hash(model),
        "temperature": float(model.temperature),
        "top_p": float(model.top_p),
        "max_tokens": model.max_tokens,
    }


def fingerprint_of(settings: Mapping[str, Json]) -> str:
    """16 hex digits; equal for settings that shape samples alike."""
    shaping = {name: value for name, value in settings.items() if name not in _NOT_SHAPING}
    return _hash(canonical_json(shaping), 8)


def content_of(name: str, text: str | None, kind: str | None, choices: Sequence[str]) -> str:
    """32 hex digits; a question that is changed in any way is another question."""
    return _hash(json.dumps([name, text, kind, list(choices)]), 16)


def canonical_json(value: object) -> str:
    """One text for equal values: sorted keys, no spaces.

    Raises:
        ValueError: a number that JSON does not have (NaN, infinity).
    """
    return json.dumps(
        value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False
    )


def _prompt_hash(model: Model) -> str:
    """Of the prompts themselves, for a placeholder question of every kind."""
    questions = (
        Question(text="{question}", id="", kind=kind, choices=("{A}", "{B}") * (kind == "choice"))
        for kind in INSTRUCTIONS
    )
    prompts = (render(question, model) for question in questions)
    shown = [
        [prompt.text, [[m.role, m.content] for m in prompt.messages or ()], list(prompt.stop)]
        for prompt in prompts
    ]
    return _hash(canonical_json(shown), 8)


def _hash(text: str, size: int) -> str:
    return hashlib.blake2b(text.encode(), digest_size=size).hexdigest()
