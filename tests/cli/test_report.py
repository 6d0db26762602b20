"""`slmmux report`: a real process on real banks."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from slmmux.bank.imports import import_file
from slmmux.report.targets import MARK

SLMMUX = str(Path(sys.executable).with_name("slmmux"))
SAID = {"strong": ["1", "1", "2"], "weak": ["2", "2", "1"]}


def run(folder: Path, *arguments: object) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        [SLMMUX, "report", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        cwd=folder,
    )
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    rows = [
        {"task": "t", "question_id": f"q{number}", "gold": "1", "kind": "number"}
        | {"model": model, "answers": answers}
        for number in range(8)
        for model, answers in SAID.items()
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    import_file(tmp_path / "bank.db", tmp_path / "rows.jsonl")
    return tmp_path / "bank.db"


def test_it_writes_the_page_and_five_files_a_chart(bank: Path, tmp_path: Path) -> None:
    done = run(
        tmp_path,
        "--bank",
        bank,
        "--files",
        "charts",
        "--pictures",
        "pdf,png,svg",
        "--out",
        "page.html",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].startswith("page.html  ")
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    listed = json.loads((tmp_path / "charts" / "slmmux-charts.json").read_text())["files"]
    there = {path.name for path in (tmp_path / "charts").iterdir()}
    assert there == {*listed, "slmmux-charts.json"}
    names = {Path(name).stem for name in listed}
    assert {"accuracy", "cost", "draws", "attribution", "agreement"} <= names
    for name in names:
        data = json.loads((tmp_path / "charts" / f"{name}.json").read_text())
        with (tmp_path / "charts" / f"{name}.csv").open(newline="") as lines:
            assert [list(row) for row in csv.DictReader(lines)] == [list(row) for row in data]
        svg = (tmp_path / "charts" / f"{name}.svg").read_text()
        assert svg.startswith("<svg")
        assert "var(" not in svg
        assert (tmp_path / "charts" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (tmp_path / "charts" / f"{name}.pdf").read_bytes().startswith(b"%PDF")


def test_a_holdout_measures_validation_accuracies_on_the_other_questions(
    bank: Path, tmp_path: Path
) -> None:
    done = run(tmp_path, "--bank", bank, "--holdout", "0.5")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "report.html").read_text()
    assert "the other questions (split seed 0)" in page
    assert "<dt>questions</dt><dd>4</dd>" in page
    assert "keeps 4 questions for testing and 4 for choosing" in done.stderr


def test_what_cannot_be_reported_is_one_line(bank: Path, tmp_path: Path) -> None:
    missing = run(tmp_path, "--bank", bank, "-k", "5")
    assert missing.returncode == 2
    assert "samples are missing for k = 5" in missing.stderr
    nowhere = run(tmp_path, "--bank", bank, "--out", "no/such/folder/page.html")
    assert nowhere.returncode == 4
    assert nowhere.stderr.startswith("error: no/such/folder/page.html: No such file")


def test_missing_packages_are_one_line_that_says_what_to_install(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['altair'] = None;"
        "from slmmux.cli import main; sys.argv = ['slmmux', 'report', '--bank', 'x']; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 2
    assert done.stderr == "error: report draws charts with altair: pip install 'slmmux[report]'\n"


def test_a_full_disk_leaves_the_report_that_is_there(bank: Path, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(f"{MARK} before")
    done = subprocess.run(
        ["/bin/sh", "-c", f"ulimit -f 64; exec {SLMMUX} report --bank {bank}"],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 4
    assert "report.html: the disk is full or a size limit is reached; make room" in done.stderr
    assert (tmp_path / "report.html").read_text() == f"{MARK} before"
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".tmp")]


@pytest.mark.parametrize("what", ["bank", "text", "pipe", "folder"])
def test_what_is_no_report_is_left_as_it_is(bank: Path, tmp_path: Path, what: str) -> None:
    out = bank if what == "bank" else tmp_path / what
    if what == "text":
        out.write_text("mine")
    elif what == "pipe":
        os.mkfifo(out)
    elif what == "folder":
        out.mkdir()
    before = (out.stat().st_ino, out.stat().st_mode, out.stat().st_size)
    done = run(tmp_path, "--bank", bank, "--out", out)
    assert done.returncode == 2
    assert str(out) in done.stderr
    assert "--out" in done.stderr
    assert (out.stat().st_ino, out.stat().st_mode, out.stat().st_size) == before


def test_a_report_and_its_charts_are_replaced_and_charts_of_others_are_not(
    bank: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "accuracy.csv").write_text("mine")
    refused = run(tmp_path, "--bank", bank, "--files", "mine")
    assert refused.returncode == 2
    assert "accuracy.csv: there already, and not written by slmmux report" in refused.stderr
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["accuracy.csv"]
    for _ in range(2):
        done = run(tmp_path, "--bank", bank, "--files", "charts")
        assert done.returncode == 0, done.stderr


def test_a_task_with_a_colon_in_its_name_is_reported_and_gpqa_stays_hidden(tmp_path: Path) -> None:
    row = {"task": "gpqa:diamond", "gold": "1", "kind": "number", "question": "never to be shown"}
    rows = [
        row | {"question_id": f"q{number}", "model": model, "answers": answers}
        for number in range(2)
        for model, answers in SAID.items()
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    import_file(tmp_path / "bank.db", tmp_path / "rows.jsonl")
    done = run(tmp_path, "--bank", "bank.db")
    assert done.returncode == 0, done.stderr
    assert "2 questions are hidden" in (tmp_path / "report.html").read_text()
