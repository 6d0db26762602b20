"""Which recorded samples make up a run: the first k, or seeded subsets of k."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from slmmux.table import MISSING, NO_VOTE, Classes, Positions, Recorded

_Value = TypeVar("_Value", bound=np.generic)

_CELLS = 4_000_000  # of [runs × questions × models × samples] that are worked on at once


@dataclass(frozen=True, slots=True)
class Shortage:
    """Samples that a run of k needs and the bank does not hold.

    Attributes:
        wanted: samples that the run needs, over all questions and models.
        samples: how many of these are missing.
        questions: model → how many of its questions lack some; only models that lack any.
    """

    wanted: int
    samples: int
    questions: dict[str, int]

    def plus(self, other: "Shortage") -> "Shortage":
        """Both together, of different models."""
        return Shortage(
            self.wanted + other.wanted,
            self.samples + other.samples,
            self.questions | other.questions,
        )


def usual_count(classes: Classes) -> int:
    """The most samples that every model has on some question; 0 where a model has none at all."""
    return int((classes != MISSING).sum(axis=2).max(axis=0, initial=0).min(initial=1 << 31))


def has_more_than(classes: Classes, k: int) -> bool:
    """Whether some model has more than k samples on some question: subsets of k can differ."""
    return bool(((classes != MISSING).sum(axis=2) > k).any())


def shortage(classes: Classes, models: Sequence[str], k: int, *, first: bool) -> Shortage:
    """What is missing for runs of k samples.

    Args:
        classes: [questions × models × samples].
        models: names.
        k: samples from each model.
        first: the run is samples 0..k-1, so that a gap among those counts.
    """
    drawn = classes != MISSING
    lacking = np.maximum(k - (drawn[:, :, :k] if first else drawn).sum(axis=2), 0)
    questions = (lacking > 0).sum(axis=0).tolist()
    return Shortage(
        k * lacking.size,
        int(lacking.sum()),
        {name: count for name, count in zip(models, questions, strict=True) if count},
    )


def filled(recorded: Recorded, k: int) -> Recorded:
    """The same with at least k samples everywhere: what is missing votes for nothing."""
    classes = recorded.classes
    questions, models, width = classes.shape
    if width < k:
        extra = (questions, models, k - width)
        recorded = Recorded(
            classes=np.concatenate([classes, np.full(extra, MISSING, np.int32)], axis=2),
            errored=np.concatenate([recorded.errored, np.zeros(extra, np.bool_)], axis=2),
            tokens=np.concatenate([recorded.tokens, np.zeros(extra)], axis=2),
            cost=np.concatenate([recorded.cost, np.zeros(extra)], axis=2),
        )
        classes = recorded.classes
    missing = classes == MISSING
    lacking = k - (~missing).sum(axis=2, keepdims=True)
    void = missing & (np.cumsum(missing, axis=2) <= lacking)
    if not void.any():
        return recorded
    return Recorded(
        classes=np.where(void, np.int32(NO_VOTE), classes),
        errored=recorded.errored,
        tokens=recorded.tokens,
        cost=recorded.cost,
    )


def first_run(recorded: Recorded, k: int, *, in_place: bool) -> Recorded:
    """The first k samples of every model.

    Args:
        recorded: at least k samples everywhere (`filled`).
        k: samples from each model.
        in_place: samples 0..k-1, whether they are there or not; else the first k that are.
    """
    missing = recorded.classes == MISSING
    if in_place or not missing[:, :, :k].any():
        return Recorded(
            classes=recorded.classes[:, :, :k],
            errored=recorded.errored[:, :, :k],
            tokens=recorded.tokens[:, :, :k],
            cost=recorded.cost[:, :, :k],
        )
    chosen = np.argsort(missing, axis=2, kind="stable")[None, :, :, :k]
    return _chosen(recorded, chosen)


def windows(recorded: Recorded, k: int, runs: int) -> Classes:
    """Runs of k neighbouring samples, begun evenly along what each model has; no lots are drawn.

    With N ≥ k samples of a model on a question, run r takes k samples from ⌊r · N / runs⌋ on, and
    goes on at the first one after the last. Where there are fewer, what is missing votes for
    nothing.

    Args:
        recorded: the samples.
        k: samples from each model.
        runs: how many.

    Returns:
        [runs · questions × models × k] classes, runs laid end to end.
    """
    recorded = filled(recorded, k)
    missing = recorded.classes == MISSING
    present = np.argsort(missing, axis=2, kind="stable")
    counts = (~missing).sum(axis=2)
    begins = np.arange(runs)[:, None, None] * counts // runs
    places = (begins[..., None] + np.arange(k)) % counts[..., None]
    chosen = np.take_along_axis(present[None], places, axis=3)
    return _taken(recorded.classes, chosen)


def subsampled_runs(
    recorded: Recorded, models: Sequence[str], k: int, *, trials: int, seed: int
) -> Iterator[Recorded]:
    """Runs of k samples drawn without replacement, in index order; every run over all questions.

    A model's subsets depend on the seed, its name and the questions: not on the other models.

    Args:
        recorded: at least k samples everywhere (`filled`).
        models: names.
        k: samples from each model.
        trials: how many runs.
        seed: of the subsets.

    Yields:
        [runs · questions × models × k], as many runs at once as memory is worth.
    """
    questions, _, width = recorded.classes.shape
    generators = [np.random.default_rng(_entropy(seed, name)) for name in models]
    at_once = max(1, _CELLS // max(1, questions * len(models) * width))
    void = (recorded.classes == MISSING).transpose(1, 0, 2)
    for done in range(0, trials, at_once):
        runs = min(at_once, trials - done)
        chosen = np.empty((runs, questions, len(models), k), np.intp)
        for position, generator in enumerate(generators):
            chances = generator.random((runs, questions, width))
            chances[:, void[position]] = 2.0  # behind everything that was drawn
            lowest = np.argpartition(chances, k - 1, axis=2)[:, :, :k]
            chosen[:, :, position] = np.sort(lowest, axis=2)
        yield _chosen(recorded, chosen)


def _chosen(recorded: Recorded, chosen: Positions) -> Recorded:
    """The samples at [runs × questions × models × k], runs laid end to end."""
    return Recorded(
        classes=_taken(recorded.classes, chosen),
        errored=_taken(recorded.errored, chosen),
        tokens=_taken(recorded.tokens, chosen),
        cost=_taken(recorded.cost, chosen),
    )


def _taken(samples: npt.NDArray[_Value], chosen: Positions) -> npt.NDArray[_Value]:
    runs, questions, models, k = chosen.shape
    taken = np.take_along_axis(samples[None], chosen, axis=3)
    return taken.reshape(runs * questions, models, k)


def _entropy(seed: int, model: str) -> int:
    text = json.dumps([seed, model], ensure_ascii=True, separators=(",", ":"))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "big")
