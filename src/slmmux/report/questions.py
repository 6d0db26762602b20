"""The question browser's data: every question with votes, answers and texts, packed small.

The list of questions is one block, details come in blocks of some dozen questions that the page
unpacks when one of them is opened. A page stays small by three limits, and says which it met:
`MOST_QUESTIONS`, `LONGEST_TEXT` characters a text, and a budget for all sample texts together.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from slmmux.report.formulas import Formulas
from slmmux.report.measured import Measured
from slmmux.report.packing import packed
from slmmux.table import NO_VOTE, Table

MOST_QUESTIONS = 20_000
LONGEST_TEXT = 6_000  # characters
TEXT_MEGABYTES = 5.0
_BLOCK = 40  # questions
_FORMULAS = 20_000
_RIGHT, _ORACLE, _DISAGREE, _ABSTAINED, _HIDDEN = 1, 2, 4, 8, 16

Texts = Mapping[tuple[int, int, int], str]


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the bank holds beside the votes.

    Attributes:
        replies: (question, model, sample index), positions in the table → the reply, or why it
            failed.
        hidden: tasks whose questions must not be shown.
    """

    replies: Texts
    hidden: frozenset[str]


@dataclass(slots=True)
class Browser:
    """The packed blocks.

    Attributes:
        index: what the list and its filters need.
        blocks: details, `size` questions each.
        size: questions in a block.
        notes: what was left out, in words.
    """

    index: str
    blocks: list[str]
    size: int
    notes: list[str] = field(default_factory=list)


def browser(measured: Measured, recorded: Recorded, megabytes: float = TEXT_MEGABYTES) -> Browser:
    """Everything that the question browser shows.

    Args:
        measured: the table with its decisions.
        recorded: texts.
        megabytes: for sample texts, as they stand in the page.
    """
    table = measured.table
    formulas = Formulas(_FORMULAS)
    shown = min(len(table.questions), MOST_QUESTIONS)
    maker = _Maker(measured, recorded, formulas)
    found = Browser("", [], _BLOCK, [])
    left, cut_from = megabytes * 1e6, None
    for start in range(0, shown, _BLOCK):
        rows = range(start, min(start + _BLOCK, shown))
        block = packed([maker.details(row, texts=cut_from is None) for row in rows])
        left -= len(block)
        if left < 0 and cut_from is None and maker.said:
            cut_from = start
            block = packed([maker.details(row, texts=False) for row in rows])
        found.blocks.append(block)
    listed = [maker.listed(row) for row in range(shown)]
    found.index = packed(
        {
            "tasks": maker.tasks,
            "models": table.models,
            "k": measured.run.k,
            "rows": listed,
            "formulas": formulas.trees,
        }
    )
    found.notes += _notes(table, maker, shown, cut_from, formulas)
    return found


def _notes(
    table: Table, maker: "_Maker", shown: int, cut_from: int | None, formulas: Formulas
) -> Iterator[str]:
    questions = len(table.questions)
    if shown < questions:
        yield f"The first {shown:,} of {questions:,} questions are listed."
    if cut_from is not None:
        yield (
            f"To keep this file small, sample texts are there for the first {cut_from:,} of "
            f"{shown:,} questions; --text-megabytes raises the limit. Votes and answers are there "
            "for all."
        )
    if maker.cut:
        yield (
            f"{maker.cut:,} texts of more than {LONGEST_TEXT:,} characters are cut in their middle."
        )
    if formulas.left:
        yield "Formulas are rendered up to a limit; the remaining ones are shown as LaTeX."
    if not maker.said:
        yield "The bank holds answers only: there are no texts of samples to show."
    if maker.hidden:
        yield (
            f"{maker.hidden:,} question{'s are' if maker.hidden != 1 else ' is'} hidden, with "
            "answers and samples: their authors ask that they are not published."
        )


class _Maker:
    """Turns rows of the table into rows of the browser."""

    def __init__(self, measured: Measured, recorded: Recorded, formulas: Formulas) -> None:
        self._measured = measured
        self._table = measured.table
        self._recorded = recorded
        self._formulas = formulas
        needed = measured.draws.sum(axis=1).astype(int).tolist()
        self._needed = dict(zip(measured.replayed.tolist(), needed, strict=True))
        self.tasks = list(dict.fromkeys(q.task for q in measured.table.questions))
        self.said = bool(recorded.replies)
        self.cut = 0
        self.hidden = 0

    def listed(self, row: int) -> list[object]:
        """[name, task, flags, text, choices, reference, selected class, deciding model]."""
        question, measured = self._table.questions[row], self._measured
        secret = question.task in self._recorded.hidden
        self.hidden += secret
        shown = () if secret else question.choices
        return [
            question.name,
            self.tasks.index(question.task),
            self._flags(row) + _HIDDEN * secret,
            None if secret or question.text is None else self._text(question.text),
            [self._text(choice) for choice in shown],
            None if secret else self._answer(question.reference or "", row),
            int(measured.mux.picks[row, 0]),
            int(measured.deciders[row]),
        ]

    def details(self, row: int, *, texts: bool) -> list[object]:
        """[answers, right ones, modes, their votes, votes, pooled vote's, draws, texts]."""
        measured, table = self._measured, self._table
        secret = table.questions[row].task in self._recorded.hidden
        wrote = table.wrote[row]
        answers = [
            f"answer {number + 1}" if secret else self._answer(text, row)
            for number, text in enumerate(wrote)
        ]
        run = measured.run
        return [
            answers,
            [number for number in range(len(wrote)) if table.right[row, number]],
            run.modes[row].tolist(),
            run.leads[row].tolist(),
            run.classes[row].tolist(),
            int(measured.pooled.picks[row, 0]),
            self._needed.get(row),
            self._replies(row) if texts and not secret else None,
        ]

    def _replies(self, row: int) -> list[list[object]] | None:
        """[models × samples] texts, None where there is none."""
        replies = self._recorded.replies
        found: list[list[object]] = [
            [self._reply(replies.get((row, model, index))) for index in indices]
            for model, indices in enumerate(self._measured.indices[row].tolist())
        ]
        return found if any(text is not None for texts in found for text in texts) else None

    def _reply(self, text: str | None) -> object:
        return None if text is None else self._text(text)

    def _text(self, text: str) -> Sequence[str | int] | str:
        if len(text) > LONGEST_TEXT:
            self.cut += 1
            half = LONGEST_TEXT // 2
            left = len(text) - 2 * half
            text = f"{text[:half]}\n[… {left:,} characters left out …]\n{text[-half:]}"
        return self._formulas.pieces(text)

    def _answer(self, text: str, row: int) -> Sequence[str | int] | str:
        bare = self._table.kinds[row] in ("math", "auto")
        short = text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]} …"
        return self._formulas.pieces(short, bare=bare)

    def _flags(self, row: int) -> int:
        measured = self._measured
        modes = {mode for mode in measured.run.modes[row].tolist() if mode != NO_VOTE}
        return (
            _RIGHT * bool(measured.mux_right[row])
            + _ORACLE * bool(measured.mode_right[row].any())
            + _DISAGREE * (len(modes) > 1)
            + _ABSTAINED * bool(measured.mux.picks[row, 0] == NO_VOTE)
        )
