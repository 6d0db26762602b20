import pytest

from slmmux.answers import resolve_kind
from slmmux.types import Question


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("How many apples does she have?", "math"),
        ("What is 3 + 4?", "math"),
        ("What is 12 times 7?", "math"),
        ("Calculate -( 6 * 5 ) * -7.", "math"),
        ("State the final answer to the following arithmetic problem: 95 - 90 - 33 =", "math"),
        ("-9, -5, -3, -2, -1, -1, -1, ?", "math"),
        ("Find the Greatest Common Divisor (GCD) of these numbers: 26, 65", "math"),
        (r"Simplify $\frac{x^2-1}{x-1}$.", "math"),
        ("Solve for x: 2x = 4", "math"),
        ("Kyle paid $19.50, with 25% off. What was the original price of the book?", "math"),
        ("Determine the value of b that satisfies: 66*b + 75 = 3771", "math"),
        ("Determine the value of o that satisfies: -1566*o = -20358", "math"),
        ("She got 90% of the true/false questions and 60% of 5 others. What is her score?", "math"),
        ("If she has $50, is it clear how much money she will have?", "math"),
        ("What happened between 1914 and 1918?", "text"),
        ("Is 17 a prime number?", "yes_no"),
        ("Bob has 3 apples and eats 2. Does he have any left?", "yes_no"),
        ("Answer yes or no: the earth is flat", "yes_no"),
        ("Is it A or B?", "text"),
        ("Can you calculate 3 + 4?", "math"),
        ("Could you tell me who wrote Faust?", "text"),
        ("Yesterday was April 30, 2021. What is the date tomorrow in MM/DD/YYYY?", "date"),
        ("Which date comes after 2020-02-28?", "date"),
        ('Reply as JSON: {"name": ..., "age": ...}', "json"),
        ("What is the capital of France?", "text"),
        ("Who was born on 03/04/2020?", "text"),
        ("Which is larger, 9.11 or 9.9?", "math"),
        ("Find the derivative of x^2.", "math"),
        ("Which wars were fought in 1914 and 1939?", "text"),
        ("Explain: what is a JSON file?", "text"),
        ("Give your answer in JSON format.", "json"),
        ("Name the season of 2019-2020.", "text"),
    ],
)
def test_auto_depends_on_the_question_alone(text: str, expected: str) -> None:
    assert expected == resolve_kind(Question(text=text, id="q"))


def test_choices_make_a_choice_question() -> None:
    assert resolve_kind(Question(text="What is 1+1?", id="q", choices=("1", "2"))) == "choice"


def test_a_stated_kind_stays() -> None:
    assert resolve_kind(Question(text="What is 1+1?", id="q", kind="text")) == "text"
