"""`slmmux scale`: a real process on real banks."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from slmmux.bank.imports import import_file

SLMMUX = str(Path(sys.executable).with_name("slmmux"))
SAID = {"strong": ["1", "1", "2"], "weak": ["2", "1", "1"], "odd": ["3", "1", "4"]}


def bank_of(folder: Path, questions: int = 6, name: str = "bank", **more: Any) -> Path:
    rows = [
        {"task": "t", "question_id": str(q), "question": f"{name} {q}?", "gold": str(1 + q % 2)}
        | {"model": model, "kind": "number", "answers": answers, **more}
        for q in range(questions)
        for model, answers in SAID.items()
    ]
    source, bank = folder / f"{name}.jsonl", folder / f"{name}.db"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    import_file(bank, source)
    return bank


def run_scale(*arguments: object, **environment: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [SLMMUX, "scale", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "COLUMNS": "80", **environment},
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("columns", [80, 200])
def test_the_tables_fit_the_terminal_and_say_what_is_chosen(tmp_path: Path, columns: int) -> None:
    arguments = ("--bank", bank_of(tmp_path), "--theory", "--holdout", "0.5")
    code, out, err = run_scale(*arguments, COLUMNS=str(columns))
    assert code == 0, err
    assert max(map(len, out.splitlines())) <= columns
    assert out.startswith("t: 3 questions, 3 models, k = 1 to 3")
    for text in (
        "K = 1: ",
        "K = 2: ",
        "K = 3: strong, weak, odd",
        "(chosen on the other",
        "A(k, p",
    ):
        assert text in out
    assert "split seed 0" in out
    assert "hindsight" not in out


def test_no_figure_and_no_verdict_is_cut_off_in_80_columns(tmp_path: Path) -> None:
    rows = [
        {"task": "t", "question_id": str(q), "gold": "1", "model": model, "kind": "number"}
        | {"answers": ["1"] * 3 if model == "sure" else ["2", "1", "1"]}
        for q in range(8)
        for model in ("sure", "other")
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    import_file(tmp_path / "bank.db", tmp_path / "rows.jsonl")
    code, out, err = run_scale("--bank", tmp_path / "bank.db")
    assert code == 0, err
    assert "…" not in out
    assert "100%" in out
    assert "best, enough" in out


def test_without_other_questions_the_choice_is_best_in_hindsight(tmp_path: Path) -> None:
    code, out, _ = run_scale("--bank", bank_of(tmp_path), "--no-pooled", "--replays", 0)
    assert code == 0
    (best,) = [line for line in out.splitlines() if line.startswith("best: K = ")]
    assert best.endswith("(best in hindsight)")
    heads = [line.split() for line in out.splitlines() if line.startswith("k ")]
    assert heads[0] == ["k", "mux", "interval", "gain", "self-c.", "budget"]


def test_the_json_has_a_point_for_every_size_and_k(tmp_path: Path) -> None:
    bank, other = bank_of(tmp_path), bank_of(tmp_path, 4, "other")
    arguments = ("--bank", bank, "--validation-bank", other, "--sizes", "1,3", "--k-max", 2)
    code, out, err = run_scale(*arguments, "--models", "odd,weak,strong", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["models"] == ["odd", "weak", "strong"]
    assert found["validation"]["source"] == "validation bank other.db"
    assert found["validation"]["questions"] == 4
    points = [(p["size"], p["k"]) for p in found["points"]]
    assert points == [(1, 1), (1, 2), (3, 1), (3, 2)]
    assert all(p["pooled_vote"]["exact"] for p in found["points"])
    assert found["theory"] is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--k-max", 9), "take --k-max 3"),
        (("--k-max", 1_000_000, "--allow-missing"), "less than or equal to 1000"),
        (("--sizes", "0"), "--sizes 0: numbers of models from 1 up"),
        (("--holdout", "1"), "make it above 0 and below 1"),
        (("--holdout", "0.5", "--validation-bank", "bank.db"), "choose one of them"),
    ],
)
def test_misuse_is_told_in_a_line_and_exits_with_2(
    tmp_path: Path, arguments: tuple[object, ...], said: str
) -> None:
    bank = bank_of(tmp_path)
    given = [tmp_path / a if a == "bank.db" else a for a in arguments]
    code, out, err = run_scale("--bank", bank, *given)
    assert (code, out) == (2, "")
    assert said in " ".join(err.split())
