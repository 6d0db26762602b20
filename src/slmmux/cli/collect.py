"""`slmmux collect`: a task's samples into a bank; what is missing is drawn, killed or not."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from slmmux.cli import NO_ANSWER, UPSTREAMS_FAILED
from slmmux.cli.models import fetch_missing
from slmmux.cli.show import ConfigOption, console, seconds

if TYPE_CHECKING:
    from slmmux.budget import Budget
    from slmmux.collect import Collected, OnProgress, Plan
    from slmmux.config import Config
    from slmmux.tasks import Split, Task
    from slmmux.types import Model

BankOption = Annotated[
    Path,
    typer.Option("--bank", help="The bank; made when it is not there.", metavar="FILE"),
]


def collect(
    task: Annotated[
        str,
        typer.Option(
            "--task",
            help="gsm8k, math500, math, gpqa, mmlu_pro, arithmetic, reasoning_gym:NAME, "
            "file:PATH, or another package's.",
            metavar="NAME",
        ),
    ],
    bank: BankOption,
    *,
    config: ConfigOption = None,
    profile: Annotated[
        Path | None,
        typer.Option(
            "--profile",
            help="Of the pool, only the models of this file; k as it says.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    k: Annotated[
        int | None,
        typer.Option("-k", "--k", "--samples", help="Samples of each model.", show_default=False),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="Which questions; else test, and all of a file.",
            metavar="validation|test|all",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="At most so many questions.", show_default=False)
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="The task's data as published, instead of the hub.",
            metavar="PATH",
            show_default=False,
        ),
    ] = None,
    shots: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Ask with so many of the task's worked examples instead of the models' own "
            "prompts.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Run seed.", show_default=False)
    ] = None,
    greedy: Annotated[
        bool, typer.Option("--greedy", help="One sample of each model at temperature 0.")
    ] = False,
    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed", help="Draw failed samples again, after an outage or a wrong key."
        ),
    ] = False,
    max_cost: Annotated[
        float | None,
        typer.Option(help="Money that this run may spend.", metavar="MONEY", show_default=False),
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(help="Tokens that this run may use.", show_default=False)
    ] = None,
) -> None:
    """Draw a task's samples into a bank, and go on where an earlier run stopped.

    Only what the bank lacks is drawn; several collectors may fill one bank at once. A failed
    sample stays in the bank as a failure. Exit code 0: the bank has every sample; 1: the budget
    is spent, or a model failed every time; 3: all of them did.
    """
    settings, plan = _planned(
        config, task, profile=profile, split=split, k=k, limit=limit, data=data, shots=shots,
        seed=seed, greedy=greedy, retry_failed=retry_failed,
    )  # fmt: skip
    began = monotonic()
    progress = fill(bank, settings, plan, _budget(max_cost, max_tokens))
    _report(progress, bank, monotonic() - began)
    if progress.there < progress.total or progress.given_up:
        raise typer.Exit(_code(progress, settings))


def fill(path: Path, config: "Config", plan: "Plan", budget: "Budget | None" = None) -> "Collected":
    """Fill the bank at this path with the plan, asking the configured pool, with a bar.

    Raises:
        Interrupted: by a signal; what has arrived is kept, and it is said how to go on.
        BankError: the bank cannot be used.
    """
    from slmmux.cli import Interrupted
    from slmmux.cli.run_async import run_async

    fetch_missing(config.models)
    _tell_changed(path, config, plan)
    latest: list[Collected] = []
    try:
        with _bar(plan.task, latest) as tell:
            return run_async(_collect(path, config, plan, budget, tell))
    except Interrupted:
        if latest:
            console(stderr=True).print(_kept(latest[-1], path), soft_wrap=True)
        raise


def _tell_changed(path: Path, config: "Config", plan: "Plan") -> None:
    from slmmux.bank import Bank
    from slmmux.changed_models import changed_models

    if not path.exists():
        return
    with Bank.open(path, create=True) as bank:
        for sentence in changed_models(bank, plan.task, config.models):
            console(stderr=True).print(sentence, soft_wrap=True)


async def _collect(
    path: Path,
    config: "Config",
    plan: "Plan",
    budget: "Budget | None",
    tell: "OnProgress",
) -> "Collected":
    from slmmux.bank import Bank
    from slmmux.collect import Collector
    from slmmux.pool import connect
    from slmmux.sampling import Sampler

    timeout_s = config.sampling.request_timeout_s
    with Bank.open(path, create=True) as bank:
        async with connect(config.models, request_timeout_s=timeout_s) as pool:
            sampler = Sampler(pool, config.sampling, seed=plan.run_seed)
            collector = Collector(bank, pool, sampler, budget=budget, on_progress=tell)
            return await collector.run(plan)


def _planned(
    path: Path | None,
    task_name: str,
    *,
    profile: Path | None,
    split: str | None,
    k: int | None,
    limit: int | None,
    data: Path | None,
    shots: int | None,
    seed: int | None,
    greedy: bool,
    retry_failed: bool,
) -> "tuple[Config, Plan]":
    import dataclasses

    from slmmux.cli.asking import profiled
    from slmmux.collect import Plan
    from slmmux.config import load_config
    from slmmux.errors import UsageError
    from slmmux.profile_file import read_profile
    from slmmux.tasks import find_task

    if greedy and k not in (None, 1):
        raise UsageError("--greedy draws one sample of each model; leave -k out")
    task = find_task(task_name)
    config = _prompted_pool(load_config(path), task, shots)
    if profile is not None:
        config = _prompted_pool(profiled(config, read_profile(profile)), task, shots)
    models = list(config.models)
    if greedy:
        models = [dataclasses.replace(model, temperature=0.0, top_p=1.0) for model in models]
    plan = Plan(
        task=task.name,
        problems=task.load(_split_of(split, task), data=data, limit=limit),
        k=1 if greedy else config.mux.k if k is None else k,
        run_seed=config.mux.seed if seed is None else seed,
        retry_failed=retry_failed,
    )
    return dataclasses.replace(config, models=tuple(models)), plan


def _prompted_pool(config: "Config", task: "Task", shots: int | None) -> "Config":
    import dataclasses

    models = tuple(_prompted(model, task, shots) for model in config.models)
    return dataclasses.replace(config, models=models)


def _prompted(model: "Model", task: "Task", shots: int | None) -> "Model":
    """The model with the task's prompts, where they are asked for or it has none of its own."""
    import dataclasses

    from slmmux.tasks import prompt_style

    own = model.prompt
    if shots is None and (own.examples or own.instruction is not None):
        return model
    style = prompt_style(task, shots or 0)
    style = dataclasses.replace(style, system=own.system, stop=own.stop)
    return dataclasses.replace(model, prompt=style)


