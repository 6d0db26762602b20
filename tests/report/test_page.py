"""The page: complete in itself, true to its data, and deaf to what model output says."""

import base64
import gzip
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slmmux.bank import Bank
from slmmux.bank.imports import import_file
from slmmux.evaluate import Plan
from slmmux.holdout import split
from slmmux.pool_models import pool_models
from slmmux.report.build import charts
from slmmux.report.write import Written, write_report
from slmmux.table import load_table

EVIL = "</script><script>document.title='owned'</script><img src=x onerror=alert()>"
HIDDEN = "A question that must never be published"
SAID: dict[str, list[str | None]] = {
    "strong": ["1", "1", "2"],
    "weak": ["2", "2", "2"],
    "silent": [None, None, None],
}


def rows() -> list[dict[str, Any]]:
    """Question p: strong is right, weak sure and wrong; q: all wrong; r: nobody answers."""
    return [
        {
            "task": "t",
            "question_id": name,
            "question": rf"What is $\frac{{1}}{{1}}$ of {name}? {EVIL}",
            "gold": gold,
            "kind": "number",
            "model": model,
            "samples": [
                f"{EVIL} nothing"
                if text is None or name == "r"
                else f"{EVIL} The answer is {text}."
                for text in answers
            ],
        }
        for name, gold in (("p", "1"), ("q", "7"), ("r", "1"))
        for model, answers in SAID.items()
    ]


def secret_rows() -> list[dict[str, Any]]:
    return [
        {
            "task": "gpqa",
            "question_id": "rec1",
            "question": HIDDEN,
            "choices": [f"{HIDDEN} A", f"{HIDDEN} B"],
            "gold": "A",
            "model": model,
            "samples": [f"{HIDDEN}: the answer is (A)"] * 3,
        }
        for model in SAID
    ]


def written(folder: Path, content: list[dict[str, Any]], **more: Any) -> Written:
    """The report of these rows, k = 3."""
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in content))
    import_file(folder / "bank.db", folder / "rows.jsonl")
    with Bank.open(folder / "bank.db") as bank:
        tasks = bank.tasks()
        table = load_table(bank, tasks, run_seed=0, models=pool_models(bank.models(tasks)))
    out = folder / "report.html"
    return write_report(folder / "bank.db", split(table), Plan(k=3), out, **more)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return written(tmp_path_factory.mktemp("report"), rows())


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return written(tmp_path_factory.mktemp("secret"), [*rows(), *secret_rows()])


