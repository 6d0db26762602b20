"""Who has a key, what it may do, and what it has used: one SQLite file for its owner's eyes only.

`slmmux keys` and a running gateway share the file: a key works as soon as it is made and stops as
soon as it is revoked. What a request uses is written before its reply ends, so neither a restart
nor `kill -9` gives a key its limits back.
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from slmmux.errors import KeysError, UsageError
from slmmux.gateway.operations.keys import NewKey

_SCHEMA = """
CREATE TABLE IF NOT EXISTS keys (
  id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, digest BLOB NOT NULL, created INTEGER NOT NULL,
  rpm INTEGER, concurrent INTEGER, tokens_per_day INTEGER, money_per_day REAL,
  taken INTEGER NOT NULL DEFAULT 0           -- requests ever, of a key with an rpm
);
CREATE TABLE IF NOT EXISTS used (
  key TEXT NOT NULL REFERENCES keys ON DELETE CASCADE, day INTEGER NOT NULL,
  requests INTEGER NOT NULL, tokens INTEGER NOT NULL, money REAL NOT NULL,
  PRIMARY KEY (key, day)
);
CREATE TABLE IF NOT EXISTS recent (          -- when the last requests came, one slot for each
  key TEXT NOT NULL REFERENCES keys ON DELETE CASCADE, slot INTEGER NOT NULL, at REAL NOT NULL,
  PRIMARY KEY (key, slot)
);
"""
_COLUMNS = "id, name, digest, created, rpm, concurrent, tokens_per_day, money_per_day"
# ruff: noqa: S608 - every statement is made of our own names
_VERSION = 1
_BUSY_S = 5.0
_MINUTE_S = 60.0
DAY_S = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyLimits:
    """What a key may use; None is no limit.

    Attributes:
        rpm: requests in any 60 seconds.
        concurrent: requests at once.
        tokens_per_day: of all upstream calls, in a day of UTC.
        money_per_day: as the models' prices say.
    """

    rpm: int | None = None
    concurrent: int | None = None
    tokens_per_day: int | None = None
    money_per_day: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key as the gateway knows it.

    Attributes:
        name: of its owner's choice.
        created: Unix time in seconds.
    """

    id: str
    name: str
    digest: bytes
    created: int
    limits: KeyLimits


@dataclass(frozen=True, slots=True)
class Used:
    """What a key has used in a day."""

    requests: int = 0
    tokens: int = 0
    money: float = 0.0

    def __add__(self, other: "Used") -> "Used":
        return Used(
            self.requests + other.requests, self.tokens + other.tokens, self.money + other.money
        )

    def without(self, other: "Used") -> "Used":
        """What is left of a bound when so much of it was used; never less than nothing."""
        return Used(
            max(0, self.requests - other.requests),
            max(0, self.tokens - other.tokens),
            max(0.0, self.money - other.money),
        )


