"""Prompts → samples: bounded concurrency, retries, and nothing dropped.

Every request takes a place in the global limit and in its endpoint's; it gives both back while it
waits to try again. A request that fails for good becomes samples with an error (rule 1).
"""

import asyncio
import copy
import hashlib
import json
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias
from weakref import WeakKeyDictionary

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_attempt,
    stop_before_delay,
)

from slmmux.engines.base import Completion, Pool, Prompt, Request, duration, no_reply
from slmmux.errors import EngineError, ReplyError, RetryableError, UsageError
from slmmux.time_limit import TimeLimit
from slmmux.types import Answer, Model, Sample

_SEEDS = 2**31
_LEAST = {
    "max_concurrency": 1,
    "request_timeout_s": 0.001,
    "max_attempts": 1,
    "max_retry_s": 0,
    "first_wait_s": 0,
    "longest_wait_s": 0,
}
Read: TypeAlias = Callable[[Completion], Awaitable[Answer | None]]
OnReply: TypeAlias = Callable[[Callable[[], Sequence[Sample]]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingLimits:
    """How hard the endpoints are asked.

    Attributes:
        max_concurrency: requests at once, to all endpoints together.
        request_timeout_s: seconds that one request may take.
        max_attempts: tries for one request, the first included.
        max_retry_s: seconds after a request's first failure in which another try may begin.
        first_wait_s, longest_wait_s: the wait before the second try, and what doubling it leads
            to; each wait is between half of that and all of it.

    Raises:
        UsageError: a value with which nothing could be drawn.
    """

    max_concurrency: int = 64
    request_timeout_s: float = 120.0
    max_attempts: int = 5
    max_retry_s: float = 60.0
    first_wait_s: float = 0.5
    longest_wait_s: float = 20.0

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            if not getattr(self, name) >= least:
                raise UsageError(f"{name} is {getattr(self, name)}; it must be {least} or more")


@lru_cache(maxsize=1 << 12)
def stream_seed(run_seed: int, question_id: str, model: str) -> int:
    """The seed of a stream's first sample; sample j asks for (this + j) mod 2³¹ (rule 7).

    BLAKE2b over the JSON array of the three, so that no two triples share their bytes.
    """
    text = json.dumps([run_seed, question_id, model], ensure_ascii=True, separators=(",", ":"))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") % _SEEDS


def pause_s(
    tries: int, asked_s: float | None, limits: SamplingLimits, jitter: random.Random
) -> float:
    """Seconds to wait before the next try.

    Args:
        tries: failed so far, 1 or more.
        asked_s: what the endpoint asks for; the wait is never shorter.
        limits: of the waits.
        jitter: keeps requests that failed together from coming back together.
    """
    longest = min(limits.longest_wait_s, limits.first_wait_s * 2.0 ** min(tries - 1, 64))
    return max(longest * jitter.uniform(0.5, 1.0), asked_s or 0.0)


class Sampler:
    """Draws samples from a pool's engines, for as many questions at once as the limits allow.

    Args:
        pool: where to draw from.
        limits: shared by everything this sampler draws.
        seed: of the run.

    Raises:
        UsageError: a model that may not be asked at all.
    """

    def __init__(self, pool: Pool, limits: SamplingLimits, *, seed: int) -> None:
        for model in pool.models:
            if model.max_concurrency < 1:
                raise UsageError(
                    f"{model.name}: max_concurrency is {model.max_concurrency}; make it 1 or more"
                )
        self._pool = pool
        self._limits = limits
        self.seed = seed
        self._jitter = random.Random(seed)  # noqa: S311 - spreads waits, guards nothing
        self._here: WeakKeyDictionary[asyncio.AbstractEventLoop, _Here] = WeakKeyDictionary()

    def with_seed(self, seed: int) -> "Sampler":
        """This sampler, with the same places in its endpoints, for a run of another seed."""
        if seed == self.seed:
            return self
        other = copy.copy(self)
        other.seed = seed
        return other

    @asynccontextmanager
    async def place(self, model: Model) -> AsyncIterator[None]:
        """A place in the model's endpoint and among all requests.

        The endpoint's place first: who waits for a busy endpoint holds up nobody else.
        """
        here = self._of_loop()
        endpoint = here.endpoints[self._pool.engines[model.name].endpoint]
        async with endpoint, here.everywhere:
            yield

    def runs(self, model: Model, indices: range, *, ordered: bool) -> Iterator[range]:
        """Split consecutive sample indices into requests.

        Args:
            model: that is asked.
            indices: of its stream.
            ordered: each choice of a request must be the sample of its own seed.
        """
        size = self._pool.engines[model.name].choices_per_request(model, ordered=ordered)
        for first in range(indices.start, indices.stop, size):
            yield range(first, min(first + size, indices.stop))

    def seed_of(self, question_id: str, model: Model, index: int) -> int:
        """The seed that this sample of the stream asks for (rule 7)."""
        return (stream_seed(self.seed, question_id, model.name) + index) % _SEEDS

    async def draw(
        self,
        question_id: str,
        model: Model,
        prompt: Prompt,
        indices: range,
        read: Read,
        *,
        on_reply: OnReply | None = None,
    ) -> list[Sample]:
        """The samples of these consecutive indices; one with an error where none could be had.

        Args:
            question_id: goes into the seeds.
            model: of the pool.
            prompt: the question, put to this model.
            indices: of the stream, as `runs` splits them.
            read: gets the answer out of each text.
            on_reply: told of a reply before it is read, with what makes its samples as they are.
        """
        began = time.perf_counter()
        seed = self.seed_of(question_id, model, indices.start)
        request = Request(
            model=model,
            prompt=prompt,
            seed=seed,
            n=len(indices),
            timeout_s=self._limits.request_timeout_s,
        )
        try:
            completions = await self._ask(request)
        except EngineError as error:
            completions = [Completion(text=None, note=str(error))] * len(indices)
        latency_s = time.perf_counter() - began

        def sample(offset: int, answer: Answer | None) -> Sample:
            completion = completions[offset]
            return Sample(
                model=model.name,
                question_id=question_id,
                index=indices[offset],
                text=completion.text,
                reasoning=completion.reasoning,
                finish_reason=completion.finish_reason,
                error=_reason(completion) if completion.text is None else None,
                usage=completion.usage,
                seed=(seed + offset) % _SEEDS,
                seed_honoured=completion.seed_honoured,
                latency_s=latency_s,
                answer=answer,
                tool_calls=completion.tool_calls,
            )

        count = min(len(indices), len(completions))
        if on_reply is not None:
            on_reply(lambda: [sample(offset, None) for offset in range(count)])
        samples = [
            sample(i, None if completions[i].text is None else await read(completions[i]))
            for i in range(count)
        ]
        missing = indices[len(samples) :]
        if not missing:
            return samples
        # The endpoint gives fewer choices than it is asked for: the rest go one by one.
        rest = await asyncio.gather(
            *(
                self.draw(question_id, model, prompt, range(i, i + 1), read, on_reply=on_reply)
                for i in missing
            )
        )
        return samples + [sample for one in rest for sample in one]

    async def _ask(self, request: Request) -> Sequence[Completion]:
        try:
            return await self._try(request)
        except RetryableError as error:
            return await self._persist(request, error)

    async def _try(self, request: Request) -> Sequence[Completion]:
        engine = self._pool.engines[request.model.name]
        here = self._of_loop()
        # As in `place`, at a fraction of its cost.
        async with here.endpoints[engine.endpoint], here.everywhere:
            try:
                with here.limit.call():
                    completions = await engine.draw(request)
            except TimeoutError as error:
                timeout_s = self._limits.request_timeout_s
                raise no_reply(request.model, engine.endpoint, timeout_s) from error
        if not completions:
            raise ReplyError(f"{request.model.name}: {engine.endpoint} gave no completion")
        return completions[: request.n]

    async def _persist(self, request: Request, first: RetryableError) -> Sequence[Completion]:
        """Try again, waiting as long as the endpoint asks, else ever longer with jitter."""
        limits = self._limits
        known: RetryableError | None = first

        async def attempt() -> Sequence[Completion]:
            nonlocal known
            if known is not None:  # the first try has been made, and counts
                error, known = known, None
                raise error
            return await self._try(request)

        retrying = AsyncRetrying(
            retry=retry_if_exception_type(RetryableError),
            wait=self._wait,
            stop=stop_after_attempt(limits.max_attempts) | stop_before_delay(limits.max_retry_s),
            reraise=True,
        )
        try:
            return await retrying(attempt)
        except RetryableError as error:
            tries = int(retrying.statistics["attempt_number"])
            why = _gave_up(error, tries, limits)
            raise type(error)(f"{error}{why}", retry_after_s=error.retry_after_s) from error

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome is not None else None
        asked_s = error.retry_after_s if isinstance(error, RetryableError) else None
        return pause_s(state.attempt_number, asked_s, self._limits, self._jitter)

    def _of_loop(self) -> "_Here":
        """What belongs to the running loop: each has its own."""
        loop = asyncio.get_running_loop()
        here = self._here.get(loop)
        if here is None:
            here = self._here[loop] = self._new_here()
        return here

    def _new_here(self) -> "_Here":
        limits: dict[str, int] = {}
        for model in self._pool.models:
            name = self._pool.engines[model.name].endpoint
            limits[name] = min(limits.get(name, model.max_concurrency), model.max_concurrency)
        return _Here(
            everywhere=asyncio.Semaphore(self._limits.max_concurrency),
            endpoints={name: asyncio.Semaphore(limit) for name, limit in limits.items()},
            limit=TimeLimit(self._limits.request_timeout_s),
        )


@dataclass(frozen=True, slots=True)
class _Here:
    """The gate of all requests, that of each endpoint, and the time that a request may take."""

    everywhere: asyncio.Semaphore
    endpoints: dict[str, asyncio.Semaphore]
    limit: TimeLimit


def _gave_up(error: RetryableError, tries: int, limits: SamplingLimits) -> str:
    """Why there was no further try, as the end of the error's message."""
    if tries >= limits.max_attempts:
        return f" (tried {tries} times)" if tries > 1 else ""
    asked = error.retry_after_s
    cause = "another try" if asked is None else f"a wait of {duration(asked)}"
    times = "once" if tries == 1 else f"{tries} times"
    return f" (tried {times}; {cause} would pass max_retry_time, {limits.max_retry_s:g} s)"


def _reason(completion: Completion) -> str:
    return completion.note or "the reply holds no text"
