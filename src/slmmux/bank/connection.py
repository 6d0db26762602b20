"""Bank file → SQLite connection, and SQLite's errors → what a person can do about them."""

import contextlib
import os
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from slmmux.bank.schema import VERSION, migrate, version_of
from slmmux.errors import BankError
from slmmux.whole_files import disk_words

BUSY_S = 30.0  # how long a writer waits for another one

_PRIMARY = 0xFF  # the low byte of an extended result code

_WORDS = {
    sqlite3.SQLITE_BUSY: "another process has locked it for too long; see what is writing to it, "
    "and try again when that has ended",
    sqlite3.SQLITE_FULL: "the disk is full; make room and try again. The bank is as it was before",
    sqlite3.SQLITE_READONLY: "cannot be written; see that the file, its folder and the disk allow "
    "writing, or copy it to where they do",
    sqlite3.SQLITE_NOTADB: "not a bank, or its beginning is damaged; name another file or restore "
    "it from a copy",
    sqlite3.SQLITE_CORRUPT: "damaged; restore it from a copy",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; see that the folder is there and may be written",
}
_WORDS[sqlite3.SQLITE_LOCKED] = _WORDS[sqlite3.SQLITE_BUSY]
_DISK = (
    "could not be read or written (the disk is full, a size limit is reached, or the disk fails); "
    "make room and try again. The bank is as it was before"
)


@contextmanager
def explained(path: Path | str) -> Iterator[None]:
    """Turn what SQLite raises about this file, or these, into a `BankError`."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)
        if code is None:  # a mistake of the program, not of the file
            raise
        primary = code & _PRIMARY
        words = _DISK if primary == sqlite3.SQLITE_IOERR else _WORDS.get(primary, "")
        raise BankError(f"{path}: {words or error}" + (f" ({error})" if words else "")) from error


def connect(path: Path, *, write: bool = False, create: bool = False) -> sqlite3.Connection:
    """An open bank of the latest schema: WAL, synchronous FULL, foreign keys, autocommit mode.

    An older file is upgraded first, also for reading.

    Args:
        path: of the bank.
        write: else the connection is read-only.
        create: make the bank when there is none; implies `write`.

    Raises:
        BankError: not there, not a bank, from a newer slmmux, locked, damaged, not writable.
    """
    if path.is_dir():
        raise BankError(f"{path}: a folder; name the bank's file in it")
    if not create and not path.exists():
        raise BankError(
            f"{path}: there is no such bank; `slmmux collect` and `slmmux bank import` make one"
        )
    with explained(path):
        if write or create:
            return _writable(path, create=create)
        connection = _readable(path)
        try:
            latest = _checked(connection, path, create=False) == VERSION
        except BaseException:
            connection.close()
            raise
        if latest:
            return connection
        connection.close()
        _writable(path, create=False).close()
        return _readable(path)


def uri(path: Path, mode: str) -> str:
    """SQLite's URI of a file."""
    return f"{path.absolute().as_uri()}?{mode}"


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of it on disk at the end, or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite itself rolls back when the disk is full
            connection.execute("ROLLBACK")
        raise


def _open(path: Path, mode: str) -> sqlite3.Connection:
    return _connected(uri(path, mode))


def _connected(where: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        where, uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def reading_uri(path: Path) -> str:
    """SQLite's URI of a file that is only read, also where nothing can be written."""
    with contextlib.closing(_open(path, "mode=ro")) as connection:
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.OperationalError as error:
            # In a folder that cannot be written WAL has no place for its index. Nobody else can
            # write there either; a log that was left there holds samples, though.
            left = path.with_name(f"{path.name}-wal")
            blocked = error.sqlite_errorcode & _PRIMARY in (
                sqlite3.SQLITE_CANTOPEN,
                sqlite3.SQLITE_READONLY,
            )
            logged = left.exists() and left.stat().st_size
            if not blocked or not os.access(path, os.R_OK) or logged:
                raise
            return uri(path, "immutable=1")
    return uri(path, "mode=ro")


def _readable(path: Path) -> sqlite3.Connection:
    return _connected(reading_uri(path))


def _checked(connection: sqlite3.Connection, path: Path, *, create: bool) -> int | None:
    try:
        version = version_of(connection)
    except BankError as error:
        raise BankError(f"{path}: {error}") from None
    if version is None and not create:
        raise BankError(f"{path}: an empty file, not a bank; name another file")
    return version


def _writable(path: Path, *, create: bool) -> sqlite3.Connection:
    if create and not path.exists():
        _make(path)
    connection = _open(path, "mode=rwc" if create else "mode=rw")
    try:
        version = _checked(connection, path, create=create)
        connection.execute("PRAGMA synchronous = FULL")
        _set_wal(connection)
        if version != VERSION:
            migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _make(path: Path) -> None:
    """A new bank appears whole or not at all, also on a full disk; another process may be first."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with contextlib.closing(_open(scratch, "mode=rwc")) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            _set_wal(connection)
            migrate(connection)
        _name(scratch, path)
    except OSError as error:
        raise BankError(f"{path}: {disk_words(error)}") from error
    finally:
        for end in ("", "-wal", "-shm", "-journal"):
            with contextlib.suppress(OSError):  # not there, or where nothing can be written
                scratch.with_name(scratch.name + end).unlink()


def _name(scratch: Path, path: Path) -> None:
    try:
        path.hardlink_to(scratch)
    except FileExistsError:
        return
    except OSError:  # a file system without links
        if not path.exists():
            scratch.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # samples that are acknowledged later are no good without the name
    finally:
        os.close(folder)


def _set_wal(connection: sqlite3.Connection) -> None:
    """Switch the log on; two that do it to a new file at once do not wait for each other."""
    deadline = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & _PRIMARY == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return
