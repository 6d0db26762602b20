"""Subset search against plain loops and packed numpy, and the optimum of 100 models.

    python benchmarks/search.py [ROWS.jsonl.gz] [--pairs 5]

1. All subsets of up to 5 of the 29 models of the recorded MMLU-Pro answers, on one core. The plain
   loops (`loops.py`) search every size among 12 of the models on 200 of the questions, and their
   times are scaled by the numbers of subsets and questions. Packed numpy has the same bits and
   takes the unions of all models of every subset, many subsets at once. After a warm-up, our search
   and packed numpy take turns; each pair gives a ratio, and the median counts.
2. The 5 best subsets of 5 of 100 synthetic models on 500 questions, proven, on one core: models in
   families that share skills, models that are all about as good, and independent ones.
"""

import argparse
import importlib.util
import itertools
import math
import os
import resource
import statistics
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from slmmux.bank import Bank
from slmmux.bank.imports import import_file
from slmmux.pool_models import pool_models
from slmmux.search import evaluated, search
from slmmux.search_sets import SearchSets, correctness, pack, search_sets, unpacked
from slmmux.table import load_table

SHARED = Path(__file__).resolve().parents[2] / "shared"
ROWS = SHARED / "data" / "mmlu_pro_29_models.jsonl.gz"
SIZES = range(1, 6)
FAMILIES, SKILLS, SAMPLES = 12, 6, 3
AT_ONCE = 500  # subsets that packed numpy works on at once: about the fastest of 50 to 20,000

Flags: TypeAlias = npt.NDArray[np.bool_]


def recorded(rows: Path, folder: Path) -> SearchSets:
    """One answer a model: every wrong one is consistently wrong."""
    import_file(folder / "bank.db", rows)
    with Bank.open(folder / "bank.db") as bank:
        models = pool_models(bank.models())
        table = load_table(bank, bank.tasks(), run_seed=0, models=models)
    return search_sets(table, 1, correctness("mode"), count_single_samples=True)


def loops_time(sets: SearchSets, models: int = 12, questions: int = 200) -> float:
    """Seconds of the plain loops for all subsets on all questions, scaled from a slice."""
    loops = reference("loops")
    chosen = np.linspace(0, len(sets.models) - 1, models).astype(int)
    some = np.linspace(0, sets.questions - 1, questions).astype(int)
    correct, wrong = (
        unpacked(words, sets)[chosen, 0][:, some].tolist() for words in (sets.correct, sets.wrong)
    )
    total = 0.0
    for size in SIZES:
        began = time.perf_counter()
        loops.search(correct, wrong, size)
        taken = time.perf_counter() - began
        subsets = math.comb(len(sets.models), size) / math.comb(models, size)
        total += taken * subsets * sets.questions / questions
    return total


