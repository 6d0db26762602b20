"""`pooled_vote`: the most common answer of all samples (Agent Forest, arXiv 2402.05120)."""

from typing import ClassVar

import numpy as np

from slmmux.methods.base import Budget, Decision
from slmmux.methods.patterns import modes_of


class PooledVote:
    """All samples of all models in one vote.

    A tie goes to the class met first in pool order, then sample index.
    """

    summary: ClassVar[str] = "the most common answer of all samples"
    of: ClassVar[str] = "budget"
    live: ClassVar[bool] = True

    def decide(self, budget: Budget) -> tuple[Decision, ...]:
        """One decision; exact stopping never changes it."""
        classes, _ = modes_of(budget.classes.reshape(budget.rows, -1))
        draws = np.full((budget.rows, len(budget.models)), float(budget.k))
        return (
            Decision(
                models=budget.models,
                picks=classes[:, None],
                draws=draws,
                stops_early=True,
                weights=np.ones((budget.rows, len(budget.models)), np.int64),
            ),
        )
