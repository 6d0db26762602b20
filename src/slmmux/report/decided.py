"""Whose answers SLM-MUX gives, with how many votes, over the same runs as its accuracy."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from slmmux.evaluation import Evaluation
from slmmux.methods import METHODS, budget_of
from slmmux.methods.base import Positions
from slmmux.subsamples import filled, first_run, subsampled_runs
from slmmux.table import Recorded, Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """Decisions of SLM-MUX: one for each question and run.

    Attributes:
        runs: how many.
        by_model: [models + 1 × 2] wrong and right decisions by whose answer it is; last: nobody's.
        by_votes: [k + 1 × 2] wrong and right ones by the votes of the answer that is given.
    """

    runs: int
    by_model: Positions
    by_votes: Positions

    @property
    def total(self) -> int:
        """Questions × runs."""
        return int(self.by_model.sum())


def decided(table: Table, evaluation: Evaluation) -> Decided:
    """What SLM-MUX decides in the runs of an evaluation of this table."""
    models, k = len(table.models), evaluation.k
    by_model = np.zeros((models + 1) * 2, np.intp)
    by_votes = np.zeros((k + 1) * 2, np.intp)
    for run in _runs(table, evaluation):
        budget = budget_of(table.models, run.classes, evaluation.accuracy.by_model)
        (mux,) = METHODS["mux"]().decide(budget)
        if mux.decided_by is None:
            raise TypeError("mux always says whose mode it picks")
        rows = np.arange(budget.rows)
        right = table.right[rows % len(table.questions), mux.picks[:, 0]].astype(np.intp)
        answered = mux.decided_by >= 0
        votes = np.where(answered, budget.leads[rows, mux.decided_by], 0)
        by_model += np.bincount(
            2 * np.where(answered, mux.decided_by, models) + right, minlength=len(by_model)
        )
        by_votes += np.bincount(2 * votes + right, minlength=len(by_votes))
    return Decided(
        runs=evaluation.trials, by_model=by_model.reshape(-1, 2), by_votes=by_votes.reshape(-1, 2)
    )


def _runs(table: Table, evaluation: Evaluation) -> Iterator[Recorded]:
    recorded = filled(table.samples, evaluation.k)
    if evaluation.trials == 1:
        yield first_run(recorded, evaluation.k, in_place=True)
        return
    yield from subsampled_runs(
        recorded, table.models, evaluation.k, trials=evaluation.trials, seed=evaluation.seed
    )
