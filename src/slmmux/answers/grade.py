"""Answer × reference → correct or not, and why."""

from dataclasses import dataclass
from functools import lru_cache

from slmmux.answers.canonical import canonical_key
from slmmux.answers.excess import is_excessive
from slmmux.answers.latex import normalise
from slmmux.answers.numbers import exact
from slmmux.answers.worker import shared_workers
from slmmux.types import Kind

# Longer strings are not mathematics, and math-verify's patterns take long to find that out.
_MAX_LENGTH = 2000


@dataclass(frozen=True, slots=True)
class Grade:
    """Whether an answer is correct, and one sentence for a person."""

    correct: bool
    reason: str


@lru_cache(maxsize=65536)
def grade(answer: str, reference: str, kind: Kind, choices: tuple[str, ...] = ()) -> Grade:
    """Grade an answer: the same class is correct; in mathematics math-verify has the last word.

    math-verify is more lenient than classes are: it accepts `0.333333` for 1/3, `75` for `75%` and
    a value without its unit. Its verdict holds for this answer and reference only and never merges
    classes. Two different integers are never the same to it, so it is not asked about those.

    Raises:
        QuestionError: the kind is `auto`.
    """
    key, wanted = (canonical_key(text, kind, choices) for text in (answer, reference))
    if key == wanted:
        return Grade(correct=True, reason=f"same class as the reference ({_shown(wanted)})")
    if (
        kind in ("math", "number")
        and not _integers(answer, reference)
        and _verified(answer, reference)
    ):
        return Grade(correct=True, reason="math-verify accepts it for the reference")
    return Grade(correct=False, reason=f"class {_shown(key)}, the reference is {_shown(wanted)}")


def _integers(answer: str, reference: str) -> bool:
    """Whether both are plain integers; a percent is not one (`50%` may be the reference's 50)."""
    values = [None if "%" in text else exact(normalise(text)) for text in (answer, reference)]
    return all(value is not None and value.denominator == 1 for value in values)


def _verified(answer: str, reference: str) -> bool:
    if max(len(answer), len(reference)) > _MAX_LENGTH:
        return False
    if is_excessive(normalise(answer)) or is_excessive(normalise(reference)):
        return False
    return shared_workers().run("verify", (answer, reference)) == "true"


def _shown(key: str) -> str:
    return f"`{key}`"
