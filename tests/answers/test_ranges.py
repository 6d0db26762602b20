"""Answers that are more than one number are in no class of one number."""

import pytest

from slmmux.answers import canonical_key, read
from slmmux.types import Kind

BOUNDS = [
    ("3 or more", "at least 3", "no less than 3", "3 apples or more", "a minimum of 3", "3+"),
    ("more than 3", "over 3", "greater than 3"),
    ("3 or less", "at most 3", "no more than 3", "up to 3", "3 or fewer"),
    ("less than 3", "fewer than 3"),
    ("3 to 5", "between 3 and 5", "from 3 to 5", "3-5"),
    ("Alice 3, Bob 5", "Alice: 3 and Bob: 5", "Bob 5, Alice 3"),
    ("Alice 5, Bob 3",),
    ("3 apples and 4 oranges", "4 oranges, 3 apples"),
    ("20-25%", "20% to 25%"),
    ("11 base 2", "11 in base 2", "11 (base 2)"),
    ("11", "11.0"),
    ("3", "three"),
]


@pytest.mark.parametrize("kind", ["math", "number"])
@pytest.mark.parametrize("opening", ["", "Answer: ", "The answer is "])
def test_bounds_ranges_and_lists_are_classes_of_their_own(kind: Kind, opening: str) -> None:
    keys: list[str] = []
    for group in BOUNDS:
        answers = {text: read(f"{opening}{text}", kind) for text in group}
        found = {answer.key for answer in answers.values() if answer}
        assert len(found) == 1, answers
        assert all(answers.values()), answers
        keys += found
    assert len(set(keys)) == len(keys)


def test_a_bound_is_the_interval_that_it_means() -> None:
    assert canonical_key("at least 3", "math") == canonical_key("x \\ge 3", "math")
    assert canonical_key("less than 3", "math") == canonical_key("(-\\infty, 3)", "math")


@pytest.mark.parametrize(
    ("answer", "same"),
    [
        ("2 hours 30 minutes", "2.5 hours"),
        ("2h 30m", "2.5 h"),
        ("1 minute and 30 seconds", "1.5 min"),
        ("5 ft 3 in", "5.25 feet"),
        ("1 m 75 cm", "1.75 m"),
        ("12 dollars and 50 cents", "$12.50"),
        ("12 USD", "12 dollars"),
    ],
)
def test_a_quantity_in_several_units_is_one_quantity(answer: str, same: str) -> None:
    assert canonical_key(answer, "math") == canonical_key(same, "math")
    assert canonical_key(answer, "number") == canonical_key(same, "number")


@pytest.mark.parametrize("answer", ["2 hours 30 km", "30 minutes 2 hours", "5 ft 3 kg"])
def test_quantities_that_do_not_add_up_are_no_number(answer: str) -> None:
    assert not canonical_key(answer, "number").replace("/", "").isdigit()


def test_a_residue_has_its_modulus() -> None:
    residues = [r"3 \pmod{7}", "3 (mod 7)", r"x \equiv 3 \pmod 7", "3 mod 7"]
    assert len({canonical_key(residue, "math") for residue in residues}) == 1
    assert canonical_key("3 mod 7", "math") != canonical_key("3 mod 5", "math")


@pytest.mark.parametrize("answer", ["6 not known", "abide", "not 5", "7 pm", "5th"])
def test_words_never_become_products_of_letters(answer: str) -> None:
    assert "*" not in canonical_key(answer, "math")


@pytest.mark.parametrize("answer", ["2xyz", "abc", "3 (x + 1)", "2 (ab + c)", "6 (\\sin x)"])
def test_products_of_letters_stay_products(answer: str) -> None:
    assert canonical_key(answer, "math").startswith("expr:")
