import json
from dataclasses import replace

import pytest

from slmmux.conversations import as_asked, put
from slmmux.engines.base import Prompt
from slmmux.errors import QuestionError
from slmmux.prompts import question_of, render, validate
from slmmux.types import Conversation, Example, Message, Model, Options, PromptStyle

STYLE = PromptStyle(system="Be brief.", examples=(Example("1 + 1?", "2"),))
CHAT = Model(name="m", model="m")
SHOWN = replace(CHAT, prompt=STYLE)
BASE = replace(SHOWN, api="completions")
FIRST = (Message("user", "What is 6 × 7?"),)
LONGER = (
    Message("system", "Talk like a pirate."),
    Message("user", "Who are you?"),
    Message("assistant", "Arr, Jack."),
    Message("user", "What is 6 × 7?"),
)
BOX = r"Reason step by step, and put your final answer within \boxed{}."


def conversation(messages: tuple[Message, ...], **options: object) -> Conversation:
    return Conversation(
        text="What is 6 × 7?",
        id="q",
        kind="math",
        messages=messages,
        options=Options(**options),  # type: ignore[arg-type]
    )


def test_a_question_that_is_no_conversation_is_put_as_ever() -> None:
    question = question_of("What is 6 × 7?", "math")
    assert put(question, SHOWN) == render(question, SHOWN)


def test_a_conversation_goes_to_a_chat_model_turn_by_turn_with_the_instruction_below_it() -> None:
    turns = put(conversation(LONGER), CHAT).messages
    assert turns[:3] == LONGER[:3]
    assert turns[3] == Message("user", f"What is 6 × 7?\n\n{BOX}")


def test_the_users_system_message_replaces_the_models_own_which_else_comes_first() -> None:
    assert put(conversation(FIRST), SHOWN).messages[0] == Message("system", "Be brief.")
    roles = [m.role for m in put(conversation(LONGER), SHOWN).messages]
    assert roles == ["system", "user", "assistant", "user"]
    assert put(conversation(LONGER), SHOWN).messages[0] == LONGER[0]


def test_examples_come_before_a_first_question_only() -> None:
    first = put(conversation((LONGER[0], *FIRST)), SHOWN).messages
    assert [m.content for m in first] == [LONGER[0].content, "1 + 1?", "2", "What is 6 × 7?"]
    assert Message("assistant", "2") not in put(conversation(LONGER), SHOWN).messages
    assert put(conversation(LONGER), SHOWN).messages[-1].content.endswith(BOX)


def test_no_instruction_leaves_every_turn_as_it_is() -> None:
    assert put(conversation(LONGER, instruction=""), CHAT).messages == LONGER


def test_an_instruction_goes_into_content_parts_as_a_part() -> None:
    parts = [{"type": "image_url", "image_url": {"url": "data:,"}}, {"type": "text", "text": "6?"}]
    raw = json.dumps({"role": "user", "content": parts})
    put_to = put(conversation((Message("user", "6?", raw),), instruction="Short."), CHAT)
    sent = json.loads(put_to.messages[0].raw or "")
    assert sent["content"] == [*parts, {"type": "text", "text": "Short."}]


def test_a_message_with_a_name_keeps_it_beside_the_instruction() -> None:
    raw = json.dumps({"role": "user", "content": "6?", "name": "Ann"})
    put_to = put(conversation((Message("user", "6?", raw),), instruction="Short."), CHAT)
    sent = json.loads(put_to.messages[0].raw or "")
    assert sent == {"role": "user", "content": "6?\n\nShort.", "name": "Ann"}


def test_a_base_model_gets_a_first_question_as_it_gets_any_question() -> None:
    question = question_of("What is 6 × 7?", "math")
    assert put(conversation(FIRST), BASE) == render(question, BASE)


def test_a_base_model_gets_a_conversation_as_questions_and_answers() -> None:
    assert put(conversation(LONGER, stop=("END",), fields='{"user":"ann"}'), BASE) == Prompt(
        text="Talk like a pirate.\n\nQuestion: 1 + 1?\nAnswer: 2\n\n"
        "Question: Who are you?\nAnswer: Arr, Jack.\n\nQuestion: What is 6 × 7?\nAnswer:",
        stop=("\n", "END"),
        fields='{"user":"ann"}',
    )


def test_a_question_may_ask_for_other_settings_than_the_models_own() -> None:
    asked = as_asked(CHAT, conversation(FIRST, temperature=0.0, top_p=0.5, max_tokens=7))
    assert asked == replace(CHAT, temperature=0.0, top_p=0.5, max_tokens=7)
    assert as_asked(CHAT, conversation(FIRST)) == CHAT


def test_a_conversation_in_which_nobody_says_anything_is_refused() -> None:
    with pytest.raises(QuestionError, match="empty"):
        validate(replace(conversation((Message("user", " "),)), text=" "))
