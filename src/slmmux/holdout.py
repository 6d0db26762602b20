"""Where choices are made and where they are reported: questions kept apart for testing.

A choice (which models, how many samples, which rule) that is made on the questions it is reported
on looks better than it is; it is called best in hindsight here. `split` keeps questions apart.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from slmmux.errors import UsageError
from slmmux.table import Table

if TYPE_CHECKING:
    from slmmux.bank.rows import BankQuestion

HINDSIGHT = "best in hindsight"


class Halves(NamedTuple):
    """A table in two, questions in the table's order.

    Attributes:
        validation: where choices are made.
        test: where they are reported.
    """

    validation: Table
    test: Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Where choices are made, where they are reported, and how the two came about.

    Attributes:
        validation: where choices are made: the test questions themselves in hindsight.
        test: where they are reported.
        source: of the validation questions, for a person.
        common: how many test questions are also validation questions.
    """

    validation: Table
    test: Table
    source: str
    common: int

    @property
    def hindsight(self) -> bool:
        """Whether choices are made on the questions that they are reported on."""
        return self.validation is self.test


def halves(table: Table, share: float, seed: int) -> Halves:
    """A seeded split of the questions.

    Questions are ordered by a hash of the seed and their content; the first ones are for testing,
    as many as come closest to the share. So a side does not depend on the order of the bank, on
    its other content beyond how many questions it has, or on the machine. Questions of one text
    (whatever their task, choices or spacing) stay together; where an import did not say the text,
    the task and the question's name stand for it.

    Args:
        table: 2 or more different questions.
        share: of the questions that are kept for testing, above 0 and below 1.
        seed: of the order.

    Raises:
        UsageError: the share leaves nothing on one side, or there is nothing to split.
    """
    if not 0 < share < 1:
        raise UsageError(f"the share kept for testing is {share:g}; make it above 0 and below 1")
    members: dict[str, list[int]] = {}
    for place, question in enumerate(table.questions):
        members.setdefault(content(question), []).append(place)
    if len(members) < len(Halves._fields):
        raise UsageError(
            f"{len(table.questions):,} questions, {len(members):,} different: too few to keep some "
            "for testing"
        )
    groups = [members[text] for text in sorted(members, key=lambda text: _hash(seed, text))]
    cut = _cut([len(group) for group in groups], share * len(table.questions))
    test, validation = (
        sorted(place for group in side for place in group) for side in (groups[:cut], groups[cut:])
    )
    return Halves(table.at(validation), table.at(test))


def split(
    table: Table,
    *,
    validation: Table | None = None,
    name: str = "",
    share: float = 0,
    seed: int = 0,
) -> Split:
    """Where to choose and where to report.

    Args:
        table: the questions to report on.
        validation: of a validation bank, the same models in the same order.
        name: of that bank.
        share: of the table's questions to keep for testing; 0 keeps none apart.
        seed: of the split.

    Raises:
        UsageError: both a validation bank and a share, or a share that cannot be.
    """
    if validation is not None:
        if share:
            raise UsageError("--validation-bank and --holdout: choose one of them")
        known = {content(question) for question in validation.questions}
        common = sum(content(question) in known for question in table.questions)
        return Split(
            validation=validation, test=table, source=f"validation bank {name}", common=common
        )
    if share:
        parts = halves(table, share, seed)
        source = f"the other questions (split seed {seed})"
        return Split(validation=parts.validation, test=parts.test, source=source, common=0)
    return Split(
        validation=table, test=table, source="the same questions", common=len(table.questions)
    )


def content(question: "BankQuestion") -> str:
    """What makes two questions one: the text without its spacing and case, else task and name."""
    if question.text is None:
        return json.dumps([question.task, question.name])
    return " ".join(question.text.split()).casefold()


def _hash(seed: int, text: str) -> bytes:
    entry = json.dumps([seed, text], ensure_ascii=True)
    return hashlib.blake2b(entry.encode(), digest_size=16).digest()


def _cut(sizes: Sequence[int], wanted: float) -> int:
    """How many groups come closest to so many questions; neither none nor all of them."""
    taken, best, closest = 0, 1, float("inf")
    for count, size in enumerate(sizes[:-1], start=1):
        taken += size
        if abs(taken - wanted) < closest:
            best, closest = count, abs(taken - wanted)
    return best
