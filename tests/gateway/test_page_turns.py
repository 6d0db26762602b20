"""On the page: options to choose from, and a conversation that goes on."""

from typing import Any

import pytest

from slmmux.testing import FaultEndpoint

pytestmark = pytest.mark.browser


def ask(page: Any, question: str) -> None:
    page.locator(".health li").first.wait_for()
    page.locator("#question").fill(question)
    page.get_by_role("button", name="Ask", exact=True).click()


def options(page: Any, *texts: str) -> None:
    field = page.get_by_label("One option a line")
    if not field.is_visible():
        page.get_by_text("Options to choose from").click()
    field.fill("\n".join(texts))


def test_options_go_to_the_models_and_the_answer_is_shown_with_its_own(
    serve_page: Any, open_page: Any
) -> None:
    endpoint = FaultEndpoint(text="The answer is (B).")
    with open_page(serve_page(endpoint, k=1)) as page:
        options(page, "Lyon", " Paris ", "", "Marseille")
        page.get_by_text("How the pool answers").click()
        kind = page.get_by_label("Answers are")
        assert (kind.is_disabled(), kind.input_value()) == (True, "choice")
        ask(page, "What is the capital of France?")
        page.locator(".ballot.decided").wait_for()
        assert page.locator(".winner").inner_text() == "B) Paris"
        assert page.locator(".class .answer").inner_text() == "B) Paris"
        assert page.locator(".choices li").all_inner_texts() == ["Lyon", "Paris", "Marseille"]
        said = endpoint.requests[0]["messages"][-1]["content"]
        assert "A) Lyon\nB) Paris\nC) Marseille" in said
        # An option's letter is its answer's sign, too.
        assert page.locator(".class .slot").inner_text() == "B"
        assert page.locator(".lane .count").inner_text() == "1 of 1 for B"
        assert page.locator(".recent").get_by_text("B) Paris").count() == 1
        page.get_by_role("link", name="Charts").click()
        page.get_by_role("link", name="Ask").click()
        page.get_by_label("One option a line").wait_for()
        options(page)
        page.locator("summary").nth(1).click()
        assert page.get_by_label("Answers are").is_enabled()


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["Paris"], "Give two options or more, one a line."),
        (["Paris", "Paris"], "Two options are the same."),
        ([str(n) for n in range(11)], "11 options are too many: ten at most."),
    ],
    ids=["one", "same", "eleven"],
)
def test_options_that_cannot_be_chosen_from_are_refused_at_once(
    serve_page: Any, open_page: Any, texts: list[str], said: str
) -> None:
    with open_page(serve_page(FaultEndpoint())) as page:
        options(page, *texts)
        ask(page, "Which?")
        page.get_by_text(said).wait_for()
        assert page.locator(".ballot").count() == 0


def test_a_follow_up_goes_with_all_that_was_asked_and_answered_before_it(
    serve_page: Any, open_page: Any
) -> None:
    endpoint = FaultEndpoint(text="Six sevens. The answer is (A).")
    with open_page(serve_page(endpoint, k=1), width=360) as page:
        options(page, "42", "41")
        ask(page, "What is 6 × 7?")
        page.get_by_role("button", name="Follow up").focus()
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "question"
        assert page.get_by_label("Follow up").input_value() == ""
        page.keyboard.type("And twice that?")
        page.keyboard.press("Enter")
        page.get_by_text("Asked after 1 earlier question and answer").wait_for()
        page.locator(".ballot.decided").wait_for()
        first, answer, second = endpoint.requests[1]["messages"]
        assert (first["role"], first["content"]) == ("user", "What is 6 × 7?\n\nA) 42\nB) 41")
        assert (answer["role"], answer["content"]) == (
            "assistant",
            "Six sevens. The answer is (A).",
        )
        assert second["content"].startswith("And twice that?")
        assert "A) 42" not in second["content"]
        # It goes on by itself, until it is ended.
        page.get_by_text("Goes with the conversation so far: 2 questions and 2 answers").click()
        assert "Six sevens." in page.locator(".turns").inner_text()
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        ask(page, "And thrice?")
        page.get_by_text("Asked after 2 earlier questions and answers").wait_for()
        page.locator(".ballot.decided").wait_for()
        assert len(endpoint.requests[2]["messages"]) == 5
        assert page.locator(".recent button").all_inner_texts() == ["What is 6 × 7?"]
        page.get_by_role("button", name="Begin anew").click()
        ask(page, "What is 1 + 1?")
        page.get_by_label("Ask the pool").wait_for()
        page.locator(".recent").get_by_text("What is 1 + 1?").wait_for()
        assert len(endpoint.requests[3]["messages"]) == 1


def test_a_follow_up_that_fails_leaves_the_conversation_and_the_question(
    serve_page: Any, open_page: Any
) -> None:
    endpoint = FaultEndpoint(text="The answer is 42.")
    server = serve_page(endpoint, k=1)
    with open_page(server) as page:
        ask(page, "What is 6 × 7?")
        page.get_by_role("button", name="Follow up").click()
        server.stop()
        ask(page, "And twice that?")
        page.get_by_role("alert").wait_for()
        assert page.get_by_label("Follow up").input_value() == "And twice that?"
        page.get_by_text("Goes with the conversation so far: 1 question and 1 answer").wait_for()
