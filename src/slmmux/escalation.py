"""An answer that is not sure enough: held back, or somebody else is asked."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeAlias

from slmmux.errors import QuorumError
from slmmux.types import Question, Result
from slmmux.weighted import shown

Escalate: TypeAlias = Callable[[Question], Awaitable[Result]]


async def escalated(result: Result, escalate: Escalate | None) -> Result:
    """What becomes of a result that is not sure enough.

    The other's answer is the result's then, with its samples, tallies and what they took added to
    the pool's. Where nobody is to be asked, or whoever is has no answer, the pool's selection stays
    as the best guess, and the result has abstained.

    Args:
        result: of the pool.
        escalate: who is asked; None holds the answer back.
    """
    certain = result.selection.probability or result.selection.confidence
    short = f"{_what(result)} of {shown(certain)} is too low"
    if escalate is None:
        return result if result.selection.key is None else _held_back(result, short)
    try:
        other = await escalate(result.question)
    except QuorumError as problem:
        told = dict(problem.reasons) or {"escalation": str(problem)}
        failed = replace(result, degraded={**told, **result.degraded})
        return _held_back(failed, f"{short}, and whoever was asked then failed")
    whole = _added(result, other)
    if other.selection.key is None:
        return _held_back(whole, f"{short}, and whoever was asked then has no answer")
    said = f"{short}, so others were asked: {other.selection.reason}"
    return replace(
        whole,
        selection=replace(other.selection, reason=said),
        text=other.text,
        abstained=other.abstained,
        escalated=result.selection,
    )


def _what(result: Result) -> str:
    return "its confidence" if result.selection.probability is None else "its probability"


def _held_back(result: Result, why: str) -> Result:
    said = f"{result.selection.reason}; held back: {why}"
    return replace(result, selection=replace(result.selection, reason=said), abstained=True)


def _added(result: Result, other: Result) -> Result:
    """The pool's result with what the other one took."""
    costs = (result.cost, other.cost)
    return replace(
        result,
        exact=result.exact and other.exact,
        tallies=result.tallies + other.tallies,
        samples=result.samples + other.samples,
        draws=result.draws + other.draws,
        budget=result.budget + other.budget,
        waves=result.waves + other.waves,
        usage=result.usage + other.usage,
        cost=None if None in costs else sum(cost for cost in costs if cost is not None),
        degraded={**other.degraded, **result.degraded},
        elapsed_s=result.elapsed_s + other.elapsed_s,
    )