def reference(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, SHARED / "reference" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def packed_numpy(sets: SearchSets) -> dict[int, tuple[int, ...]]:
    """The best subset of every size, the unions of every subset taken anew."""
    found: dict[int, tuple[int, ...]] = {}
    for size in SIZES:
        subsets = np.array(list(itertools.combinations(range(len(sets.models)), size)))
        best: tuple[float, int, tuple[int, ...]] = (-math.inf, 0, ())
        for begin in range(0, len(subsets), AT_ONCE):
            some = subsets[begin : begin + AT_ONCE]
            correct, wrong = sets.correct[some[:, 0]], sets.wrong[some[:, 0]]
            for column in some.T[1:]:
                correct |= sets.correct[column]
                wrong |= sets.wrong[column]
            unions = np.bitwise_count(correct).sum(axis=1, dtype=np.int64)
            correct &= wrong
            values = unions - np.bitwise_count(correct).sum(axis=1, dtype=np.int64)
            place = int(np.lexsort((-unions, -values))[0])
            entry = (int(values[place]), int(unions[place]), tuple(some[place].tolist()))
            best = max(best, entry, key=lambda e: e[:2])
        found[size] = best[2]
    return found


def our_search(sets: SearchSets) -> dict[int, tuple[int, ...]]:
    return {size: r.subsets[0].members for size, r in search(sets, SIZES).items()}


def compare(sets: SearchSets, pairs: int) -> None:
    assert our_search(sets) == packed_numpy(sets)
    ours, theirs = [], []
    for _ in range(pairs):
        began = time.perf_counter()
        packed_numpy(sets)
        middle = time.perf_counter()
        our_search(sets)
        theirs.append(middle - began)
        ours.append(time.perf_counter() - middle)
    loops = loops_time(sets)
    ratio = statistics.median(t / o for t, o in zip(theirs, ours, strict=True))
    seconds = statistics.median(ours)
    subsets = sum(math.comb(len(sets.models), size) for size in SIZES)
    print(f"{subsets:,} subsets of {len(sets.models)} models, {sets.questions:,} questions:")
    print(f"  search       {seconds * 1000:9.1f} ms")
    print(
        f"  packed numpy {statistics.median(theirs) * 1000:9.1f} ms: {ratio:.0f} times (target 3)"
    )
    print(f"  plain loops  {loops:9.0f} s : {loops / seconds:,.0f} times (target 20,000)")


def synthetic(kind: str, models: int = 100, questions: int = 500, seed: int = 0) -> SearchSets:
    """Models that answer 3 times, right with a chance that depends on skills and difficulty.

    A question needs a mixture of skills; models of a family share most of theirs. A model that is
    wrong falls for the question's favourite wrong answer or for one of three others.
    """
    rng = np.random.default_rng(seed)
    needs = rng.dirichlet(np.full(SKILLS, 0.4), questions)
    hardness = rng.normal(0, 1.3, questions)
    own = rng.normal(0, 0.6, (models, SKILLS))
    if kind == "families":
        shared = rng.normal(0, 0.6, (FAMILIES, SKILLS))[rng.integers(FAMILIES, size=models)]
        own = shared + 0.8 * own + rng.normal(0, 0.7, models)[:, None]
    if kind == "independent":
        own, hardness = np.zeros((models, SKILLS)), np.zeros(questions)
    chance = 1 / (1 + np.exp(-1.7 * (own @ needs.T - hardness)))
    right = rng.random((SAMPLES, models, questions)) < chance
    lure = rng.random(right.shape) < 0.5
    said = np.where(right, 0, np.where(lure, 1, rng.integers(2, 5, right.shape)))
    hits = right.sum(axis=0)
    first = right[0] & (said[1] != said[2])  # one each: the first sample's class is the mode
    return SearchSets(
        models=tuple(f"m{place}" for place in range(models)),
        questions=questions,
        k=SAMPLES,
        groups=1,
        missing=0,
        spare={},
        correct=pack((hits >= 2) | ((hits == 1) & first)),
        wrong=pack((said[0] == said[1]) & (said[1] == said[2]) & ~right[0]),
    )


def prove(seeds: int) -> None:
    print("5 best of the 75,287,520 subsets of 5 of 100 models, 500 questions (target 10 s):")
    for kind in ("families", "alike", "independent"):
        times, best = [], []
        for seed in range(seeds):
            sets = synthetic(kind, seed=seed)
            began = time.perf_counter()
            (ranking,) = search(sets, [5], top=5).values()
            times.append(time.perf_counter() - began)
            assert ranking.proven
            alone = [float(evaluated(sets, [m]).objective) for m in range(100)]
            best.append((max(alone), float(ranking.subsets[0].objective)))
        print(
            f"  {kind:12} {statistics.median(times):5.2f} s (longest {max(times):.2f}); best model "
            f"{statistics.mean(b[0] for b in best):.3f}, best five "
            f"{statistics.mean(b[1] for b in best):.3f}"
        )
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"memory of the whole process: {memory:.0f} MB (target 500)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="?", type=Path, default=ROWS)
    parser.add_argument("--pairs", type=int, default=5)
    given = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    prove(given.pairs)  # first: its memory is its own
    with tempfile.TemporaryDirectory() as folder:
        sets = recorded(given.rows, Path(folder))
    compare(sets, given.pairs)


if __name__ == "__main__":
    main()
