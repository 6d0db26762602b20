"""Hashes of what an analysis reads: the questions, and everything that is known of them.

Banks that hold the same samples of models in the same pool order give the same hashes, in
whatever order the samples came.
"""

import hashlib

from slmmux.bank.rows import canonical_json
from slmmux.table import Table


def question_digest(table: Table) -> str:
    """32 hex digits: tasks, names, texts, kinds, choices and references of the questions."""
    return _questions(table).hexdigest()


def digest(table: Table) -> str:
    """32 hex digits: the questions, the models, and the classes of their samples, right or wrong.

    The texts behind the classes are not in it: what is read from them is what counts.
    """
    found = _questions(table)
    found.update(canonical_json([list(table.models), table.run_seed]).encode())
    for array in (
        table.samples.classes.astype("<i4"),
        table.samples.errored,
        table.right,
    ):
        found.update(str(array.shape).encode())
        found.update(array.tobytes())
    return found.hexdigest()


def _questions(table: Table) -> "hashlib.blake2b":
    found = hashlib.blake2b(digest_size=16)
    for question, kind in zip(table.questions, table.kinds, strict=True):
        row = [
            question.task,
            question.name,
            question.text,
            kind,
            list(question.choices),
            question.reference,
        ]
        found.update(canonical_json(row).encode() + b"\n")
    return found
