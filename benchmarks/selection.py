"""What a profile is worth on other questions, by number of validation questions.

    python benchmarks/selection.py [--splits 20] [--banks date_4_models ...]

Recorded banks of ../shared/data, all tasks of each together. Half of the questions, by a seeded
split, are for testing only; of the others the first n in a seeded order are the validation
questions. On these everything is chosen as `slmmux search --sizes 1-4 --write` does: the subsets,
their rules, the number of models. Printed, as means over the splits, in points of accuracy on the
test questions: the profile, with its number of models; how far it is above the best model alone
(chosen on the same questions, self-consistency), and above SLM-MUX with all models; and how far it
is below the best in hindsight of the same candidates (the sizes' best subsets, any rule).
"""

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from slmmux.bank import Bank
from slmmux.bank.imports import import_file
from slmmux.config import MuxConfig
from slmmux.evaluate import measured_accuracy
from slmmux.holdout import halves
from slmmux.methods import Calibrated, find_methods
from slmmux.pool_models import pool_models
from slmmux.profile_choice import choose
from slmmux.rule_choice import Choice
from slmmux.scores import Bench
from slmmux.search_run import SearchPlan, run_search
from slmmux.table import Table, load_table

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
BANKS = (
    "date_4_models",
    "reasoning_gym_9_models_3_samples",
    "embedded_6_models_10_samples",
    "gsm8k_11_models_greedy",
)
NUMBERS = (25, 50, 100, 200, 400)
TRIALS = 10  # subsets of the samples, where a bank has more than k


@dataclass(frozen=True, slots=True)
class Outcome:
    """Accuracies on the test questions, and the number of models in the profile."""

    models: int
    profile: float
    single: float
    everyone: float
    hindsight: float


def loaded(name: str, folder: Path) -> Table:
    path = folder / f"{name}.db"
    import_file(path, DATA / f"{name}.jsonl.gz")
    with Bank.open(path) as bank:
        tasks = bank.tasks()
        return load_table(
            bank, tasks, run_seed=bank.run_seeds()[0], models=pool_models(bank.models(tasks))
        )


def tested(table: Table, accuracies: dict[str, float], k: int) -> dict[str, float]:
    """Accuracy of every rule with these models."""
    bench = Bench(table, accuracies, k=k, trials=TRIALS, seed=0, schedule=MuxConfig().schedule)
    scores = bench.scores(find_methods(["pooled_vote", "mux"]))
    return {name: float(found[0].scores.mean()) for name, found in scores.items()}


def outcomes(table: Table, number: int, splits: int) -> Iterator[Outcome]:
    for seed in range(splits):
        validation, test = halves(table, 0.5, seed)
        if len(validation.questions) < number:
            return
        order = np.random.default_rng(seed).permutation(len(validation.questions))
        yield outcome(validation.at(sorted(order[:number].tolist())), test)


def outcome(validation: Table, test: Table) -> Outcome:
    single = bool((validation.samples.classes.shape[2]) == 1)
    plan = SearchPlan(sizes=(1, 2, 3, 4), resamples=0, count_single_samples=single)
    found = run_search(validation, plan)
    choice = choose(validation, found)
    accuracies = dict(measured_accuracy(validation).by_model)
    k = found.sets.k
    everyone = tested(test, accuracies, k)["mux"]
    alone = max(found.sets.models, key=lambda name: found.singles[name])
    best = 0.0
    for candidate in choice.candidates.values():
        best = max(best, *tested(test.of(candidate.subset.members), accuracies, k).values())
    taken = choice.taken.rules
    served = test.of([test.models.index(name) for name in taken.models])
    rule = served_score(served, accuracies, k, taken)
    single_score = tested(test.of([test.models.index(alone)]), accuracies, k)["mux"]
    return Outcome(
        models=len(taken.models),
        profile=rule,
        single=single_score,
        everyone=everyone,
        hindsight=max(best, rule),
    )


def served_score(table: Table, accuracies: dict[str, float], k: int, rules: Choice) -> float:
    if rules.rule != "calibrated" or rules.calibration is None:
        return tested(table, accuracies, 1 if rules.rule == "single" else k)[
            "pooled_vote" if rules.rule == "pooled_vote" else "mux"
        ]
    bench = Bench(table, accuracies, k=k, trials=TRIALS, seed=0, schedule=MuxConfig().schedule)
    method = {"calibrated": Calibrated.fitted(rules.calibration)}
    return float(bench.scores(method)["calibrated"][0].scores.mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--banks", nargs="+", default=list(BANKS))
    arguments = parser.parse_args()
    print(
        "| bank | questions | models | profile | − best model | − all models | behind hindsight |"
    )
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.banks:
            table = loaded(name, Path(folder))
            for number in NUMBERS:
                rows = list(outcomes(table, number, arguments.splits))
                if rows:
                    print(f"| {name} | {number} | {line(rows)} |", flush=True)


def line(rows: list[Outcome]) -> str:
    profile = np.array([row.profile for row in rows])
    columns = [
        f"{np.mean([row.models for row in rows]):.1f}",
        f"{100 * profile.mean():.1f}",
        *(
            f"{100 * (profile - np.array(other)).mean():+.1f}"
            for other in ([r.single for r in rows], [r.everyone for r in rows])
        ),
        f"{100 * (np.array([r.hindsight for r in rows]) - profile).mean():.1f}",
    ]
    return " | ".join(columns)


if __name__ == "__main__":
    main()
