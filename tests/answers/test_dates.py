import pytest

from slmmux.answers import canonical_key, extract


@pytest.mark.parametrize(
    "answer",
    ["03/05/2021", "3/5/2021", "2021-03-05", "2021/3/5", "03-05-2021", "05.03.2021",
     "March 5, 2021", "March 5th, 2021", "Mar. 5 2021", "5 March 2021", "5th of March, 2021",
     "Friday, March 5, 2021", "5-Mar-2021", "MARCH 5, 2021", "2021-03-05T00:00:00Z",
     "20210305", "2021年3月5日"],
)  # fmt: skip
def test_rule_2_every_spelling_of_a_date_is_one_class(answer: str) -> None:
    found = extract(f"So the answer is {answer}.", "date")
    assert found is not None
    assert canonical_key(found, "date") == "2021-03-05"


@pytest.mark.parametrize(
    "reply",
    ["02/30/2021", "13/13/2021", "25/12/2020", "03/05/21", "March 2021", "March 5", "Friday",
     "2021", "00/00/0000", "tomorrow", "1/2/3/2021"],
)  # fmt: skip
def test_an_impossible_or_incomplete_date_is_unreadable(reply: str) -> None:
    assert extract(f"The answer is {reply}.", "date") is None


def test_the_stated_date_wins_over_a_later_one() -> None:
    assert extract("The answer is 03/05/2021, not 03/06/2021.", "date") == "03/05/2021"


def test_without_a_statement_the_last_date_counts() -> None:
    assert extract("Today is 03/05/2021, so tomorrow is 03/06/2021", "date") == "03/06/2021"


def test_a_date_in_a_box_counts() -> None:
    assert extract(r"\boxed{\text{May 1, 2020}}", "date") == "May 1, 2020"


def test_a_date_at_the_end_of_a_cut_off_reply_is_not_trusted() -> None:
    assert extract("Today is 03/05/2021", "date", (), "length") is None
