"""All scaling points exactly, against plain Python Monte Carlo to a standard error of 0.1 points.

    python benchmarks/scaling.py [--pairs 5] [--banks]

Five synthetic models × 9 samples × 500 questions, K = 1..5, k = 1..9. The reference,
`mux_accuracy_monte_carlo` of ../shared/reference/loops.py, is timed on a few trials of every point
and scaled to as many trials as bring its standard error to 0.1 points; that number follows from the
variance of a question's outcome, p (1 − p), whose p is known exactly. Pooled vote and
self-consistency are timed beside. `--banks` instead prints the exact curves of the recorded banks,
how far Monte Carlo through the methods is from them, and how far the paper's A(N, p) is.
"""

import argparse
import importlib.util
import math
import statistics
import tempfile
import time
from pathlib import Path
from types import ModuleType

import numpy as np

from slmmux.bank import Bank
from slmmux.bank.imports import import_file
from slmmux.bank.rows import BankQuestion
from slmmux.holdout import split
from slmmux.pool_models import pool_models
from slmmux.scaling import Plan
from slmmux.scaling_outcome import mean_error
from slmmux.scaling_run import best_subsets, run_scaling, with_samples
from slmmux.scaling_scores import Expected
from slmmux.table import MISSING, NO_VOTE, Recorded, Table, load_table

SHARED = Path(__file__).resolve().parents[2] / "shared"
MODELS, SAMPLES, QUESTIONS, CLASSES = 5, 9, 500, 6
ERROR = 0.001  # standard error of the reference, as a share
BANKS = (
    "date_4_models",
    "reasoning_gym_9_models_3_samples",
    "amc_aime_2_models_50_samples",
    "embedded_6_models_10_samples",
)


