"""`slmmux search --write`: from a bank to a profile that `ask` and `eval` take."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from slmmux.bank.imports import import_file
from slmmux.profile_file import read_profile
from slmmux.testing import FaultEndpoint

SLMMUX = str(Path(sys.executable).with_name("slmmux"))
QUESTIONS = 30


def slmmux(*arguments: object, folder: Path) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        [SLMMUX, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=folder,
        env={**os.environ, "COLUMNS": "80"},
    )
    assert "Traceback" not in done.stderr
    return done


def answers(model: str, question: int) -> list[str]:
    """`odd` and `even` know every other question and guess the rest; `wrong` is sure and wrong."""
    if model == "wrong":
        return ["7", "7", "7"]
    knows = question % 2 == (model == "odd")
    return ["1", "1", "1"] if knows else ["2", "3", "4"]


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("search-write")
    rows = [
        {
            "task": "t",
            "question_id": f"q{question}",
            "question": f"Question {question}?",
            "gold": "1",
            "kind": "number",
            "model": model,
            "answers": answers(model, question),
            "temperature": 0.5,
            "settings": {"model": f"{model}-1b", "api_key": "sk-very-secret", "top_p": 1},
        }
        for question in range(QUESTIONS)
        for model in ("wrong", "odd", "even")
    ]
    source, path = folder / "bank.jsonl", folder / "bank.db"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    import_file(path, source)
    return path


def write(bank: Path, folder: Path, *options: object) -> "subprocess.CompletedProcess[str]":
    return slmmux(
        "search", "--bank", bank, "--sizes", "1-3", "--write", "p.toml", *options, folder=folder
    )


def test_the_models_that_complete_each_other_are_chosen(bank: Path, tmp_path: Path) -> None:
    done = write(bank, tmp_path)
    assert done.returncode == 0, done.stderr
    profile = read_profile(tmp_path / "p.toml")
    assert (profile.names, profile.rule, profile.k) == (("odd", "even"), "calibrated", 3)
    assert profile.accuracies == {"odd": 0.5, "even": 0.5}
    assert [(m.correct, m.samples) for m in profile.models] == [(45, 90), (45, 90)]
    assert (profile.data.questions, profile.data.models, profile.data.samples) == (30, 3, 270)
    assert "wrote p.toml" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_every_rules_accuracy_is_shown_and_kept(bank: Path, tmp_path: Path) -> None:
    found = json.loads(write(bank, tmp_path, "--json").stdout)["profile"]
    rules = {row["rule"]: row for row in found["rules"]["2"] if len(row["models"]) == 2}
    assert rules["mux"]["accuracy"] == 1.0
    assert rules["mux"]["ci95"][0] > 0.8
    kept = {score.rule for score in read_profile(tmp_path / "p.toml").scores}
    assert kept == {row["rule"] for row in found["rules"]["2"]}
    assert {"single", "self_consistency", "pooled_vote", "mux", "calibrated"} <= kept


def test_the_same_bank_and_options_write_the_same_bytes(bank: Path, tmp_path: Path) -> None:
    write(bank, tmp_path)
    first = (tmp_path / "p.toml").read_bytes()
    write(bank, tmp_path)
    assert (tmp_path / "p.toml").read_bytes() == first
    write(bank, tmp_path, "--created", "2026-11-25")
    dated = (tmp_path / "p.toml").read_text().splitlines()
    assert set(dated) - set(first.decode().splitlines()) == {'created = "2026-11-25"'}


def test_only_what_shapes_samples_comes_from_the_banks_settings(bank: Path, tmp_path: Path) -> None:
    write(bank, tmp_path)
    assert "secret" not in (tmp_path / "p.toml").read_text()
    settings = read_profile(tmp_path / "p.toml").models[0].settings
    assert settings == {"model": "odd-1b", "temperature": 0.5, "top_p": 1}


def test_the_number_of_models_can_be_fixed(bank: Path, tmp_path: Path) -> None:
    done = write(bank, tmp_path, "--size", 3)
    assert done.returncode == 0
    assert "3 models, as asked for" in read_profile(tmp_path / "p.toml").why_models
    done = write(bank, tmp_path, "--size", 4)
    assert (done.returncode, "--size 4 is none of the sizes" in done.stderr) == (2, True)


@pytest.mark.parametrize("option", [("--size", 2), ("--created", "today")])
def test_options_of_the_profile_without_it_are_refused(
    bank: Path, tmp_path: Path, option: tuple[object, ...]
) -> None:
    done = slmmux("search", "--bank", bank, *option, folder=tmp_path)
    assert (done.returncode, "--write FILE asks for" in done.stderr) == (2, True)


def test_a_file_that_is_no_profile_stays(bank: Path, tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text('[[models]]\nmodel = "m"\n')
    done = write(bank, tmp_path)
    assert (done.returncode, "so it stays" in done.stderr) == (2, True)
    assert (tmp_path / "p.toml").read_text() == '[[models]]\nmodel = "m"\n'


def test_a_folder_that_is_not_there_is_named(bank: Path, tmp_path: Path) -> None:
    done = slmmux("search", "--bank", bank, "--write", "none/p.toml", folder=tmp_path)
    assert (done.returncode, "none/" in done.stderr) == (4, True)


def test_a_profile_serves_the_pool_that_it_was_chosen_for(bank: Path, tmp_path: Path) -> None:
    write(bank, tmp_path)
    with FaultEndpoint(text="It is 42.") as server:
        (tmp_path / "slmmux.toml").write_text(
            "".join(
                f'[[models]]\nname = "{name}"\nmodel = "{name}-1b"\ntemperature = 0.5\n'
                f'base_url = "{server.base_url}"\n'
                for name in ("even", "odd", "other")
            )
        )
        done = slmmux("ask", "What is 6 × 7?", "--profile", "p.toml", "--json", folder=tmp_path)
    result: dict[str, Any] = json.loads(done.stdout)
    assert [tally["model"] for tally in result["tallies"]] == ["odd", "even"]
    assert done.stderr == ""
    found = slmmux("eval", "--bank", bank, "--profile", "p.toml", "--json", folder=tmp_path)
    notes = json.loads(found.stdout)["notes"]
    assert any("best in hindsight" in note for note in notes)


def test_few_questions_are_told_and_so_is_what_was_asked_otherwise(
    bank: Path, tmp_path: Path
) -> None:
    done = write(bank, tmp_path)
    assert "warning: the profile was chosen on 30 questions: fewer than 50" in done.stderr
    text = (tmp_path / "p.toml").read_text()
    (tmp_path / "p.toml").write_text(text.replace("temperature = 0.5", "temperature = 0.9", 1))
    found = slmmux("eval", "--bank", bank, "--profile", "p.toml", "--json", folder=tmp_path)
    notes = json.loads(found.stdout)["notes"]
    assert "odd: temperature is 0.5, and was 0.9 on the validation questions" in notes


@pytest.mark.parametrize(
    ("said", "refusal"),
    [
        ([["1", "1", "2"], ["1"]], "2 of 6 samples are missing for k = 3"),
        ([["2", "2", "2"], ["3", "3", "3"]], "no sample of any model is right on any of 2"),
    ],
)
def test_what_cannot_be_chosen_by_is_refused(
    tmp_path: Path, said: list[list[str]], refusal: str
) -> None:
    rows = [
        {"task": "t", "question_id": f"q{place}", "gold": "1", "kind": "number"}
        | {"model": "m", "answers": answers}
        for place, answers in enumerate(said)
    ]
    source, path = tmp_path / "bank.jsonl", tmp_path / "bank.db"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    import_file(path, source)
    search = ("search", "--bank", path, "--sizes", 1, "--write", "p.toml")
    done = slmmux(*search, folder=tmp_path)
    assert (done.returncode, refusal in done.stderr) == (2, True), done.stderr
    assert not (tmp_path / "p.toml").exists()
    if "missing" in refusal:
        assert slmmux(*search, "--allow-missing", folder=tmp_path).returncode == 0
