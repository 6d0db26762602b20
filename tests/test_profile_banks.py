"""Search, rules, calibration and profile on every recorded bank in ../shared/data."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from slmmux.bank.imports import import_file
from slmmux.profile_file import read_profile

SLMMUX = str(Path(sys.executable).with_name("slmmux"))
DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"
pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="needs the recorded answers in ../shared/data"
)
ONE = ("--count-single-samples", "--sizes", "1-3")


def slmmux(*arguments: object) -> str:
    done = subprocess.run(
        [SLMMUX, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
        env={**os.environ, "COLUMNS": "80"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("date_4_models", ("--sizes", "1-4")),
        ("reasoning_gym_9_models_3_samples", ("--sizes", "1-3", "--task", "all")),
        ("amc_aime_2_models_50_samples", ("--sizes", "1-2", "--task", "all")),
        ("embedded_6_models_10_samples", ("--sizes", "1-3", "--task", "all")),
        ("gsm8k_11_models_greedy", ONE),
        pytest.param("mmlu_pro_29_models", ONE, marks=pytest.mark.slow),
    ],
)
@pytest.mark.timeout(300)
def test_every_bank_gives_a_profile_that_eval_takes(
    tmp_path: Path, name: str, options: tuple[str, ...]
) -> None:
    bank, profile = tmp_path / "bank.db", tmp_path / "profile.toml"
    import_file(bank, DATA / f"{name}.jsonl.gz")
    search = ("search", "--bank", bank, *options, "--write", profile, "--json")
    told: dict[str, Any] = json.loads(slmmux(*search))
    read = read_profile(profile)
    assert list(read.names) == told["profile"]["models"]
    tasks = ("--task", "all") if "all" in options else ()
    few = ("--methods", "single,pooled_vote,mux", "--trials", "1")
    found = json.loads(slmmux("eval", "--bank", bank, "--profile", profile, *tasks, *few, "--json"))
    assert found["models"] == list(read.names)
    assert found["k"] == read.k
    assert any("best in hindsight" in note for note in found["notes"])
    # What is served is, on its own validation questions, no worse than any one model's one sample.
    singles = [row["accuracy"] for row in found["methods"] if row["method"] == "single"]
    assert told["profile"]["accuracy"] >= max(singles) - 0.01