class Ledger:
    """The file, open; a context manager. For one thread.

    Args:
        path: of the file.
        create: make it where there is none.

    Raises:
        KeysError: not there, not such a file, or it cannot be read or written.
    """

    def __init__(self, path: Path, *, create: bool = False) -> None:
        self.path = path
        if not create and not path.exists():
            raise KeysError(f"{path}: there are no keys yet; `slmmux keys add NAME` makes one")
        with self._explained():
            if create:
                _make_private(path)
            self._connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
        try:
            with self._explained():
                self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file; safe to call twice."""
        self._connection.close()

    def add(self, name: str, key: NewKey, limits: KeyLimits, now: float | None = None) -> None:
        """Let this key in from now on.

        Raises:
            UsageError: there is one of that name.
        """
        row = (
            *(key.id, name, key.digest, int(time.time() if now is None else now)),
            *(limits.rpm, limits.concurrent, limits.tokens_per_day, limits.money_per_day),
        )
        with self._transaction():
            if self._connection.execute("SELECT 1 FROM keys WHERE name = ?", (name,)).fetchone():
                raise UsageError(
                    f"there is a key {name} already; revoke it first, or choose another name"
                )
            self._connection.execute("INSERT INTO keys VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)", row)

    def revoke(self, name: str) -> None:
        """Let the key of this name in no more, and forget what it used.

        Raises:
            UsageError: there is none.
        """
        with self._transaction():
            gone = self._connection.execute("DELETE FROM keys WHERE name = ?", (name,))
            if gone.rowcount == 0:
                raise UsageError(f"there is no key {name}; `slmmux keys list` shows them")

    def all(self) -> tuple[Key, ...]:
        """All keys, by name."""
        with self._explained():
            rows = self._connection.execute(f"SELECT {_COLUMNS} FROM keys ORDER BY name").fetchall()
        return tuple(map(_key, rows))

    def ids(self) -> frozenset[str]:
        """The ids of all keys."""
        with self._explained():
            return frozenset(i for (i,) in self._connection.execute("SELECT id FROM keys"))

    def key(self, identity: str) -> Key | None:
        """The key with this id."""
        with self._explained():
            row = self._connection.execute(
                f"SELECT {_COLUMNS} FROM keys WHERE id = ?", (identity,)
            ).fetchone()
        return None if row is None else _key(row)

    def used(self, key: Key, now: float) -> Used:
        """What it has used on the day of `now`."""
        with self._explained():
            row = self._connection.execute(
                "SELECT requests, tokens, money FROM used WHERE key = ? AND day = ?",
                (key.id, int(now // DAY_S)),
            ).fetchone()
        return Used() if row is None else Used(*row)

    def begin(self, key: Key, now: float) -> float | None:
        """Count a request, unless it is one too many in a minute.

        Returns:
            None where it may go on; else seconds until it may be sent again.
        """
        with self._transaction():
            if key.limits.rpm is not None:
                wait_s = self._take(key, key.limits.rpm, now)
                if wait_s is not None:
                    return wait_s
            self._add(key, now, Used(requests=1))
        return None

    def spend(self, used: Mapping[Key, Used], now: float) -> None:
        """Add to what keys have used today."""
        with self._transaction():
            for key, spent in used.items():
                self._add(key, now, spent)

    def _take(self, key: Key, most: int, now: float) -> float | None:
        """Take the place of the request that came `most` before, if that is a minute ago."""
        execute = self._connection.execute
        row = execute("SELECT taken FROM keys WHERE id = ?", (key.id,)).fetchone()
        if row is None:  # revoked this moment
            return None
        slot = int(row[0]) % most
        place = (key.id, slot)
        before = execute("SELECT at FROM recent WHERE key = ? AND slot = ?", place).fetchone()
        # One in the future: the clock was put back, and that must not lock anybody out.
        if before is not None and now - _MINUTE_S < before[0] <= now:
            return float(before[0]) + _MINUTE_S - now
        execute("INSERT OR REPLACE INTO recent VALUES (?, ?, ?)", (*place, now))
        execute("UPDATE keys SET taken = taken + 1 WHERE id = ?", (key.id,))
        return None

    def _add(self, key: Key, now: float, used: Used) -> None:
        # Of a key that was revoked meanwhile nothing is kept.
        self._connection.execute(
            "INSERT INTO used SELECT id, ?, ?, ?, ? FROM keys WHERE id = ? "
            "ON CONFLICT DO UPDATE SET requests = requests + excluded.requests, "
            "tokens = tokens + excluded.tokens, money = money + excluded.money",
            (int(now // DAY_S), used.requests, used.tokens, used.money, key.id),
        )

    def _prepare(self) -> None:
        execute = self._connection.execute
        (version,) = execute("PRAGMA user_version").fetchone()
        if version > _VERSION:
            raise KeysError(f"{self.path}: it is from a newer slmmux; upgrade this one")
        # WAL without a wait for the disk at every commit: a killed process loses nothing, and a
        # power failure at most the last moments' usage.
        execute("PRAGMA journal_mode = WAL")
        execute("PRAGMA synchronous = NORMAL")
        execute("PRAGMA foreign_keys = ON")
        if version == 0:
            tables = execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if tables:
                raise KeysError(f"{self.path}: another program's file; name another one")
            numbered = f"PRAGMA user_version = {_VERSION};"
            self._connection.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}{numbered}COMMIT")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._explained():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise KeysError(
                f"{self.path}: the file of keys cannot be used ({error}); see that it is one, that "
                "its folder may be written, and that there is room on the disk"
            ) from error
        except OSError as error:
            raise KeysError(f"{self.path}: {error.strerror}") from error


def _key(row: tuple[str, str, bytes, int, int | None, int | None, int | None, float | None]) -> Key:
    identity, name, digest, created, rpm, concurrent, tokens, money = row
    limits = KeyLimits(rpm=rpm, concurrent=concurrent, tokens_per_day=tokens, money_per_day=money)
    return Key(id=identity, name=name, digest=bytes(digest), created=created, limits=limits)


def _make_private(path: Path) -> None:
    """The file with mode 600 before anything is in it; SQLite gives its log the same mode."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)
