"""The search against brute force, pools whose best subset is known, and recorded answers."""

import gzip
import importlib.util
import itertools
import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slmmux.errors import UsageError
from slmmux.search import Limits, Subset, evaluated, search
from slmmux.search_sets import SearchSets, pack

SHARED = Path(__file__).resolve().parents[2] / "shared"
MMLU_PRO = SHARED / "data" / "mmlu_pro_29_models.jsonl.gz"
needs_data = pytest.mark.skipif(not MMLU_PRO.exists(), reason="needs ../shared/data")

Flags = npt.NDArray[np.bool_]
WEIGHTS = [Fraction(1), Fraction(0), Fraction(1, 3), Fraction(5, 2)]


def sets_of(correct: Flags, wrong: Flags, groups: int = 1) -> SearchSets:
    """[models × cells] → the sets."""
    return SearchSets(
        models=tuple(f"m{i}" for i in range(len(correct))),
        questions=correct.shape[1] // groups,
        k=3,
        groups=groups,
        missing=0,
        spare={},
        correct=pack(correct),
        wrong=pack(wrong),
    )


def brute_force(
    correct: Flags, wrong: Flags, size: int, weight: Fraction
) -> list[tuple[Fraction, int, tuple[int, ...]]]:
    """(−O, −union, subset) of all subsets, best first: rule 9 as it is written."""
    found = []
    for subset in itertools.combinations(range(len(correct)), size):
        rows = list(subset)
        some_correct, some_wrong = correct[rows].any(axis=0), wrong[rows].any(axis=0)
        union, both = int(some_correct.sum()), int((some_correct & some_wrong).sum())
        found.append(((weight * both - union) / correct.shape[1], -union, subset))
    return sorted(found)


def keys(subsets: Sequence[Subset]) -> list[tuple[Fraction, int, tuple[int, ...]]]:
    return [(-s.objective, -s.union, s.members) for s in subsets]


def pool(models: int, cells: int, seed: int, kinds: int) -> tuple[Flags, Flags]:
    """Models of which some are copies of others: ties."""
    rng = np.random.default_rng(seed)
    said = rng.integers(0, 3, (kinds, cells))[rng.integers(0, kinds, models)]
    return said == 0, said == 1


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 9),
    st.tuples(st.integers(1, 150), st.integers(0, 1 << 30), st.integers(1, 9)),
    st.sampled_from(WEIGHTS),
    st.integers(1, 6),
)
def test_every_ranking_is_that_of_brute_force_ties_included(
    models: int, pools: tuple[int, int, int], weight: Fraction, top: int
) -> None:
    correct, wrong = pool(models, *pools)
    found = search(sets_of(correct, wrong), range(1, models + 1), weight, top=top)
    for size, ranking in found.items():
        assert keys(ranking.subsets) == brute_force(correct, wrong, size, weight)[:top]
        assert ranking.proven
        assert ranking.bound == ranking.subsets[0].objective


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("weight", WEIGHTS)
def test_pools_of_14_models_few_questions_and_many_ties_are_ranked_as_by_brute_force(
    seed: int, weight: Fraction
) -> None:
    correct, wrong = pool(14, [7, 40, 90][seed], seed, [14, 9, 3][seed])
    found = search(sets_of(correct, wrong), [2, 3, 5, 7], weight, top=4)
    for size, ranking in found.items():
        assert keys(ranking.subsets) == brute_force(correct, wrong, size, weight)[:4]


def test_models_that_are_all_alike_tie_and_the_first_of_the_pool_win() -> None:
    correct = np.ones((60, 5), np.bool_)
    ranking = search(sets_of(correct, ~correct), [6], top=2)[6]
    assert [s.members for s in ranking.subsets] == [(0, 1, 2, 3, 4, 5), (0, 1, 2, 3, 4, 6)]
    assert ranking.proven


@pytest.mark.parametrize("others", [1, 30])
def test_a_planted_pair_that_complements_each_other_is_found(others: int) -> None:
    """Models 3 and 7 share the questions and abstain elsewhere; every other pair loses some."""
    rng = np.random.default_rng(others)
    correct = rng.random((8 + others, 200)) < 0.45
    wrong = ~correct & (rng.random(correct.shape) < 0.3)
    correct[3], correct[7] = np.arange(200) < 110, np.arange(200) >= 100
    wrong[3] = wrong[7] = False
    best = search(sets_of(correct, wrong), [2])[2].subsets[0]
    assert (best.members, best.objective, best.union) == ((3, 7), Fraction(1), 200)


def test_of_equal_objectives_the_higher_union_wins_and_then_the_smaller_subset() -> None:
    correct = np.array([[1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0]], np.bool_)
    wrong = np.array([[0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]], np.bool_)
    found = search(sets_of(correct, wrong), [1, 2, 3], top=3)
    # {0, 1}: union 3, contradiction 1; {0, 2}: 2 and 0; {1, 2}: 2 and 0.
    assert [s.members for s in found[2].subsets] == [(0, 1), (0, 2), (1, 2)]
    everything = sorted((s for r in found.values() for s in r.subsets), key=lambda s: s.order)
    assert [s.members for s in everything[:3]] == [(0, 1), (0, 1, 2), (1,)]