def _split_of(word: str | None, task: "Task") -> "Split":
    """The split of that name; else all of a file, and the test split of anything else."""
    from slmmux.errors import UsageError
    from slmmux.tasks import Split
    from slmmux.tasks.file import FileTask

    if word is None:
        return "all" if isinstance(task, FileTask) else "test"
    splits: tuple[Split, ...] = get_args(Split)
    for split in splits:
        if word == split:
            return split
    raise UsageError(f"--split {word} is not known; it is one of {', '.join(splits)}")


def _budget(cost: float | None, tokens: int | None) -> "Budget":
    from slmmux.budget import Budget

    return Budget(cost=cost, tokens=tokens)


@contextmanager
def _bar(task: str, latest: "list[Collected]") -> Iterator["OnProgress"]:
    """A bar on stderr while it is a terminal, with rate, money and time left.

    Args:
        task: stands before the bar.
        latest: gets everything that is told.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    err = console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[beside]}", markup=False),
        TimeLeft(compact=True, elapsed_when_finished=True),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        row = bar.add_task(task, total=None, beside="")
        began = monotonic()

        def tell(progress: "Collected") -> None:
            latest[:] = [progress]
            beside = _beside(progress, monotonic() - began)
            bar.update(row, total=progress.total, completed=progress.there, beside=beside)

        yield tell


def _beside(progress: "Collected", elapsed_s: float) -> str:
    if progress.waiting:
        return f"waiting for {progress.waiting} that other collectors are drawing"
    parts = [f"{progress.drawn / max(elapsed_s, 1e-9):.1f}/s"] if progress.drawn else []
    if progress.spent.cost:
        parts.append(f"cost {progress.spent.cost:.4f}")
    if progress.failed:
        parts.append(f"{progress.failed} failed")
    return ", ".join(parts)


def _kept(progress: "Collected", bank: Path) -> str:
    return (
        f"{progress.there} of {progress.total} samples are in {bank}; "
        "the same command goes on from there"
    )


def _report(progress: "Collected", bank: Path, elapsed_s: float) -> None:
    err = console(stderr=True)
    spent = progress.spent
    parts = [f"{progress.drawn} drawn"]
    if progress.failed:
        parts.append(f"{progress.failed} of them failed")
    parts.append(f"{spent.tokens:,} tokens")
    if spent.cost:
        parts.append(f"cost {spent.cost:.4f}")
    err.print(f"{', '.join(parts)}, {seconds(elapsed_s)}", soft_wrap=True)
    for model, reason in (progress.given_up or {}).items():
        told = reason if reason.startswith(f"{model}:") else f"{model}: {reason}"
        err.print(f"failed every time: {told}", soft_wrap=True)
    failures = ""
    if progress.failures:
        failures = f", {progress.failures} of them failures (--retry-failed draws those again)"
    if progress.there == progress.total:
        err.print(f"{progress.total} samples of the plan are in {bank}{failures}", soft_wrap=True)
        return
    why = f"stopped, since {progress.stopped}; " if progress.stopped else ""
    err.print(f"{why}{_kept(progress, bank)}{failures}", soft_wrap=True)


def _code(progress: "Collected", config: "Config") -> int:
    failed = len(progress.given_up or {}) == len(config.models)
    return UPSTREAMS_FAILED if failed else NO_ANSWER
