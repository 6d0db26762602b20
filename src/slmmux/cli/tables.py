"""What commands that analyse banks share: their options, and a bank's samples as arrays."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slmmux.cli.show import console, working

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slmmux.bank import Bank
    from slmmux.holdout import Split
    from slmmux.table import PoolModel, Table
    from slmmux.types import Kind

_LARGEST = 1_000  # models in a subset that can be asked for
_FEW = 30  # questions that a test should have

Names = list[str] | None  # repeated, or with commas

BankOption = Annotated[Path, typer.Option("--bank", help="The sample bank.", metavar="FILE")]
TaskOption = Annotated[
    Names,
    typer.Option(
        "--task",
        help="Tasks, repeated or with commas, evaluated as one set of questions; or all. May "
        "be left out when the bank holds one.",
        metavar="NAMES",
        show_default=False,
    ),
]
ModelsOption = Annotated[
    Names,
    typer.Option(
        "--models",
        help="Which, with commas, in pool order; else all of the bank.",
        metavar="NAMES",
        show_default=False,
    ),
]
RunSeedOption = Annotated[
    int | None,
    typer.Option(help="Of the samples, when the bank holds several.", show_default=False),
]
KindOption = Annotated[
    str | None,
    typer.Option("--kind", help="How answers are read; else as the bank says.", show_default=False),
]
ChoiceBankOption = Annotated[
    Path | None,
    typer.Option(
        "--validation-bank",
        help="Choices are made on this bank's questions and reported on the others.",
        metavar="FILE",
        show_default=False,
    ),
]
HoldoutOption = Annotated[
    float,
    typer.Option(
        "--holdout",
        help="Share of the questions kept for testing, from 0 to below 1; choices are made on the "
        "others. 0: choices are made on the questions they are reported on, best in hindsight.",
        metavar="SHARE",
    ),
]
SplitSeedOption = Annotated[
    int, typer.Option("--split-seed", help="Which questions --holdout keeps.")
]


def need_analysis(command: str) -> None:
    """See that the extra which a command takes is installed.

    Raises:
        MissingExtraError: it is not.
    """
    from importlib.util import find_spec

    from slmmux.errors import MissingExtraError

    if any(find_spec(name) is None for name in ("numpy", "scipy")):
        raise MissingExtraError(f"{command} needs numpy and scipy: pip install 'slmmux[analysis]'")


def names_in(values: "Sequence[str] | None") -> list[str]:
    """Options that may be repeated and may have commas."""
    return [part.strip() for value in values or () for part in value.split(",") if part.strip()]


def sizes_in(text: str) -> tuple[int, ...]:
    """`2-5`, `3`, `1,2,4` → numbers.

    Raises:
        UsageError: it is none of these.
    """
    from slmmux.errors import UsageError

    sizes: set[int] = set()
    for part in text.split(","):
        found = re.fullmatch(r"\s*([0-9]{1,4})\s*(?:-\s*([0-9]{1,4})\s*)?", part)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if not 1 <= first <= last <= _LARGEST:
            raise UsageError(f"--sizes {text}: numbers of models from 1 up, as in 2-5, 3 or 1,2,4")
        sizes |= set(range(first, last + 1))
    return tuple(sorted(sizes))


def read_table(
    path: Path,
    tasks: "Sequence[str] | None",
    models: "Sequence[str] | None",
    run_seed: int | None,
    kind: str | None,
) -> "Table":
    """The samples that the options name."""
    from slmmux.bank import Bank
    from slmmux.bank.checks import refuse_damage

    with working(f"reading {path}"), Bank.open(path) as bank:
        refuse_damage(bank)
        return _table_in(bank, path, tasks, models, run_seed, kind=_read_as(kind))


def read_split(
    table: "Table",
    validation: Path | None,
    holdout: float,
    split_seed: int,
    *,
    run_seed: int | None = None,
    kind: str | None = None,
) -> "Split":
    """Where to choose and where to report: `--validation-bank`, `--holdout`, `--split-seed`.

    Args:
        table: the questions to report on.
        validation: a bank of other questions.
        holdout: share of the table's questions to keep for testing.
        split_seed: which.
        run_seed: as for the table.
        kind: as for the table.
    """
    from slmmux.holdout import split

    if validation is None:
        parts = split(table, share=holdout, seed=split_seed)
        if holdout and len(parts.test.questions) < _FEW:
            _warn_of_few(parts, holdout)
        return parts
    measured = read_validation(validation, table, run_seed, kind)
    return split(table, validation=measured, name=validation.name, share=holdout)


def _warn_of_few(parts: "Split", holdout: float) -> None:
    tested, kept = len(parts.test.questions), len(parts.validation.questions)
    console(stderr=True).print(
        f"warning: --holdout {holdout:g} keeps {tested} question{'s' * (tested != 1)} for testing "
        f"and {kept} for choosing; fewer than {_FEW} tell little",
        soft_wrap=True,
    )


def read_validation(path: Path, table: "Table", run_seed: int | None, kind: str | None) -> "Table":
    """The table's models on another bank: on the same tasks where it holds them."""
    from slmmux.bank import Bank
    from slmmux.bank.checks import refuse_damage

    with working(f"reading {path}"), Bank.open(path) as bank:
        refuse_damage(bank)
        return _same_models_in(bank, path, table, run_seed, _read_as(kind))


