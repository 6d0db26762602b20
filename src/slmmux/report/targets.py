"""What a report may write over: a page of its own, charts of its own, and nothing else."""

import json
import stat
from collections.abc import Sequence
from pathlib import Path

from slmmux.errors import UsageError

MARK = '<meta name="generator" content="slmmux report">'  # in the page's head
WRITTEN = "slmmux-charts.json"  # in a folder of charts: the files that were written there

_HEAD = 2_000  # bytes, within which a page has its mark


def check_page(out: Path) -> None:
    """See that a page may be written there.

    Args:
        out: the file; it may be missing.

    Raises:
        UsageError: there is something that is no report of ours.
        OSError: the file cannot be read.
    """
    if not _is_file(out, "--out"):
        return
    with out.open("rb") as opened:
        head = opened.read(_HEAD)
    if head and MARK.encode() not in head:
        raise UsageError(
            f"{out}: a file that is no report of slmmux is there; nothing was written. Name "
            "another file with --out, or move this one"
        )


def check_folder(folder: Path) -> None:
    """See that charts can be written there.

    Raises:
        UsageError: there is something that is no folder, or its list of charts cannot be read.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: no folder; name one with --files")
    written_in(folder)


def check_files(folder: Path, names: Sequence[str]) -> None:
    """See that none of these is a file of somebody else.

    Raises:
        UsageError: some are.
    """
    ours = written_in(folder)
    others = [name for name in names if _is_file(folder / name, "--files") and name not in ours]
    if others:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        raise UsageError(
            f"{folder / others[0]}{more}: there already, and not written by slmmux report; no "
            "chart was written. Name another folder with --files"
        )


def written_in(folder: Path) -> frozenset[str]:
    """Names of the files that earlier reports wrote there.

    Raises:
        UsageError: the list of them cannot be read.
    """
    path = folder / WRITTEN
    if not _is_file(path, "--files"):
        return frozenset()
    try:
        return frozenset(map(str, json.loads(path.read_bytes())["files"]))
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path}: not the list of charts that slmmux writes; name another folder with --files"
        ) from error


def _is_file(path: Path, option: str) -> bool:
    """Whether there is a regular file.

    Raises:
        UsageError: there is something else: a folder, a pipe, a device.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISREG(mode):
        return True
    what = "a folder" if stat.S_ISDIR(mode) else "no regular file (a pipe, a socket or a device)"
    raise UsageError(f"{path}: {what}; name another with {option}")
