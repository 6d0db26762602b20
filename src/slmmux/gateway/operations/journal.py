"""Every sample that the gateway draws, into a bank, beside the answering of requests.

Each request is a question of its own in task `gateway`, named after the request: the same question
asked again gets other samples, and the bank keeps all of them. A writer of its own puts samples
there in batches; requests never wait for the disk. Where more arrives than the disk takes, samples
are dropped and counted.
"""

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

from slmmux.bank import Bank
from slmmux.bank.reading import READ_BY
from slmmux.bank.rows import BankSample, SampleKey
from slmmux.conversations import as_asked
from slmmux.errors import BankError
from slmmux.gateway.operations.record import Record
from slmmux.results import Json, cost
from slmmux.types import Conversation, Model, Question, Sample

TASK = "gateway"
REDACTED = "(redacted)"
OnBanked: TypeAlias = Callable[[str, int], None]

_MOST = 10_000  # samples that wait for the disk
_MOST_CHARACTERS = 64_000_000  # of them and of what was asked
_BATCH = 2_000
_RUN_SEED = 0  # in the bank: each request is a question of its own, and its metadata has the seed
_MODELS = 1_000  # whose numbers are remembered

log = logging.getLogger("slmmux.gateway")


@dataclass(frozen=True, slots=True)
class _Problem:
    """A request's question, as the bank takes it."""

    question: Question
    metadata: Mapping[str, Json]
    reference: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Entry:
    record: Record
    sample: Sample
    drawn_at: str

    @property
    def size(self) -> int:
        """Characters, about: what it holds in memory."""
        asked = self.record.question
        messages = () if asked is None else asked.messages
        return len(self.sample.text or "") + sum(len(m.raw or m.content) for m in messages)


def _opened(path: Path) -> Bank:
    if not path.exists():
        Bank.open(path, create=True).close()
        # Still empty. It will hold what clients ask: its owner says who else may read it.
        path.chmod(0o600)
    return Bank.open(path, create=True)


def _read_by(asked: Question, *, redact: bool) -> str | None:
    """What the answers were read by, where that is not kept in the bank."""
    fields = json.loads(asked.options.fields or "{}") if isinstance(asked, Conversation) else {}
    for name in ("tools", "response_format"):
        if name in fields:
            return name
    return "choices" if redact and asked.choices else None


class Journal:
    """Samples on their way to a bank.

    Args:
        path: of the bank; made where there is none.
        redact: keep no question and no message, only answers.
        on_banked: told of `kept` and `dropped` samples.

    Raises:
        BankError: the bank cannot be opened or made.
    """

    def __init__(self, path: Path, *, redact: bool, on_banked: OnBanked) -> None:
        self._path = path
        self._redact = redact
        self._tell = on_banked
        self._waiting: deque[_Entry] = deque()
        self._size = 0
        # The bank's numbers of what it has already.
        self._models: dict[Model, int] = {}
        self._questions: dict[str, int] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="bank")
        self._bank = _opened(path)
        self._wake = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self._closing = False
        self.kept = self.dropped = 0

    def add(self, record: Record, sample: Sample) -> None:
        """Take a sample; returns at once."""
        if self._writer is None:
            self._writer = asyncio.get_running_loop().create_task(self._write_for_ever())
        entry = _Entry(record, sample, datetime.now(UTC).isoformat(timespec="seconds"))
        if len(self._waiting) >= _MOST or self._size + entry.size > _MOST_CHARACTERS:
            self._drop(1, "the disk is too slow")
            return
        self._waiting.append(entry)
        self._size += entry.size
        self._wake.set()

    async def close(self) -> int:
        """Write what is left.

        Returns:
            Samples kept since it was opened.
        """
        self._closing = True
        self._wake.set()
        if self._writer is not None:
            await self._writer
        self._thread.shutdown()
        self._bank.close()
        return self.kept

    async def _write_for_ever(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting or not self._closing:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                count = min(_BATCH, len(self._waiting))
                batch = [self._waiting.popleft() for _ in range(count)]
                self._size -= sum(entry.size for entry in batch)
                try:
                    await loop.run_in_executor(self._thread, self._write, batch)
                except BankError as error:
                    self._drop(len(batch), str(error))
                else:
                    self.kept += len(batch)
                    self._tell("kept", len(batch))

    def _write(self, batch: Sequence[_Entry]) -> None:
        """In the bank's thread: the batch on disk, all of it or nothing."""
        self._add_questions(batch)
        self._bank.add([self._row(entry) for entry in batch])

    def _add_questions(self, batch: Sequence[_Entry]) -> None:
        by_name = {entry.record.token: entry.record for entry in batch}
        known = {n: number for n, number in self._questions.items() if n in by_name}
        new = [self._problem(record) for name, record in by_name.items() if name not in known]
        self._questions = known | (self._bank.add_questions(TASK, new) if new else {})

    def _problem(self, record: Record) -> _Problem:
        asked, name = record.question, record.token
        assert asked is not None  # noqa: S101 - samples come of a vote
        metadata: dict[str, Json] = {"served": record.served, "request": record.id}
        metadata["seed"] = record.seed
        if read_by := _read_by(asked, redact=self._redact):
            metadata[READ_BY] = read_by
        if self._redact:
            return _Problem(Question(text=REDACTED, id=name, kind=asked.kind), metadata)
        if len(asked.messages) > 1:
            metadata["messages"] = [{"role": m.role, "content": m.content} for m in asked.messages]
        question = Question(text=asked.text, id=name, kind=asked.kind, choices=asked.choices)
        return _Problem(question, metadata)

    def _row(self, entry: _Entry) -> BankSample:
        record, sample = entry.record, entry.sample
        model = next(model for model in record.models if model.name == sample.model)
        if isinstance(record.question, Conversation):
            model = as_asked(model, record.question)
        question = self._questions[record.token]
        key = SampleKey(question, self._number(model), _RUN_SEED, sample.index)
        if sample.text is None and sample.error is None:  # it called a tool and said nothing
            sample = replace(sample, text="")
        money = cost((sample,), (model,))
        return BankSample.of(sample, key, cost=money, drawn_at=entry.drawn_at)

    def _number(self, model: Model) -> int:
        if model not in self._models:
            if len(self._models) >= _MODELS:  # clients may ask at any temperature
                self._models.clear()
            self._models[model] = self._bank.add_model(model)
        return self._models[model]

    def _drop(self, samples: int, why: str) -> None:
        if not self.dropped:
            log.error("samples are not kept in %s: %s", self._path, why)
        self.dropped += samples
        self._tell("dropped", samples)
