"""`--profile` of `ask`, `run` and `eval`: real processes, a loopback server, real banks."""

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from slmmux.bank import Bank
from slmmux.bank.imports import import_file
from slmmux.bank.rows import fingerprint_of, settings_of
from slmmux.config import read_config
from slmmux.pool_models import pool_models
from slmmux.profile import Data, Profile, ProfileModel
from slmmux.profile_file import read_profile
from slmmux.profile_text import to_toml
from slmmux.rules import Calibration
from slmmux.table import load_table
from slmmux.table_digest import digest, question_digest
from slmmux.testing import FaultEndpoint

SLMMUX = str(Path(sys.executable).with_name("slmmux"))


def slmmux(*arguments: object, folder: Path | None = None) -> "subprocess.CompletedProcess[str]":
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


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Path]:
    """Three models; `seven` says 7, the others 42."""
    with FaultEndpoint(text="It is 42.") as often, FaultEndpoint(text="It is 7.") as seven:
        path = tmp_path / "pool.toml"
        path.write_text(
            "".join(
                f'[[models]]\nname = "{name}"\nmodel = "tiny"\nbase_url = "{server.base_url}"\n'
                for name, server in (("one", often), ("two", often), ("seven", seven))
            )
        )
        yield path


def profile_of(
    pool: Path, accuracies: dict[str, float], *, name: str = "profile.toml", **changes: Any
) -> Path:
    models = {model.name: model for model in read_config(pool).models}
    profile = Profile(
        source="",
        tool="slmmux 0",
        created=None,
        rule="mux",
        calibration=None,
        why_rule="",
        why_models="",
        seed=0,
        k=2,
        stopping="exact",
        schedule=None,
        models=tuple(
            ProfileModel(
                name=name,
                validation_accuracy=accuracy,
                correct=max(1, round(4 * accuracy)),
                samples=4,
                fingerprint=fingerprint_of(settings_of(models[name])),
                settings=settings_of(models[name]),
            )
            for name, accuracy in accuracies.items()
        ),
        objective=None,
        scores=(),
        data=Data(
            bank="bank.db",
            digest="0",
            question_digest="1",
            tasks=("t",),
            questions=2,
            models=3,
            samples=12,
            run_seed=0,
        ),
    )
    path = pool.parent / name
    path.write_text(to_toml(dataclasses.replace(profile, **changes)))
    return path


def test_ask_asks_the_profiles_models_with_its_k_and_its_accuracies(pool: Path) -> None:
    profile = profile_of(pool, {"one": 0.25, "seven": 0.5})
    done = slmmux("ask", "What is 6 × 7?", "--pool", pool, "--profile", profile, "--json")
    result = json.loads(done.stdout)
    assert [tally["model"] for tally in result["tallies"]] == ["one", "seven"]
    assert (result["k"], result["answer"], done.stderr) == (2, "7", "")


def test_the_command_line_comes_before_the_profile_and_says_so(pool: Path) -> None:
    profile = profile_of(pool, {"one": 0.25, "seven": 0.5})
    done = slmmux("ask", "What is 6 × 7?", "--pool", pool, "--profile", profile, "--json", "-k", 4)
    assert json.loads(done.stdout)["k"] == 4
    assert "k is 4 as the command line says, not 2" in done.stderr


CALIBRATION = Calibration(
    models=("one", "seven"),
    k=2,
    weights=(400, 1000),
    sharpness=4.0,
    outside=0.0,
    questions=9,
    spread=0.1,
)


def test_the_profiles_rule_decides_and_gives_its_probability(pool: Path) -> None:
    accuracies = {"one": 0.5, "seven": 0.25}
    profile = profile_of(pool, accuracies, rule="calibrated", calibration=CALIBRATION)
    arguments = ("ask", "What is 6 × 7?", "--pool", pool, "--profile", profile, "--json")
    selection = json.loads(slmmux(*arguments, "--stopping", "off").stdout)["selection"]
    assert (selection["rule"], selection["answer"]) == ("calibrated", "7")
    assert 0.5 < selection["probability"]["low"] < 1
    done = slmmux(*arguments, "--rule", "mux")
    assert json.loads(done.stdout)["answer"] == "42"
    assert "rule is mux as the command line says, not calibrated" in done.stderr


def test_a_calibration_for_another_rule_is_at_hand_on_the_command_line(pool: Path) -> None:
    profile = profile_of(pool, {"one": 0.5, "seven": 0.25}, calibration=CALIBRATION)
    arguments = ("ask", "What is 6 × 7?", "--pool", pool, "--profile", profile, "--json")
    assert json.loads(slmmux(*arguments).stdout)["answer"] == "42"
    done = slmmux(*arguments, "--rule", "calibrated")
    assert json.loads(done.stdout)["answer"] == "7"
    done = slmmux(*arguments, "--rule", "calibrated", "-k", 3)
    assert (done.returncode, "the calibration is for k = 2, not 3" in done.stderr) == (2, True)


def test_a_configuration_that_names_a_profile_is_asked_by_it(pool: Path) -> None:
    profile_of(pool, {"seven": 0.5})
    pool.write_text(pool.read_text() + '[mux]\nprofile = "profile.toml"\n')
    done = slmmux("ask", "What is 6 × 7?", "--pool", pool, "--json")
    assert [tally["model"] for tally in json.loads(done.stdout)["tallies"]] == ["seven"]