class Elements(HTMLParser):
    """Elements with their attributes, and what stands in each script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self._inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._inside = tag == "script"
        if self._inside:
            self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "script"

    def handle_data(self, data: str) -> None:
        if self._inside:
            attributes, text = self.scripts[-1]
            self.scripts[-1] = (attributes, text + data)


def parsed(report: Written) -> Elements:
    return Elements(report.path.read_text())


def unpacked(text: str) -> Any:
    return json.loads(gzip.decompress(base64.b64decode(text)))


def blocks(report: Written) -> list[Any]:
    """The list of questions, then the details of each."""
    scripts = parsed(report).scripts
    index = next(unpacked(text) for given, text in scripts if given.get("id") == "index")
    details = [unpacked(text) for given, text in scripts if given.get("class") == "block"]
    return [index, [row for block in details for row in block]]


def test_nothing_on_the_page_leads_out_of_it(report: Written) -> None:
    for tag, attributes in parsed(report).found:
        assert tag not in ("link", "img", "iframe", "object", "base")
        assert not {"src", "srcset", "action", "style"} & set(attributes) or tag == "style"
        assert (attributes.get("href") or "#").startswith("#")
        assert not any(name.startswith("on") for name in attributes)
    css = report.path.read_text().partition("</style>")[0]
    assert "url(" not in css
    assert "@import" not in css


def test_only_the_pages_own_scripts_may_run_and_no_request_may_be_made(report: Written) -> None:
    page = parsed(report)
    policy = next(a["content"] for t, a in page.found if "http-equiv" in a) or ""
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert "connect-src" not in rules
    ran = [text for attributes, text in page.scripts if attributes.get("type") == "module"]
    hashes = [base64.b64encode(hashlib.sha256(t.encode()).digest()).decode() for t in ran]
    assert rules["script-src"].split() == [f"'sha256-{found}'" for found in hashes]


def test_model_output_is_never_markup(report: Written) -> None:
    text = report.path.read_text()
    assert EVIL not in text
    assert "onerror" not in re.sub(r"<script type=module>.*?</script>", "", text, flags=re.DOTALL)
    types = [attributes.get("type") for attributes, _ in parsed(report).scripts]
    assert set(types) == {"module", "application/json", "application/octet-stream"}
    _, details = blocks(report)
    assert details[0][7][0][0].startswith(EVIL)  # it is there, as data


def test_each_question_has_its_votes_answers_and_verdict(report: Written) -> None:
    index, details = blocks(report)
    assert index["models"] == ["strong", "weak", "silent"]
    names, flags = [row[0] for row in index["rows"]], [row[2] for row in index["rows"]]
    assert names == ["p", "q", "r"]
    right, some_model_right, disagree, abstained = 1, 2, 4, 8
    assert flags == [some_model_right + disagree, disagree, abstained]
    assert right not in flags
    answers, right_ones, modes, votes, classes, *_ = details[0]
    assert answers == ["1", "2"]
    assert right_ones == [0]
    assert modes == [0, 1, -1]
    assert votes == [2, 3, 0]
    assert classes == [[0, 0, 1], [1, 1, 1], [-1, -1, -1]]
    assert index["rows"][0][6:] == [1, 1]  # SLM-MUX takes weak's answer


def test_formulas_of_questions_are_trees(report: Written) -> None:
    index, _ = blocks(report)
    ((source, tree),) = index["formulas"]
    assert source == r"\frac{1}{1}"
    assert tree[2][2][0] == "mfrac"
    assert index["rows"][0][3][:2] == ["What is ", 0]


def test_gpqa_is_hidden_whatever_is_unpacked(secret: Written) -> None:
    hidden = json.dumps(blocks(secret)) + secret.path.read_text()
    assert HIDDEN not in hidden
    index, details = blocks(secret)
    assert index["rows"][0][:4] == ["rec1", 0, 16 + 1 + 2, None]
    assert index["rows"][0][4:6] == [[], None]
    assert details[0][0] == ["answer 1"]
    assert details[0][7] is None
    assert "1 question is hidden" in secret.path.read_text()


def test_no_chart_or_file_tells_a_hidden_question(secret: Written) -> None:
    for chart in charts(secret.page):
        assert HIDDEN not in json.dumps([chart.spec, *chart.rows], default=str)


def test_a_page_that_leaves_texts_out_says_so(tmp_path: Path) -> None:
    small = written(tmp_path, rows(), megabytes=0.0001)
    _, details = blocks(small)
    assert [row[7] for row in details] == [None] * 3
    assert details[0][4] == [[0, 0, 1], [1, 1, 1], [-1, -1, -1]]
    assert "sample texts are there for the first 0 of 3 questions" in small.path.read_text()


def test_the_same_samples_give_the_same_page_byte_for_byte(report: Written, tmp_path: Path) -> None:
    assert written(tmp_path, rows()).path.read_bytes() == report.path.read_bytes()


def test_the_page_holds_the_rows_that_its_charts_draw(report: Written) -> None:
    scripts = {str(given.get("id")): text for given, text in parsed(report).scripts}
    drawn = [chart for chart in charts(report.page) if chart.spec is not None]
    assert len(drawn) > 4
    for chart in drawn:
        held = json.loads(scripts[f"data-{chart.name}"])
        assert [dict(zip(held["columns"], row, strict=True)) for row in held["rows"]] == [
            dict(row) for row in chart.rows
        ]
        assert chart.caption.endswith(".")


def test_the_charts_figures_are_the_evaluations(report: Written) -> None:
    measured, by_name = report.measured, {chart.name: chart for chart in charts(report.page)}
    (mux,) = measured.entries("mux")
    accuracy = {row["who"]: row["accuracy"] for row in by_name["accuracy"].rows}
    assert accuracy["SLM-MUX"] == mux.estimate.accuracy == 0
    assert accuracy["oracle (ceiling)"] == pytest.approx(1 / 3)
    assert mux.used.draws == measured.draws.sum()
    decided: dict[object, int] = {}
    for row in by_name["attribution"].rows:
        decided[row["model"]] = decided.get(row["model"], 0) + int(row["questions"] or 0)
    assert decided == {"strong": 0, "weak": 2, "silent": 0, "nobody (no readable answer)": 1}
    assert sum(int(row["questions"] or 0) for row in by_name["draws"].rows) == 3


def test_two_models_agree_where_their_most_common_answers_are_the_same(report: Written) -> None:
    rows_ = next(chart for chart in charts(report.page) if chart.name == "agreement").rows
    agree = {(row["number"], row["other_number"]): row["agree"] for row in rows_}
    assert len(agree) == 9
    assert agree[1, 1] is None
    assert agree[1, 2] == 0
    modes = report.measured.run.modes
    assert np.array_equal(modes[:, 2], [-1, -1, -1])
    assert agree[2, 3] == 0  # silence agrees with nobody


def test_the_summary_is_two_sentences_with_an_interval(report: Written) -> None:
    summary = report.page.summary
    assert summary.startswith("SLM-MUX answers 0.0% of 3 questions correctly")
    assert "best in hindsight" in summary
    assert "95% interval" in summary


def test_sets_and_curves_are_those_of_search_and_scale(report: Written) -> None:
    """By hand: strong is right on one question of three, in 2 of 3 samples; weak never."""
    by_name = {chart.name: chart for chart in charts(report.page)}
    best = {(row["models"], row["line"]): row for row in by_name["sizes"].rows}
    assert best[1, "union accuracy"]["set"] == "strong"
    assert best[1, "union accuracy"]["value"] == best[3, "union accuracy"]["value"] == 1 / 3
    parts = {(row["models"], row["line"]): row["value"] for row in by_name["objective"].rows}
    assert parts[2, "contradiction"] == 0  # strong and silent; weak would contradict
    assert parts[3, "contradiction"] == 1 / 3
    assert parts[3, "objective"] == 0
    pairs = {(r["number"], r["other_number"]): r for r in by_name["pairs-contradiction"].rows}
    assert (pairs[1, 2]["contradiction"], pairs[1, 3]["contradiction"]) == (1 / 3, 0)
    strong = [r["accuracy"] for r in by_name["samples"].rows if r["line"] == "strong"]
    assert strong == pytest.approx([2 / 9, 2 / 9, 1 / 3])
    assert "best in hindsight" in by_name["sizes"].notes[0]


def test_stated_confidence_is_held_against_what_was_right(report: Written) -> None:
    rows_ = next(chart for chart in charts(report.page) if chart.name == "reliability").rows
    votes = [row for row in rows_ if row["line"] == "SLM-MUX's votes ÷ k"]
    assert [(row["said"], row["right"], row["share"]) for row in votes] == [(1.0, 0.0, 1.0)]
    assert any(row["line"] == "calibrated probability" for row in rows_)


def test_whose_answers_and_with_how_many_votes_are_taken_over_the_runs_of_the_accuracy(
    tmp_path: Path,
) -> None:
    said = {"strong": ["1", "1", "2", "3", "1"], "weak": ["2", "2", "1", "1", "2"]}
    content = [
        {"task": "t", "question_id": f"q{place}", "gold": "1", "kind": "number"}
        | {"model": model, "answers": answers[place:] + answers[:place]}
        for place in range(5)
        for model, answers in said.items()
    ]
    found = written(tmp_path, content)
    (mux,) = found.measured.entries("mux")
    by_name = {chart.name: chart.rows for chart in charts(found.page)}
    shares = {"right": 0.0, "wrong": 0.0}
    for row in by_name["attribution"]:
        shares[str(row["outcome"])] += float(row["share"] or 0)
    assert shares["right"] == pytest.approx(mux.estimate.accuracy)
    assert sum(shares.values()) == pytest.approx(1)
    votes = [row for row in by_name["reliability"] if row["line"] == "SLM-MUX's votes ÷ k"]
    right = sum(float(row["right"] or 0) * float(row["share"] or 0) for row in votes)
    assert right == pytest.approx(mux.estimate.accuracy)
    assert found.measured.decided.runs == found.measured.evaluation.trials > 1
    (attribution,) = (chart for chart in charts(found.page) if chart.name == "attribution")
    assert attribution.notes[0].startswith("Mean over the ")
