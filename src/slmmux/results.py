"""Samples and selection → Result, and its JSON form (docs/result.schema.json)."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from slmmux.errors import QuorumError
from slmmux.types import Model, Result, Sample, Selection, Tally, Usage

SCHEMA = "slmmux.result/1"

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


def to_json(result: Result) -> dict[str, Json]:
    """The result as plain JSON values, with the schema's name and version first."""
    fields: dict[str, Json] = {"schema": SCHEMA, "answer": result.answer}
    for field in dataclasses.fields(result):
        fields[field.name] = _plain(getattr(result, field.name))
    fields["draws_saved"] = result.draws_saved
    return fields


def _plain(value: object) -> Json:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    raise TypeError(f"{type(value).__name__} has no JSON form")


def total_usage(samples: Sequence[Sample]) -> Usage:
    """Tokens of all samples; estimated when any of them is."""
    return sum((s.usage for s in samples), Usage())


def cost(samples: Sequence[Sample], models: Sequence[Model]) -> float | None:
    """Money spent on the samples; None when a model that was asked has no prices."""
    by_name = {m.name: m for m in models}
    spent = 0.0
    for sample in samples:
        model = by_name[sample.model]
        if model.price_per_mtok_in is None or model.price_per_mtok_out is None:
            return None
        spent += sample.usage.prompt_tokens * model.price_per_mtok_in / 1e6
        spent += sample.usage.completion_tokens * model.price_per_mtok_out / 1e6
    return spent


def degraded(samples: Sequence[Sample]) -> dict[str, str]:
    """Models with a failed sample, in the order met, and the first thing that went wrong."""
    reasons: dict[str, str] = {}
    for sample in samples:
        if sample.error is not None:
            reasons.setdefault(sample.model, sample.error)
    return reasons


def check_quorum(tallies: Sequence[Tally], samples: Sequence[Sample], quorum: int) -> None:
    """Refuse a vote that too few models took part in.

    A quorum of 1 is met by any text at all: a reply without a readable answer is an abstention.

    Raises:
        QuorumError: it carries what each endpoint said.
    """
    answered = sum(t.mode is not None for t in tallies)
    if answered >= quorum or (quorum == 1 and any(s.text is not None for s in samples)):
        return
    reasons = degraded(samples)
    for silent in tallies:
        if silent.mode is None:
            why = "no readable answer" if silent.drawn else "not asked any more"
            reasons.setdefault(silent.model, why)
    said = "".join(f"\n  {_told_by(model, reason)}" for model, reason in reasons.items())
    raise QuorumError(
        f"{answered or 'none'} of {len(tallies)} models answered; the quorum is {quorum}:{said}",
        reasons=reasons,
    )


def _told_by(model: str, reason: str) -> str:
    return reason if reason.startswith(f"{model}:") else f"{model}: {reason}"


def shown_text(samples: Sequence[Sample], selection: Selection, order: Sequence[str]) -> str | None:
    """The text to show: that of the sample that `shown` finds."""
    sample = shown(samples, selection, order)
    return None if sample is None else sample.text


def shown(samples: Sequence[Sample], selection: Selection, order: Sequence[str]) -> Sample | None:
    """What to show: the winning class's earliest sample, else anything the best model said.

    Args:
        samples: all samples of the question.
        selection: what was decided.
        order: model names, highest priority first.
    """
    rank = {name: place for place, name in enumerate(order)}
    if selection.key is None:
        found = [s for s in samples if s.text is not None]
    else:
        found = [
            s
            for s in samples
            if s.text is not None and s.answer is not None and s.answer.key == selection.key
        ]
        rank[selection.decided_by or ""] = -1
    return min(found, key=lambda s: (rank[s.model], s.index), default=None)
