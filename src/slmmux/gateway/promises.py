"""What a client may rely on in the content that it gets, and what it is told where all break it.

A vote without a readable answer still shows what the best model said. Whoever asked for JSON of a
schema, or for a tool call, would take that for what it asked for: it gets a refusal instead, which
OpenAI's clients know.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from slmmux.gateway.wording import counted
from slmmux.types import Sample


@dataclass(frozen=True, slots=True)
class Promise:
    """What every content is.

    Attributes:
        kept: by this sample.
        holds: what a sample does that keeps it: "holds JSON".
    """

    kept: Callable[[Sample], bool]
    holds: str


def refusal(promise: Promise, samples: Sequence[Sample]) -> str:
    """Why none of these samples is given."""
    then = (
        "all were cut off at their limit of tokens: raise max_tokens"
        if cut_off(samples)
        else "slmmux.return_samples shows them, and more of them (slmmux.k) may do better"
    )
    return f"No answer: of {counted(len(samples), 'sample')} none {promise.holds}; {then}."


def cut_off(samples: Sequence[Sample]) -> bool:
    """Whether every text ended at its limit of tokens."""
    return {s.finish_reason for s in samples if s.text is not None} == {"length"}
