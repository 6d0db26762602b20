"""Interchange files: JSON Lines in any packing, told by content → lines; rows → files.

A file that is written appears whole or not at all.
"""

import gzip
import io
import json
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias, cast

from slmmux.errors import BankError, MissingExtraError
from slmmux.results import Json
from slmmux.whole_files import disk_words, scratch_beside

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

Report: TypeAlias = Callable[[float], None]
WriteRow: TypeAlias = Callable[[Mapping[str, Json]], None]

_GZIP, _ZSTD, PARQUET = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PAR1"
_BOM = b"\xef\xbb\xbf"
_CHUNK = 1 << 18
_REPORT_EVERY = 2000


def is_parquet(path: Path) -> bool:
    """Whether the file's content is Parquet.

    Raises:
        BankError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(4) == PARQUET
    except OSError as error:
        raise BankError(f"{path}: {error.strerror}; name a file of samples") from error


def read_lines(path: Path, report: Report | None = None) -> Iterator[tuple[int, bytes]]:
    """(number, line) for every line that is not blank, unpacked.

    Args:
        path: plain, gzip or Zstandard, whatever its name.
        report: told what share of the file has been read, 0 to 1.

    Raises:
        BankError: it cannot be read, or ends in the middle.
        MissingExtraError: Zstandard without the package for it.
    """
    try:
        with path.open("rb") as file:
            size = path.stat().st_size or 1
            for number, line in enumerate(_unpacked(file), 1):
                text = line.removeprefix(_BOM) if number == 1 else line
                if not text.isspace():
                    yield number, text
                if report is not None and not number % _REPORT_EVERY:
                    report(min(file.tell() / size, 1.0))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BankError(
            f"{path}: the packed file ends in the middle or is damaged ({error}); get it again"
        ) from error
    except OSError as error:
        raise BankError(f"{path}: {error.strerror or error}; name a file of samples") from error


@contextmanager
def json_lines_writer(path: Path) -> Iterator[WriteRow]:
    """Writes rows as JSON Lines, packed as the name's end says; `-` is stdout.

    Raises:
        BankError: the file cannot be written; what stood there before still does.
        MissingExtraError: Zstandard without the package for it.
    """
    with _destination(path) as file, _packed(file, path.suffix.lower()) as packed:

        def write(row: Mapping[str, Json]) -> None:
            packed.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")

        yield write


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to, which becomes `path` at the end, or is removed.

    Raises:
        BankError: it cannot be written.
    """
    with _told(path), scratch_beside(path) as scratch:
        yield scratch
        scratch.replace(path.resolve())  # a link stays a link


def extra(module: str, what: str, name: str) -> Any:
    """An optional package.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MissingExtraError(f"{what} needs {package}: pip install 'slmmux[{name}]'") from error


@contextmanager
def _told(path: Path | str) -> Iterator[None]:
    """Errors of writing name the file; a reader that has gone away is none."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise BankError(f"{path}: {disk_words(error)}") from error


@contextmanager
def _destination(path: Path) -> Iterator[IO[bytes]]:
    if str(path) == "-":
        with _told("standard output"):
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
    elif path.exists() and not path.is_file() and not path.is_dir():  # a pipe or a device
        with _told(path), path.open("wb") as file:
            yield file
    else:
        with new_file(path) as scratch, scratch.open("wb") as file:
            yield file


@contextmanager
def _packed(file: IO[bytes], suffix: str) -> Iterator[IO[bytes]]:
    if suffix == ".gz":  # without name and time: equal banks make equal files
        with gzip.GzipFile("", "wb", 6, file, mtime=0) as packed:
            yield cast("IO[bytes]", packed)
    elif suffix == ".zst":
        zstandard = extra("zstandard", "writing .zst", "analysis")
        with zstandard.ZstdCompressor(level=9).stream_writer(file, closefd=False) as packed:
            yield packed
    else:
        yield file


def _unpacked(file: IO[bytes]) -> Iterator[bytes]:
    magic = file.read(4)
    file.seek(0)
    if magic.startswith(_GZIP):
        return iter(io.BufferedReader(cast("io.RawIOBase", gzip.GzipFile(fileobj=file)), _CHUNK))
    if magic == _ZSTD:
        return iter(io.BufferedReader(_ZstandardFile(file), _CHUNK))
    return iter(file)


class _ZstandardFile(io.RawIOBase):
    """Zstandard frames, unpacked; one that ends in the middle is an error."""

    def __init__(self, file: IO[bytes]) -> None:
        self._zstandard = extra("zstandard", "reading .zst", "analysis")
        self._file = file
        self._frame: Any = None
        self._ready = b""

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Fill the buffer, as far as there is something."""
        target = memoryview(buffer)
        while not self._ready and self._advance():
            pass
        size = min(len(target), len(self._ready))
        target[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size

    def _advance(self) -> bool:
        """Unpack the next piece; False at the end."""
        spare = self._frame.unused_data if self._frame is not None and self._frame.eof else b""
        packed = spare or self._file.read(_CHUNK)
        if not packed:
            if self._frame is not None and not self._frame.eof:
                raise EOFError("a frame is not complete")
            return False
        if self._frame is None or self._frame.eof:
            self._frame = self._zstandard.ZstdDecompressor().decompressobj()
        try:
            self._ready = self._frame.decompress(packed)
        except self._zstandard.ZstdError as error:
            raise EOFError(str(error)) from error
        return True