def reference() -> ModuleType:
    path = SHARED / "reference" / "loops.py"
    spec = importlib.util.spec_from_file_location("loops", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def synthetic(seed: int = 0) -> Table:
    """Class 0 is right; a question's difficulty is shared by the models, its wrong answers too."""
    rng = np.random.default_rng(seed)
    ease = rng.normal(0.4, 1.6, (QUESTIONS, 1, 1)) + rng.normal(0, 0.7, (QUESTIONS, MODELS, 1))
    right = rng.random((QUESTIONS, MODELS, SAMPLES)) < 1 / (1 + np.exp(-ease))
    favourite = rng.integers(1, CLASSES, (QUESTIONS, 1, 1))
    other = rng.integers(NO_VOTE, CLASSES, right.shape)
    wrong = np.where(rng.random(right.shape) < 0.5, favourite, np.where(other == 0, 1, other))
    classes = np.where(right, 0, wrong).astype(np.int32)
    flags = np.zeros((QUESTIONS, CLASSES + 2), np.bool_)
    flags[:, 0] = True
    return Table(
        questions=tuple(
            BankQuestion(id=q, task="synthetic", name=str(q), text=str(q)) for q in range(QUESTIONS)
        ),
        kinds=tuple("number" for _ in range(QUESTIONS)),
        guessed={},
        models=tuple(f"model {m}" for m in range(MODELS)),
        run_seed=0,
        samples=recorded(classes),
        greedy=recorded(np.full((QUESTIONS, MODELS, 1), MISSING, np.int32)),
        right=flags,
    )


def recorded(classes: "np.typing.NDArray[np.int32]") -> Recorded:
    return Recorded(
        classes=classes,
        errored=np.zeros(classes.shape, np.bool_),
        tokens=np.zeros(classes.shape),
        cost=np.zeros(classes.shape),
    )


def mux_points(table: Table) -> "np.typing.NDArray[np.float64]":
    """[K × k] accuracies of mux, from the table's arrays."""
    expected = Expected.of(table, SAMPLES)
    curves = [expected.modes.mux(range(size)).mean(axis=0) for size in range(1, MODELS + 1)]
    return np.array(curves)


def loops_seconds(table: Table, loops: ModuleType, trials: int) -> float:
    """Seconds that the reference takes for all points, scaled to a standard error of 0.1 points."""
    expected = Expected.of(table, SAMPLES)
    streams = [
        [[None if c == NO_VOTE else c for c in stream] for stream in model]
        for model in table.samples.classes.transpose(1, 0, 2).tolist()
    ]
    gold = [0] * QUESTIONS
    total = 0.0
    for size in range(1, MODELS + 1):
        p = expected.modes.mux(range(size))
        variance = (p * (1 - p)).sum(axis=0) / QUESTIONS**2
        for k in range(1, SAMPLES + 1):
            wanted = max(1, math.ceil(float(variance[k - 1]) / ERROR**2))
            began = time.perf_counter()
            loops.mux_accuracy_monte_carlo(streams, gold, k, range(size), trials)
            total += (time.perf_counter() - began) / trials * wanted
    return total


def timed(table: Table, pairs: int) -> None:
    loops = reference()
    mux_points(table)  # warm-up
    ratios, exact_s, loops_s = [], [], []
    for _ in range(pairs):
        began = time.perf_counter()
        mux_points(table)
        exact_s.append(time.perf_counter() - began)
        loops_s.append(loops_seconds(table, loops, 1))
        ratios.append(loops_s[-1] / exact_s[-1])
    print(f"mux, {MODELS * SAMPLES} points: {statistics.median(exact_s) * 1000:.1f} ms exactly")
    print(f"plain Monte Carlo to 0.1 points: {statistics.median(loops_s):.0f} s (scaled)")
    print(f"ratio: {statistics.median(ratios):,.0f}; at least 1,000")
    expected = Expected.of(table, SAMPLES)
    began = time.perf_counter()
    for model in range(MODELS):
        expected.modes.self_consistency(model).mean(axis=0)
    print(f"self-consistency beside: {(time.perf_counter() - began) * 1000:.1f} ms more")
    for size in range(1, MODELS + 1):
        began = time.perf_counter()
        found = expected.pooled(range(size))
        seconds = time.perf_counter() - began
        error = np.sqrt(found.variance.sum(axis=0)) / QUESTIONS
        print(
            f"pooled vote, K = {size}: {seconds:.1f} s, exact on {found.exact.mean():.0%}, "
            f"standard error of the rest up to {100 * error.max():.3f} points"
        )


def load(name: str, folder: Path) -> Table:
    path = folder / f"{name}.db"
    import_file(path, SHARED / "data" / f"{name}.jsonl.gz")
    with Bank.open(path) as bank:
        tasks = bank.tasks()
        models = pool_models(bank.models(tasks))
        return load_table(bank, tasks, run_seed=bank.run_seeds(tasks)[0], models=models)


def on_banks() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in BANKS:
            whole, k_max = with_samples(split(load(name, Path(folder))), None)
            plan = Plan(k_max=k_max, replays=0)
            subsets = best_subsets(whole.validation)
            outcome = run_scaling(whole, subsets, plan, with_theory=True)
            assert outcome.theory is not None
            print(f"{name}: {len(whole.test.questions)} questions, k = 1..{k_max}")
            for point in outcome.scaling.points:
                if point.k in {1, 3, k_max} and point.pooled is not None:
                    print(
                        f"  K = {len(point.models)}, k = {point.k:2}: mux "
                        f"{point.mux.accuracy:.4f}, self-consistency "
                        f"{point.self_consistency.accuracy:.4f}, pooled "
                        f"{point.pooled.estimate.accuracy:.4f} ± {point.pooled.stderr:.4f}"
                    )
            for rule in ("mux", "pooled", "self_consistency"):
                error = mean_error([getattr(each, rule) for each in outcome.theory.comparisons])
                print(f"  A(N, p) is {100 * (error or 0):.1f} points off for {rule}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--banks", action="store_true")
    given = parser.parse_args()
    if given.banks:
        on_banks()
    else:
        timed(synthetic(), given.pairs)


if __name__ == "__main__":
    main()
