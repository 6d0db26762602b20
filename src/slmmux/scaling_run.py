"""A scaling from end to end: samples checked, subsets searched, points computed, and compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slmmux.errors import UsageError
from slmmux.evaluate import default_k, measured_accuracy
from slmmux.holdout import Split
from slmmux.scaling import Plan, Step, scaling, smallest_count
from slmmux.scaling_outcome import ScalingOutcome
from slmmux.search import search
from slmmux.search_sets import correctness, search_sets
from slmmux.subsamples import shortage, usual_count
from slmmux.table import Table, guess_notes
from slmmux.theory import theory
from slmmux.waves import MOST_SAMPLES as LARGEST_K

MOST_MODELS = 5  # of a size, unless sizes are named
MOST_SAMPLES = 10  # k, unless a largest k is named


@dataclass(frozen=True, slots=True, kw_only=True)
class Subsets:
    """The best subset of every size on the validation questions.

    Attributes:
        by_size: size → positions in the pool, ascending.
        k: samples in a group of the search.
        notes: for a person.
    """

    by_size: Mapping[int, tuple[int, ...]]
    k: int
    notes: tuple[str, ...] = ()


def with_samples(
    split: Split, k_max: int | None, *, allow_missing: bool = False
) -> tuple[Split, int]:
    """The split, seen to have k_max samples of every model on every question; and k_max.

    Args:
        split: of the questions.
        k_max: None is what every model has on every question, and no more than 10.
        allow_missing: it may have fewer (`scaling.Plan.allow_missing`).

    Raises:
        UsageError: samples are missing, or k_max is none that can be.
    """
    if k_max is not None and not 1 <= k_max <= LARGEST_K:
        raise UsageError(f"k max is {k_max}; make it 1 to {LARGEST_K:,}")
    tables = [split.test] if split.hindsight else [split.test, split.validation]
    least = min(smallest_count(table) for table in tables)
    if k_max is None:
        usual = min(usual_count(table.samples.classes) for table in tables)
        k_max = min(max(1, usual if allow_missing else least), MOST_SAMPLES)
    if least < k_max and not allow_missing:
        raise UsageError(_refusal(tables, k_max, least))
    return split, k_max


def best_subsets(validation: Table, sizes: Sequence[int] | None = None) -> Subsets:
    """The best subset of every size, by the paper's objective (`search`).

    Args:
        validation: the questions to choose on.
        sizes: numbers of models; None is 1 to 5, or as many as there are.

    Raises:
        UsageError: sizes that cannot be.
    """
    pool = len(validation.models)
    k = default_k(validation)
    sets = search_sets(validation, k, correctness("mode"), count_single_samples=k == 1)
    wanted = range(1, MOST_MODELS + 1) if sizes is None else sizes
    within = sorted({size for size in wanted if 1 <= size <= pool})
    if not within:
        raise UsageError(
            f"the pool has {pool} model{'s' * (pool != 1)}, and no subset of the sizes asked for"
        )
    found = search(sets, within)
    notes = ("search: with one sample a model, a wrong one counts as consistent",) if k == 1 else ()
    return Subsets(
        by_size={size: ranking.subsets[0].members for size, ranking in found.items()},
        k=k,
        notes=notes,
    )


def run_scaling(
    split: Split,
    subsets: Subsets,
    plan: Plan,
    *,
    with_theory: bool = False,
    step: Step = lambda _: None,
) -> ScalingOutcome:
    """All points of these subsets.

    Args:
        split: `with_samples`.
        subsets: one for each size.
        plan: what to compute.
        with_theory: the paper's approximations too.
        step: told what is done, as often as `scaling.steps` says.
    """
    found = scaling(split, list(subsets.by_size.values()), plan, step)
    return ScalingOutcome(
        split=split,
        accuracy=measured_accuracy(split.validation, split.source),
        search_k=subsets.k,
        plan=plan,
        scaling=found,
        theory=theory(split.test, found.points) if with_theory else None,
        notes=(*_notes(split), *_missing(split, plan), *subsets.notes),
    )


def _refusal(tables: Sequence[Table], k_max: int, least: int) -> str:
    missing = [shortage(t.samples.classes, t.models, k_max, first=False) for t in tables]
    lacking = "".join(
        f"\n  {model}: {count:,} of {len(table.questions):,} questions lack some"
        for table, found in zip(tables, missing, strict=True)
        for model, count in found.questions.items()
    )
    smaller = f"take --k-max {least}, " if least else ""
    return (
        f"{sum(found.samples for found in missing)} of {sum(found.wanted for found in missing)} "
        f"samples are missing for k = {k_max}:{lacking}\n`slmmux collect` draws what is missing; "
        f"else {smaller}other --models, or let them vote for nothing with --allow-missing"
    )


def _missing(split: Split, plan: Plan) -> list[str]:
    test = split.test
    found = shortage(test.samples.classes, test.models, plan.k_max, first=False)
    if not (plan.allow_missing and found.samples):
        return []
    note = (
        f"{found.samples} of {found.wanted} samples are missing for k = {plan.k_max}: where a "
        "model has fewer than k, all it has are drawn and the others vote for nothing "
        "(--allow-missing)"
    )
    return [note]


def _notes(split: Split) -> list[str]:
    notes = guess_notes(split.test)
    if split.common and not split.hindsight:
        notes.append(
            f"{split.common:,} of the {len(split.test.questions):,} tested questions are also "
            "validation questions: for these, choices are made in hindsight"
        )
    return notes