def _read_as(kind: str | None) -> "Kind | None":
    from slmmux.cli.asking import kind_of

    return None if kind is None else kind_of(kind)


def _table_in(
    bank: "Bank",
    path: Path,
    tasks: "Sequence[str] | None",
    models: "Sequence[str] | None",
    run_seed: int | None,
    *,
    kind: "Kind | None",
) -> "Table":
    from slmmux.pool_models import pool_models
    from slmmux.table import load_table

    names = _tasks(bank, path, names_in(tasks))
    return load_table(
        bank,
        names,
        run_seed=_run_seed(bank, path, names, run_seed),
        models=pool_models(bank.models(names), names_in(models)),
        kind=kind,
    )


def _tasks(bank: "Bank", path: Path, wanted: "Sequence[str]") -> list[str]:
    """Names of tasks that the bank holds.

    Raises:
        UsageError: there is no such task, or several and none is named.
    """
    from slmmux.errors import UsageError

    known = list(bank.tasks())
    if not known:
        raise UsageError(f"{path}: the bank is empty; `slmmux collect` fills it")
    if "all" in wanted and "all" not in known:
        return known
    if unknown := [name for name in wanted if name not in known]:
        raise UsageError(f"{path}: no task {', '.join(unknown)}; it holds {', '.join(known)}")
    if not wanted and len(known) > 1:
        raise UsageError(f"{path}: name one of its tasks with --task, or all: {', '.join(known)}")
    return list(dict.fromkeys(wanted)) or known


def _run_seed(bank: "Bank", path: Path, tasks: "Sequence[str]", wanted: int | None) -> int:
    """The run seed of the samples.

    Raises:
        UsageError: there are several and none is chosen, or not the one that is.
    """
    from slmmux.errors import UsageError

    known = bank.run_seeds(tasks)
    listed = ", ".join(map(str, known))
    if not known:
        raise UsageError(f"{path}: no samples of {', '.join(tasks)}; `slmmux collect` draws them")
    if wanted is None and len(known) > 1:
        raise UsageError(
            f"{path}: samples of several run seeds; name one with --run-seed: {listed}"
        )
    if wanted is not None and wanted not in known:
        raise UsageError(f"{path}: no samples of run seed {wanted}; it holds {listed}")
    return known[0] if wanted is None else wanted


def _same_models_in(
    bank: "Bank", path: Path, table: "Table", run_seed: int | None, kind: "Kind | None"
) -> "Table":
    from slmmux.table import load_table

    evaluated = dict.fromkeys(question.task for question in table.questions)
    held = bank.tasks()
    tasks = _tasks(bank, path, [task for task in evaluated if task in held])
    seeds = bank.run_seeds(tasks)
    return load_table(
        bank,
        tasks,
        run_seed=_run_seed(bank, path, tasks, run_seed if run_seed in seeds else None),
        models=_same_models(bank, tasks, table.models),
        kind=kind,
    )


def _same_models(bank: "Bank", tasks: "Sequence[str]", names: "Sequence[str]") -> "list[PoolModel]":
    """The models of these names, whatever their settings there: validation may be warmer."""
    from dataclasses import replace

    from slmmux.pool_models import pool_models

    recorded = bank.models(tasks)
    known = {model.name for model in recorded}
    bare = [name if name in known else name.rpartition("#")[0] or name for name in names]
    models = pool_models(recorded, bare)
    return [replace(model, name=name) for model, name in zip(models, names, strict=True)]
