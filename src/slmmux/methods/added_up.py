"""Exact stopping of rules that add up votes, for many rows at once: `balanced` in whole arrays.

What `stopping.next_wave` does with one question's streams and weights, `slmmux.weighted` explains.
Many models that share few patterns make almost every row a state of its own, so that playing states
one by one takes milliseconds a row; here every step is one pass over all rows. A test plays both.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from slmmux.certificates import NOVELTY, UNHEARD

_Ints: TypeAlias = npt.NDArray[np.int64]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Flags: TypeAlias = npt.NDArray[np.bool_]

_CELLS = 4_000_000  # of [rows × samples × classes] that are worked on at once


def balanced_draws(classes: npt.NDArray[np.int32], weights: npt.NDArray[np.int64]) -> _Ints:
    """[rows × models] samples that schedule `balanced` draws from each stream.

    Args:
        classes: [rows × models × k], models in pool order; negative for no vote.
        weights: [rows × models].
    """
    rows, models, k = classes.shape
    names = _named(classes.reshape(rows, models * k))
    width = int(names.max(initial=0)) + 1
    at_once = max(1, _CELLS // max(1, models * k * width))
    draws = np.zeros((rows, models), np.int64)
    for begin in range(0, rows, at_once):
        part = slice(begin, begin + at_once)
        draws[part] = _draws(names[part].reshape(-1, models, k), weights[part], width)
    return draws


def _draws(names: _Ints, weights: _Ints, width: int) -> _Ints:
    rows, models, k = names.shape
    draws = np.zeros((rows, models), np.int64)
    active = np.arange(rows)
    while len(active):
        known = _known(names[active], weights[active], draws[active], width)
        undecided = ~known.decided
        active = active[undecided]
        if len(active):
            draws[active] += known.at(undecided).certificate(weights[active], k)
    return draws


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of each row.

    Attributes:
        drawn: [rows × models] samples.
        votes: [rows × models × classes].
        scores, met: [rows × classes] weighted votes, and where a class is met; far behind
            everything where it is not.
        open: [rows] weight of the open draws.
        opening: [rows] the first open sample; far behind everything without one.
        far: that place.
    """

    drawn: _Ints
    votes: _Ints
    scores: _Ints
    met: _Ints
    open: _Ints
    opening: _Ints
    far: int

    def at(self, rows: _Flags) -> "_Known":
        """Some of the rows."""
        return _Known(
            self.drawn[rows],
            self.votes[rows],
            self.scores[rows],
            self.met[rows],
            self.open[rows],
            self.opening[rows],
            self.far,
        )

    def _best(self, without: _Ints | None = None) -> tuple[_Ints, _Ints, _Ints]:
        """[rows] the leading class, its score and where it is met: 0 and far where none is seen."""
        seen = self.met < self.far
        if without is not None:
            seen = seen & (np.arange(self.met.shape[1]) != without[:, None])
        scores = np.where(seen, self.scores, -1)
        highest = scores.max(axis=1)
        met = np.where(seen & (scores == highest[:, None]), self.met, self.far)
        leader = met.argmin(axis=1)
        return leader, np.maximum(highest, 0), met[np.arange(len(met)), leader]

    @property
    def decided(self) -> _Flags:
        """[rows] whether no other class can win any more, seen or not (`weighted.can_win`)."""
        leader, score, met = self._best()
        others = (self.met < self.far) & (np.arange(self.met.shape[1]) != leader[:, None])
        top = self.scores + self.open[:, None]
        first = np.minimum(self.met, self.opening[:, None])
        wins = (top > score[:, None]) | ((top == score[:, None]) & (first < met[:, None]))
        unseen = (self.open > score) | ((self.open == score) & (self.opening < met))
        is_open = self.opening < self.far
        return np.asarray(~((others & wins).any(axis=1) | (unseen & is_open)))

    def certificate(self, weights: _Ints, k: int) -> _Ints:
        """[rows × models] the draws of `weighted.shortest_certificate`."""
        rows, models = self.drawn.shape
        leader, score, met = self._best()
        _, rival, rival_met = self._best(without=leader)
        missing = rival + self.open - score
        order = np.argsort(-weights * self._likely(leader, met), axis=1, kind="stable")
        still_open = k - np.take_along_axis(self.drawn, order, axis=1)
        # One column for each sample that may be drawn, model after model in that order.
        possible = np.arange(k) < still_open[:, :, None]
        weight = np.take_along_axis(weights, order, axis=1)[:, :, None] * possible
        after = np.cumsum(weight.reshape(rows, -1), axis=1)
        left = missing[:, None] - 2 * (after - weight.reshape(rows, -1))
        opens_at = order == (self.opening // k)[:, None]
        begun = np.cumsum((possible & opens_at[:, :, None]).reshape(rows, -1), axis=1)
        begun -= (possible & opens_at[:, :, None]).reshape(rows, -1)
        first = (begun > 0) | (met < self.opening)[:, None]
        wins_ties = first & (np.minimum(met, self.opening) < rival_met)[:, None]
        enough = (left < 0) | ((left == 0) & wins_ties)
        stopped = np.logical_or.accumulate(enough & possible.reshape(rows, -1), axis=1)
        taken = (possible.reshape(rows, -1) & ~stopped).reshape(rows, models, k).sum(axis=2)
        counts = np.empty((rows, models), np.int64)
        np.put_along_axis(counts, order, taken, axis=1)
        return counts

    def _likely(self, leader: _Ints, met: _Ints) -> _Floats:
        """[rows × models] chance that a model's next draw votes for the leader (the urn)."""
        rows = np.arange(len(leader))
        seen = self.votes.sum(axis=2)
        own = self.votes[rows, :, leader]
        heard = seen.sum(axis=1, keepdims=True) - seen
        others = own.sum(axis=1, keepdims=True) - own
        rest = NOVELTY / (seen + NOVELTY)
        told = rest * (1 - UNHEARD) * others / np.maximum(heard, 1)
        chance = own / (seen + NOVELTY) + told
        nobody = (met == self.far)[:, None]
        return np.asarray(np.where(nobody, np.where(heard > 0, rest * UNHEARD, rest), chance))


def _known(names: _Ints, weights: _Ints, drawn: _Ints, width: int) -> _Known:
    rows, models, k = names.shape
    is_drawn = np.arange(k) < drawn[:, :, None]
    votes = np.zeros((rows, models, width), np.int64)
    for index in range(k):
        row, model = np.nonzero(is_drawn[:, :, index] & (names[:, :, index] >= 0))
        votes[row, model, names[row, model, index]] += 1
    far = models * k
    met = np.full((rows, width), far, np.int64)
    for place in range(far - 1, -1, -1):
        model, index = divmod(place, k)
        row = np.flatnonzero(is_drawn[:, model, index] & (names[:, model, index] >= 0))
        met[row, names[row, model, index]] = place
    undrawn = ~is_drawn.reshape(rows, far)
    return _Known(
        drawn=drawn,
        votes=votes,
        scores=(votes * weights[:, :, None]).sum(axis=1),
        met=met,
        open=((k - drawn) * weights).sum(axis=1),
        opening=np.where(undrawn.any(axis=1), undrawn.argmax(axis=1), far),
        far=far,
    )


def _named(samples: npt.NDArray[np.int32]) -> _Ints:
    """[rows × samples] classes numbered from 0 in each row; −1 is no vote."""
    rows, width = samples.shape
    order = np.argsort(samples, axis=1, kind="stable")
    ranked = np.take_along_axis(samples, order, axis=1)
    new = np.zeros((rows, width), np.int64)
    new[:, 1:] = (ranked[:, 1:] != ranked[:, :-1]) & (ranked[:, 1:] >= 0)
    number = np.cumsum(new, axis=1) - (ranked[:, :1] < 0)
    named = np.empty((rows, width), np.int64)
    np.put_along_axis(named, order, np.where(ranked < 0, -1, number), axis=1)
    return named
