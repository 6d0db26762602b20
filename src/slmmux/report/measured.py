"""What a report is made of: the table, its evaluation, and every question's decisions."""

from dataclasses import dataclass, replace

import numpy as np

from slmmux.calibration import CrossFit, cross_fit
from slmmux.errors import UsageError
from slmmux.evaluate import Plan, evaluate
from slmmux.evaluation import Entry, Evaluation, ValidationAccuracy
from slmmux.methods import METHODS, Budget, Decision, Method, budget_of
from slmmux.methods.base import Amounts, Positions
from slmmux.methods.calibrated import Calibrated
from slmmux.methods.replays import exact_draws, replayed_rows
from slmmux.report.decided import Decided, decided
from slmmux.subsamples import filled, first_run
from slmmux.table import Flags, Table, lookup

# What the page compares: everything that answers a question, and the ceiling.
COMPARED = ("single", "self_consistency", "pooled_vote", "calibrated", "mux", "oracle")
VOTES = ("pooled_vote", "calibrated")  # exact stopping takes long to play for these
COMPARISONS = frozenset({"mux"})
# Where a question takes more than so many samples, exact stopping is played on some questions only:
# what a play takes grows much faster than the samples.
_LONG = 12
_PLAYED = 1_600  # samples, in these questions together
_MOST_REPLAYS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Everything that the charts draw from; the run is each model's first k samples.

    Attributes:
        plan: of the evaluation.
        run: the samples of the run, decided on by `mux` and `pooled`.
        indices: [questions × models × k] the sample index of each sample of the run.
        crossed: calibrations of the table, each for questions that it was not fitted on; None
            where there are too few.
        mode_right: [questions × models] whether each model's most common answer is right.
        mux_right: [questions].
        replayed: questions on which exact stopping was played, ascending.
        draws: [replayed × models] that it would have made.
        decided: by SLM-MUX in all runs of the evaluation.
    """

    table: Table
    plan: Plan
    evaluation: Evaluation
    run: Budget
    indices: Positions
    crossed: CrossFit | None
    mux: Decision
    pooled: Decision
    mode_right: Flags
    mux_right: Flags
    replayed: Positions
    draws: Amounts
    decided: Decided

    @property
    def deciders(self) -> Positions:
        """[questions] position of the model whose answer SLM-MUX gives, -1 for none."""
        if self.mux.decided_by is None:
            raise TypeError("mux always says whose mode it picks")
        return self.mux.decided_by

    def entries(self, method: str) -> tuple[Entry, ...]:
        """A method's outcomes: one, or one a model."""
        return tuple(entry for entry in self.evaluation.entries if entry.method == method)


def measure(
    table: Table,
    plan: Plan,
    accuracy: ValidationAccuracy | None = None,
    validation: Table | None = None,
) -> Measured:
    """Evaluate, and keep what each question came to.

    Args:
        table: the samples.
        plan: how many samples and runs.
        accuracy: settles ties; None is measured on the table itself.
        validation: questions to fit the calibrated rule on; None cross-fits it on the table.

    Raises:
        UsageError: samples are missing, or the plan asks for what the table does not have.
    """
    methods: dict[str, Method] = {name: METHODS[name]() for name in COMPARED}
    crossed = _crossed(table, plan.k)
    if validation is None and crossed is not None:
        methods["calibrated"] = Calibrated.cross_fitted(crossed)
    replays = _replays(len(table.models) * plan.k)
    in_full = frozenset() if replays is None else frozenset(VOTES)
    plan = replace(plan, compared=COMPARISONS, replays=replays, in_full=in_full)
    evaluation = evaluate(table, methods, plan, accuracy, validation=validation)
    recorded = filled(table.samples, plan.k)
    # The run's sample indices are carried where it carries tokens: what it picks, they pick.
    places = np.broadcast_to(np.arange(recorded.classes.shape[2]), recorded.classes.shape)
    numbered = replace(recorded, tokens=places.astype(np.float64))
    run = first_run(numbered, plan.k, in_place=evaluation.trials == 1)
    budget = budget_of(table.models, run.classes, evaluation.accuracy.by_model)
    (mux,) = methods["mux"].decide(budget)
    (pooled,) = methods["pooled_vote"].decide(budget)
    replayed = replayed_rows(budget.rows, plan.replays, plan.seed)
    return Measured(
        table=table,
        plan=plan,
        evaluation=evaluation,
        run=budget,
        indices=run.tokens.astype(np.intp),
        crossed=crossed,
        mux=mux,
        pooled=pooled,
        mode_right=lookup(table.right, budget.modes),
        mux_right=lookup(table.right, mux.picks)[:, 0],
        replayed=replayed,
        draws=exact_draws(budget.at(replayed), plan.schedule),
        decided=decided(table, evaluation),
    )


def _crossed(table: Table, k: int) -> CrossFit | None:
    try:
        return cross_fit(table, k)
    except UsageError:
        return None


def _replays(budget: int) -> int | None:
    """Questions to play exact stopping on, of so many samples each; None is all of them."""
    return None if budget <= _LONG else max(1, min(_MOST_REPLAYS, _PLAYED // budget))
