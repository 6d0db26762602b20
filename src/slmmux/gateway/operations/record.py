"""What is known of one request while it is answered: for limits, measures, logs and the bank."""

import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from slmmux.gateway.failures import CLIENT_GONE
from slmmux.gateway.operations.bounds import most_of_relay, most_of_vote
from slmmux.gateway.operations.ledger import Key, Used
from slmmux.results import cost
from slmmux.types import Conversation, Model, Result, Sample, Usage

Outcome: TypeAlias = Literal[
    "ok", "rejected", "refused", "failed", "client_gone", "cut_by_shutdown", "cut_by_revocation"
]

_REJECTED, _FAILED = 400, 500
_NOTHING = Usage()


@dataclass(slots=True, eq=False, kw_only=True)
class Record:
    """A request's record; it is the request's watch.

    Attributes:
        id: sent back as `X-Request-Id`; the client's own where it sent one.
        token: no other request has the same.
        began: `time.perf_counter()`.
        status: sent; 0 while nothing was, 499 where the client left before it had all of it.
        streams: whether it is answered with server-sent events.
        complete: whether the whole reply was handed over.
        key: of the client; None where no keys are needed.
        served: the profile, method or member that was asked for, once that is known.
        usage, money: of the upstream calls so far.
        tokens: the same, by model.
        queued_s: seconds that it waited for a place.
        place: whether it has one.
        refused: why it was not served, in a word.
        failed: the code of the error that its stream ended with.
        cut: what ended it before its time.
        reserve: takes the most that it can use from what its key may use, or refuses it.
    """

    method: str
    path: str
    token: str = field(default_factory=lambda: f"req_{secrets.token_hex(12)}")
    id: str = ""
    began: float = field(default_factory=time.perf_counter)
    status: int = 0
    streams: bool = False
    complete: bool = False
    key: Key | None = None
    served: str | None = None
    question: Conversation | None = None
    models: tuple[Model, ...] = ()
    seed: int = 0
    tokens: dict[str, Usage] = field(default_factory=dict)
    usage: Usage = Usage()
    money: float = 0.0
    result: Result | None = None
    queued_s: float | None = None
    place: bool = False
    refused: str | None = None
    failed: str | None = None
    cut: Literal["shutdown", "revocation"] | None = None
    reserve: Callable[[Callable[[], Used]], None] | None = None
    enter: Callable[["Record"], Awaitable[None]] | None = None
    on_sample: Callable[["Record", Sample], None] | None = None
    _settled: Used = field(default_factory=Used)

    def __post_init__(self) -> None:
        self.id = self.id or self.token

    async def admit(self) -> None:
        """Wait for a place."""
        if self.enter is not None:
            await self.enter(self)

    def wants(self, question: Conversation, draws: Sequence[tuple[Model, int]]) -> None:
        """A vote would take so many samples of each model.

        Raises:
            RequestError: more than its key may use.
        """
        if self.reserve is not None:
            self.reserve(lambda: most_of_vote(question, draws))

    def asks(self, served: str, question: Conversation, models: Sequence[Model], seed: int) -> None:
        """A vote begins."""
        self.served, self.question, self.models, self.seed = served, question, tuple(models), seed

    def sample(self, sample: Sample) -> None:
        """One has arrived."""
        self.usage += sample.usage
        self.tokens[sample.model] = self.tokens.get(sample.model, _NOTHING) + sample.usage
        self.money += cost((sample,), self.models) or 0.0
        if self.on_sample is not None:
            self.on_sample(self, sample)

    def voted(self, result: Result) -> None:
        """The vote is over."""
        self.result = result

    def relays(self, model: Model, body: Mapping[str, Any]) -> None:
        """It is passed on.

        Raises:
            RequestError: more than its key may use.
        """
        self.served, self.models = model.name, (model,)
        if self.reserve is not None:
            self.reserve(lambda: most_of_relay(model, body))

    def relayed(self, usage: Usage) -> None:
        """That is over."""
        self.usage += usage
        model = self.models[0]
        self.tokens[model.name] = usage
        spent = Sample(model=model.name, question_id="", index=0, usage=usage)
        self.money += cost((spent,), self.models) or 0.0

    def fails(self, code: str) -> None:
        """Its stream ends with an error."""
        self.failed = code

    @property
    def outcome(self) -> Outcome:
        """How it ended; the status of a stream is sent before that is known."""
        if self.cut is not None:
            return "cut_by_shutdown" if self.cut == "shutdown" else "cut_by_revocation"
        if self.status == CLIENT_GONE:
            return "client_gone"
        if self.refused is not None:
            return "refused"
        if self.failed is not None or self.status == 0 or self.status >= _FAILED:
            return "failed"
        return "rejected" if self.status >= _REJECTED else "ok"

    def unsettled(self) -> Used:
        """What it has used since this was asked last."""
        tokens = self.usage.prompt_tokens + self.usage.completion_tokens
        new = Used(0, tokens - self._settled.tokens, self.money - self._settled.money)
        self._settled = Used(0, tokens, self.money)
        return new

    def elapsed_s(self) -> float:
        """Seconds since it began."""
        return time.perf_counter() - self.began