def test_a_pool_without_the_profiles_models_is_refused_before_anything_is_drawn(
    pool: Path,
) -> None:
    profile = profile_of(pool, {"one": 0.25, "seven": 0.5})
    pool.write_text(pool.read_text().replace('"seven"', '"eleven"'))
    done = slmmux("ask", "What is 6 × 7?", "--pool", pool, "--profile", profile)
    assert done.returncode == 2
    assert "its models seven" in done.stderr
    assert "missing from the pool" in done.stderr


def test_a_model_asked_otherwise_than_on_validation_is_said(pool: Path) -> None:
    profile = profile_of(pool, {"one": 0.25, "seven": 0.5})
    pool.write_text(pool.read_text() + "temperature = 0.9\n")
    done = slmmux("ask", "What is 6 × 7?", "--pool", pool, "--profile", profile)
    assert done.returncode == 0
    assert "seven: temperature is 0.9, and was 0.3 on the validation questions" in done.stderr


def test_a_file_of_answers_is_not_continued_with_another_profile(pool: Path) -> None:
    (pool.parent / "questions.jsonl").write_text('{"question": "What is 6 × 7?"}\n')
    arguments = ("run", "questions.jsonl", "--out", "answers.jsonl", "--pool", pool, "--profile")
    before = profile_of(pool, {"one": 0.25, "seven": 0.5}, name="before.toml")
    assert slmmux(*arguments, before, folder=pool.parent).returncode == 0
    dated = profile_of(pool, {"one": 0.25, "seven": 0.5}, name="dated.toml", created="2026-11-25")
    assert "1 answered before" in slmmux(*arguments, dated, folder=pool.parent).stderr
    after = profile_of(pool, {"one": 0.5, "two": 0.25}, name="after.toml")
    done = slmmux(*arguments, after, folder=pool.parent)
    assert done.returncode == 2
    assert "model seven is gone" in done.stderr


def test_collect_draws_the_profiles_models_only_as_they_were_asked_before(pool: Path) -> None:
    task = ("--task", "arithmetic", "--shots", 2, "--limit", 2)
    arguments = ("collect", *task, "--pool", pool, "--bank")
    first, second = pool.parent / "validation.db", pool.parent / "test.db"
    assert slmmux(*arguments, first, "--split", "validation").returncode == 0
    with Bank.open(first) as bank:
        asked = {model.name: model for model in bank.models()}
    profile = profile_of(pool, {"seven": 0.5, "one": 0.25})
    path = profile_of(
        pool,
        {"seven": 0.5, "one": 0.25},
        models=tuple(
            dataclasses.replace(model, settings=asked[model.name].settings)
            for model in read_profile(profile).models
        ),
    )
    done = slmmux(*arguments, second, "--profile", path)
    assert (done.returncode, "prompt" in done.stderr) == (0, False)
    with Bank.open(second) as bank:
        assert [model.name for model in bank.models()] == ["seven", "one"]
        assert bank.query("SELECT count(*) FROM samples") == [(8,)]
    told = slmmux("ask", "What is 6 × 7?", "--pool", pool, "--profile", path)
    assert "asked with another prompt" in told.stderr


SAID = {"one": ["1", "1"], "two": ["2", "1"], "seven": ["2", "2"]}


def bank_of(folder: Path) -> Path:
    source, bank = folder / "bank.jsonl", folder / "bank.db"
    fields = {"task": "t", "gold": "1", "kind": "number"}
    source.write_text(
        "".join(
            json.dumps({**fields, "question_id": name, "model": model, "answers": answers}) + "\n"
            for name in ("p", "q")
            for model, answers in SAID.items()
        )
    )
    import_file(bank, source)
    return bank


def test_eval_takes_models_k_and_accuracies_from_the_profile(pool: Path) -> None:
    profile = profile_of(pool, {"seven": 0.75, "one": 0.25}, k=1)
    found = json.loads(
        slmmux("eval", "--bank", bank_of(pool.parent), "--profile", profile, "--json").stdout
    )
    assert found["validation_accuracy"] == {
        "source": "profile profile.toml",
        "by_model": {"seven": 0.75, "one": 0.25},
    }
    assert (found["models"], found["k"]) == (["seven", "one"], 1)
    (mux,) = (row for row in found["methods"] if row["method"] == "mux")
    assert mux["accuracy"] == 0.0  # every tie goes to seven
    assert "the profile serves mux, k = 1: seven, one" in found["notes"]


def test_eval_on_the_questions_of_the_choice_calls_it_hindsight(pool: Path) -> None:
    bank = bank_of(pool.parent)
    with Bank.open(bank) as opened:
        table = load_table(opened, ["t"], run_seed=0, models=pool_models(opened.models(["t"])))
    data = Data(
        bank="bank.db",
        digest=digest(table),
        question_digest=question_digest(table),
        tasks=("t",),
        questions=2,
        models=3,
        samples=12,
        run_seed=0,
    )
    profile = profile_of(pool, {"one": 0.25, "two": 0.5}, data=data)
    found = json.loads(slmmux("eval", "--bank", bank, "--profile", profile, "--json").stdout)
    assert "the profile was chosen on these same questions: best in hindsight" in found["notes"]


def test_eval_with_a_model_that_the_profile_does_not_know_is_refused(pool: Path) -> None:
    profile = profile_of(pool, {"one": 0.25})
    done = slmmux(
        "eval", "--bank", bank_of(pool.parent), "--profile", profile, "--models", "one,two"
    )
    assert done.returncode == 2
    assert "says nothing of two; it has one" in done.stderr
