"""How much one request may ask of the gateway."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """Limits of a request; what exceeds one is refused before anything is drawn.

    Attributes:
        head_s: seconds in which a connection must have sent a request's head.
        body_bytes, body_s: size of a body, and seconds in which it must have arrived.
        draws: samples of a question's full budget, all models together.
        choices: `n`.
        deadline_s: seconds for a question: the longest that may be asked for, and what a
            question gets where neither it nor the configuration says.
    """

    head_s: float = 15.0
    body_bytes: int = 8_000_000
    body_s: float = 30.0
    draws: int = 500
    choices: int = 32
    deadline_s: float = 600.0
