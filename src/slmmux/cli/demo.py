"""`slmmux demo`: two small models answer 24 questions together, and the table says how it went."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slmmux.cli.collect import fill
from slmmux.cli.show import NARROWEST, JsonOption, at_least, console, print_json, working
from slmmux.cli.tables import need_analysis

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from slmmux.collect import Plan
    from slmmux.demo import Shown
    from slmmux.evaluation import Evaluation

_METHODS = (
    "single",
    "self_consistency",
    "pooled_vote",
    "mux",
    "oracle",
)


def demo(
    *,
    questions: Annotated[int, typer.Option(min=1, max=600, help="How many.")] = 24,
    k: Annotated[int, typer.Option("-k", "--samples", min=1, help="Samples a model.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Of the questions and the samples.")] = 0,
    bank: Annotated[
        Path, typer.Option("--bank", help="Where the samples are kept.", metavar="FILE")
    ] = Path("slmmux-demo.db"),
    report: Annotated[
        Path, typer.Option("--report", help="The page to write at the end.", metavar="FILE")
    ] = Path("slmmux-demo.html"),
    json: JsonOption = False,
) -> None:
    """Run the embedded pool on built-in questions and compare methods on the same samples.

    Four models (two sets of weights, two prompts each) answer small problems: sums, differences,
    products, greatest common divisors, largest numbers, letters in words. The full budget is
    drawn into a bank, so that every method can be shown; SLM-MUX's draws are those that exact
    stopping would have made. A page with charts and every question is written beside it.
    `slmmux eval --bank slmmux-demo.db` prints the table again.
    """
    need_analysis("demo")
    from slmmux.cli.eval_table import show
    from slmmux.collect import Plan
    from slmmux.config import Config
    from slmmux.default_pools import demo_models
    from slmmux.errors import QuorumError
    from slmmux.evaluation import to_json
    from slmmux.tasks.arithmetic import TASK, problems

    config = Config(models=demo_models())
    _see_that_it_can_be_kept(bank)
    plan = Plan(task=TASK.name, problems=problems(questions, seed), k=k, run_seed=seed)
    _refuse_other_questions(bank, plan)
    collected = fill(bank, config, plan)
    if collected.given_up:
        told = "\n  ".join(collected.given_up.values())
        raise QuorumError(
            f"the embedded models do not answer:\n  {told}", reasons=collected.given_up
        )
    evaluation, answers = _evaluated(bank, plan)
    if json:
        print_json(to_json(evaluation))
        return
    out = at_least(console(), NARROWEST)
    _print_questions(out, answers)
    show(out, evaluation, brief=True)
    out.print(
        f"\nThe samples are in {bank}: `slmmux eval --bank {bank}` says more, and "
        "`slmmux demo` uses them again.",
        soft_wrap=True,
    )
    _write_report(out, bank, plan, report)


def _write_report(out: "Console", bank: Path, plan: "Plan", page: Path) -> None:
    """The page, or what to install for it."""
    from slmmux.cli.report import need_report
    from slmmux.cli.tables import read_table
    from slmmux.errors import MissingExtraError

    try:
        need_report()
    except MissingExtraError as missing:
        out.print(f"No page with charts: {missing}", soft_wrap=True)
        return
    from slmmux.evaluate import Plan
    from slmmux.holdout import split
    from slmmux.report.write import write_report

    table = read_table(bank, [plan.task], None, plan.run_seed, None)
    with working("writing the report"):
        write_report(bank, split(table), Plan(k=plan.k, trials=1), page)
    out.print(f"Charts and every question: {page.resolve()}", soft_wrap=True)


def _evaluated(path: Path, plan: "Plan") -> "tuple[Evaluation, list[Shown]]":
    from slmmux import evaluate
    from slmmux.bank import Bank
    from slmmux.demo import shown
    from slmmux.methods import find_methods
    from slmmux.pool_models import pool_models
    from slmmux.table import load_table

    with Bank.open(path) as bank:
        models = pool_models(bank.models([plan.task]))
        table = load_table(bank, [plan.task], run_seed=plan.run_seed, models=models)
        accuracy = evaluate.measured_accuracy(table)
        wanted = evaluate.Plan(k=plan.k, trials=1)
        evaluation = evaluate.evaluate(table, find_methods(_METHODS), wanted, accuracy)
        answers = shown(
            bank, plan.problems, k=plan.k, run_seed=plan.run_seed, accuracies=accuracy.by_model
        )
    return evaluation, answers


def _see_that_it_can_be_kept(bank: Path) -> None:
    """The demo writes beside where it is started, which need not be a place of one's own.

    Raises:
        UsageError: nothing can be written there.
    """
    import os

    from slmmux.errors import UsageError

    if not os.access(bank.absolute().parent, os.W_OK):
        raise UsageError(
            f"{bank}: its folder is not there or cannot be written; start the demo in another "
            "folder, or name files elsewhere with --bank and --report"
        )


def _refuse_other_questions(path: Path, plan: "Plan") -> None:
    """The table is over all questions of the bank: they must be the demo's.

    Raises:
        UsageError: the bank is of something else.
    """
    from slmmux.bank import Bank
    from slmmux.errors import UsageError

    if not path.exists():
        return
    with Bank.open(path) as bank:
        there = {(q.task, q.name) for q in bank.questions()}
        seeds = bank.run_seeds()
    asked = {(plan.task, p.question.id) for p in plan.problems}
    if not there <= asked or not set(seeds) <= {plan.run_seed}:
        raise UsageError(
            f"{path} holds other questions or seeds than this demo asks; name another file with "
            "--bank, or remove it"
        )


def _print_questions(out: "Console", answers: "Sequence[Shown]") -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    table.add_column("question", overflow="fold")
    table.add_column("answer", justify="right")
    table.add_column("decided by", overflow="fold")
    for row in answers:
        selection = row.selection
        table.add_row(
            "✓" if row.right else "✗",
            row.text,
            selection.answer or "–",
            f"{selection.decided_by or 'nobody'}, {selection.confidence.low:.0%} sure",
            style="" if row.right else "dim",
        )
    out.print(table)
    out.print()
