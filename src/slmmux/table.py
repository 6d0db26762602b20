"""Bank → compact arrays: which class every sample fell in, and which classes are right.

All offline analysis reads these arrays. Classes are numbered within a question, by first
appearance in (pool order, sample index). A class is right when its earliest member is (rule 2),
the earliest of everything that is loaded for the question.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from slmmux.bank.reading import changes
from slmmux.errors import QuestionError
from slmmux.grading import grader_of
from slmmux.types import Answer, Kind

if TYPE_CHECKING:
    from slmmux.bank import Bank
    from slmmux.bank.rows import BankModel, BankQuestion, Vote

Classes: TypeAlias = npt.NDArray[np.int32]
Flags: TypeAlias = npt.NDArray[np.bool_]
Amounts: TypeAlias = npt.NDArray[np.float64]
Positions: TypeAlias = npt.NDArray[np.intp]

NO_VOTE = -1
MISSING = -2
_NO_CLASS = 2  # columns at the end of `right` that NO_VOTE and MISSING index: never right


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """Samples of some models on all questions; all arrays are [questions × models × samples].

    Attributes:
        classes: class of each sample; NO_VOTE failed or has no readable answer, MISSING was never
            drawn (banks are ragged).
        errored: the sample failed.
        tokens: prompt and completion tokens; NaN where nobody counted.
        cost: money; NaN where unknown.
    """

    classes: Classes
    errored: Flags
    tokens: Amounts
    cost: Amounts

    def of(self, models: Sequence[int]) -> "Recorded":
        """The samples of the models at these positions."""
        places = list(models)
        return Recorded(
            classes=self.classes[:, places],
            errored=self.errored[:, places],
            tokens=self.tokens[:, places],
            cost=self.cost[:, places],
        )

    def at(self, questions: Sequence[int]) -> "Recorded":
        """The samples on the questions at these positions."""
        places = np.array(questions, np.intp)
        return Recorded(
            classes=self.classes[places],
            errored=self.errored[places],
            tokens=self.tokens[places],
            cost=self.cost[places],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Everything recorded for some questions and models.

    Attributes:
        questions: by task, then name: the order of rows in the bank does not matter.
        kinds: how each question's answers are read.
        guessed: task → kind, for tasks whose kind was guessed from their references.
        models: names in pool order.
        run_seed: of the samples.
        samples: of these models.
        greedy: of the same models at temperature 0, MISSING where a model has none.
        right: [questions × classes + 2]; the last two columns stand for MISSING and NO_VOTE, so
            that any class number may be looked up.
        wrote: by question, each class as its earliest member wrote it (rule 2); empty where a
            table was not read from a bank.
    """

    questions: "tuple[BankQuestion, ...]"
    kinds: tuple[Kind, ...]
    guessed: Mapping[str, Kind]
    models: tuple[str, ...]
    run_seed: int
    samples: Recorded
    greedy: Recorded
    right: Flags
    wrote: tuple[tuple[str, ...], ...] = ()

    def at(self, questions: Sequence[int]) -> "Table":
        """The same models on the questions at these positions, in this order."""
        kept = tuple(self.questions[place] for place in questions)
        tasks = {question.task for question in kept}
        return replace(
            self,
            questions=kept,
            kinds=tuple(self.kinds[place] for place in questions),
            guessed={task: kind for task, kind in self.guessed.items() if task in tasks},
            samples=self.samples.at(questions),
            greedy=self.greedy.at(questions),
            right=self.right[np.array(questions, np.intp)],
            wrote=tuple(self.wrote[place] for place in questions) if self.wrote else (),
        )

    def of(self, models: Sequence[int]) -> "Table":
        """The same questions with the models at these positions, in this pool order.

        Classes keep their numbers, and whether they are right: a class is graded once, however
        many of the models take part.
        """
        return replace(
            self,
            models=tuple(self.models[place] for place in models),
            samples=self.samples.of(models),
            greedy=self.greedy.of(models),
        )


@dataclass(frozen=True, slots=True)
class PoolModel:
    """A model of the bank that takes part.

    Attributes:
        name: what it is called in results.
        model: its samples.
        greedy: the same model at temperature 0; None where the bank has no such samples.
    """

    name: str
    model: "BankModel"
    greedy: "BankModel | None" = None


