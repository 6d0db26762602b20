"""`slmmux scale`: accuracy against the number of models and of samples, exactly."""

from typing import Annotated

import typer

from slmmux.cli.show import NARROWEST, JsonOption, at_least, console, print_json, progress, working
from slmmux.cli.tables import (
    BankOption,
    ChoiceBankOption,
    HoldoutOption,
    KindOption,
    ModelsOption,
    RunSeedOption,
    SplitSeedOption,
    TaskOption,
    need_analysis,
    read_split,
    read_table,
    sizes_in,
)


def scale(
    bank: BankOption,
    *,
    task: TaskOption = None,
    models: ModelsOption = None,
    k_max: Annotated[
        int | None,
        typer.Option(
            help="The most samples from each model; else what every model has on every question, "
            "and no more than 10.",
            min=1,
            max=1_000,
            show_default=False,
        ),
    ] = None,
    sizes: Annotated[
        str | None,
        typer.Option(
            help="Numbers of models: 1-5, 3, or 1,2,4; else 1 to 5 or as many as there are.",
            metavar="SIZES",
            show_default=False,
        ),
    ] = None,
    holdout: HoldoutOption = 0,
    split_seed: SplitSeedOption = 0,
    validation_bank: ChoiceBankOption = None,
    pooled: Annotated[
        bool, typer.Option("--pooled/--no-pooled", help="Pooled vote too; it takes longest.")
    ] = True,
    replays: Annotated[
        int,
        typer.Option(
            help="Replays a point in which draws of exact stopping are counted; 0: none.", min=0
        ),
    ] = 100,
    replay_to: Annotated[
        int, typer.Option(help="Replay points with up to so many draws in full (K · k).", min=1)
    ] = 16,
    worth: Annotated[
        float,
        typer.Option(
            help="Points of accuracy that one more draw must bring to be worth it.",
            min=0,
            metavar="POINTS",
        ),
    ] = 0.1,
    theory: Annotated[
        bool,
        typer.Option("--theory", help="The paper's approximations A(N, p) beside the accuracies."),
    ] = False,
    seed: Annotated[int, typer.Option(help="Of replays and draws.", min=0)] = 0,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Missing samples vote for nothing.")
    ] = False,
    run_seed: RunSeedOption = None,
    kind: KindOption = None,
    json: JsonOption = False,
) -> None:
    """Show what more models and more samples bring.

    For every number of models K (the best subset by search) and of samples k: the accuracy of
    SLM-MUX, of the best model's self-consistency and of pooled vote, as exact means over all ways
    to draw k of the recorded samples; and the draws that exact stopping makes. Subsets, K and k are
    chosen on the validation questions (--holdout, --validation-bank) and reported on the others.
    """
    need_analysis("scale")
    from slmmux.cli.scale_table import show
    from slmmux.scaling import Plan, steps
    from slmmux.scaling_outcome import to_json
    from slmmux.scaling_run import best_subsets, run_scaling, with_samples

    table = read_table(bank, task, models, run_seed, kind)
    split = read_split(table, validation_bank, holdout, split_seed, run_seed=run_seed, kind=kind)
    wanted = None if sizes is None else sizes_in(sizes)
    split, most = with_samples(split, k_max, allow_missing=allow_missing)
    plan = Plan(
        k_max=most,
        pooled=pooled,
        replays=replays,
        replay_to=replay_to,
        worth=worth / 100,
        seed=seed,
        allow_missing=allow_missing,
    )
    with working("searching for subsets"):
        subsets = best_subsets(split.validation, wanted)
    with progress("scaling", steps(plan, split, [*subsets.by_size.values()])) as step:
        outcome = run_scaling(split, subsets, plan, with_theory=theory, step=step)
    if json:
        print_json(to_json(outcome))
    else:
        show(at_least(console(), NARROWEST), outcome)
