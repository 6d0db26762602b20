"""Models × samples: what more of either brings, exactly (SLM-MUX paper, section 3.3).

A point is a number of models K (the subset that the search finds best on the validation
questions) and a number of samples k from each. Its accuracies are expectations over all ordered
ways to draw k of the N recorded samples of each model (`scaling_scores`). Where to stop is chosen
on the validation questions; accuracies are reported on the test questions.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from slmmux.config import MuxConfig
from slmmux.errors import UsageError
from slmmux.evaluate import measured_accuracy
from slmmux.holdout import Split
from slmmux.metrics import Estimate, estimate
from slmmux.scaling_draws import Draws, expected_draws, shuffled
from slmmux.scaling_scores import Expected
from slmmux.stopping import Schedule
from slmmux.table import MISSING, Classes, Table

_DECIMALS = 12  # means this close are equal
_HARDLY = 0.05  # draws a question: fewer are within the noise of the replays

Step = Callable[[str], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to compute.

    Attributes:
        k_max: the most samples from each model.
        pooled: pooled vote as well, the only rule that takes time.
        replays: rows on which draws of exact stopping are counted; 0 counts none.
        replay_to: points with more than so many draws in full (K · k) are not replayed.
        worth: accuracy that a draw must bring to be worth making.
        seed: of draws and replays.
        schedule: of exact stopping.
        allow_missing: where a model has fewer than k samples on a question, all of them are in
            every draw, and the missing ones vote for nothing.
    """

    k_max: int
    pooled: bool = True
    replays: int = 100
    replay_to: int = 16
    worth: float = 0.001
    seed: int = 0
    schedule: Schedule = MuxConfig().schedule
    allow_missing: bool = False


@dataclass(frozen=True, slots=True)
class PooledPoint:
    """Accuracy of pooled vote.

    Attributes:
        estimate: over questions.
        drawn: questions whose score is a mean over seeded draws; 0: everything is exact.
        stderr: what these draws add to the error, apart from what questions do.
    """

    estimate: Estimate
    drawn: int
    stderr: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """K models with k samples each, on the test questions.

    Attributes:
        models: names in pool order.
        k: samples from each.
        validation: mux's accuracy on the validation questions, where choices are made.
        mux: the most confident model's mode.
        consistent: the model of these whose self-consistency is best on the validation questions.
        self_consistency: its own.
        pooled: None where it is not asked for.
        gain: accuracy of mux − that of k − 1, of the same models; None at k = 1.
        draws: of exact stopping; None where none are replayed.
        gain_per_draw: gain over the draws that exact stopping makes more than at k − 1; None where
            either is unknown, or it hardly makes more.
    """

    models: tuple[str, ...]
    k: int
    validation: float
    mux: Estimate
    consistent: str
    self_consistency: Estimate
    pooled: PooledPoint | None
    gain: float | None
    draws: Draws | None
    gain_per_draw: float | None

    @property
    def budget(self) -> int:
        """Draws without early stopping."""
        return len(self.models) * self.k


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """All points, and where to stop.

    Attributes:
        points: by size, then k.
        best: of the highest validation accuracy of mux; the fewest draws in full among equals.
        enough: where more stops paying: of the highest validation accuracy less `Plan.worth` for
            every draw in full.
        enough_k: size → the same among the points of that size.
    """

    points: tuple[Point, ...]
    best: Point
    enough: Point
    enough_k: Mapping[int, int]


def smallest_count(table: Table) -> int:
    """Samples that every model has on every question."""
    return int((table.samples.classes != MISSING).sum(axis=2).min(initial=1 << 30))


def scaling(
    split: Split,
    subsets: Sequence[Sequence[int]],
    plan: Plan,
    step: Step = lambda _: None,
) -> Scaling:
    """Every subset with every k.

    Args:
        split: where to choose and where to report.
        subsets: positions of models in the pool, one subset for each size.
        plan: what to compute.
        step: told what is done: once for each question of a pooled vote and each replayed point.

    Raises:
        UsageError: no subsets, or too few samples for k_max.
    """
    if not subsets:
        raise UsageError("no subsets of models to scale")
    bench = _Bench(split, plan, step)
    curves = [bench.curve(sorted(subset)) for subset in subsets]
    points = [point for curve in curves for point in curve]
    return Scaling(
        points=tuple(points),
        best=min(points, key=_by_validation),
        enough=_enough(points, plan.worth),
        enough_k={len(curve[0].models): _enough(curve, plan.worth).k for curve in curves},
    )


