"""Pooled vote by seeded draws, for questions whose exact sum is out of reach (`scaling_pooled`).

Stratified: every question is a stratum with as many draws as any other, so what differs between
questions adds nothing to the error, only what differs between the draws of one. A draw is a random
order of each model's samples, of which the first k count: one set of orders serves every k. A tie
is not played out but counted in expectation: of the tied classes T, r comes first with chance
j_r / Σ_T j_c, j being the votes in the first model that has any of T (`scaling_pooled`).
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from slmmux.scaling_modes import ClassCounts
from slmmux.table import Amounts, Flags, Positions

_Votes: TypeAlias = npt.NDArray[np.int16]

_CELLS = 8_000_000  # of [questions × draws × classes] that are worked on at once


@dataclass(frozen=True, slots=True)
class Sampled:
    """A mean over draws.

    Attributes:
        scores: [questions × k_max] share of right answers, ties counted in expectation.
        variance: [questions × k_max] of the mean: squared standard error.
    """

    scores: Amounts
    variance: Amounts


def sampled_pooled_scores(
    counts: ClassCounts,
    models: Sequence[str],
    members: Sequence[int],
    k_max: int,
    *,
    draws: int,
    seed: int,
    weights: Positions | None = None,
) -> Sampled:
    """Pooled vote of some models, for k = 1..k_max.

    Args:
        counts: of the questions; with fewer than k samples of a model, those that are missing vote
            for nothing.
        models: names of all models: a model's draws depend on its name, not on the others.
        members: positions of the models that take part, pool order.
        k_max: the most samples from each model.
        draws: of every question, 2 or more.
        seed: of the draws.
        weights: [questions × members] of their votes, whole numbers; None: all alike.
    """
    questions, _, classes = counts.votes.shape
    generators = [np.random.default_rng(_entropy(seed, models[m])) for m in members]
    scores = np.empty((questions, k_max))
    variance = np.empty((questions, k_max))
    at_once = max(1, _CELLS // (draws * max(1, classes)))
    for start in range(0, questions, at_once):
        rows = np.arange(start, min(start + at_once, questions))
        orders = [
            _orders(counts.votes[rows, m], counts.total[rows, m], k_max, draws, generator)
            for m, generator in zip(members, generators, strict=True)
        ]
        votes = [np.zeros((len(rows), draws, classes + 1), np.int16) for _ in members]
        for k in range(1, k_max + 1):
            for drawn, model in zip(orders, votes, strict=True):
                _count(model, drawn[:, :, k - 1])
            said = [model[:, :, :classes] for model in votes]
            weighed = None if weights is None else weights[rows]
            right = _right(said, counts.right[rows], weighed)
            scores[rows, k - 1] = right.mean(axis=1)
            variance[rows, k - 1] = right.var(axis=1, ddof=1) / draws
    return Sampled(scores, variance)


def _orders(
    votes: npt.NDArray[np.int32],
    total: npt.NDArray[np.int32],
    k_max: int,
    draws: int,
    generator: np.random.Generator,
) -> Positions:
    """[questions × draws × k_max] classes in random order; the last class is no vote.

    Samples that are missing come last.
    Questions with equally many samples are drawn together, in order of that number.
    """
    classes = votes.shape[1]
    found = np.full((len(votes), draws, k_max), classes, np.intp)
    for size in np.unique(total).tolist():
        rows = np.flatnonzero(total == size)
        known = np.concatenate([votes[rows], size - votes[rows].sum(axis=1, keepdims=True)], axis=1)
        samples = np.repeat(np.tile(np.arange(classes + 1), len(rows)), known.ravel())
        repeated = np.repeat(samples.reshape(len(rows), 1, size), draws, axis=1)
        found[rows, :, : min(size, k_max)] = generator.permuted(repeated, axis=2)[:, :, :k_max]
    return found


def _count(votes: _Votes, drawn: Positions) -> None:
    """One more draw of a model: `votes` [questions × draws × classes] is changed."""
    cells = np.arange(drawn.size) * votes.shape[2] + drawn.ravel()
    votes.reshape(-1)[cells] += 1


def _right(votes: Sequence[_Votes], right: Flags, weights: Positions | None) -> Amounts:
    """[questions × draws] chance that the pooled vote is right."""
    total: npt.NDArray[np.integer] = np.sum(votes, axis=0, dtype=np.int16)
    heard = total > 0
    if weights is not None:
        total = np.zeros(heard.shape, np.int64)
        for weight, model in zip(weights.T, votes, strict=True):
            total += weight[:, None, None] * model
    most = np.where(heard, total, -1).max(axis=2, initial=0, keepdims=True)
    tied = heard & (total == most)
    won = tied & right[:, None, :]
    alone = tied.sum(axis=2) <= 1
    chance = won.any(axis=2).astype(np.float64)
    open_rows = np.nonzero(~alone & won.any(axis=2) & ~(won == tied).all(axis=2))
    tied, won = tied[open_rows], won[open_rows]
    settled = np.zeros(len(tied), np.bool_)
    shares = np.zeros(len(tied))
    for model in votes:
        mine = model[open_rows]
        there = (mine * tied).sum(axis=1)
        now = ~settled & (there > 0)
        shares[now] = (mine * won).sum(axis=1)[now] / there[now]
        settled |= now
    chance[open_rows] = shares
    return np.asarray(chance)


def _entropy(seed: int, model: str) -> int:
    text = json.dumps(["pooled vote", seed, model], ensure_ascii=True)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "big")