@dataclass(frozen=True, slots=True)
class _Rows:
    """Samples in columns, sorted by question, model and index; positions, not the bank's ids."""

    question: Positions
    model: Positions
    index: Positions
    keys: list[str | None]
    answers: list[str | None]
    errored: Flags
    tokens: Amounts
    cost: Amounts


@dataclass(slots=True)
class _Numbering:
    """Class keys numbered across questions, so that arrays can compare them."""

    codes: dict[str, int] = field(default_factory=dict)

    def of(self, keys: Sequence[str | None]) -> Positions:
        codes = self.codes
        return np.array(
            [-1 if key is None else codes.setdefault(key, len(codes)) for key in keys], np.intp
        )


def load_table(
    bank: "Bank",
    tasks: Sequence[str],
    *,
    run_seed: int,
    models: Sequence[PoolModel],
    kind: Kind | None = None,
) -> Table:
    """The bank's samples of these models on these tasks.

    Args:
        bank: open.
        tasks: names in the bank.
        run_seed: of the samples.
        models: in pool order, 1 or more.
        kind: how answers are read, for all questions; None is each question's own kind.

    Raises:
        QuestionError: a question without a reference answer.
    """
    questions = tuple(sorted(bank.questions(tasks), key=_identity))
    _check_references(questions)
    reading = bank.kinds(tasks)
    kinds = tuple(kind or reading[q.id] for q in questions)
    guessed = {
        q.task: how
        for q, how in zip(questions, kinds, strict=True)
        if kind is None and q.kind is None and not q.choices
    }
    streams = _streams(models)
    votes = bank.votes(tasks, run_seed, [m.id for m in streams])
    if kind is not None:
        votes = _read_again(bank, tasks, run_seed, votes, kind)
    rows = _rows(votes, questions, streams)
    classes, right, wrote = _classes(rows, questions, kinds)
    recorded = _spread(rows, classes, len(questions), len(streams))
    places = {model.id: place for place, model in enumerate(streams)}
    return Table(
        questions=questions,
        kinds=kinds,
        guessed=guessed,
        models=tuple(m.name for m in models),
        run_seed=run_seed,
        samples=recorded.of([places[m.model.id] for m in models]),
        greedy=_greedy(recorded, [places[m.greedy.id] if m.greedy else None for m in models]),
        right=right,
        wrote=wrote,
    )


def guess_notes(table: Table) -> list[str]:
    """What to say where nobody said how answers are read."""
    return [
        f"read as kind {kind}, guessed from the references (--kind says otherwise): "
        + ", ".join(task for task, guess in table.guessed.items() if guess == kind)
        for kind in dict.fromkeys(table.guessed.values())
    ]


def lookup(right: Flags, classes: Classes) -> Flags:
    """Whether each class is right; [questions × …] like `classes`."""
    rows = np.arange(len(classes)).reshape(-1, *[1] * (classes.ndim - 1))
    return right[rows, classes]


def _identity(question: "BankQuestion") -> tuple[str, ...]:
    return (
        question.task,
        question.name,
        question.text or "",
        question.reference or "",
        *question.choices,
    )


def _check_references(questions: "Sequence[BankQuestion]") -> None:
    without = [q for q in questions if q.reference is None]
    if without:
        raise QuestionError(
            f"{len(without):,} of {len(questions):,} questions have no reference answer, so they "
            f"cannot be graded ({without[0].task} {without[0].name} is one): import them again "
            "with `gold`"
        )


def _streams(models: Sequence[PoolModel]) -> "list[BankModel]":
    """The models to load, each once: the pool's in its order, then what is greedy only."""
    everyone = [m.model for m in models] + [m.greedy for m in models if m.greedy is not None]
    return list({model.id: model for model in everyone}.values())


def _read_again(
    bank: "Bank", tasks: Sequence[str], run_seed: int, votes: "Sequence[Vote]", kind: Kind
) -> "list[Vote]":
    """The votes with answers and keys as this kind reads them; the bank stays as it is."""
    with bank.connection() as connection:
        changed = {
            (question, model, index): (key, answer)
            for answer, key, question, model, seed, index in changes(connection, tasks, kind=kind)
            if seed == run_seed
        }
    return [(*v[:3], *changed.get(v[:3], v[3:5]), *v[5:]) for v in votes]


