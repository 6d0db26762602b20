"""`slmmux bank`: look into sample banks, fill them from files, write them to files, check them."""

from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slmmux.cli.show import NARROWEST, JsonOption, at_least, console, print_json, share_done

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import Console
    from rich.table import Table

    from slmmux.bank.checks import Comparison
    from slmmux.bank.imports import Imported
    from slmmux.bank.merge import Absorbed
    from slmmux.bank.summary import Holding, Summary
    from slmmux.types import Kind

app = typer.Typer(
    no_args_is_help=True,
    help="Sample banks: info, import, export, merge, verify, reextract.",
    epilog="Exit codes: 0 done; 2 wrong usage; 4 a bank or file cannot be used, or is not sound. "
    "A bank is changed wholly or not at all.",
)

BankPath = Annotated[Path, typer.Argument(metavar="BANK", help="The bank's file.")]
TaskOption = Annotated[
    list[str] | None,
    typer.Option("--task", help="Only this task; may be given again.", metavar="NAME"),
]
_LISTED = 20
_ENDLESS = 10_000  # columns
_KIND = "How answers are read: math, number, choice, date, yes_no, json or text."


@app.command()
def info(bank: BankPath, *, as_json: JsonOption = False) -> None:
    """Show what a bank holds: tasks, models, samples, tokens and cost."""
    from slmmux.bank import Bank
    from slmmux.bank.summary import summarise

    with Bank.open(bank) as opened:
        summary = summarise(opened)
    if as_json:
        print_json(summary.to_json())
    else:
        _show(summary)


@app.command("import")
def import_(
    bank: Annotated[Path, typer.Argument(metavar="BANK", help="The bank; made when not there.")],
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="JSON Lines (also .gz, .zst) or Parquet."),
    ],
    *,
    kind: Annotated[
        str | None,
        typer.Option(
            help=f"{_KIND} For rows that do not say; otherwise the registered task's, or "
            "guessed from the references.",
            metavar="KIND",
        ),
    ] = None,
) -> None:
    """Put samples from files into a bank; each file wholly or not at all.

    Samples that are there already are skipped. A file with a line that cannot be used, or with
    another text for a sample that the bank has, is refused; every such line is named.
    """
    from slmmux.bank.imports import import_file

    asked = _kind_of(kind)
    for file in files:
        with share_done(f"importing {file.name}") as report:
            done = import_file(bank, file, kind=asked, kind_of=_registered_kind, report=report)
        _tell_import(file, done)


@app.command()
def export(
    bank: BankPath,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Ending in .parquet, or JSON Lines, packed where it ends in .gz or .zst; - is "
            "stdout.",
        ),
    ],
    *,
    task: TaskOption = None,
) -> None:
    """Write everything that a bank holds to a file that `import` reads."""
    from slmmux.bank import Bank
    from slmmux.bank.export import export_file

    with Bank.open(bank) as opened, share_done(f"exporting {bank.name}") as report:
        _check_tasks(task, opened.tasks(), bank)
        rows = export_file(opened, file, task or (), report=report)
    console(stderr=True).print(f"{file}: {rows:,} rows", soft_wrap=True)


@app.command()
def merge(
    bank: Annotated[
        Path, typer.Argument(metavar="BANK", help="The bank to fill; made when not there.")
    ],
    others: Annotated[list[Path], typer.Argument(metavar="OTHER...", help="Banks to take over.")],
) -> None:
    """Put everything that other banks hold into one; each wholly or not at all."""
    from slmmux.bank import Bank
    from slmmux.bank.merge import merge as merge_banks

    for other in others:
        Bank.open(other).close()
    with (
        _removed_if_empty(bank),
        Bank.open(bank, create=True) as opened,
        share_done("merging") as report,
    ):
        for number, other in enumerate(others, 1):
            absorbed = merge_banks(opened, other)
            report(number / len(others))
            console(stderr=True).print(f"{other}: {_new(absorbed)}", soft_wrap=True)
            _tell_kinds(absorbed.reread, "now read as")


@contextmanager
def _removed_if_empty(path: Path) -> "Iterator[None]":
    """A bank that is made here and gets nothing, since something fails, is not left behind."""
    from slmmux.bank import Bank
    from slmmux.errors import BankError

    is_new = not path.exists()
    try:
        yield
    except BankError:
        if is_new and path.exists():
            with Bank.open(path) as bank:
                is_empty = not bank.tasks() and not bank.models()
            for end in ("", "-wal", "-shm") if is_empty else ():
                path.with_name(path.name + end).unlink(missing_ok=True)
        raise


@app.command()
def verify(bank: BankPath) -> None:
    """Check a bank: the file itself, its hashes, the class of every answer, and every text.

    All texts are read again; answers that differ are counted, and `reextract` brings them up to
    date. Exit code 0: sound; 4: not, with every problem named.
    """
    from slmmux.bank import Bank
    from slmmux.bank.checks import compare
    from slmmux.bank.checks import verify as problems_of
    from slmmux.errors import BankError

    with Bank.open(bank) as opened, share_done(f"checking {bank.name}") as report:
        problems = problems_of(opened, report=report)
        if not problems:
            found = compare(opened, report=lambda share: report(share, f"reading {bank.name}"))
    if problems:
        more = len(problems) - _LISTED
        shown = [*problems[:_LISTED], *([f"… and {more} more"] if more > 0 else [])]
        raise BankError("\n  ".join([f"{bank} is not sound:", *shown]))
    _tell_comparison(bank, found)


