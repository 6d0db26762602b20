"""The best subsets of one size so far, with ties settled as they will be reported."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Counts: TypeAlias = npt.NDArray[np.int64]
Flags: TypeAlias = npt.NDArray[np.bool_]
Places: TypeAlias = npt.NDArray[np.intp]

_ANY = -(1 << 63)


@dataclass(slots=True)
class Best:
    """The best subsets so far, best first: by key, then lexicographically.

    Attributes:
        top: how many are kept.
        keys: [kept].
        members: [kept × size] positions in the pool, ascending.
    """

    top: int
    keys: Counts
    members: Places

    @property
    def bar(self) -> int:
        """A subset below this key is not kept."""
        return _ANY if len(self.keys) < self.top else int(self.keys[-1])

    def may_enter(self, bounds: Counts, firsts: Callable[[Places], Places]) -> Flags:
        """Whether subsets with keys up to these bounds could be kept.

        Args:
            bounds: [nodes].
            firsts: gives the lexicographically first subset of each of some nodes.
        """
        bar = self.bar
        enters = np.asarray(bounds > bar)
        tied = np.flatnonzero(bounds == bar)
        if len(tied):
            enters[tied] = _before(firsts(tied), self.members[-1])
        return enters

    def offer(self, keys: Counts, members: Places) -> None:
        """Keep those that are good enough, each subset once.

        Args:
            keys: [subsets].
            members: [subsets × size] ascending.
        """
        entering = self.may_enter(keys, lambda tied: members[tied])
        if not entering.any():
            return
        keys = np.concatenate([self.keys, keys[entering]])
        members = np.concatenate([self.members, members[entering]])
        order = np.lexsort((*members.T[::-1], -keys))
        keys, members = keys[order], members[order]
        new = np.ones(len(keys), np.bool_)
        new[1:] = (members[1:] != members[:-1]).any(axis=1)
        self.keys, self.members = keys[new][: self.top], members[new][: self.top]


def _before(rows: Places, row: Places) -> Flags:
    """Whether each row comes before the one, lexicographically."""
    before = np.zeros(len(rows), np.bool_)
    equal = np.ones(len(rows), np.bool_)
    for column, value in zip(rows.T, row.tolist(), strict=True):
        before |= equal & (column < value)
        equal &= column == value
    return before
