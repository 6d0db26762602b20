"""Table → which models are correct, and which consistently wrong, on every question, as bits.

With D the questions (design rule 9; SLM-MUX paper, section 3.2): a model is *correct* on a question
when its mode is (or when some sample is, or at least c samples are), and *consistently wrong* when
all its k samples fall in one wrong class. With N ≥ 2k samples a question is looked at ⌊N/k⌋ times,
once for each disjoint group of k samples in index order; everything is a mean over these groups.
"""

import re
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from slmmux.errors import UsageError
from slmmux.methods.patterns import modes_of
from slmmux.subsamples import filled, first_run, shortage, usual_count
from slmmux.table import NO_VOTE, Classes, Flags, Table, lookup

Words: TypeAlias = npt.NDArray[np.uint64]

_CORRECT = re.compile(r"mode|any|at-least:([1-9][0-9]{0,5})")
_ALIGNED = 64  # octets: bits are counted eight words at a time (`search_cells`)


@dataclass(frozen=True, slots=True)
class Correctness:
    """What makes a model correct on a question.

    Attributes:
        name: `mode`, `any` or `at-least:C`.
        votes: correct samples that it takes; 0: the mode must be correct.
    """

    name: str
    votes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSets:
    """Which models are correct, and which consistently wrong, where.

    A cell is one question in one group of k samples. Bits beyond the last cell are 0.

    Attributes:
        models: names in pool order.
        k: samples in a group.
        groups: how many.
        missing: samples of the groups that the bank does not hold; they vote for nothing.
        spare: model → samples of it that are in no group, on the question where it has most.
        correct, wrong: [models × words] a bit a cell, cells by group, then question.
    """

    models: tuple[str, ...]
    questions: int
    k: int
    groups: int
    missing: int
    spare: dict[str, int]
    correct: Words
    wrong: Words

    @property
    def cells(self) -> int:
        """Questions × groups."""
        return self.questions * self.groups


def correctness(text: str) -> Correctness:
    """The rule of `--correct`.

    Raises:
        UsageError: it is no such rule.
    """
    found = _CORRECT.fullmatch(text)
    if found is None:
        raise UsageError(
            f"correct {text!r}: make it mode (the most common answer is correct), any (some sample "
            "is) or at-least:C (C samples or more are)"
        )
    return Correctness(text, 0 if text == "mode" else int(found[1] or 1))


def search_sets(
    table: Table, k: int, correct: Correctness, *, count_single_samples: bool = False
) -> SearchSets:
    """The sets of every model.

    N is the smallest count of samples over the models, each counted where it has most; so pools
    with different counts work, and what a model has beyond ⌊N/k⌋ · k samples is not used.

    Args:
        table: of the validation questions.
        k: samples in a group.
        correct: what makes a model correct.
        count_single_samples: with k = 1, one wrong sample counts as consistently wrong.

    Raises:
        UsageError: too few samples, or single samples without being told to count them.
    """
    groups = _groups(table, k, correct, count_single_samples=count_single_samples)
    missing = shortage(table.samples.classes, table.models, groups * k, first=False).samples
    classes = _grouped(table, k, groups)
    counts = (table.samples.classes >= NO_VOTE).sum(axis=2).max(axis=0, initial=0)
    return SearchSets(
        models=table.models,
        questions=len(table.questions),
        k=k,
        groups=groups,
        missing=missing,
        spare={
            name: count - groups * k
            for name, count in zip(table.models, counts.tolist(), strict=True)
            if count > groups * k
        },
        correct=_packed(_correct(table.right, classes, correct)),
        wrong=_packed(_consistently_wrong(table.right, classes)),
    )


def _grouped(table: Table, k: int, groups: int) -> Classes:
    """[questions × models × groups × k] the samples of the disjoint groups, in index order.

    Samples that the bank lacks stand at their end and vote for nothing.
    """
    samples = first_run(filled(table.samples, groups * k), groups * k, in_place=False)
    return samples.classes.reshape(*samples.classes.shape[:2], groups, k)


def unpacked(words: Words, sets: SearchSets) -> Flags:
    """[… × words] → [… × groups × questions]."""
    octets = words.astype("<u8").view(np.uint8)
    bits = np.unpackbits(octets, axis=-1, count=sets.cells, bitorder="little")
    return bits.view(np.bool_).reshape(*words.shape[:-1], sets.groups, sets.questions)


def pack(flags: Flags) -> Words:
    """[… × cells] → [… × words], a bit a cell, the first cell lowest; words in multiples of 8."""
    octets = np.packbits(flags, axis=-1, bitorder="little")
    lacking = -octets.shape[-1] % _ALIGNED
    padded = np.pad(octets, [(0, 0)] * (octets.ndim - 1) + [(0, lacking)])
    return np.ascontiguousarray(padded).view("<u8").astype(np.uint64)


def _groups(table: Table, k: int, correct: Correctness, *, count_single_samples: bool) -> int:
    """⌊N/k⌋, after everything that cannot be is refused."""
    if not table.questions:
        raise UsageError("there are no questions to search on")
    if k < 1:
        raise UsageError(f"k is {k}; it counts samples from each model, so make it 1 or more")
    if correct.votes > k:
        raise UsageError(f"correct {correct.name}: no model has that many of k = {k} samples right")
    count = usual_count(table.samples.classes)
    if k == 1 and not count_single_samples:
        more = "take -k 2 or more" if count > 1 else "`slmmux collect -k 3` draws more"
        raise UsageError(
            f"k = 1{'' if count > 1 else ' (the bank holds one sample a model)'}: one sample "
            "cannot tell a model that is consistently wrong from one that guessed, and the search "
            f"keeps these apart. {more[0].upper()}{more[1:]}, or let every wrong single sample "
            "count as consistently wrong with --count-single-samples"
        )
    if count < k:
        fewest = min(
            table.models,
            key=lambda name: usual_count(table.samples.classes[:, [table.models.index(name)]]),
        )
        raise UsageError(
            f"k is {k}, and {fewest} has {count} sample{'s' * (count != 1)} a question at most: "
            "take a smaller -k, leave it out with --models, or draw more with `slmmux collect`"
        )
    return count // k


def _correct(right: Flags, classes: Classes, rule: Correctness) -> Flags:
    """[questions × models × groups]."""
    if rule.votes:
        return np.asarray(lookup(right, classes).sum(axis=3) >= rule.votes)
    questions, models, groups, k = classes.shape
    modes = np.empty((questions, models, groups), np.int32)
    for model in range(models):
        rows = np.maximum(classes[:, model], NO_VOTE).reshape(questions * groups, k)
        modes[:, model] = modes_of(rows)[0].reshape(questions, groups)
    return lookup(right, modes)


def _consistently_wrong(right: Flags, classes: Classes) -> Flags:
    """[questions × models × groups]; a sample without a vote is in no class (rule 1)."""
    first = classes[..., 0]
    same = (classes == first[..., None]).all(axis=3)
    return np.asarray(same & (first > NO_VOTE) & ~lookup(right, first))


def _packed(flags: Flags) -> Words:
    """[questions × models × groups] → [models × words]."""
    questions, models, groups = flags.shape
    return pack(flags.transpose(1, 2, 0).reshape(models, groups * questions))
