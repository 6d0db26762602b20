"""Dates, read without a clock: a part that is not written is never filled in.

Numbers with slashes or hyphens are month first (`03/05/2021` is 5 March), as in the questions that
ask for MM/DD/YYYY; with dots they are day first (`05.03.2021`), as where dots are used. Eight
digits in a row are a date of the years 1500 to 2099 (`20210501`). A date that does not exist in its
reading (`25/12/2020`, 30 February) is unreadable: guessing the other order would give some wrong
answers a second chance and not others; of 39 such answers in our recorded data, 3 mean the right
day. So are years of two digits.
"""

import re
from datetime import date

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = (
    r"(?P<{0}>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?,?"
)
_DATE = re.compile(
    r"(?<![\d/.-])(?:"
    r"(?P<y1>\d{4})[-/](?P<m1>\d{1,2})[-/](?P<d1>\d{1,2})(?:T[\d:.]+Z?)?"
    r"|(?P<y6>\d{4})\s?年\s?(?P<m6>\d{1,2})\s?月\s?(?P<d6>\d{1,2})\s?日"
    r"|(?P<y7>1[5-9]\d\d|20\d\d)(?P<m7>\d{2})(?P<d7>\d{2})(?!\.\d)"
    r"|(?P<m2>\d{1,2})(?P<s2>-|\s?/\s?)(?P<d2>\d{1,2})(?P=s2)(?P<y2>\d{4})"
    r"|(?P<d3>\d{1,2})\.(?P<m3>\d{1,2})\.(?P<y3>\d{4})"
    rf"|\b{_MONTH.format('m4')}\s+(?:the\s+)?(?P<d4>\d{{1,2}})(?:st|nd|rd|th)?(?:,\s*|\s+)(?P<y4>\d{{4}})"
    rf"|(?P<d5>\d{{1,2}})(?:st|nd|rd|th)?[\s-]+(?:of\s+)?{_MONTH.format('m5')}[\s-]+(?P<y5>\d{{4}})"
    r")(?![\d/-])",
    re.IGNORECASE,
)


def dates_in(text: str) -> list[tuple[str, str]]:
    """Every existing date in the text, in order: as written, and as `YYYY-MM-DD`."""
    found = []
    for match in _DATE.finditer(text):
        iso = _iso(match)
        if iso is not None:
            found.append((match[0], iso))
    return found


def _iso(match: re.Match[str]) -> str | None:
    for form in "1234567":
        if year := match[f"y{form}"]:
            month, day = match[f"m{form}"], int(match[f"d{form}"])
            number = int(month) if month.isdigit() else _MONTHS.index(month[:3].lower()) + 1
            try:
                return date(int(year), number, day).isoformat()
            except ValueError:
                return None
    return None