def test_groups_are_averaged_as_cells_of_their_own() -> None:
    correct, wrong = pool(6, 60, 5, 6)
    whole = search(sets_of(correct, wrong, groups=3), [3])[3].subsets[0]
    parts = [
        evaluated(sets_of(correct[:, i : i + 20], wrong[:, i : i + 20]), whole.members).objective
        for i in (0, 20, 40)
    ]
    assert whole.objective == sum(parts) / 3


def test_a_time_limit_gives_the_best_found_and_a_bound_that_holds() -> None:
    correct, wrong = pool(30, 100, 1, 30)
    sets = sets_of(correct, wrong)
    best = search(sets, [6])[6].subsets[0]
    clock = iter(range(1000))
    cut = search(sets, [6], limits=Limits(time_limit_s=2, clock=lambda: float(next(clock))))[6]
    assert not cut.proven
    assert cut.subsets[0].objective <= best.objective <= cut.bound <= 1


def test_sizes_that_the_time_limit_kept_from_being_begun_say_so() -> None:
    correct, wrong = pool(30, 100, 1, 30)
    clock = iter([0.0])
    limits = Limits(time_limit_s=1, clock=lambda: next(clock, 9.0))
    found = search(sets_of(correct, wrong), [3, 4, 6], limits=limits)
    assert [ranking.begun for ranking in found.values()] == [True, False, False]
    assert [len(ranking.subsets[0].members) for ranking in found.values()] == [3, 4, 6]
    assert all(ranking.subsets[0].objective <= ranking.bound <= 1 for ranking in found.values())


def test_progress_goes_to_the_whole() -> None:
    told: list[tuple[int, float]] = []
    correct, wrong = pool(12, 80, 2, 12)
    search(sets_of(correct, wrong), [2, 4], limits=Limits(report=lambda *at: told.append(at)))
    for size in (2, 4):
        shares = [share for at, share in told if at == size]
        assert shares == sorted(shares)
        assert shares[-1] == pytest.approx(1)


def test_what_cannot_be_searched_is_refused() -> None:
    sets = sets_of(*pool(3, 5, 0, 3))
    for sizes in ([], [0], [2, 4]):
        with pytest.raises(UsageError, match="size"):
            search(sets, sizes)
    with pytest.raises(UsageError, match="λ is -1; make it 0 or more"):
        search(sets, [2], Fraction(-1))
    with pytest.raises(UsageError, match="too many digits"):
        search(sets, [2], Fraction(1, 10**18 + 1))
    with pytest.raises(UsageError, match="top is 0"):
        search(sets, [2], top=0)


# Recorded answers.


@pytest.fixture(scope="module")
def mmlu_pro() -> tuple[list[str], Flags, Flags]:
    """Models in the file's order, and [models × questions] right and wrong, read here anew."""
    said: dict[str, dict[str, tuple[bool, bool]]] = {}
    with gzip.open(MMLU_PRO, "rt", encoding="utf-8") as lines:
        for line in lines:
            row: dict[str, Any] = json.loads(line)
            (answer,) = row["answers"]
            right = answer == row["gold"]
            said.setdefault(row["model"], {})[row["question_id"]] = (
                right,
                answer is not None and not right,
            )
    questions = sorted(said[next(iter(said))])
    cells = np.array([[said[m][q] for q in questions] for m in said])
    return list(said), cells[:, :, 0], cells[:, :, 1]


@needs_data
def test_the_best_subsets_of_29_models_are_the_published_ones(
    mmlu_pro: tuple[list[str], Flags, Flags],
) -> None:
    names, correct, wrong = mmlu_pro
    found = search(sets_of(correct, wrong), range(1, 6))
    chosen = {size: [names[m] for m in r.subsets[0].members] for size, r in found.items()}
    assert chosen[1] == ["gemini-1.5-pro-002"]
    assert float(found[1].subsets[0].objective) == pytest.approx(0.716831, abs=5e-7)
    assert chosen[2] == ["gemini-1.5-flash-002", "gemini-1.5-pro-002"]
    assert float(found[2].subsets[0].objective) == pytest.approx(0.584641, abs=5e-7)
    assert found[2].subsets[0].union / 10_326 == pytest.approx(0.790238, abs=5e-7)
    assert all(ranking.proven for ranking in found.values())


@needs_data
@pytest.mark.parametrize("size", [2, 3, 4, pytest.param(5, marks=pytest.mark.slow)])
def test_no_subset_of_29_models_is_better_counted_one_by_one(
    mmlu_pro: tuple[list[str], Flags, Flags], size: int
) -> None:
    _, correct, wrong = mmlu_pro
    best = search(sets_of(correct, wrong), [size])[size].subsets[0]
    counted = brute_force(correct, wrong, size, Fraction(1))[0]
    assert counted == (-best.objective, -best.union, best.members)


@needs_data
def test_the_plain_python_search_chooses_the_same_on_a_slice(
    mmlu_pro: tuple[list[str], Flags, Flags],
) -> None:
    _, correct, wrong = mmlu_pro
    loops = reference("loops")
    for size, models, questions in ((2, 29, 60), (3, 12, 150), (4, 9, 150)):
        c, w = correct[:models, :questions], wrong[:models, :questions]
        theirs = loops.search(c.tolist(), w.tolist(), size)
        ours = search(sets_of(c, w), [size])[size].subsets[0]
        assert loops.objective(theirs, c.tolist(), w.tolist()) == pytest.approx(
            float(ours.objective)
        )


def reference(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, SHARED / "reference" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
