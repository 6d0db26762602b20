"""`slmmux report`: a bank's evaluation as one page, and its charts as files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slmmux.cli.show import console, progress, share_done
from slmmux.cli.tables import (
    BankOption,
    ChoiceBankOption,
    HoldoutOption,
    KindOption,
    ModelsOption,
    RunSeedOption,
    SplitSeedOption,
    TaskOption,
    names_in,
    need_analysis,
    read_split,
    read_table,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slmmux.report.files import Picture
    from slmmux.report.page import Page


def report(
    bank: BankOption,
    *,
    task: TaskOption = None,
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
    seed: Annotated[int, typer.Option(help="Of the subsets and the bootstrap.")] = 0,
    run_seed: RunSeedOption = None,
    kind: KindOption = None,
    validation_bank: ChoiceBankOption = None,
    holdout: HoldoutOption = 0,
    split_seed: SplitSeedOption = 0,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Missing samples vote for nothing.")
    ] = False,
    out: Annotated[Path, typer.Option("--out", help="The page to write.", metavar="FILE")] = Path(
        "report.html"
    ),
    files: Annotated[
        Path | None,
        typer.Option(
            "--files",
            help="Also write each chart here: its data as CSV and JSON, and its picture.",
            metavar="FOLDER",
            show_default=False,
        ),
    ] = None,
    pictures: Annotated[
        str,
        typer.Option(
            help="Kinds of pictures for --files, with commas: svg, png, pdf (the slowest).",
            metavar="KINDS",
        ),
    ] = "svg",
    text_megabytes: Annotated[
        float, typer.Option(help="Room for sample texts in the page.", min=0, metavar="MB")
    ] = 5.0,
) -> None:
    """Write what a bank's samples say as one HTML page that opens offline.

    Interactive charts, their data, and every question with its votes and replies. Nothing is
    fetched when it is opened. GPQA's questions are hidden, as their authors ask.
    """
    need_report()
    from slmmux.evaluate import Plan, default_k
    from slmmux.report.targets import check_folder, check_page
    from slmmux.report.write import STEPS, write_report
    from slmmux.whole_files import see_that_it_can_be_written

    kinds = _kinds(pictures)
    check_page(out)
    see_that_it_can_be_written(out)
    if files is not None:
        check_folder(files)
    table = read_table(bank, task, models, run_seed, kind)
    split = read_split(table, validation_bank, holdout, split_seed, run_seed=run_seed, kind=kind)
    plan = Plan(k=default_k(split.test) if k is None else k, seed=seed, allow_missing=allow_missing)
    with progress("report", STEPS) as step:
        written = write_report(bank, split, plan, out, megabytes=text_megabytes, tell=step)
    console().print(f"{out}  {written.size_bytes / 1e6:.1f} MB", soft_wrap=True)
    if files is not None:
        _write_files(written.page, files, kinds)


def _kinds(text: str) -> "tuple[Picture, ...]":
    """`svg,png` → kinds of pictures.

    Raises:
        UsageError: there is no such kind.
    """
    from slmmux.errors import UsageError
    from slmmux.report.files import PICTURES

    wanted = names_in([text])
    if unknown := [name for name in wanted if name not in PICTURES]:
        raise UsageError(f"--pictures {unknown[0]}: there are {', '.join(PICTURES)}")
    return tuple(kind for kind in PICTURES if kind in wanted)


def _write_files(page: "Page", folder: Path, kinds: "Sequence[Picture]") -> None:
    from slmmux.report.build import charts
    from slmmux.report.files import write_files

    drawn = [chart for chart in charts(page) if chart.spec is not None]
    with share_done("charts as files") as share:
        done = 0

        def tell(_: str) -> None:
            nonlocal done
            done += 1
            share(done / len(drawn))

        paths = write_files(drawn, folder, tell, pictures=kinds)
    console().print(f"{folder}  {len(paths)} files", soft_wrap=True)


def need_report() -> None:
    """See that the extras which a report takes are installed.

    Raises:
        MissingExtraError: they are not.
    """
    from slmmux.errors import MissingExtraError

    need_analysis("report")
    missing = [name for name in ("altair", "vl_convert", "latex2mathml") if not _there(name)]
    if missing:
        raise MissingExtraError(
            f"report draws charts with {', '.join(missing)}: pip install 'slmmux[report]'"
        )


def _there(name: str) -> bool:
    from importlib.util import find_spec

    try:
        return find_spec(name) is not None
    except ValueError:  # it was taken out of sys.modules
        return False
