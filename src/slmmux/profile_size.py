"""How many models a profile takes: the fewest that do as well as any number of them.

Every size is represented by the subset that the search ranks first and the rule chosen for it.
The size with the highest validation accuracy leads; the smallest size that does not trail it
clearly is taken: by no more than one standard error of the paired difference (`metrics.lead`). More
models cost more draws, and the best of many subsets looks better on its validation questions than
it is: a difference that small is no reason for either.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from slmmux.errors import UsageError
from slmmux.metrics import Scores, lead, told_apart

_DECIMALS = 12  # as in `metrics`: scores this close are equal


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeChoice:
    """The size that is taken.

    Attributes:
        size: number of models.
        leader: size with the highest validation accuracy, the smallest of equals.
        behind: the leader's accuracy − that of `size`, 0 or more unless the size was given.
        stderr: standard error of that difference over questions (`metrics.Lead`).
        clear: the leader's lead is more than that.
        given: the caller fixed the size.
        sizes: that were compared.
    """

    size: int
    leader: int
    behind: float
    stderr: float
    clear: bool
    given: bool
    sizes: tuple[int, ...]


def choose_size(scores: Mapping[int, Scores], given: int | None = None) -> SizeChoice:
    """The smallest size within one standard error of the best.

    Args:
        scores: size → [questions] validation scores of its best subset under its rule.
        given: the size to take, whatever the scores.

    Raises:
        UsageError: the size that is given was not searched.
    """
    sizes = sorted(scores)
    leader = max(sizes, key=lambda size: (round(float(scores[size].mean()), _DECIMALS), -size))
    if given is not None and given not in scores:
        raise UsageError(
            f"--size {given} is none of the sizes that were searched: {', '.join(map(str, sizes))}"
        )
    if given is not None:
        return _choice(scores, given, leader, given=True)
    choices = (_choice(scores, size, leader, given=False) for size in sizes)
    return next(c for c in choices if c.size == leader or not c.clear)


def _choice(scores: Mapping[int, Scores], size: int, leader: int, *, given: bool) -> SizeChoice:
    found = lead(scores[leader], scores[size])
    return SizeChoice(
        size=size,
        leader=leader,
        behind=found.ahead,
        stderr=found.stderr,
        clear=found.clear,
        given=given,
        sizes=tuple(sorted(scores)),
    )


def why(choice: SizeChoice) -> str:
    """One sentence for a person."""
    models = _models(choice.size)
    if choice.given:
        return f"{models}, as asked for{_compared(choice)}"
    if len(choice.sizes) == 1:
        return f"{models}: the only number that was compared"
    if choice.size == choice.leader:
        fewer = "" if choice.size == choice.sizes[0] else "fewer by more than one standard error, "
        more = "" if choice.size == choice.sizes[-1] else "more no better, "
        best = "answers best" if choice.size == 1 else "answer best"
        return f"{models} {best} ({fewer}{more}".removesuffix(", ") + ")"
    return (
        f"{models}: the fewest within one standard error of the best number, {choice.leader}"
        f"{_compared(choice)}"
    )


def _compared(choice: SizeChoice) -> str:
    if choice.size == choice.leader:
        return ""
    behind, stderr = told_apart(choice.behind, choice.stderr)
    return f" ({behind} points below {_models(choice.leader)}, standard error {stderr})"


def _models(count: int) -> str:
    return f"{count} model{'s' * (count != 1)}"
