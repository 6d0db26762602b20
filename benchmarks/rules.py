"""Which rule wins, and whether the right one is chosen: over random halves of recorded banks.

    python benchmarks/rules.py [BANK.jsonl.gz …] [--splits 40] [--workers 2]

Each bank's questions are split into halves for validation and testing, `--splits` times. For every
pool (all models, and every pair) and k, the best single model, validation accuracies, calibration
and choice of a rule come from the validation half, and accuracies from the test half: means over
splits, pools and k. `chosen` is what `slmmux.rule_choice` chose; `mux first` is what its criterion
would choose with plain mux as the rule that others have to beat.
"""

import argparse
import itertools
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np

from slmmux.bank import Bank
from slmmux.bank.imports import import_file
from slmmux.calibration import RUNS
from slmmux.evaluate import measured_accuracy
from slmmux.holdout import halves
from slmmux.methods import METHODS, Calibrated, Method, budget_of
from slmmux.pool_models import pool_models
from slmmux.rule_choice import choose_rule, rule_of
from slmmux.scores import mean_scores
from slmmux.subsamples import has_more_than, usual_count, windows
from slmmux.table import Table, load_table

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
BANKS = (
    "date_4_models",
    "reasoning_gym_9_models_3_samples",
    "amc_aime_2_models_50_samples",
    "embedded_6_models_10_samples",
)
RULES = ("single", "self_consistency", "mux", "pooled_vote", "calibrated")
COLUMNS = (*RULES, "chosen", "mux first")
MOST = 9


@cache
def load(path: Path) -> Table:
    with Bank.open(path) as bank:
        tasks = bank.tasks()
        models = pool_models(bank.models(tasks))
        return load_table(bank, tasks, run_seed=bank.run_seeds(tasks)[0], models=models)


def cells(table: Table) -> list[tuple[tuple[int, ...], int]]:
    """Every pool and k: all models and every pair; k of 1, 2, 3, 5 and 9 as far as samples go."""
    everyone = tuple(range(len(table.models)))
    pools = dict.fromkeys([everyone, *itertools.combinations(everyone, 2)])
    most = min(usual_count(table.samples.classes), MOST)
    return [(pool, k) for pool in pools for k in (1, 2, 3, 5, 9) if k <= most]


def measure(path: Path, pool: tuple[int, ...], k: int, splits: int) -> list[list[float]]:
    """[splits × COLUMNS] test accuracies."""
    table = load(path).of(pool)
    return [_on_split(table, k, seed) for seed in range(splits)]


def _on_split(table: Table, k: int, seed: int) -> list[float]:
    validation, test = halves(table, 0.5, seed)
    choice = choose_rule(validation, k)
    assert choice.calibration is not None
    methods: dict[str, Method] = {name: METHODS[name]() for name in RULES}
    methods["calibrated"] = Calibrated.fitted(choice.calibration)
    runs = RUNS if has_more_than(test.samples.classes, k) else 1
    budget = budget_of(
        test.models,
        windows(test.samples, k, runs),
        measured_accuracy(validation).by_model,
        recorded=test.samples.classes,
    )
    used = {score.rule: score.models for score in choice.scores}
    accuracy = {
        rule: float(mean_scores(decision, test.right).mean())
        for rule, method in methods.items()
        for decision in method.decide(budget)
        if decision.models == used[rule]
    }
    scores = {score.rule: score for score in choice.scores}
    return [
        *(accuracy[rule] for rule in RULES),
        accuracy[choice.rule],
        accuracy[rule_of(scores, scores["mux"]).rule],
    ]


def show(name: str, results: Sequence[list[list[float]]]) -> tuple[float, float]:
    """One line of the table; calibrated and chosen against what the bar asks for."""
    mean = 100 * np.array(results).mean(axis=(0, 1))
    by_rule = dict(zip(COLUMNS, mean.tolist(), strict=True))
    ahead = by_rule["calibrated"] - max(by_rule["mux"], by_rule["pooled_vote"])
    behind = by_rule["chosen"] - max(by_rule[rule] for rule in RULES)
    row = " | ".join(f"{by_rule[column]:.2f}" for column in COLUMNS)
    print(f"| {name} | {row} | {ahead:+.2f} | {behind:+.2f} |", flush=True)
    return ahead, behind


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("banks", nargs="*", type=Path)
    parser.add_argument("--splits", type=int, default=40)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    began = time.monotonic()
    files = options.banks or [DATA / f"{name}.jsonl.gz" for name in BANKS]
    print(f"| bank | {' | '.join(COLUMNS)} | calibrated − better of mux, pooled | chosen − best |")
    print(f"|---|{'---|' * (len(COLUMNS) + 2)}")
    bars = []
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(options.workers) as workers:
        for file in files:
            bank = Path(folder) / f"{file.name}.db"
            import_file(bank, file)
            jobs = [
                workers.submit(measure, bank, pool, k, options.splits)
                for pool, k in cells(load(bank))
            ]
            bars.append(show(file.name.partition(".")[0], [job.result() for job in jobs]))
    ahead, behind = np.array(bars).T
    print(
        f"calibrated: {ahead.mean():+.2f} on average (above 0), {ahead.min():+.2f} at worst (−0.3)"
    )
    print(f"chosen: {behind.min():+.2f} at worst (−0.5)")
    print(f"{options.splits} splits, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
