"""Everything that slmmux raises on purpose.

::

    SlmmuxError
    ├── UsageError                bad input from the caller: nothing was drawn, nothing is lost
    │   ├── ConfigError           every problem of a configuration in one message
    │   ├── QuestionError         an empty question, a choice question without choices, a bad row
    │   └── MissingExtraError     an optional part is not installed; one line says what to install
    ├── WeightsError              model weights could not be fetched, verified or stored
    ├── BankError                 a sample bank or its interchange file cannot be read or written
    │   └── BankConflictError     another text is there already; nothing was changed
    ├── KeysError                 the file of API keys cannot be read or written
    ├── EngineError               a sample could not be drawn
    │   ├── AuthenticationError   401, 403
    │   ├── ModelNotFoundError    404
    │   ├── ContextLengthError    the prompt is longer than the model's context
    │   ├── RequestRejectedError  any other 4xx
    │   ├── UnreachableError      nobody answers at that address
    │   ├── ReplyError            a reply that cannot be read: not JSON, no choices, not text
    │   ├── EmbeddedServerError   the embedded server failed to start or died twice
    │   ├── LeftAloneError        it kept failing, and is not asked for a while
    │   └── RetryableError        may succeed when asked again
    │       ├── RateLimitError    429, with the wait that the server asked for
    │       ├── UpstreamError     5xx
    │       ├── RequestTimeoutError
    │       └── ConnectionDroppedError
    └── QuorumError               fewer models answered than the caller asked for

A message says what happened, where, and what to do.
"""

from collections.abc import Mapping


class SlmmuxError(Exception):
    """The root of the tree."""


class UsageError(SlmmuxError):
    """Bad input from the caller."""


class ConfigError(UsageError):
    """A configuration that cannot be used; the message lists every problem."""


class QuestionError(UsageError):
    """A question that cannot be asked."""


class MissingExtraError(UsageError):
    """An optional part of slmmux is not installed."""


class WeightsError(SlmmuxError):
    """Model weights could not be fetched, verified or stored."""


class BankError(SlmmuxError):
    """A sample bank or its interchange file cannot be read or written; the bank is untouched."""


class BankConflictError(BankError):
    """Something else is there already under the same key; the bank is untouched."""


class KeysError(SlmmuxError):
    """The file of API keys cannot be read or written."""


class EngineError(SlmmuxError):
    """A sample could not be drawn."""


class AuthenticationError(EngineError):
    """The endpoint refused the key (401, 403)."""


class ModelNotFoundError(EngineError):
    """The endpoint does not serve this model (404)."""


class ContextLengthError(EngineError):
    """The prompt and the answer do not fit the model's context."""


class RequestRejectedError(EngineError):
    """The endpoint refused the request for another reason (4xx)."""


class UnreachableError(EngineError):
    """Nobody answers at that address."""


class ReplyError(EngineError):
    """The endpoint's reply cannot be read."""


class EmbeddedServerError(EngineError):
    """The embedded server failed to start, or died again after its one restart."""


class LeftAloneError(EngineError):
    """The endpoint kept failing and is not asked for a while; nothing was sent.

    Attributes:
        retry_after_s: seconds until it is tried again.
    """

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RetryableError(EngineError):
    """A failure that may pass: the same request can be sent again.

    Attributes:
        retry_after_s: seconds that the server asked us to wait, when it said so.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RateLimitError(RetryableError):
    """The endpoint is limiting us (429)."""


class UpstreamError(RetryableError):
    """The endpoint failed (5xx)."""


class RequestTimeoutError(RetryableError):
    """The endpoint did not answer in time."""


class ConnectionDroppedError(RetryableError):
    """The connection broke before the reply was complete."""


class QuorumError(SlmmuxError):
    """Fewer models answered than the quorum asks for.

    Attributes:
        reasons: model name → what its endpoint said.
    """

    def __init__(self, message: str, *, reasons: Mapping[str, str]) -> None:
        super().__init__(message)
        self.reasons = dict(reasons)
