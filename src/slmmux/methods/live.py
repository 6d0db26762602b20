"""Any method on a new question: the full budget through `Mux`, then the same decision."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from slmmux.errors import UsageError
from slmmux.methods import METHODS, Budget, Decision, budget_of
from slmmux.mux import Mux
from slmmux.results import shown_text
from slmmux.sampling import stream_seed
from slmmux.selection import priority
from slmmux.table import MISSING, NO_VOTE
from slmmux.types import Interval, Kind, Question, Result, Sample, Selection
from slmmux.waves import OnSample


async def ask(
    mux: Mux,
    method: str,
    question: str | Question,
    *,
    kind: Kind = "auto",
    choices: Sequence[str] = (),
    on_sample: OnSample | None = None,
) -> Result:
    """Answer one question by this method; the samples are those of the full budget.

    Where a method answers with one model, it is the one with the highest validation accuracy;
    where it draws lots, they follow from the run's seed and the question.

    Args:
        mux: with `stopping="off"`.
        method: name; one that can answer without knowing the reference.
        question: as for `Mux.ask`, and so are the rest.
        kind: how answers are read.
        choices: option texts.
        on_sample: told of every sample.

    Raises:
        UsageError: an unknown method, one that cannot answer live, or a Mux that stops early or
            holds answers back.
        QuestionError, QuorumError: as `Mux.ask`.
    """
    deciding = METHODS.get(method)
    if deciding is None or not deciding.live:
        able = ", ".join(name for name, other in METHODS.items() if other.live)
        why = "is not known" if deciding is None else "needs recorded samples or references"
        raise UsageError(f"method {method} {why}; methods that can answer: {able}")
    if mux.plan.stopping != "off":
        raise UsageError(
            f"method {method} decides from the full budget; make the Mux with stopping off"
        )
    if mux.plan.abstain_below is not None:
        raise UsageError(f"method {method} holds nothing back; make the Mux without abstain_below")
    result = await mux.ask(question, kind=kind, choices=choices, on_sample=on_sample)
    accuracies = {m.name: m.validation_accuracy for m in mux.pool.models}
    keys, budget = _one_row(result, accuracies)
    order = priority(budget.models, accuracies)
    decisions = deciding().decide(budget)
    decision = min(decisions, key=lambda d: min(order.index(model) for model in d.models))
    selection = _selection(method, decision, keys, result)
    return replace(
        result,
        selection=selection,
        text=shown_text(result.samples, selection, order),
        abstained=selection.key is None,
    )


def _one_row(result: Result, accuracies: Mapping[str, float | None]) -> tuple[list[str], Budget]:
    """The classes' keys by number, and the result's samples as a budget of one row."""
    numbers: dict[str, int] = {}
    models = tuple(tally.model for tally in result.tallies)
    classes = np.full((1, len(models), result.k), NO_VOTE, np.int32)
    places = {model: place for place, model in enumerate(models)}
    for sample in sorted(result.samples, key=lambda s: (places[s.model], s.index)):
        if sample.answer is not None:
            number = numbers.setdefault(sample.answer.key, len(numbers))
            classes[0, places[sample.model], sample.index] = number
    return list(numbers), budget_of(models, classes, accuracies)


def _selection(method: str, decision: Decision, keys: Sequence[str], result: Result) -> Selection:
    likely = decision.picks[0][decision.picks[0] != MISSING]
    lot = stream_seed(result.seed, result.question.id, method) % len(likely)
    place = int(likely[0 if len(decision.models) == 1 else lot])
    if place == NO_VOTE:
        return Selection(
            key=None,
            answer=None,
            decided_by=None,
            confidence=Interval(0.0, 0.0),
            tie_break="none",
            reason=f"{method}: no readable answer among the samples that it takes",
        )
    if decision.decided_by is not None:
        return result.selection
    members = _members(result, decision.models, keys[place])
    asked = result.k * len(decision.models)
    share = len(members) / asked
    answer = members[0].answer
    return Selection(
        key=keys[place],
        answer=None if answer is None else answer.text,
        decided_by=decision.models[0] if len(decision.models) == 1 else None,
        confidence=Interval(share, share),
        tie_break="none",
        reason=f"{method}: {len(members)} of {asked} samples of {', '.join(decision.models)}",
    )


def _members(result: Result, models: Sequence[str], key: str) -> list[Sample]:
    """Samples of the class by these models, in pool order, then index."""
    return [
        sample
        for model in models
        for sample in sorted((s for s in result.samples if s.model == model), key=lambda s: s.index)
        if sample.answer is not None and sample.answer.key == key
    ]