def _rows(
    votes: "Sequence[Vote]",
    questions: "Sequence[BankQuestion]",
    models: "Sequence[BankModel]",
) -> _Rows:
    columns = list(zip(*votes, strict=True)) if votes else [()] * 9
    question = _places([q.id for q in questions], columns[0])
    model = _places([m.id for m in models], columns[1])
    index = np.array(columns[2], np.intp)
    order = np.lexsort((index, model, question))
    errored = np.array(columns[5], np.bool_)
    # A request that failed without saying so used nothing that anybody counted.
    prompt, completion, cost = (
        np.where(errored & np.isnan(amount), 0.0, amount)
        for amount in (np.array(columns[place], np.float64) for place in (6, 7, 8))
    )
    return _Rows(
        question=question[order],
        model=model[order],
        index=index[order],
        keys=[columns[3][row] for row in order.tolist()],
        answers=[columns[4][row] for row in order.tolist()],
        errored=errored[order],
        tokens=(prompt + completion)[order],
        cost=cost[order],
    )


def _places(ids: Sequence[int], column: Sequence[int]) -> Positions:
    """The bank's ids → positions in `ids`."""
    place_of = np.full(max(ids, default=0) + 1, -1, np.intp)
    place_of[list(ids)] = np.arange(len(ids))
    return place_of[np.array(column, np.intp)]


def _classes(
    rows: _Rows, questions: "Sequence[BankQuestion]", kinds: Sequence[Kind]
) -> tuple[Classes, Flags, tuple[tuple[str, ...], ...]]:
    """Each row's class, `Table.right` and `Table.wrote`."""
    numbering = _Numbering()
    codes = numbering.of(rows.keys)
    voted = np.flatnonzero(codes >= 0)
    pairs = rows.question[voted] * max(len(numbering.codes), 1) + codes[voted]
    _, first, which = np.unique(pairs, return_index=True, return_inverse=True)
    # Rows are sorted, so first members in their order are classes by question and appearance.
    appearance = np.argsort(first)
    owner = rows.question[voted[first[appearance]]]
    number = np.empty(len(first), np.int32)
    number[appearance] = np.arange(len(first)) - np.searchsorted(owner, owner)
    classes = np.full(len(codes), NO_VOTE, np.int32)
    classes[voted] = number[which]
    right = np.zeros((len(questions), int(number.max(initial=-1)) + 1 + _NO_CLASS), np.bool_)
    wrote: list[list[str]] = [
        [""] * int(count) for count in np.bincount(owner, minlength=len(right))
    ]
    graders = {task: grader_of(task) for task in dict.fromkeys(q.task for q in questions)}
    for row, place, class_ in zip(
        voted[first].tolist(), rows.question[voted[first]].tolist(), number.tolist(), strict=True
    ):
        answer, key = rows.answers[row], rows.keys[row]
        if answer is not None and key is not None:
            question = questions[place]
            wrote[place][class_] = answer
            right[place, class_] = graders[question.task](
                question, kinds[place], Answer(answer, key)
            )
    return classes, right, tuple(map(tuple, wrote))


def _spread(rows: _Rows, classes: Classes, questions: int, models: int) -> Recorded:
    """Rows → [questions × models × samples]."""
    shape = (questions, models, int(rows.index.max(initial=-1)) + 1)
    cells = (rows.question, rows.model, rows.index)
    recorded = Recorded(
        classes=np.full(shape, MISSING, np.int32),
        errored=np.zeros(shape, np.bool_),
        tokens=np.zeros(shape),
        cost=np.zeros(shape),
    )
    recorded.classes[cells] = classes
    recorded.errored[cells] = rows.errored
    recorded.tokens[cells] = rows.tokens
    recorded.cost[cells] = rows.cost
    return recorded


def _greedy(recorded: Recorded, places: Sequence[int | None]) -> Recorded:
    greedy = recorded.of([place or 0 for place in places])
    greedy.classes[:, [place is None for place in places]] = MISSING
    return greedy
