"""The demo, through its bank, and what it shows."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from slmmux.bank import Bank
from slmmux.bank.rows import BankSample, SampleKey
from slmmux.demo import shown
from slmmux.tasks.arithmetic import problems
from slmmux.types import Model

SLMMUX = str(Path(sys.executable).with_name("slmmux"))


def run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [SLMMUX, *arguments], capture_output=True, text=True, check=False, timeout=110, cwd=folder
    )


def test_each_question_shows_slm_muxs_answer_and_whether_it_is_right(tmp_path: Path) -> None:
    """By hand: b is unanimous on the first problem, nobody says anything on the second."""
    first, second = problems(2, seed=0)
    right = first.reference
    said: dict[str, list[str | None]] = {"a": ["1", right, None], "b": [right, right, right]}
    with Bank.open(tmp_path / "bank.db", create=True) as bank:
        numbers = bank.add_questions("arithmetic", [first, second])
        models = {name: bank.add_model(Model(name=name, model=name)) for name in "ab"}
        bank.add(
            [
                BankSample(
                    key=SampleKey(numbers[problem.question.id], models[name], 0, index),
                    text=text or "",
                    answer=text if problem is first else None,
                    answer_key=text if problem is first else None,
                )
                for problem in (first, second)
                for name, texts in said.items()
                for index, text in enumerate(texts)
            ]
        )
        rows = shown(bank, [first, second], k=3, run_seed=0, accuracies={"a": 0.9, "b": 0.1})
    assert [(r.selection.decided_by, r.right) for r in rows] == [("b", True), (None, False)]
    assert rows[0].selection.answer == right


@pytest.mark.embedded
def test_the_demo_prints_every_method_and_eval_prints_the_same_again(tmp_path: Path) -> None:
    done = run(tmp_path, "demo", "--questions", "6", "--json")
    assert done.returncode == 0, done.stderr
    evaluation = json.loads(done.stdout)
    entries = evaluation["methods"]
    assert [entry["method"] for entry in entries] == [
        *(["single"] * 4),
        *(["self_consistency"] * 4),
        *("pooled_vote", "mux", "oracle"),
    ]
    mux, oracle = entries[-2:]
    assert mux["draws"] < mux["draws_full"] == 6 * 3 * 4
    assert mux["correct"] <= oracle["correct"] <= 6
    methods = "single,self_consistency,pooled_vote,mux,oracle"
    again = run(tmp_path, "eval", "--bank", "slmmux-demo.db", "--methods", methods, "--json")
    assert json.loads(again.stdout) == evaluation
    shown_again = run(tmp_path, "demo", "--questions", "6")
    assert "What is 26 + 28?" in shown_again.stdout
    page = tmp_path / "slmmux-demo.html"
    assert shown_again.stdout.splitlines()[-1] == f"Charts and every question: {page}"
    assert page.read_text().startswith("<!doctype html>")
    other = run(tmp_path, "demo", "--questions", "6", "--seed", "1")
    assert other.returncode == 2
    assert "holds other questions" in other.stderr


def test_a_demo_where_nothing_can_be_kept_says_how_to_keep_it_elsewhere(tmp_path: Path) -> None:
    done = run(tmp_path, "demo", "--bank", "nowhere/demo.db")
    assert done.returncode == 2
    assert "name files elsewhere with --bank and --report" in done.stderr
