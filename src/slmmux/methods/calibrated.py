"""`calibrated`: all votes added up, each model's with its weight from validation questions."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from slmmux.ballots import Ints, ballots_of
from slmmux.errors import UsageError
from slmmux.methods.base import Budget, Decision

if TYPE_CHECKING:
    from slmmux.calibration import CrossFit
    from slmmux.rules import Calibration


@dataclass(frozen=True, slots=True)
class Calibrated:
    """Weighted votes (`slmmux.rules`); `fitted` and `cross_fitted` make one that can decide.

    Attributes:
        weights: [questions × models] for the questions of the budget; one row serves any number.
    """

    summary: ClassVar[str] = "the answer with the most votes, each model's weighted by validation"
    of: ClassVar[str] = "budget"
    live: ClassVar[bool] = False

    weights: Ints | None = None

    @classmethod
    def fitted(cls, calibration: "Calibration") -> Self:
        """With one calibration for all questions."""
        return cls(np.array([calibration.weights], np.int64))

    @classmethod
    def cross_fitted(cls, fitted: "CrossFit") -> Self:
        """With the calibration that never saw the question, for each question."""
        return cls(fitted.weights)

    def decide(self, budget: Budget) -> tuple[Decision, ...]:
        """One decision; exact stopping never changes it.

        Raises:
            UsageError: it has no weights.
        """
        if self.weights is None:
            raise UsageError(
                "method calibrated needs its weights, which come from validation questions: "
                "`slmmux eval` fits them"
            )
        weights = self.weights[np.arange(budget.rows) % len(self.weights)]
        return (
            Decision(
                models=budget.models,
                picks=ballots_of(budget.classes).winners(weights)[:, None],
                draws=np.full((budget.rows, len(budget.models)), float(budget.k)),
                stops_early=True,
                weights=weights,
            ),
        )
