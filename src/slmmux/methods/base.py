"""What every method is given and gives back: full budgets in, decisions out."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from slmmux.methods.patterns import modes_of
from slmmux.table import NO_VOTE

Classes: TypeAlias = npt.NDArray[np.int32]
Positions: TypeAlias = npt.NDArray[np.intp]
Amounts: TypeAlias = npt.NDArray[np.float64]
Weights: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The full budgets of some questions; a row is one question (in one subsample of its samples).

    A class is a small number that means something within its question only: classes are numbered
    by first appearance in (pool order, sample index) of everything recorded for it.

    Attributes:
        models: names in pool order.
        classes: [rows × models × k] class of each sample, NO_VOTE where it failed or has no
            readable answer (rule 1).
        recorded: [rows × models × samples] everything recorded; MISSING where a model has fewer.
        greedy: the same of each model's samples at temperature 0; None where there are none.
        modes, leads: [rows × models] each model's mode and its votes; NO_VOTE and 0 without any.
        accuracies: validation accuracy by model name, 0..1.
    """

    models: tuple[str, ...]
    classes: Classes
    recorded: Classes
    greedy: Classes | None
    modes: Classes
    leads: Classes
    accuracies: Mapping[str, float | None]

    @property
    def rows(self) -> int:
        """How many questions, each subsample counted."""
        return int(self.classes.shape[0])

    @property
    def k(self) -> int:
        """Samples from each model."""
        return int(self.classes.shape[2])

    def at(self, rows: Positions) -> "Budget":
        """These rows, in this order."""
        return replace(
            self,
            classes=self.classes[rows],
            recorded=self.recorded[rows],
            greedy=None if self.greedy is None else self.greedy[rows],
            modes=self.modes[rows],
            leads=self.leads[rows],
        )


def budget_of(
    models: tuple[str, ...],
    classes: Classes,
    accuracies: Mapping[str, float | None],
    *,
    recorded: Classes | None = None,
    greedy: Classes | None = None,
) -> Budget:
    """A budget with its modes counted.

    Args:
        models: names in pool order.
        classes: [rows × models × k]; what is missing votes for nothing.
        accuracies: validation accuracy by model name.
        recorded: everything recorded, where that is more than `classes`.
        greedy: samples at temperature 0.
    """
    votes = np.maximum(classes, NO_VOTE)
    modes, leads = np.empty(votes.shape[:2], np.int32), np.empty(votes.shape[:2], np.int32)
    for position in range(len(models)):
        modes[:, position], leads[:, position] = modes_of(votes[:, position])
    return Budget(
        models=models,
        classes=votes,
        recorded=classes if recorded is None else recorded,
        greedy=greedy,
        modes=modes,
        leads=leads,
        accuracies=accuracies,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a method answers, for all rows.

    Attributes:
        models: the models that it uses, pool order.
        picks: [rows × alternatives] the class that it answers with; NO_VOTE abstains. Several
            alternatives are equally likely ones, MISSING where a row has fewer.
        draws: [rows × all models] samples that it needs of each stream, from the first on; on
            average where there are alternatives.
        stops_early: exact stopping makes only some of the draws (`replays.exact_draws`).
        weights: [rows × models] of the models' votes where they are added up; None is Algorithm 1.
        decided_by: [rows] position of the model whose mode it is, -1 for none; None where no one
            model decides.
        any_counts: it is enough that one alternative is right: nobody could answer so.
    """

    models: tuple[str, ...]
    picks: Classes
    draws: Amounts
    decided_by: Positions | None = None
    stops_early: bool = False
    weights: Weights | None = None
    any_counts: bool = False


class Method(Protocol):
    """A way to get one answer from a pool's samples.

    Attributes:
        summary: one line for a person.
        of: the samples that it reads: `budget` (k of each model, so subsampling matters),
            `recorded` (everything at once) or `greedy`.
        live: it can answer a question whose reference nobody knows.
    """

    summary: ClassVar[str]
    of: ClassVar[str]
    live: ClassVar[bool]

    def decide(self, budget: Budget) -> tuple[Decision, ...]:
        """What it answers: one decision, or one for each model where it uses one at a time."""


def draws_of(budget: Budget, position: int, count: float) -> Amounts:
    """[rows × models] with so many draws of one model and none of the others."""
    draws = np.zeros((budget.rows, len(budget.models)))
    draws[:, position] = count
    return draws
