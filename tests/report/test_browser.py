"""The page in headless Chromium, offline: it draws, filters, opens, and fetches nothing."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from slmmux.bank import Bank
from slmmux.bank.imports import import_file
from slmmux.evaluate import Plan
from slmmux.holdout import split
from slmmux.pool_models import pool_models
from slmmux.report.build import charts
from slmmux.report.write import Written, write_report
from slmmux.table import load_table

CHROMIUM = os.environ.get("SLMMUX_CHROMIUM") or next(
    (
        path
        for name in ("chromium", "chromium-browser", "google-chrome")
        if (path := shutil.which(name))
    ),
    None,
)
QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"),
    *("--disable-component-update", "--disable-sync"),
)
EVIL = (
    "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
)
SAID = {"strong": ["1", "1", "2"], "weak": ["2", "2", "2"], "third": ["1", "3", "1"]}
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: make test-browser installs it"),
]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """120 questions; of every third one SLM-MUX is wrong and a model right."""
    folder = tmp_path_factory.mktemp("report")
    lines = [
        {
            "task": "t",
            "question_id": f"q{number:03d}",
            "question": rf"Question {number} is $\frac{{1}}{{{number + 2}}}$ {EVIL}",
            "gold": "1" if number % 3 == 0 else "2",
            "kind": "number",
            "model": model,
            "samples": [f"{EVIL} The answer is {text}." for text in answers],
        }
        for number in range(120)
        for model, answers in SAID.items()
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    import_file(folder / "bank.db", folder / "rows.jsonl")
    with Bank.open(folder / "bank.db") as bank:
        models = pool_models(bank.models(["t"]))
        table = load_table(bank, ["t"], run_seed=0, models=models)
    return write_report(folder / "bank.db", split(table), Plan(k=3), folder / "report.html")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield browser
        browser.close()


@contextmanager
def opened(
    chromium: Any, report: Written, width: int = 1200, scheme: str = "light"
) -> Iterator[Any]:
    """The page with its charts drawn; fails on any request, error or complaint of the browser."""
    said: list[str] = []
    context = chromium.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True
    )
    page = context.new_page()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    address = report.path.as_uri()
    page.on("request", lambda asked: said.append(asked.url) if asked.url != address else None)
    page.goto(address)
    page.wait_for_selector("html[data-charts=drawn]", timeout=30_000)
    yield page
    assert page.title() == report.page.title
    assert [text for text in said if not text.startswith(("blob:", address))] == []
    context.close()


def test_every_chart_is_drawn_offline_without_one_request(chromium: Any, report: Written) -> None:
    drawn = [chart for chart in charts(report.page) if chart.spec is not None]
    with opened(chromium, report) as page:
        for chart in drawn:
            figure = page.locator(f"figure[data-chart={chart.name}]")
            assert figure.locator("svg").count() == 1, chart.name
            assert figure.locator("svg [role=graphics-symbol]").count() > 0, chart.name


@pytest.mark.parametrize("width", [360, 390, 1200])
def test_nothing_sticks_out_of_a_phone_or_a_desk(
    chromium: Any, report: Written, width: int
) -> None:
    with opened(chromium, report, width) as page:
        page.locator("details.q summary").first.click()
        page.wait_for_selector(".body")
        assert page.evaluate("document.documentElement.scrollWidth") == width
        for box in page.evaluate(
            "[...document.querySelectorAll('.chart svg')].map(s => s.getBoundingClientRect().right)"
        ):
            assert box <= width


def test_a_question_opens_by_keyboard_and_its_replies_are_text(
    chromium: Any, report: Written
) -> None:
    with opened(chromium, report) as page:
        page.locator("details.q > summary").first.focus()
        page.keyboard.press("Enter")
        page.wait_for_selector(".body table")
        body = page.locator(".body").first
        assert "from weak, 3 of 3 votes" in body.inner_text()
        body.locator("details summary").first.click()
        assert EVIL in body.locator(".reply").first.inner_text()
        assert page.locator("main img").count() == 0
        assert body.locator("math mfrac").count() == 1


def test_filters_show_the_questions_that_they_name(chromium: Any, report: Written) -> None:
    with opened(chromium, report) as page:
        assert page.locator("#count").inner_text() == "120 of 120 questions"
        assert page.locator("details.q").count() == 50
        page.locator("#more").click()
        assert page.locator("details.q").count() == 100
        page.select_option("#filter", label="SLM-MUX wrong, some model right")
        assert page.locator("#count").inner_text() == "40 of 120 questions"
        page.fill("#find", "question 33 ")
        page.get_by_text("1 of 120 questions", exact=True).wait_for()
        page.select_option("#filter", label="no answer (abstained)")
        assert page.locator("#count").inner_text() == "0 of 120 questions"


def test_light_and_dark_follow_the_reader(chromium: Any, report: Written) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    ink = "getComputedStyle(document.querySelector('.chart svg text')).fill"
    with opened(chromium, report, scheme="dark") as page:
        dark = page.evaluate(ground), page.evaluate(ink)
        page.get_by_role("button", name="Change to light colours").click()
        light = page.evaluate(ground), page.evaluate(ink)
        assert (dark[0], light[0]) == ("rgb(20, 23, 28)", "rgb(255, 255, 255)")
        assert (dark[1], light[1]) == ("rgb(232, 234, 237)", "rgb(27, 31, 36)")
    with opened(chromium, report, scheme="dark") as page:
        page.emulate_media(media="print", color_scheme="dark")
        assert page.evaluate(ground) == "rgb(255, 255, 255)"


def test_each_chart_gives_its_data_and_its_picture(
    chromium: Any, report: Written, tmp_path: Path
) -> None:
    (chart,) = (c for c in charts(report.page) if c.name == "attribution")
    with opened(chromium, report) as page:
        figure = page.locator("figure[data-chart=attribution]")
        figure.locator("details.data summary").click()
        figure.locator("tbody tr").first.wait_for()
        assert figure.locator("tbody tr").count() == len(chart.rows)
        for name in ("CSV", "JSON", "SVG", "PNG"):
            with page.expect_download() as download:
                figure.get_by_role("button", name=name).click()
            download.value.save_as(tmp_path / name)
    assert json.loads((tmp_path / "JSON").read_text()) == [dict(row) for row in chart.rows]
    assert (tmp_path / "CSV").read_text().splitlines()[0] == ",".join(chart.columns)
    assert "var(" not in (tmp_path / "SVG").read_text()
    assert (tmp_path / "PNG").read_bytes().startswith(b"\x89PNG")
