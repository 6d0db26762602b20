"""`slmmux search`: a real process on real banks."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from slmmux.bank.imports import import_file

SLMMUX = str(Path(sys.executable).with_name("slmmux"))
DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
needs_data = pytest.mark.skipif(
    not DATA.is_dir(), reason="needs the recorded answers in ../shared/data"
)
# Right on p and q; on q and r; on p, and steadily wrong on r; on none, and steadily wrong on q.
SAID = {
    "left": {"p": "111", "q": "111", "r": "234"},
    "right": {"p": "234", "q": "111", "r": "111"},
    "loud": {"p": "111", "q": "234", "r": "222"},
    "bad": {"p": "234", "q": "222", "r": "234"},
}


def bank_of(folder: Path, samples: int = 3) -> Path:
    rows = [
        {
            "task": "t", "question_id": question, "gold": "1", "model": model, "kind": "number",
            "answers": list(said[:samples]),
        }
        for model, by_question in SAID.items() for question, said in by_question.items()
    ]  # fmt: skip
    source, bank = folder / "rows.jsonl", folder / "bank.db"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    import_file(bank, source)
    return bank


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bank_of(tmp_path_factory.mktemp("bank"))


def run_search(*arguments: object, **environment: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [SLMMUX, "search", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env={**os.environ, "COLUMNS": "80", **environment},
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def searched(*arguments: object) -> dict[str, Any]:
    code, out, err = run_search(*arguments, "--json")
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def test_the_json_names_the_best_subset_of_every_size(tmp_path: Path) -> None:
    found = searched("--bank", bank_of(tmp_path))
    assert list(found)[:4] == ["schema", "task", "questions", "objective"]
    assert (found["schema"], found["task"], found["questions"]) == ("slmmux.search/1", "t", 3)
    assert (found["lambda"], found["correct"], found["k"], found["groups"]) == (1, "mode", 3, 1)
    assert list(found["best"]) == ["2", "3", "4"]
    best = found["best"]["2"]
    assert best["models"] == ["left", "right"]
    assert (best["objective"], best["union"], best["contradiction"]) == (1, 1, 0)
    assert best["exact"] == {"objective": "1", "union": 3, "contradiction": 0, "cells": 3}
    assert found["winner"] == found["top"]["2"][0] == best
    assert found["best"]["3"]["contradiction"] == pytest.approx(1 / 3)
    proven = {"begun": True, "proven": True}
    assert found["searched"]["2"] == {"subsets": 6, **proven, "bound": 1}
    assert "the pool has 4 models: there are no subsets of more" in found["notes"]


def test_options_change_what_is_searched(tmp_path: Path) -> None:
    bank = bank_of(tmp_path)
    options = ("--models", "bad,loud,left", "--sizes", "1,3", "--lambda", "1/4", "--top", "2")
    found = searched("--bank", bank, *options)
    assert found["models"] == ["bad", "loud", "left"]
    assert list(found["best"]) == ["1", "3"]
    assert found["best"]["1"]["models"] == ["left"]
    assert found["best"]["3"]["objective"] == pytest.approx((2 - 0.25) / 3)
    assert len(found["top"]["1"]) == 2
    accurate = searched("--bank", bank, "--objective", "accuracy", "--pareto", "--bootstrap", "0")
    assert accurate["best"]["2"]["objective"] == accurate["best"]["2"]["accuracy"] == 1
    assert accurate["stability"]["2"] is None
    assert [p["models"] for p in accurate["pareto"]["points"]] == [["left"], ["left", "right"]]
    assert searched("--bank", bank, "--correct", "at-least:3")["best"]["2"]["union"] == 1


@pytest.mark.parametrize("columns", [80, 200])
def test_the_table_fits_the_terminal_and_says_how_sure_the_choice_is(
    tmp_path: Path, columns: int
) -> None:
    code, out, _ = run_search("--bank", bank_of(tmp_path), "--pareto", COLUMNS=str(columns))
    assert code == 0
    assert max(map(len, out.splitlines())) <= columns
    lines = out.splitlines()
    assert lines[0] == "t: 3 questions, 4 models, k = 3"
    assert lines[3].split()[:4] == ["2", "left,", "right", "100.0%"]
    flat = " ".join(out.split())
    assert "best model alone: left, 66.7%" in flat
    assert "size 2: the questions do not tell the best from" in flat
    assert "worth their cost" in flat


def test_a_subset_that_only_pool_order_puts_first_is_told(tmp_path: Path) -> None:
    said = {"never": ["2", "2", "3"], "seldom": ["2", "2", "1"]}
    rows = [
        {"task": "t", "question_id": f"q{i}", "gold": "1", "model": model, "kind": "number"}
        | {"answers": answers}
        for model, answers in said.items()
        for i in range(6)
    ]
    source, bank = tmp_path / "rows.jsonl", tmp_path / "bank.db"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    import_file(bank, source)
    code, out, err = run_search("--bank", bank, "--sizes", "1", "-k", "2")
    flat = " ".join(out.split())
    assert code == 0, err
    assert "note: size 1: seldom is level with the best, with a higher mux" in flat


def test_a_search_that_the_time_limit_ends_says_so_and_gives_a_bound(bank: Path) -> None:
    options = ("--objective", "accuracy", "--sizes", "3", "--time-limit", "0")
    code, out, _ = run_search("--bank", bank, *options)
    assert code == 0
    flat = " ".join(out.split())
    assert "warning: size 3: stopped by the time limit; the best found has " in flat
    assert "and no subset has more than 100.0%" in flat
    found = searched("--bank", bank, *options)
    assert found["searched"]["3"] == {
        "subsets": 4,
        "begun": True,
        "proven": False,
        "bound": pytest.approx(1),
    }
    assert found["stability"]["3"] is None
    assert "bootstrap: the time limit came after 0 of 1,000 resamples" in found["notes"]


def test_an_objective_beyond_one_is_no_percentage(bank: Path) -> None:
    code, out, _ = run_search("--bank", bank, "--lambda", "1000", "--sizes", "4", "--top", "1")
    assert code == 0
    row = next(line for line in out.splitlines() if line.split()[:1] == ["4"])
    assert "-" in row
    assert "%" not in row.split()[row.split().index(next(w for w in row.split() if w[0] == "-"))]


def test_a_bank_of_single_samples_needs_the_option_and_says_so(tmp_path: Path) -> None:
    bank = bank_of(tmp_path, samples=1)
    code, out, err = run_search("--bank", bank)
    assert (code, out) == (2, "")
    assert "--count-single-samples" in err
    found = searched("--bank", bank, "--count-single-samples")
    assert found["k"] == 1
    assert "one sample a model: every wrong one counts as consistently wrong" in found["notes"]


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--sizes", "5-2", "numbers of models from 1 up"),
        ("--sizes", "0-2", "numbers of models from 1 up"),
        ("--sizes", "two", "numbers of models from 1 up"),
        ("--sizes", "7-9", "the pool has 4 models"),
        ("--lambda", "-1", "a number from 0 up"),
        ("--lambda", "nan", "a number from 0 up"),
        ("--lambda", "1/0", "a number from 0 up"),
        ("--lambda", "0.12345678901234567890", "too many digits"),
        ("--correct", "all", "make it mode"),
        ("-k", "4", "k is 4, and left has 3 samples a question at most"),
        ("--models", "lef", "did you mean left"),
        ("--objective", "best", "paper"),
    ],
)
def test_misuse_is_told_in_a_line_that_says_what_can_be(
    bank: Path, option: str, value: str, said: str
) -> None:
    code, out, err = run_search("--bank", bank, option, value)
    assert (code, out) == (2, "")
    assert said in err


@needs_data
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("date_4_models", ()),
        ("reasoning_gym_9_models_3_samples", ()),
        ("amc_aime_2_models_50_samples", ("--task", "all")),
        ("embedded_6_models_10_samples", ("--task", "all")),
        ("gsm8k_11_models_greedy", ("--count-single-samples",)),
        ("mmlu_pro_29_models", ("--count-single-samples",)),
    ],
)
def test_every_recorded_bank_can_be_searched(
    tmp_path: Path, name: str, options: tuple[str, ...]
) -> None:
    bank = tmp_path / "bank.db"
    import_file(bank, DATA / f"{name}.jsonl.gz")
    found = searched("--bank", bank, *options)
    assert all(size["proven"] for size in found["searched"].values())
    for size, best in found["best"].items():
        assert len(best["models"]) == int(size)
        assert 0 <= best["contradiction"] <= best["union"] <= 1
        assert best["objective"] == pytest.approx(best["union"] - best["contradiction"])
    if name.startswith("mmlu"):
        assert found["best"]["2"]["models"] == ["gemini-1.5-flash-002", "gemini-1.5-pro-002"]
