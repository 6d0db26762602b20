"""Branch and bound over the subsets of one size, many nodes at once, on packed bits.

**Counts.** For a subset S let c(S) and w(S) be the unions of its models' correct and consistently
wrong cells, U(S) = |c(S)| and A(S) = |c(S) ∖ w(S)|, the cells that are correct and clean. Then
Contradiction = U − A, and what is maximised is key(S) = a·U(S) + b·A(S) with b ≥ 0 (`Weights`; a
is negative where λ > 1).

**Incremental counts.** A node is a prefix P with its c(P) and w(P); for every candidate j

    u_j = |c_j ∖ c(P)|     g_j = |c_j ∖ c(P) ∖ w(P)|     l_j = |(c(P) ∖ w(P)) ∩ w_j|

so that U(P+j) = U(P) + u_j and A(P+j) = A(P) + g_j − l_j: no model is correct and consistently
wrong on one cell, and what is already wrong stays so.

**The bound.** Let T be r more models.

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
from slmmux.search_sets import Words

GoesOn: TypeAlias = Callable[[float], bool]

_BLOCK = 1 << 17  # words (of 64 cells) that are worked on at once: they stay in a core's cache
_PAIRS = 1 << 18  # pairs of candidates that are bounded at once
_STARTS = 5  # subsets that local search starts from
_EXACT_FLOAT32 = 1 << 24
_NEVER = -(1 << 61)  # lower than any key or sum of scores
_LARGEST = 1 << 61


@dataclass(frozen=True, slots=True)
class Weights:
    """key = union · U + clean · A.

    Attributes:
        union: of a cell where some model is correct.
        clean: of a cell where moreover none is consistently wrong; 0 or more.
    """

    union: int
    clean: int


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


@dataclass(frozen=True, slots=True)
class _State:
    """What is known of nodes.

    Attributes:
        correct: [nodes × words] c(P).
        wrong: [nodes × words] w(P).
        keys: [nodes].
        unions: [nodes] U(P).
    """

    correct: Words
    wrong: Words
    keys: Counts
    unions: Counts


@dataclass(frozen=True, slots=True)
class _Scores:
    """What candidates add to nodes: [nodes × candidates] u, g and l of the module's docstring."""

    union: Counts
    gain: Counts
    loss: Counts


