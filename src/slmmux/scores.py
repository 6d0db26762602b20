"""Decisions of a method, graded and summed over runs."""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from slmmux.evaluation import Used
from slmmux.methods import Budget, Decision, Method, budget_of
from slmmux.methods.replays import exact_draws, replayed_rows
from slmmux.metrics import Scores
from slmmux.stopping import Schedule
from slmmux.subsamples import filled, first_run, subsampled_runs
from slmmux.table import MISSING, NO_VOTE, Amounts, Flags, Positions, Recorded, Table

Report: TypeAlias = Callable[[str, float], None]
_Counts: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A decision, graded on the same questions in so many runs; what is summed is over the runs.

    Attributes:
        runs: how many; the first one is of samples 0..k-1.
        credit: [questions] sum: 1 for each run in which the answer is right; a share of it where
            several answers are equally likely.
        abstained: sum: questions without an answer.
        decided: sum: questions by the model whose mode it is; None where no one model decides.
        one_answer: [questions] whether the first run's only answer is right; None where a run has
            no only answer.
        errored: share of the first run's samples that failed.
        used, full: as in `Entry`, for the first run.
    """

    method: str
    models: tuple[str, ...]
    runs: int
    credit: Scores
    abstained: float
    decided: Mapping[str, int] | None
    one_answer: Flags | None
    errored: float
    used: Used
    full: Used

    @property
    def scores(self) -> Scores:
        """[questions] mean over the runs, 0..1."""
        return self.credit / self.runs


@dataclass(frozen=True, slots=True)
class _Sums:
    """What of a score is summed over runs."""

    runs: int
    credit: Scores
    abstained: float
    decided: Mapping[str, int] | None

    def __add__(self, other: "_Sums") -> "_Sums":
        decided = self.decided
        if decided is not None and other.decided is not None:
            decided = {model: count + other.decided[model] for model, count in decided.items()}
        return _Sums(
            self.runs + other.runs,
            self.credit + other.credit,
            self.abstained + other.abstained,
            decided,
        )


@dataclass(frozen=True, slots=True)
class _Samples:
    """Samples of some runs, laid end to end, and what is known of each model's.

    Attributes:
        recorded: [runs · questions × models × samples].
        counts: [models] samples.
        errors: [models] failed ones.
        tokens, cost: [models] whether every sample's are known.
    """

    recorded: Recorded
    counts: _Counts
    errors: _Counts
    tokens: Flags
    cost: Flags

    def at(self, rows: Positions) -> "_Samples":
        """The same of these rows; what is known is still told of all."""
        return replace(self, recorded=self.recorded.at(rows.tolist()))


class Bench:
    """Grades methods on the same runs of a table.

    Args:
        table: the samples.
        accuracies: validation accuracy by model.
        k: samples from each model.
        trials: runs; 1 is samples 0..k-1.
        seed: of the subsets.
        schedule: of exact stopping.
        replays: questions on which its draws are counted, to stand for all; None is all of them.
        in_full: methods whose draws are counted in full.
        report: told whose draws under exact stopping are being counted, and the share done.
    """

    def __init__(
        self,
        table: Table,
        accuracies: Mapping[str, float],
        *,
        k: int,
        trials: int,
        seed: int,
        schedule: Schedule,
        replays: int | None = None,
        in_full: frozenset[str] = frozenset(),
        report: Report | None = None,
    ) -> None:
        self._table = table
        self._report = report
        self._replays = replays
        self._in_full = in_full
        self._accuracies = accuracies
        self._k = k
        self._trials = trials
        self._seed = seed
        self._schedule = schedule
        self._recorded = filled(table.samples, k)
        self._everything = filled(table.samples, 1)  # means over it know nothing of k
        self._greedy = _with_any(table.greedy)

    def scores(self, methods: Mapping[str, Method]) -> dict[str, tuple[Score, ...]]:
        """Each method's scores: one, or one for each model that it uses.

        Args:
            methods: by name.
        """
        first = self._first_run(methods)
        if self._trials == 1:
            return first
        repeated = {name: method for name, method in methods.items() if method.of == "budget"}
        return first | {
            name: tuple(
                replace(
                    score,
                    runs=total.runs,
                    credit=total.credit,
                    abstained=total.abstained,
                    decided=total.decided,
                )
                for score, total in zip(first[name], totals, strict=True)
            )
            for name, totals in self._repeated(repeated).items()
        }

    def _first_run(self, methods: Mapping[str, Method]) -> dict[str, tuple[Score, ...]]:
        run = first_run(self._recorded, self._k, in_place=self._trials == 1)
        budget = self._budget(run)
        samples = {
            "budget": _samples(run),
            "recorded": _samples(self._everything),
            "greedy": _samples(self._greedy),
        }
        return {
            name: tuple(
                self._score(name, decision, budget, samples[method.of])
                for decision in method.decide(budget)
            )
            for name, method in methods.items()
        }

    def _repeated(self, methods: Mapping[str, Method]) -> dict[str, tuple[_Sums, ...]]:
        """Sums over the subsets of k."""
        totals: dict[str, tuple[_Sums, ...]] = {}
        drawn = subsampled_runs(
            self._recorded, self._table.models, self._k, trials=self._trials, seed=self._seed
        )
        for runs in drawn:
            budget = self._budget(runs)
            for name, method in methods.items():
                sums = tuple(self._sums(d, self._hits(d), budget) for d in method.decide(budget))
                totals[name] = (
                    tuple(map(operator.add, totals[name], sums)) if name in totals else sums
                )
        return totals

    def _budget(self, runs: Recorded) -> Budget:
        return budget_of(
            self._table.models,
            runs.classes,
            self._accuracies,
            recorded=self._everything.classes,
            greedy=self._greedy.classes,
        )

    def _hits(self, decision: Decision) -> Flags:
        """[rows × alternatives] whether each is right."""
        places = np.arange(len(decision.picks)) % len(self._table.questions)
        return self._table.right[places[:, None], decision.picks]

    def _sums(self, decision: Decision, hits: Flags, budget: Budget) -> _Sums:
        questions = len(self._table.questions)
        runs = budget.rows // questions
        credit, abstained = _outcome(decision, hits)
        return _Sums(
            runs,
            credit.reshape(runs, questions).sum(axis=0, dtype=np.float64),
            float(abstained.sum()),
            _decided(decision, budget.models),
        )

    def _score(self, name: str, decision: Decision, budget: Budget, samples: _Samples) -> Score:
        hits = self._hits(decision)
        sums = self._sums(decision, hits, budget)
        places = [budget.models.index(model) for model in decision.models]
        full = _used(decision, decision.draws, samples, places)
        used = full
        if decision.stops_early and name not in self._in_full:
            report = partial(self._report, name) if self._report else None
            rows = replayed_rows(budget.rows, self._replays, self._seed)
            played = budget if len(rows) == budget.rows else budget.at(rows)
            weights = None if decision.weights is None else decision.weights[rows]
            draws = exact_draws(played, self._schedule, weights, report)
            used = _used(decision, draws, samples.at(rows), places).times(budget.rows / len(rows))
        return Score(
            method=name,
            models=decision.models,
            runs=sums.runs,
            credit=sums.credit,
            abstained=sums.abstained,
            decided=sums.decided,
            one_answer=_one_answer(decision, hits),
            errored=float(samples.errors[places].sum() / samples.counts[places].sum()),
            used=used,
            full=full,
        )


def mean_scores(decision: Decision, right: Flags) -> Scores:
    """[questions] mean score of a decision over the runs that are laid end to end, 0..1.

    Args:
        decision: of a budget.
        right: `Table.right` of the questions.
    """
    places = np.arange(len(decision.picks)) % len(right)
    credit, _ = _outcome(decision, right[places[:, None], decision.picks])
    return np.asarray(credit.reshape(-1, len(right)).mean(axis=0))


def _with_any(greedy: Recorded) -> Recorded:
    """Samples at temperature 0; a model that has some votes for nothing where it lacks one."""
    everywhere = filled(greedy, 1)
    has_any = (greedy.classes != MISSING).any(axis=(0, 2))
    classes = np.where(has_any[:, None], everywhere.classes, np.int32(MISSING))
    return replace(everywhere, classes=classes)


def _samples(recorded: Recorded) -> _Samples:
    return _Samples(
        recorded=recorded,
        counts=(recorded.classes != MISSING).sum(axis=(0, 2)),
        errors=recorded.errored.sum(axis=(0, 2)),
        tokens=np.asarray(np.isfinite(recorded.tokens).all(axis=(0, 2))),
        cost=np.asarray(np.isfinite(recorded.cost).all(axis=(0, 2))),
    )


def _one_answer(decision: Decision, hits: Flags) -> Flags | None:
    """[rows] whether the only answer of a run is right.

    One sample of a model is its earliest; a model chosen at random has no only answer.
    """
    if decision.any_counts:
        return np.asarray(hits.any(axis=1))
    if decision.picks.shape[1] > 1 and len(decision.models) > 1:
        return None
    first = (decision.picks != MISSING).argmax(axis=1)
    return np.asarray(hits[np.arange(len(hits)), first])


def _outcome(decision: Decision, hits: Flags) -> tuple[Amounts, Amounts]:
    """[rows] the chance of a right answer, and of none."""
    silent = decision.picks == NO_VOTE
    if decision.any_counts:
        chances = hits.any(axis=1), silent.all(axis=1)
    else:
        likely = np.maximum((decision.picks != MISSING).sum(axis=1), 1)
        chances = hits.sum(axis=1) / likely, silent.sum(axis=1) / likely
    return np.asarray(chances[0], np.float64), np.asarray(chances[1], np.float64)


def _decided(decision: Decision, models: Sequence[str]) -> dict[str, int] | None:
    if decision.decided_by is None:
        return None
    counts = np.bincount(decision.decided_by + 1, minlength=len(models) + 1)[1:]
    return dict(zip(models, counts.tolist(), strict=True))


def _used(decision: Decision, draws: Amounts, samples: _Samples, models: Sequence[int]) -> Used:
    """What so many draws of each stream use, over all rows.

    Args:
        decision: that needs them.
        draws: [rows × all models] from the first sample on; where the decision is a mean over
            alternatives, so many average samples.
        samples: of the streams.
        models: positions of those that the decision uses.
    """
    average = decision.picks.shape[1] > 1
    drawn = draws[:, models]
    classes = samples.recorded.classes[:, models]
    shares: Amounts | Flags
    if average:
        recorded = classes != MISSING
        shares = recorded * (drawn / np.maximum(recorded.sum(axis=2), 1))[:, :, None]
    else:
        shares = np.arange(classes.shape[2]) < drawn[:, :, None]
    tokens, cost = (
        float((amounts[:, models] * shares).sum()) if known[models].all() else None
        for amounts, known in (
            (samples.recorded.tokens, samples.tokens),
            (samples.recorded.cost, samples.cost),
        )
    )
    return Used(draws=float(drawn.sum()), tokens=tokens, cost=cost)
