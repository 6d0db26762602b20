"""Votes → selection by Algorithm 1 of the SLM-MUX paper (arXiv 2510.05077, section 3.1).

Every model's confidence is the frequency of its own most common answer; the most confident
model's answer wins; ties go to the higher validation accuracy, then to pool order (rule 4). Rules
that add up votes stand in `slmmux.weighted`; `is_decided` and `matters` answer for both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from slmmux.rules import Weights, no_answer
from slmmux.types import Interval, Selection, Tally, TieBreak
from slmmux.votes import Stream
from slmmux.weighted import can_win


def priority(models: Sequence[str], accuracies: Mapping[str, float | None]) -> tuple[str, ...]:
    """Models in the order that settles ties between equal confidences (rule 4).

    Args:
        models: names in pool order.
        accuracies: validation accuracy by name, 0..1. Unless every model has one, none is used:
            an order that compares some pairs and not others would not be transitive.
    """
    known = [accuracies.get(name) for name in models]
    if any(accuracy is None for accuracy in known):
        return tuple(models)
    return tuple(sorted(models, key=lambda name: -(accuracies[name] or 0.0)))


@dataclass(frozen=True, slots=True)
class Contender:
    """A class that some completion of the open draws makes the winner, in one model.

    Attributes:
        position: of the model, in priority order.
        key: the class; None stands for any class that this model has not shown yet.
        votes: the most votes it can win with.
    """

    position: int
    key: str | None
    votes: int


def contenders(streams: Sequence[Stream]) -> tuple[Contender, ...]:
    """Everything that can still win, given what is known; streams in priority order.

    Why it suffices to look at one completion per (model, class), the one in which this model
    spends all its open draws on this class and all other models' open draws vote for nothing:
    take any completion in which the class wins here. Turning another open outcome of this model
    into a vote for the class raises the class's votes, raises no other class's, and moves its
    first member no later; turning an open outcome of another model into no vote lowers what has
    to be beaten. So the class still wins in the one completion that is looked at.
    """
    leads = [s.lead for s in streams]
    found: list[Contender] = []
    for position, current in enumerate(streams):
        bar = votes_needed(leads, position)
        if current.open and current.open >= bar and _new_class_can_lead(current):
            found.append(Contender(position, None, current.open))
        for place, (key, votes) in enumerate(current.classes):
            top = votes + current.open
            if top >= bar and _can_lead(current, place, top):
                found.append(Contender(position, key, top))
    return tuple(found)


def is_decided(streams: Sequence[Stream], weights: Weights | None = None) -> bool:
    """Whether every completion of the open draws selects the same class.

    Args:
        streams: in priority order, or in pool order where votes are added up.
        weights: of the models' votes, in the same order; None is Algorithm 1.
    """
    if not any(s.open for s in streams):
        return True
    if weights is not None:
        classes = can_win(streams, weights)
        return len(classes) <= 1 and None not in classes
    possible = contenders(streams)
    return len({c.key for c in possible}) <= 1 and all(c.key is not None for c in possible)


def matters(streams: Sequence[Stream], weights: Weights | None = None) -> frozenset[int]:
    """Streams whose open draws can still change the class of a question that is not decided.

    Args:
        streams: as for `is_decided`.
        weights: as for `is_decided`.
    """
    if weights is not None:
        return frozenset(position for position, s in enumerate(streams) if s.open)
    return frozenset(c.position for c in contenders(streams))


def votes_needed(leads: Sequence[int], position: int) -> int:
    """Fewest votes that beat every other model's lead: one more than those of higher priority."""
    above = max(leads[:position], default=0)
    below = max(leads[position + 1 :], default=0)
    return max(above + 1, below, 1)


def _can_lead(current: Stream, place: int, top: int) -> bool:
    """Whether class number `place` is the mode when it takes every open draw (rule 3)."""
    begins = min(place, current.settled) if current.open else place
    return all(
        votes < top or (votes == top and begins <= other)
        for other, (_, votes) in enumerate(current.classes)
        if other != place
    )


def _new_class_can_lead(current: Stream) -> bool:
    return all(
        votes < current.open or (votes == current.open and current.settled <= other)
        for other, (_, votes) in enumerate(current.classes)
    )


def select(tallies: Sequence[Tally], accuracies: Mapping[str, float | None]) -> Selection:
    """Algorithm 1 on the votes that are known.

    While draws are open this is the winner if every open draw voted for nothing, so it is the
    winner of the full budget whenever only one class can still win (`contenders`).

    Args:
        tallies: one per model, pool order.
        accuracies: validation accuracy by model name, 0..1, None where unknown.
    """
    by_name = {t.model: t for t in tallies}
    order = priority([t.model for t in tallies], accuracies)
    ranked = [by_name[name] for name in order]
    voted = [t for t in ranked if t.mode is not None]
    if not voted:
        return no_answer("mux")
    best = max(voted, key=lambda t: t.confidence.low)
    tied = [t for t in voted if t.confidence.low == best.confidence.low]
    winner = best.classes[0]
    tie_break = _tie_break(tied, accuracies, known=order_is_by_accuracy(tallies, accuracies))
    return Selection(
        key=winner.key,
        answer=winner.text,
        decided_by=best.model,
        confidence=best.confidence,
        tie_break=tie_break,
        reason=_reason(best, tied, tie_break),
    )


def leave_open(
    selection: Selection, streams: Sequence[Stream], order: Sequence[str], k: int
) -> Selection:
    """The selection with everything that open draws could still change said to be open.

    Args:
        selection: of a decided question: only `selection.key` can still win.
        streams: in priority order.
        order: model names in priority order.
        k: full budget a model, in samples.
    """
    paths = [c for c in contenders(streams) if c.key == selection.key]
    if not paths:
        return selection
    models = {order[c.position] for c in paths}
    reason = selection.reason
    if any(s.open for s in streams):
        reason = f"{reason}; no draw that was saved could change the answer"
    return replace(
        selection,
        reason=reason,
        decided_by=models.pop() if len(models) == 1 else None,
        confidence=Interval(max(s.lead for s in streams) / k, max(c.votes for c in paths) / k),
    )


def order_is_by_accuracy(tallies: Sequence[Tally], accuracies: Mapping[str, float | None]) -> bool:
    """Whether ties are settled by validation accuracy: every model has one."""
    return all(accuracies.get(t.model) is not None for t in tallies)


def _tie_break(
    tied: Sequence[Tally], accuracies: Mapping[str, float | None], *, known: bool
) -> TieBreak:
    if len(tied) == 1:
        return "none"
    if known and accuracies[tied[0].model] != accuracies[tied[1].model]:
        return "validation accuracy"
    return "pool order"


def _reason(best: Tally, tied: Sequence[Tally], tie_break: TieBreak) -> str:
    votes = f"{best.classes[0].votes} of {best.k} votes"
    if tie_break == "none":
        return f"{best.model} is the most confident with {votes}"
    others = " and ".join(t.model for t in tied[1:])
    if all(t.classes[0].key == best.classes[0].key for t in tied):
        return f"{best.model} and {others} agree with {votes} each"
    rule = (
        "has the higher validation accuracy"
        if tie_break == "validation accuracy"
        else "comes first in the pool"
    )
    return f"{best.model} ties with {others} at {votes} and {rule}"
