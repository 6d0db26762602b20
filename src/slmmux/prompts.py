"""Question × model → prompt.

A chat model gets its system message, each example as a question and an answer turn, then the
question. A base model (`api = "completions"`) gets one text::

    SYSTEM

    Question: EXAMPLE
    Answer: ITS ANSWER

    Question: THE QUESTION
    Answer:

and stops where it would begin a next question (at the line's end when all examples answer in one
line). Options stand below a question as `A) …`. Without examples the question ends with an
instruction that says how to write the answer, one for each kind; `PromptStyle.instruction`
replaces it, and "" leaves it out.
"""

import hashlib
import json
from collections.abc import Sequence

from slmmux.engines.base import Prompt
from slmmux.errors import QuestionError
from slmmux.types import Conversation, Kind, Message, Model, PromptStyle, Question

LETTERS = "ABCDEFGHIJ"

INSTRUCTIONS: dict[Kind, str] = {
    "math": r"Reason step by step, and put your final answer within \boxed{}.",
    "number": "Reason step by step, then end with 'The answer is N.' where N is a number.",
    "choice": "Reason step by step, then end with 'The answer is (X).' where X is the letter.",
    "date": "Reason step by step, then end with 'The answer is MM/DD/YYYY.'",
    "yes_no": "Reason step by step, then end with 'The answer is yes.' or 'The answer is no.'",
    "json": 'Reply with one JSON object: {"reasoning": "…", "answer": "…"}',
    "text": "Reason step by step, then end with 'The answer is …' in a few words.",
}


def render(question: Question, model: Model) -> Prompt:
    """The prompt that puts this question, its kind resolved, to this model."""
    style = model.prompt
    body = "\n\n".join([question.text.strip(), *below(question, style)])
    if model.api == "completions":
        return Prompt(text=_completion(body, style), stop=style.stop or stops(style))
    turns = [Message("system", style.system)] if style.system else []
    turns += example_turns(style)
    return Prompt(messages=(*turns, Message("user", body)), stop=style.stop)


def question_of(text: str, kind: Kind = "auto", choices: Sequence[str] = ()) -> Question:
    """A question named after its content: equal questions get equal ids, on any machine."""
    content = json.dumps([text, kind, *choices], ensure_ascii=True)
    identity = hashlib.blake2b(content.encode(), digest_size=8).hexdigest()
    return Question(text=text, id=identity, kind=kind, choices=tuple(choices))


def validate(question: Question) -> None:
    """Refuse what no model could answer.

    Raises:
        QuestionError: an empty question, a choice question without usable options.
    """
    said = question.messages if isinstance(question, Conversation) else ()
    if not question.text.strip() and not any(m.raw or m.content.strip() for m in said):
        raise QuestionError("the question is empty; ask something")
    options = question.choices
    if any(map(_is_broken, (question.text, *options))):
        raise QuestionError("the question has broken characters; write it in UTF-8")
    if len(options) > len(LETTERS):
        raise QuestionError(f"{len(options)} choices; there are letters for {len(LETTERS)}")
    if len(options) == 1 or (options and question.kind not in ("choice", "auto")):
        raise QuestionError("choices go with kind choice, two or more of them")
    if any(not option.strip() for option in options):
        raise QuestionError("a choice is empty; every choice needs a text")
    if len({option.strip() for option in options}) < len(options):
        raise QuestionError("two choices are the same; every choice needs its own text")


def _is_broken(text: str) -> bool:
    """Whether there is half a surrogate pair in it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def below(question: Question, style: PromptStyle) -> list[str]:
    """What stands below a question, its kind resolved: its options, and how to write the answer."""
    lines = []
    if question.choices:
        options = zip(LETTERS, question.choices, strict=False)
        lines.append("\n".join(f"{letter}) {option}" for letter, option in options))
    instruction = style.instruction
    if instruction is None:
        instruction = "" if style.examples else INSTRUCTIONS.get(question.kind, "")
    if instruction:
        lines.append(instruction)
    return lines


def _completion(body: str, style: PromptStyle) -> str:
    parts = [style.system] if style.system else []
    parts += solved(style)
    parts.append(f"Question: {body}\nAnswer:")
    return "\n\n".join(parts)


def example_turns(style: PromptStyle) -> list[Message]:
    """Each example as a question and an answer."""
    return [
        turn
        for example in style.examples
        for turn in (Message("user", example.question), Message("assistant", example.answer))
    ]


def solved(style: PromptStyle) -> list[str]:
    """Each example as a paragraph of a text."""
    return [f"Question: {e.question}\nAnswer: {e.answer}" for e in style.examples]


def stops(style: PromptStyle) -> tuple[str, ...]:
    """What ends a base model's reply: the line's end, or the beginning of a next question."""
    one_line = style.examples and all("\n" not in e.answer for e in style.examples)
    return ("\n",) if one_line else ("\nQuestion:",)
