"""Branch and bound over the subsets of one size, many nodes at once.

A node is a subset P that is to be completed by r more models T; with key = a·U + b·A and u_j, g_j,
l_j as in `search_cells`, its bound is this:

* U(P+T) ≤ U(P) + Σ_T u_j, since a union is no larger than the sum of what its parts add; and
  U(P+T) ≥ U(P) + max_T u_j ≥ U(P) + Σ_T u_j / r, since U only grows.
* A clean cell of P+T is either one of P's that no model of T is wrong on, of which there are at
  most A(P) − max_T l_j, or one that some j of T adds outside c(P) ∪ w(P), at most Σ_T g_j. So
  A(P+T) ≤ A(P) + Σ_T g_j − max_T l_j ≤ A(P) + Σ_T (g_j − l_j / r).

Hence r · key(P+T) ≤ r · key(P) + Σ_T s_j with s_j = a'·u_j + b·(r·g_j − l_j), where a' is a·r for
a ≥ 0 and a for a < 0: the sum of the r best s_j among the candidates bounds every completion, and
for r = 1 it is exact. In pairs, the last two models of a subset, max l is used as it is. Besides,
U and A grow by no more than the cells that all candidates together add.

Candidates come in one fixed order, the best single models first, and a node's candidates are those
behind its last member: every subset is one node. A node is dropped when its bound is below the
worst key that is ranked, or equal to it with no lexicographically smaller subset below the node.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from slmmux.search_best import Best, Counts, Flags, Places
from slmmux.search_cells import Candidates, Scores, State

GoesOn: TypeAlias = Callable[[float], bool]

_BLOCK = 1 << 17  # words (of 64 cells) that are worked on at once: they stay in a core's cache
_PAIRS = 1 << 18  # pairs of candidates that are bounded at once
_NEVER = -(1 << 61)  # lower than any key or sum of shares
_LARGEST = 1 << 61


@dataclass(frozen=True, slots=True)
class _Nodes:
    """Prefixes of one length.

    Attributes:
        places: [nodes × length] in candidate order, ascending.
        bounds: [nodes] of every key below.
    """

    places: Places
    bounds: Counts

    @property
    def last(self) -> Places:
        """[nodes] place of the last member; -1 at the root."""
        if not self.places.shape[1]:
            return np.full(len(self.places), -1, np.intp)
        return self.places[:, -1]

    def at(self, which: Flags | Places | slice) -> "_Nodes":
        return _Nodes(self.places[which], self.bounds[which])


class Tree:
    """The search among subsets of one size.

    Args:
        candidates: the pool.
        best: what is ranked so far, and what is found.
        size: models in a subset, 1 to all.
    """

    def __init__(self, candidates: Candidates, best: Best, size: int) -> None:
        self.size = size
        self.total = math.comb(len(candidates), size)
        self.best = best
        self._candidates = candidates
        self._smallest = _smallest_behind(candidates.pool, size)
        self._stack = [_Nodes(np.empty((1, 0), np.intp), np.array([_LARGEST]))]

    @property
    def open(self) -> bool:
        """Whether the search ended before everything was settled."""
        return bool(self._stack)

    @property
    def bound(self) -> int:
        """No subset has a higher key."""
        ranked = int(self.best.keys[0])
        return max([ranked, *(int(nodes.bounds.max()) for nodes in self._stack)])

    def run(self, goes_on: GoesOn) -> None:
        """Settle every subset, or stop when told to.

        Args:
            goes_on: is told the share of subsets that are settled; False stops the search.
        """
        settled = 0.0
        while self._stack:
            nodes = self._stack.pop()
            settled += self._mass(nodes)
            for children in self._settle(self._alive(nodes)):
                self._stack.append(children)
                settled -= self._mass(children)
            if not goes_on(min(1.0, max(0.0, settled))):
                return

    def _mass(self, nodes: _Nodes) -> float:
        """The share of all subsets that are below these nodes."""
        left = self.size - nodes.places.shape[1]
        behind, counts = np.unique(len(self._candidates) - 1 - nodes.last, return_counts=True)
        below = sum(
            math.comb(b, left) * c for b, c in zip(behind.tolist(), counts.tolist(), strict=True)
        )
        return float(below / self.total)

    def _alive(self, nodes: _Nodes) -> _Nodes:
        """Those below which something may enter the ranking."""
        return nodes.at(self.best.may_enter(nodes.bounds, lambda tied: self._first(nodes.at(tied))))

    def _first(self, nodes: _Nodes) -> Places:
        """[nodes × size] the lexicographically first subset below each, positions ascending."""
        left = self.size - nodes.places.shape[1]
        rest = self._smallest[nodes.last + 1, :left]
        return np.sort(np.column_stack([self._candidates.pool[nodes.places], rest]), axis=1)

    def _settle(self, nodes: _Nodes) -> list[_Nodes]:
        """Rank what is below these nodes, or give back what must be looked at more closely."""
        if not len(nodes.places):
            return []
        left = self.size - nodes.places.shape[1]
        state = self._candidates.state(nodes.places)
        caps = self._candidates.caps(state, nodes.last + 1)
        nodes = _Nodes(nodes.places, np.minimum(nodes.bounds, caps))
        if left == 1:
            self._rank_singles(nodes, state)
            return []
        if left == 2:  # noqa: PLR2004
            self._rank_pairs(nodes, state)
            return []
        return self._blocks(self._children(nodes, state, left))

    def _children(self, nodes: _Nodes, state: State, left: int) -> _Nodes:
        """The nodes with one more member, as far as something below may enter the ranking."""
        first = int(nodes.last.min()) + 1
        scores = self._candidates.shares(self._candidates.scores(state, first), left)
        places = np.arange(first, len(self._candidates))
        scores[places <= nodes.last[:, None]] = _NEVER
        bounds = (left * state.keys[:, None] + scores + _best_behind(scores, left - 1)) // left
        bounds = np.minimum(bounds, nodes.bounds[:, None])
        node, column = np.nonzero(
            (bounds >= self.best.bar)
            & (places > nodes.last[:, None])
            & (places <= len(self._candidates) - left)
        )
        grown = np.column_stack([nodes.places[node], places[column]])
        return self._alive(_Nodes(grown, bounds[node, column]))

    def _blocks(self, nodes: _Nodes) -> list[_Nodes]:
        """In the order in which to look at them, last block first.

        A block has nodes of like last members, since it is as broad as its first one's candidates.
        """
        nodes = nodes.at(np.lexsort((nodes.bounds, -nodes.last)))
        step = max(1, _BLOCK // self._candidates.correct.size)
        return [nodes.at(slice(i, i + step)) for i in range(0, len(nodes.places), step)]

    def _rank_singles(self, nodes: _Nodes, state: State) -> None:
        first = int(nodes.last.min()) + 1
        added = self._candidates.shares(self._candidates.scores(state, first), 1)
        keys = state.keys[:, None] + added
        places = np.arange(first, len(self._candidates))
        node, column = np.nonzero(places > nodes.last[:, None])
        self._offer(np.column_stack([nodes.places[node], places[column]]), keys[node, column])

    def _rank_pairs(self, nodes: _Nodes, state: State) -> None:
        first = int(nodes.last.min()) + 1
        scores = self._candidates.scores(state, first)
        places = np.arange(first, len(self._candidates))
        later = places[:, None] < places
        step = max(1, _PAIRS // len(places) ** 2)
        for i in range(0, len(nodes.places), step):
            part = slice(i, i + step)
            bounds = state.keys[part, None, None] + self._pairs(scores, part)
            allowed = later & (places > nodes.last[part, None])[:, :, None]
            node, one, other = np.nonzero(allowed & (bounds >= self.best.bar))
            self._rank(nodes, state, node + i, places[one], places[other])

    def _pairs(self, scores: Scores, part: slice) -> Counts:
        """[nodes × candidates × candidates] what two more models add to a key at most."""
        weights = self._candidates.weights
        union, gain, loss = scores.union[part], scores.gain[part], weights.clean * scores.loss[part]
        both = max(weights.union, 0) * union + weights.clean * gain
        bounds = both[:, :, None] + both[:, None, :]
        bounds -= np.maximum(loss[:, :, None], loss[:, None, :])
        if weights.union < 0:
            bounds += weights.union * np.maximum(union[:, :, None], union[:, None, :])
        return bounds

    def _rank(self, nodes: _Nodes, state: State, node: Places, one: Places, other: Places) -> None:
        """Count nodes with two more members each."""
        pool = self._candidates
        step = max(1, _BLOCK // pool.correct.shape[1])
        for i in range(0, len(node), step):
            n, p, q = (x[i : i + step] for x in (node, one, other))
            keys = pool.keys(
                state.correct[n] | pool.correct[p] | pool.correct[q],
                state.wrong[n] | pool.wrong[p] | pool.wrong[q],
            )
            good = keys >= self.best.bar
            places = np.column_stack([nodes.places[n], p, q])
            self._offer(places[good], keys[good])

    def _offer(self, places: Places, keys: Counts) -> None:
        self.best.offer(keys, np.sort(self._candidates.pool[places], axis=1))


def _smallest_behind(pool: Places, count: int) -> Places:
    """[candidates + 1 × count] the lowest pool positions from each place on, ascending."""
    found = np.full((len(pool) + 1, count), len(pool), np.intp)
    for place in range(len(pool)):
        lowest = np.sort(pool[place:])[:count]
        found[place, : len(lowest)] = lowest
    return found


def _best_behind(scores: Counts, count: int) -> Counts:
    """[nodes × candidates] the sum of the `count` best scores behind each candidate."""
    columns = np.ascontiguousarray(scores.T)
    found = np.full_like(columns, _NEVER)
    best = np.full((count, scores.shape[0]), _NEVER // (2 * count))
    for place in range(len(columns) - 1, -1, -1):
        found[place] = best.sum(axis=0)
        entering = np.maximum(columns[place], _NEVER // (2 * count))
        for row in best:
            row[:], entering = np.maximum(row, entering), np.minimum(row, entering)
    return found.T