def _by_validation(point: Point) -> tuple[float, int, int]:
    return -round(point.validation, _DECIMALS), point.budget, len(point.models)


def _enough(points: Sequence[Point], worth: float) -> Point:
    """The point behind which no draws are worth their price: the most accuracy after paying."""
    return min(
        points,
        key=lambda point: (
            -round(point.validation - worth * point.budget, _DECIMALS),
            point.budget,
            len(point.models),
        ),
    )


class _Bench:
    """What all curves share."""

    def __init__(self, split: Split, plan: Plan, step: Step) -> None:
        self._split = split
        self._plan = plan
        self._step = step
        self._accuracies = measured_accuracy(split.validation).by_model
        self._test = self._expected(split.test)
        self._validation = self._test if split.hindsight else self._expected(split.validation)
        self._orders: Classes | None = None
        if plan.replays:
            self._orders = shuffled(split.test, plan.k_max, rows=plan.replays, seed=plan.seed)

    def _expected(self, table: Table) -> Expected:
        return Expected.of(table, self._plan.k_max, allow_missing=self._plan.allow_missing)

    def curve(self, members: Sequence[int]) -> list[Point]:
        """The points of one subset, by k."""
        order = self._test.order(members, self._accuracies)
        scores = self._test.modes.mux(order)
        chosen_by = self._validation.modes.mux(order)
        pooled = self._pooled(members)
        draws = [self._draws(members, k) for k in range(1, self._plan.k_max + 1)]
        names = tuple(self._test.models[m] for m in members)
        points = []
        for place in range(self._plan.k_max):
            consistent = self._most_consistent(members, place)
            own = self._test.modes.self_consistency(consistent)[:, place]
            gain = float((scores[:, place] - scores[:, place - 1]).mean()) if place else None
            points.append(
                Point(
                    models=names,
                    k=place + 1,
                    validation=float(chosen_by[:, place].mean()),
                    mux=estimate(scores[:, place]),
                    consistent=self._test.models[consistent],
                    self_consistency=estimate(own),
                    pooled=pooled[place],
                    gain=gain,
                    draws=draws[place],
                    gain_per_draw=_per_draw(gain, draws[place], draws[place - 1]),
                )
            )
        return points

    def _most_consistent(self, members: Sequence[int], place: int) -> int:
        own = [
            round(float(self._validation.modes.self_consistency(m)[:, place].mean()), _DECIMALS)
            for m in members
        ]
        return members[own.index(max(own))]

    def _pooled(self, members: Sequence[int]) -> list[PooledPoint | None]:
        if not self._plan.pooled:
            return [None] * self._plan.k_max
        found = self._test.pooled(
            members, seed=self._plan.seed, step=lambda: self._step(f"K = {len(members)}: pooled")
        )
        questions = len(found.scores)
        return [
            PooledPoint(
                estimate=estimate(found.scores[:, place]),
                drawn=int((~found.exact[:, place]).sum()),
                stderr=float(np.sqrt(found.variance[:, place].sum())) / questions,
            )
            for place in range(self._plan.k_max)
        ]

    def _draws(self, members: Sequence[int], k: int) -> Draws | None:
        if self._orders is None or len(members) * k > self._plan.replay_to:
            return None
        found = expected_draws(
            self._orders,
            self._split.test,
            members,
            k,
            accuracies=self._accuracies,
            schedule=self._plan.schedule,
        )
        self._step(f"K = {len(members)}, k = {k}: draws")
        return found


def steps(plan: Plan, split: Split, subsets: Sequence[Sequence[int]]) -> int:
    """How often `scaling` calls its `step`."""
    replayed = (
        min(plan.k_max, plan.replay_to // len(subset)) for subset in subsets if plan.replays
    )
    return sum(replayed) + plan.pooled * len(split.test.questions) * len(subsets)


def _per_draw(gain: float | None, draws: Draws | None, before: Draws | None) -> float | None:
    if gain is None or draws is None or before is None:
        return None
    more = draws.mean - before.mean
    return gain / more if more >= _HARDLY else None
