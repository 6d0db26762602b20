"""What is told of a request while it is answered, to whoever keeps count of it.

The watch of a request is in its context, so that it reaches the tasks that draw for it.
"""

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Protocol

from slmmux.types import Conversation, Model, Result, Sample, Usage


class Watch(Protocol):
    """Someone who watches one request."""

    async def admit(self) -> None:
        """Wait for a place; the request has arrived whole.

        Raises:
            RequestError: there is none (429).
        """

    def wants(self, question: Conversation, draws: Sequence[tuple[Model, int]]) -> None:
        """A vote would be taken, with so many samples of each model at most.

        Raises:
            RequestError: that is more than the client may use (429).
        """

    def asks(self, served: str, question: Conversation, models: Sequence[Model], seed: int) -> None:
        """A vote begins.

        Args:
            served: what the client asked for: a profile, or one of its methods.
            question: that is asked.
            models: that may be asked.
            seed: of the run.
        """

    def sample(self, sample: Sample) -> None:
        """One has arrived."""

    def voted(self, result: Result) -> None:
        """The vote is over."""

    def relays(self, model: Model, body: Mapping[str, Any]) -> None:
        """The request, with this body, is passed on to this model.

        Raises:
            RequestError: that is more than the client may use (429).
        """

    def relayed(self, usage: Usage) -> None:
        """That is over, and took these tokens."""

    def fails(self, code: str) -> None:
        """Its stream has begun and ends with an error of this code."""


WATCH: ContextVar[Watch | None] = ContextVar("slmmux.watch", default=None)
