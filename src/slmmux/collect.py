"""Questions × models × k → the bank: what is missing is drawn, nothing is drawn twice.

Several collectors may fill one bank: each claims keys before it draws them, for a lease that it
renews while it lives. A sample counts as drawn when the bank has it on disk.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from slmmux.answers import read_async, resolve_kind
from slmmux.bank import Bank
from slmmux.bank.rows import BankSample, SampleKey
from slmmux.budget import Amount, Budget, Purse
from slmmux.claims import Claimed, Request, consecutive, new_owner, release_the_dead
from slmmux.engines.base import Completion, Pool
from slmmux.errors import SlmmuxError, UsageError
from slmmux.prompts import render
from slmmux.results import cost
from slmmux.sampling import Sampler
from slmmux.tasks.base import Problem
from slmmux.types import Answer, Model, Question, Sample
from slmmux.waves import without_reasoning

T = TypeVar("T")

_LEASE_S = 30.0
_RENEW_S = 8.0
_BLOCK = 8  # requests a worker that are claimed at once: each claim waits for the disk
_POLL_S = 0.5  # between looks at what other collectors have drawn
_HOPELESS = 12  # failures in a row, and no success before them, after which a model is given up

OnProgress = Callable[["Collected"], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be in the bank.

    Attributes:
        task: name in the bank.
        problems: unique ids.
        k: samples of each model for each problem.
        run_seed: of the samples (rule 7).
        retry_failed: draw failed samples again instead of keeping the failures.
    """

    task: str
    problems: Sequence[Problem]
    k: int
    run_seed: int
    retry_failed: bool = False

    def __post_init__(self) -> None:
        if self.k < 1:
            raise UsageError(f"k is {self.k}; it counts samples from each model: 1 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """How far a run is.

    Attributes:
        total: samples that the plan asks for.
        there: of them, in the bank.
        drawn: of them, put there by this run.
        failed: of the drawn, with an error instead of a text.
        failures: of those in the bank, whoever drew them.
        spent: by this run.
        waiting: for samples that other collectors are drawing.
        stopped: why this run ended before the bank was complete; None when it did not.
        given_up: models that failed every time → what their endpoints said last.
    """

    total: int
    there: int
    drawn: int = 0
    failed: int = 0
    failures: int = 0
    spent: Amount = field(default_factory=Amount)
    waiting: int = 0
    stopped: str | None = None
    given_up: Mapping[str, str] | None = None


class Collector:
    """Draws a plan's missing samples into a bank; use each instance once.

    Args:
        bank: open for writing.
        pool: the models.
        sampler: of the same pool and the plan's run seed.
        budget: of this run.
        on_progress: told after every write.
    """

    def __init__(
        self,
        bank: Bank,
        pool: Pool,
        sampler: Sampler,
        *,
        budget: Budget | None = None,
        on_progress: OnProgress | None = None,
    ) -> None:
        self._bank = bank
        self._pool = pool
        self._sampler = sampler
        self._purse = Purse(budget or Budget(), pool.models)
        self._tell = on_progress or (lambda _progress: None)
        self._owner = new_owner()
        # SQLite waits for the disk; one thread keeps its transactions in order.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="bank")
        self._held: set[SampleKey] = set()
        self._arrived: list[tuple[Request, Sample]] = []
        self._written = asyncio.Event()
        self._failures: dict[str, int] = {}
        self._given_up: dict[str, str] = {}
        self._last_error: dict[str, str] = {}
        self._succeeded: set[str] = set()
        self._drawn = self._failed = 0
        self._progress = Collected(total=0, there=0)

    async def run(self, plan: Plan) -> Collected:
        """Draw until the bank holds the plan, the budget is spent or every model is given up.

        Cancelling it keeps what has arrived and gives back the claims on the rest.

        Raises:
            BankError: the bank cannot be read or written.
        """
        questions, models = await self._in_thread(partial(self._register, plan))
        try:
            async with self._background():
                while missing := await self._missing(plan, questions, models):
                    drawn_before = self._progress.drawn
                    await self._draw_all(questions, models, missing)
                    await self._write()
                    if self._progress.stopped or not self._open(missing, models):
                        break
                    if self._progress.drawn == drawn_before:
                        self._set(waiting=len(missing))
                        await asyncio.sleep(_POLL_S)
        finally:
            await self._let_go(partial(self._recount, plan, questions, models))
        return self._progress

    def _register(self, plan: Plan) -> tuple[dict[int, Question], dict[int, Model]]:
        """The plan's questions and models by the bank's numbers."""
        release_the_dead(self._bank)
        numbers = self._bank.add_questions(plan.task, plan.problems)
        questions = {
            numbers[p.question.id]: replace(p.question, kind=resolve_kind(p.question))
            for p in plan.problems
        }
        models = {self._bank.add_model(m): m for m in self._pool.models}
        if plan.retry_failed:
            self._bank.forget_failed(list(questions), list(models), plan.run_seed, plan.k)
        return questions, models

    async def _missing(
        self, plan: Plan, questions: Mapping[int, Question], models: Mapping[int, Model]
    ) -> tuple[SampleKey, ...]:
        wanted = partial(self._bank.missing, list(questions), list(models), plan.run_seed, plan.k)
        missing = await self._in_thread(wanted)
        total = len(questions) * len(models) * plan.k
        self._set(total=total, there=total - len(missing))
        return missing

    async def _recount(
        self, plan: Plan, questions: Mapping[int, Question], models: Mapping[int, Model]
    ) -> None:
        """What the bank holds of the plan in the end, failures included."""
        self._given_up = {
            name: self._given_up.get(name, reason)
            for name, reason in self._last_error.items()
            if name not in self._succeeded
        }
        await self._missing(plan, questions, models)
        rows = await self._in_thread(
            partial(
                self._bank.query,
                "SELECT question, model FROM samples WHERE error IS NOT NULL AND run_seed = ? "
                "AND idx < ?",
                (plan.run_seed, plan.k),
            )
        )
        self._set(failures=sum(q in questions and m in models for q, m in rows))

    def _open(self, missing: Sequence[SampleKey], models: Mapping[int, Model]) -> bool:
        """Whether something is missing of a model that is not given up."""
        return any(models[key.model].name not in self._given_up for key in missing)

    async def _draw_all(
        self,
        questions: Mapping[int, Question],
        models: Mapping[int, Model],
        missing: Sequence[SampleKey],
    ) -> None:
        """Draw what is missing and not claimed by others; each endpoint has its own workers."""
        queues: dict[str, deque[Request]] = {}
        for request in self._requests(questions, models, missing):
            endpoint = self._pool.engines[request.model.name].endpoint
            queues.setdefault(endpoint, deque()).append(request)
        async with asyncio.TaskGroup() as group:
            for queue in queues.values():
                claimed = Claimed(queue, self._claim, _BLOCK * self._workers(queue[0].model))
                for _ in range(self._workers(queue[0].model)):
                    group.create_task(self._work(claimed))

    def _requests(
        self,
        questions: Mapping[int, Question],
        models: Mapping[int, Model],
        missing: Sequence[SampleKey],
    ) -> Iterator[Request]:
        streams: dict[tuple[int, int], list[SampleKey]] = {}
        for key in missing:
            if models[key.model].name not in self._given_up:
                streams.setdefault((key.question, key.model), []).append(key)
        for (question, number), keys in streams.items():
            model = models[number]
            prompt = render(questions[question], model)
            by_index = {key.index: key for key in keys}
            for run in consecutive(sorted(by_index)):
                for indices in self._sampler.runs(model, run, ordered=False):
                    chosen = tuple(by_index[i] for i in indices)
                    yield Request(questions[question], model, prompt, chosen)

    def _workers(self, model: Model) -> int:
        """Enough to keep the endpoint busy while some wait for another try."""
        endpoint = self._pool.engines[model.name].endpoint
        mates = [m for m in self._pool.models if self._pool.engines[m.name].endpoint == endpoint]
        return 2 * min(m.max_concurrency for m in mates)

    async def _work(self, claimed: Claimed) -> None:
        async for request in claimed:
            if request.model.name in self._given_up or self._progress.stopped:
                continue
            samples = len(request.keys)
            if not await self._purse.reserve(request, request.model, request.prompt, samples):
                if samples > 1:
                    claimed.split(request)
                else:
                    self._set(stopped="the budget does not allow another request")
                continue
            drawn: list[Sample] = []
            try:
                drawn = await self._draw(request)
            finally:
                await self._purse.settle(request, request.model, request.prompt, drawn)
            self._judge(request.model, drawn)
            self._arrived += [(request, sample) for sample in drawn]
            self._written.set()

    async def _draw(self, request: Request) -> list[Sample]:
        question = request.question

        async def read(completion: Completion) -> Answer | None:
            return await read_async(
                completion.text or "", question.kind, question.choices, completion.finish_reason
            )

        indices = range(request.keys[0].index, request.keys[-1].index + 1)
        samples = await self._sampler.draw(
            question.id, request.model, request.prompt, indices, read
        )
        return [without_reasoning(sample) for sample in samples]

    def _judge(self, model: Model, drawn: Sequence[Sample]) -> None:
        """Give up a model that never answers: a wrong key fails a thousand times as surely."""
        for sample in drawn:
            if sample.error is None or sample.text is not None:
                self._succeeded.add(model.name)
            elif model.name not in self._succeeded:
                self._last_error[model.name] = sample.error
                self._failures[model.name] = self._failures.get(model.name, 0) + 1
                if self._failures[model.name] >= _HOPELESS:
                    self._given_up[model.name] = sample.error
        if len(self._given_up) == len(self._pool.models):
            self._set(stopped="every model failed")

    # The bank's thread.

    def _in_thread(self, call: Callable[[], T]) -> "asyncio.Future[T]":
        """Queue a call at once: calls run in the order in which they were queued."""
        return asyncio.get_running_loop().run_in_executor(self._thread, call)

    async def _claim(self, keys: Sequence[SampleKey]) -> frozenset[SampleKey]:
        granted = await self._in_thread(partial(self._bank.claim, keys, self._owner, _LEASE_S))
        self._held.update(granted)
        return frozenset(granted)

    @contextlib.asynccontextmanager
    async def _background(self) -> AsyncIterator[None]:
        """Beside the drawing: write what has arrived, and renew the claims on what has not."""
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._write_for_ever()),
                    group.create_task(self._renew_for_ever()),
                ]
                try:
                    yield
                finally:
                    for task in tasks:
                        task.cancel()
        except* SlmmuxError as errors:
            raise _first(errors) from None
        await self._write()

    async def _write_for_ever(self) -> None:
        while True:
            await self._written.wait()
            self._written.clear()
            await self._write()

    async def _write(self) -> None:
        if not self._arrived:
            return
        batch, self._arrived = self._arrived, []
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        rows = [
            BankSample.of(
                sample,
                next(key for key in request.keys if key.index == sample.index),
                cost=cost([sample], [request.model]),
                drawn_at=now,
            )
            for request, sample in batch
        ]
        before = self._progress.drawn
        await asyncio.shield(self._in_thread(partial(self._keep, rows)))
        self._held.difference_update(row.key for row in rows)
        self._set(there=self._progress.there + self._drawn - before, waiting=0)

    def _keep(self, rows: Sequence[BankSample]) -> None:
        """Put into the bank what is still ours: a lease that ran out may have been taken over."""
        granted = set(self._bank.claim([row.key for row in rows], self._owner, _LEASE_S))
        kept = [row for row in rows if row.key in granted]
        self._bank.add(kept)
        self._drawn += len(kept)
        self._failed += sum(row.error is not None for row in kept)

    async def _renew_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_RENEW_S)
            await self._claim(sorted(self._held))

    async def _let_go(self, recount: Callable[[], Awaitable[object]]) -> None:
        """Write what came last, give back the claims on what did not come, end the thread."""
        try:
            await self._write()
            await recount()
            keys = sorted(self._held)
            await self._in_thread(partial(self._bank.release, keys, self._owner))
        finally:
            self._thread.shutdown()

    def _set(self, **changes: object) -> None:
        given_up = dict(self._given_up) or None
        self._progress = replace(
            self._progress,
            drawn=self._drawn,
            failed=self._failed,
            spent=self._purse.spent,
            given_up=given_up,
            **changes,  # type: ignore[arg-type]
        )
        self._tell(self._progress)


def _first(errors: BaseExceptionGroup[SlmmuxError]) -> SlmmuxError:
    """One of a group: all workers fail for one reason, and it is told once."""
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
