"""`slmmux eval`: every method on a bank's samples, with intervals and comparisons."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slmmux.cli.show import NARROWEST, JsonOption, at_least, console, print_json, share_done
from slmmux.cli.tables import (
    BankOption,
    KindOption,
    ModelsOption,
    Names,
    RunSeedOption,
    TaskOption,
    names_in,
    need_analysis,
    read_table,
    read_validation,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slmmux.methods import Method


def evaluate(
    bank: BankOption,
    *,
    task: TaskOption = None,
    methods: Annotated[
        Names,
        typer.Option(
            "--methods", help="Which, with commas; else all.", metavar="NAMES", show_default=False
        ),
    ] = None,
    models: ModelsOption = None,
    k: Annotated[
        int | None,
        typer.Option(
            "--k",
            "-k",
            "--samples",
            help="Samples from each model; else 3, or what the bank has if that is less.",
            show_default=False,
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(
            help="Runs. 1: samples 0..k-1; more: that many seeded subsets of k samples. Else 100 "
            "where the bank holds more than k samples, and 1 where it does not.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the subsets and the bootstrap.")] = 0,
    run_seed: RunSeedOption = None,
    kind: KindOption = None,
    by: Annotated[
        str | None,
        typer.Option(
            help="Accuracy for each value of a field as well: subject, level, category, task.",
            metavar="FIELD",
            show_default=False,
        ),
    ] = None,
    validation_bank: Annotated[
        Path | None,
        typer.Option(
            help="Where validation accuracies are measured; else on the evaluated questions.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    profile: Annotated[
        Path | None,
        typer.Option(
            help="A file of `slmmux search --write`: its validation accuracies, and its models and "
            "k where the options do not say.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Missing samples vote for nothing.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Compare methods on the same recorded samples.

    Accuracies count every question. Their 95% intervals are over questions (Wilson's; with several
    runs a question's score is its mean over the runs). Differences come with a paired bootstrap
    over questions and McNemar's exact test on the run of samples 0..k-1.
    """
    need_analysis("eval")
    from slmmux.cli.eval_profile import accuracy_of, calibrated_by, notes_on, read_for
    from slmmux.cli.eval_table import show
    from slmmux.evaluate import Plan, default_k, measured_accuracy
    from slmmux.evaluate import evaluate as evaluated
    from slmmux.evaluation import to_json

    chosen = _methods(methods)
    by_profile = read_for(profile, validation_bank)
    if by_profile is not None:
        models = models or list(by_profile.names)
        k = k or by_profile.k
    table = read_table(bank, task, models, run_seed, kind)
    accuracy = None if by_profile is None else accuracy_of(by_profile, table)
    measured = None
    if validation_bank is not None:
        measured = read_validation(validation_bank, table, run_seed, kind)
        accuracy = measured_accuracy(measured, f"validation bank {validation_bank.name}")
    plan = Plan(
        k=default_k(table) if k is None else k,
        trials=trials,
        seed=seed,
        by=by,
        allow_missing=allow_missing,
    )
    if by_profile is not None:
        chosen = calibrated_by(by_profile, chosen, table, plan.k)
    with share_done("evaluating") as report:
        evaluation = evaluated(
            table,
            chosen,
            plan,
            accuracy,
            validation=measured,
            report=lambda m, share: report(share, f"draws of {m}"),
        )
    if by_profile is not None:
        evaluation = notes_on(evaluation, by_profile, table, bank)
    if json:
        print_json(to_json(evaluation))
    else:
        show(at_least(console(), NARROWEST), evaluation)


def _methods(names: "Sequence[str] | None") -> "dict[str, Method]":
    """The methods asked for; else all."""
    from slmmux.methods import METHODS, find_methods

    return find_methods(names_in(names) or list(METHODS))