class Tree:
    """The search among subsets of one size.

    Args:
        correct: [models × words].
        wrong: [models × words]; no cell of a model is in both.
        weights: of the key.
        size: models in a subset, 1 to all.
        top: how many subsets to rank.
    """

    def __init__(
        self, correct: Words, wrong: Words, weights: Weights, *, size: int, top: int
    ) -> None:
        self.size = size
        self.total = math.comb(len(correct), size)
        self.best = Best(top, np.empty(0, np.int64), np.empty((0, size), np.intp))
        self._weights = weights
        self._pool = _good_first(correct, wrong, weights)
        self._correct = correct[self._pool]
        self._wrong = wrong[self._pool]
        self._behind = _unions_behind(self._correct)
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

    def start(self, seeds: Places | None = None) -> None:
        """Find good subsets to begin with: a high bar makes bounds effective.

        Args:
            seeds: [subsets × fewer models] pool positions of subsets worth growing.
        """
        places = np.argsort(self._pool)
        grown = np.empty((1, 0), np.intp) if seeds is None else places[seeds[:_STARTS]]
        while grown.shape[1] < self.size:
            grown = self._grown(grown)
        for row in grown:
            self._climb(row)

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
        behind, counts = np.unique(len(self._pool) - 1 - nodes.last, return_counts=True)
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
        rows = [
            sorted([*self._pool[row], *sorted(self._pool[last + 1 :])[:left]])
            for row, last in zip(nodes.places, nodes.last.tolist(), strict=True)
        ]
        return np.array(rows, np.intp).reshape(len(rows), self.size)

    def _settle(self, nodes: _Nodes) -> list[_Nodes]:
        """Rank what is below these nodes, or give back what must be looked at more closely."""
        if not len(nodes.places):
            return []
        left = self.size - nodes.places.shape[1]
        state = self._state(nodes.places)
        caps = self._caps(nodes, state)
        nodes = _Nodes(nodes.places, np.minimum(nodes.bounds, caps))
        if left == 1:
            self._rank_singles(nodes, state)
            return []
        if left == 2:  # noqa: PLR2004
            self._rank_pairs(nodes, state)
            return []
        return self._blocks(self._children(nodes, state, left))

    def _state(self, places: Places) -> _State:
        shape = (len(places), self._correct.shape[1])
        correct, wrong = np.zeros(shape, np.uint64), np.zeros(shape, np.uint64)
        for column in places.T:
            correct |= self._correct[column]
            wrong |= self._wrong[column]
        unions = _count(correct)
        return _State(correct, wrong, self._keys(unions, _count(correct & ~wrong)), unions)

    def _keys(self, unions: Counts, clean: Counts) -> Counts:
        return self._weights.union * unions + self._weights.clean * clean

    def _caps(self, nodes: _Nodes, state: _State) -> Counts:
        """[nodes] a bound from all that the candidates together could add."""
        more = self._behind[nodes.last + 1] & ~state.correct
        clean = self._weights.clean * _count(more & ~state.wrong)
        return state.keys + max(self._weights.union, 0) * _count(more) + clean

    def _scores(self, state: _State, first: int) -> _Scores:
        """Of the candidates from place `first` on."""
        correct, wrong = self._correct[first:], self._wrong[first:]
        absent = ~state.correct
        return _Scores(
            _count(absent[:, None] & correct),
            _count((absent & ~state.wrong)[:, None] & correct),
            _count((state.correct & ~state.wrong)[:, None] & wrong),
        )

    def _summed(self, scores: _Scores, left: int) -> Counts:
        """What s of the module's docstring is for each candidate: [nodes × candidates]."""
        union = self._weights.union * (left if self._weights.union > 0 else 1)
        return union * scores.union + self._weights.clean * (left * scores.gain - scores.loss)

    def _children(self, nodes: _Nodes, state: _State, left: int) -> _Nodes:
        """The nodes with one more member, as far as something below may enter the ranking."""
        first = int(nodes.last.min()) + 1
        scores = self._summed(self._scores(state, first), left)
        places = np.arange(first, len(self._pool))
        scores[places <= nodes.last[:, None]] = _NEVER
        bounds = (left * state.keys[:, None] + scores + _best_behind(scores, left - 1)) // left
        bounds = np.minimum(bounds, nodes.bounds[:, None])
        node, column = np.nonzero(
            (bounds >= self.best.bar)
            & (places > nodes.last[:, None])
            & (places <= len(self._pool) - left)
        )
        grown = np.column_stack([nodes.places[node], places[column]])
        return self._alive(_Nodes(grown, bounds[node, column]))

    def _blocks(self, nodes: _Nodes) -> list[_Nodes]:
        """In the order in which to look at them, last block first.

        A block has nodes of like last members, since it is as broad as its first one's candidates.
        """
        nodes = nodes.at(np.lexsort((nodes.bounds, -nodes.last)))
        step = max(1, _BLOCK // self._correct.size)
        return [nodes.at(slice(i, i + step)) for i in range(0, len(nodes.places), step)]

    def _rank_singles(self, nodes: _Nodes, state: _State) -> None:
        first = int(nodes.last.min()) + 1
        keys = state.keys[:, None] + self._summed(self._scores(state, first), 1)
        places = np.arange(first, len(self._pool))
        node, column = np.nonzero(places > nodes.last[:, None])
        self._offer(np.column_stack([nodes.places[node], places[column]]), keys[node, column])

    def _rank_pairs(self, nodes: _Nodes, state: _State) -> None:
        first = int(nodes.last.min()) + 1
        scores = self._scores(state, first)
        places = np.arange(first, len(self._pool))
        both = max(self._weights.union, 0) * scores.union + self._weights.clean * scores.gain
        either = self._weights.clean * scores.loss
        step = max(1, _PAIRS // len(places) ** 2)
        later = places[:, None] < places
        for i in range(0, len(nodes.places), step):
            part = slice(i, i + step)
            bounds = both[part, :, None] + both[part, None, :]
            bounds -= np.maximum(either[part, :, None], either[part, None, :])
            if self._weights.union < 0:
                unions = scores.union[part]
                grown = np.maximum(unions[:, :, None], unions[:, None, :])
                bounds += self._weights.union * grown
            bounds += state.keys[part, None, None]
            allowed = later & (places > nodes.last[part, None])[:, :, None]
            node, one, other = np.nonzero(allowed & (bounds >= self.best.bar))
            self._rank(nodes, state, node + i, places[one], places[other])

    def _rank(self, nodes: _Nodes, state: _State, node: Places, one: Places, other: Places) -> None:
        """Count nodes with two more members each."""
        step = max(1, _BLOCK // self._correct.shape[1])
        for i in range(0, len(node), step):
            n, p, q = (x[i : i + step] for x in (node, one, other))
            correct = state.correct[n] | self._correct[p] | self._correct[q]
            clean = correct & ~(state.wrong[n] | self._wrong[p] | self._wrong[q])
            keys = self._keys(_count(correct), _count(clean))
            good = keys >= self.best.bar
            places = np.column_stack([nodes.places[n], p, q])
            self._offer(places[good], keys[good])

    def _offer(self, places: Places, keys: Counts) -> None:
        self.best.offer(keys, np.sort(self._pool[places], axis=1))

    def _grown(self, seeds: Places) -> Places:
        """The best of the subsets that have one model more than one of these."""
        scores = self._extended(seeds)
        order = np.argsort(-scores, axis=None, kind="stable")
        chosen: dict[tuple[int, ...], None] = {}
        for place in order[: _STARTS * (seeds.shape[1] + 1)].tolist():
            row, more = divmod(place, len(self._pool))
            if more not in seeds[row]:
                chosen.setdefault(tuple(sorted([*seeds[row].tolist(), more])))
        return np.array(list(chosen)[:_STARTS], np.intp)

    def _climb(self, places: Places) -> None:
        """Exchange one model for another as long as that makes the subset better."""
        key = _NEVER
        while True:
            shorter = np.array([np.delete(places, i) for i in range(self.size)])
            keys = self._extended(shorter)
            best = int(keys.argmax())
            if keys.flat[best] <= key:
                return
            key = int(keys.flat[best])
            row, more = divmod(best, len(self._pool))
            places = np.append(shorter[row], more)
            self._offer(places[None], np.array([key]))

    def _extended(self, rows: Places) -> Counts:
        """[rows × models] keys of subsets with one model more; `_NEVER` where it is in already."""
        state = self._state(rows)
        keys = state.keys[:, None] + self._summed(self._scores(state, 0), 1)
        keys[np.arange(len(rows))[:, None], rows] = _NEVER
        return keys


def _count(words: Words) -> Counts:
    """[… × words] → […] bits that are set.

    A product with ones sums the words' counts several times as fast as a sum over a short axis.
    """
    exact = np.float32 if words.shape[-1] * 64 < _EXACT_FLOAT32 else np.float64
    counts = np.bitwise_count(words).astype(exact) @ np.ones(words.shape[-1], exact)
    return np.asarray(counts.astype(np.int64))


def _good_first(correct: Words, wrong: Words, weights: Weights) -> Places:
    """Pool positions in candidate order."""
    alone = weights.union * _count(correct) + weights.clean * _count(correct & ~wrong)
    return np.lexsort((np.arange(len(correct)), -alone))


def _unions_behind(correct: Words) -> Words:
    """[models + 1 × words] row i: what the candidates from place i on have together."""
    nothing = np.zeros((1, correct.shape[1]), np.uint64)
    return np.concatenate([np.bitwise_or.accumulate(correct[::-1], axis=0)[::-1], nothing])


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
