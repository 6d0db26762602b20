"""`slmmux search`: which models of a bank answer best together."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from slmmux.cli.search_write import CreatedOption, MissingOption, SizeOption, WriteOption
from slmmux.cli.show import NARROWEST, JsonOption, at_least, console, print_json, progress
from slmmux.cli.tables import (
    BankOption,
    KindOption,
    ModelsOption,
    RunSeedOption,
    TaskOption,
    need_analysis,
    read_table,
    sizes_in,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from fractions import Fraction

    from slmmux.cli.show import Step


def search(
    bank: BankOption,
    *,
    task: TaskOption = None,
    models: ModelsOption = None,
    sizes: Annotated[
        str, typer.Option(help="Numbers of models: 2-5, 3, or 1,2,4.", metavar="SIZES")
    ] = "2-5",
    weight: Annotated[
        str,
        typer.Option(
            "--lambda",
            help="How much a contradiction costs: 1, 0.5, 1/3, …",
            metavar="NUMBER",
        ),
    ] = "1",
    correct: Annotated[
        str,
        typer.Option(
            help="When a model is correct on a question: its mode is (mode), some sample is (any), "
            "or at least C samples are (at-least:C).",
            metavar="RULE",
        ),
    ] = "mode",
    k: Annotated[
        int | None,
        typer.Option(
            "--k",
            "-k",
            "--samples",
            help="Samples from each model; else 3, or what the bank has if that is less. Where it "
            "has more, the mean over disjoint groups of k.",
            show_default=False,
        ),
    ] = None,
    count_single_samples: Annotated[
        bool,
        typer.Option(
            "--count-single-samples",
            help="With k = 1: one wrong sample counts as consistently wrong.",
        ),
    ] = False,
    objective: Annotated[
        Literal["paper", "accuracy"],
        typer.Option(
            help="What is maximised: the paper's UnionAcc − λ·Contradiction, or the accuracy of "
            "SLM-MUX on the recorded samples."
        ),
    ] = "paper",
    top: Annotated[int, typer.Option(help="Subsets of each size to show.", min=1, max=1_000)] = 5,
    pareto: Annotated[
        bool,
        typer.Option(
            "--pareto", help="Also the subsets worth their cost: accuracy, draws, tokens, money."
        ),
    ] = False,
    time_limit: Annotated[
        float | None,
        typer.Option(
            help="Seconds for the search, reading the bank aside; then the best found, and a bound "
            "on what could be better.",
            min=0,
            show_default=False,
        ),
    ] = None,
    bootstrap: Annotated[
        int, typer.Option(help="Resamples of the questions; 0 leaves them out.", min=0)
    ] = 1_000,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.", min=0)] = 0,
    run_seed: RunSeedOption = None,
    kind: KindOption = None,
    write: WriteOption = None,
    size: SizeOption = None,
    created: CreatedOption = None,
    allow_missing: MissingOption = False,
    json: JsonOption = False,
) -> None:
    """Find the models that answer best together.

    For every size, the subsets with the most questions that some model has right, less those where
    another is consistently wrong: UnionAcc − λ·Contradiction (SLM-MUX paper, section 3.2). The
    result is exact. A bootstrap over the questions says how sure the choice is.
    """
    need_analysis("search")
    from slmmux.cli.search_table import show
    from slmmux.cli.search_write import Wanted, choice_json, show_choice, write_profile
    from slmmux.search import Limits
    from slmmux.search_outcome import to_json
    from slmmux.search_run import SearchPlan, run_search

    wanted = Wanted(path=write, size=size, created=created, allow_missing=allow_missing)
    plan = SearchPlan(
        sizes=sizes_in(sizes),
        weight=_weight(weight),
        correct=correct,
        k=k,
        count_single_samples=count_single_samples,
        objective=objective,
        top=top,
        pareto=pareto,
        resamples=bootstrap,
        seed=seed,
    )
    table = read_table(bank, task, models, run_seed, kind)
    with progress("searching", 100) as step:
        outcome = run_search(table, plan, Limits(time_limit, _told(step)))
    written = write_profile(wanted, bank, table, outcome)
    if json:
        told = {} if written is None else {"profile": choice_json(written)}
        print_json(to_json(outcome) | told)
        return
    out = at_least(console(), NARROWEST)
    show(out, outcome)
    if written is not None:
        show_choice(out, written)


def _told(step: "Step") -> "Callable[[int, float], None]":
    """Shows how many percent of a size's subsets are settled."""
    shown = 0

    def report(size: int, share: float) -> None:
        nonlocal shown
        percent = int(100 * share)
        step(f"% of the subsets of {size}", percent - shown)
        shown = percent

    return report


def _weight(text: str) -> "Fraction":
    """λ, exactly as it is written.

    Raises:
        UsageError: it is no number, or below 0.
    """
    from fractions import Fraction

    from slmmux.errors import UsageError

    try:
        weight = Fraction(text)
    except (ValueError, ZeroDivisionError):
        weight = Fraction(-1)
    if weight < 0:
        raise UsageError(f"--lambda {text}: a number from 0 up, as in 1, 0.5 or 1/3")
    return weight
