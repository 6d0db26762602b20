"""Samples without the order in which they were recorded: a choice must not depend on that.

Weights of votes are fitted on runs that go along each model's samples. In the order of the bank,
two banks with the same samples could lead to different choices. Here samples are put in an order
that follows from what they are, and are then shuffled by a seed that follows from the question: as
good as any order, and the same for every bank with these samples.
"""

import hashlib
from dataclasses import replace

import numpy as np

from slmmux.holdout import content
from slmmux.scaling_modes import ClassCounts, recorded_counts
from slmmux.table import MISSING, Positions, Recorded, Table


def without_order(table: Table) -> Table:
    """The same samples, in an order that the bank's does not change."""
    samples = table.samples
    order = _by_votes(recorded_counts(samples, table.right))
    rank = np.argsort(order, axis=1)
    questions, models, width = samples.classes.shape
    flat = np.maximum(samples.classes, 0).reshape(questions, -1)
    known = np.take_along_axis(np.pad(rank, [(0, 0), (0, 1)]), flat, axis=1)
    known = known.reshape(samples.classes.shape)
    known = np.where(samples.classes >= 0, known, rank.shape[1] - samples.classes)
    plain = np.argsort(known, axis=2, kind="stable")
    chances = np.stack([_generator(table, q).random((models, width)) for q in range(questions)])
    chances[np.take_along_axis(samples.classes, plain, axis=2) == MISSING] = 2.0  # stay behind
    places = np.take_along_axis(plain, np.argsort(chances, axis=2), axis=2)
    return replace(table, samples=_taken(samples, places))


def counts_without_order(table: Table) -> ClassCounts:
    """`recorded_counts`, classes in an order that the bank's does not change."""
    counts = recorded_counts(table.samples, table.right)
    order = _by_votes(counts)
    return ClassCounts(
        votes=np.take_along_axis(counts.votes, order[:, None, :], axis=2),
        total=counts.total,
        right=np.take_along_axis(counts.right, order, axis=1),
    )


def _by_votes(counts: ClassCounts) -> Positions:
    """[questions × classes] by the votes of each model; classes with equal ones are as good."""
    keys = [*counts.votes.transpose(1, 0, 2)[::-1], counts.right]
    return np.asarray(np.lexsort(keys, axis=1), np.intp)


def _generator(table: Table, question: int) -> np.random.Generator:
    digest = hashlib.blake2b(content(table.questions[question]).encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))


def _taken(samples: Recorded, places: Positions) -> Recorded:
    return Recorded(
        classes=np.take_along_axis(samples.classes, places, axis=2),
        errored=np.take_along_axis(samples.errored, places, axis=2),
        tokens=np.take_along_axis(samples.tokens, places, axis=2),
        cost=np.take_along_axis(samples.cost, places, axis=2),
    )
