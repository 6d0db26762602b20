"""What is known of one request while it is answered: for limits, measures, logs and the bank."""

import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from slmmux.gateway.operations.ledger import Key, Used
from slmmux.results import cost
from slmmux.types import Conversation, Model, Result, Sample, Usage

_NOTHING = Usage()


@dataclass(slots=True, eq=False, kw_only=True)
class Record:
    """A request's record; it is the request's watch.

    Attributes:
        id: sent back as `X-Request-Id`; the client's own where it sent one.
        token: no other request has the same.
        began: `time.perf_counter()`.
        status: sent; 0 while nothing was.
        streams: whether it is answered with server-sent events.
        complete: whether the whole reply was handed over.
        key: of the client; None where no keys are needed.
        served: the profile, method or member that was asked for, once that is known.
        usage, money: of the upstream calls so far.
        tokens: the same, by model.
        queued_s: seconds that it waited for a place.
        place: whether it has one.
        refused: why it was not served, in a word.
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
    enter: Callable[["Record"], Awaitable[None]] | None = None
    on_sample: Callable[["Record", Sample], None] | None = None
    _settled: Used = field(default_factory=Used)

    def __post_init__(self) -> None:
        self.id = self.id or self.token

    async def admit(self) -> None:
        """Wait for a place."""
        if self.enter is not None:
            await self.enter(self)

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

    def relays(self, model: Model) -> None:
        """It is passed on."""
        self.served, self.models = model.name, (model,)

    def relayed(self, usage: Usage) -> None:
        """That is over."""
        self.usage += usage
        model = self.models[0]
        self.tokens[model.name] = usage
        spent = Sample(model=model.name, question_id="", index=0, usage=usage)
        self.money += cost((spent,), self.models) or 0.0

    def unsettled(self) -> Used:
        """What it has used since this was asked last."""
        tokens = self.usage.prompt_tokens + self.usage.completion_tokens
        new = Used(0, tokens - self._settled.tokens, self.money - self._settled.money)
        self._settled = Used(0, tokens, self.money)
        return new

    def elapsed_s(self) -> float:
        """Seconds since it began."""
        return time.perf_counter() - self.began