@app.command()
def reextract(
    bank: BankPath,
    *,
    task: TaskOption = None,
    kind: Annotated[
        str | None,
        typer.Option(help=f"{_KIND} From now on, for the tasks named.", metavar="KIND"),
    ] = None,
) -> None:
    """Read all answers again from the texts, after slmmux reads better or as another kind.

    Nothing is drawn. Samples of which only the answer is known keep it, and get its class anew.
    """
    from slmmux.bank import Bank
    from slmmux.bank.checks import reextract as read_again
    from slmmux.errors import UsageError

    asked = _kind_of(kind)
    with Bank.open(bank, write=True) as opened, share_done(f"reading {bank.name}") as report:
        known = opened.tasks()
        _check_tasks(task, known, bank)
        if asked is not None and not task and len(known) > 1:
            raise UsageError(f"--kind needs --task: {bank} has the tasks {', '.join(known)}")
        changed = read_again(opened, task or (), kind=asked, report=report)
    typer.echo(f"{changed:,} answers changed")


def _tell_comparison(bank: Path, found: "Comparison") -> None:
    typer.echo(f"{bank} is sound")
    if found.without_text:
        typer.echo(
            f"  {found.without_text:,} answers were recorded without a text to compare them with"
        )
    if found.settled:
        typer.echo(
            f"  {found.settled:,} answers were read by what only their requests held (a schema, "
            "tools,\n  choices), and stay"
        )
    if found.unlike:
        typer.echo(f"  {found.unlike:,} of {found.texts:,} texts say another answer than the bank:")
        for sentence in found.shown:
            typer.echo(f"    {sentence}")
        typer.echo(
            "  This slmmux reads otherwise than the one that recorded them, or somebody changed "
            f"the bank;\n  `slmmux bank reextract {bank}` takes the answers from the texts"
        )


def _kind_of(word: str | None) -> "Kind | None":
    """The kind of that name; None for no name and for `auto`, which says nothing."""
    from slmmux.cli.asking import kind_of

    kind = None if word is None else kind_of(word)
    return None if kind == "auto" else kind


def _registered_kind(task: str) -> "Kind | None":
    """The kind of a task that slmmux knows; None where there is no such task, or no one kind."""
    from slmmux.tasks import find_task, is_task

    kind = find_task(task).kind if is_task(task) else "auto"
    return None if kind == "auto" else kind


def _check_tasks(wanted: list[str] | None, known: tuple[str, ...], bank: Path) -> None:
    from slmmux.errors import UsageError

    for task in wanted or ():
        if task not in known:
            raise UsageError(f"{bank} has no task {task!r}; it has {', '.join(known) or 'none'}")


def _tell_import(file: Path, done: "Imported") -> None:
    rows = f"{done.rows:,} rows"
    console(stderr=True).print(f"{file}: {rows}, {_new(done.absorbed)}", soft_wrap=True)
    new = {task: kind for task, kind in done.guessed.items() if task not in done.absorbed.reread}
    _tell_kinds(new, "read as")
    _tell_kinds(done.absorbed.reread, "now read as")


def _tell_kinds(kinds: "Mapping[str, Kind]", how: str) -> None:
    for task, kind in kinds.items():
        console(stderr=True).print(
            f"  {task}: answers are {how} {kind}, guessed from the references; --kind changes it",
            soft_wrap=True,
        )


def _new(absorbed: "Absorbed") -> str:
    there = absorbed.samples - absorbed.new_samples
    known = f" ({there:,} were there already)" if there else ""
    return (
        f"{absorbed.new_samples:,} samples added{known}, {absorbed.new_questions:,} new questions, "
        f"{absorbed.new_models:,} new models"
    )


def _show(summary: "Summary") -> None:
    out = at_least(console(), NARROWEST)
    claims = f", {summary.claims:,} claimed" if summary.claims else ""
    samples = sum(holding.samples for holding in summary.holdings)
    out.print(
        f"{summary.path}: {samples:,} samples{claims}, {summary.size_bytes / 1e6:,.1f} MB",
        soft_wrap=True,
    )
    for task in summary.tasks:
        without = (
            f", {task.without_reference:,} without reference" if task.without_reference else ""
        )
        out.print(
            f"\n{task.task}: {task.questions:,} questions{without}, read as "
            f"{', '.join(task.kinds)}",
            soft_wrap=True,
        )
        holdings = [holding for holding in summary.holdings if holding.task == task.task]
        if holdings:
            out.print(_table(holdings, out))


def _table(holdings: "Sequence[Holding]", out: "Console") -> "Table":
    """The table, with a model's hash below its name where there is no room beside it."""
    from rich.measure import Measurement

    table = _rows(holdings, "#")
    needed = Measurement.get(out, out.options.update(max_width=_ENDLESS), table).maximum
    return table if needed <= out.width else _rows(holdings, "\n#")


def _rows(holdings: "Sequence[Holding]", before_hash: str) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("model", overflow="fold")
    for title in ("seed", "samples", "each", "answered", "unreadable", "failed", "tokens", "cost"):
        table.add_column(title, justify="right", no_wrap=True)
    names = Counter((h.model, h.run_seed) for h in holdings)
    for h in holdings:
        alike = names[h.model, h.run_seed] > 1
        model = f"{h.model}{before_hash}{h.fingerprint[:8]}" if alike else h.model
        each = str(h.most) if h.least == h.most else f"{h.least}-{h.most}"
        counts = [f"{n:,}" for n in (h.answered, h.unreadable, h.failed)]
        tokens = "–" if h.tokens is None else f"{h.tokens:,}"
        cost = "–" if h.cost is None else f"{h.cost:.4f}"
        about = (model, str(h.run_seed), f"{h.samples:,}", each)
        table.add_row(*about, *counts, tokens, cost)
    return table
