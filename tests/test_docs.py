"""The documentation says what is so: every command, example, link and table of it is checked."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from slmmux.answers import canonical_key
from slmmux.config import read_config
from slmmux.config_schema import TABLES

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "benchmarks").glob("*.md")]
)
# Run from a clean clone by tests/test_clean_clone.py, and by whoever works here.
# Services and containers are linted by tests/test_production.py.
ELSEWHERE = (
    *("make ", "python3 -m venv", ". .venv", "pip install", "python benchmarks/"),
    *("sudo ", "docker "),
)
IN_ONE_SHELL = {"production.md"}  # followed from its beginning to its end by its own test


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), flags=re.DOTALL)


def commands(page: Path) -> list[list[str]]:
    """The commands of each console block, without those that run elsewhere."""
    found = [
        [line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")]
        for block in blocks(page, "console")
    ]
    ours = [[line for line in lines if not line.startswith(ELSEWHERE)] for lines in found]
    return [lines for lines in ours if lines]


def test_the_tree_the_help_and_the_faults_are_what_the_program_says_today() -> None:
    check = [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"]
    done = subprocess.run(check, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr


@pytest.mark.embedded
@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(lines, id=f"{page.name}: {lines[0]}")
        for page in PAGES
        if page.name not in IN_ONE_SHELL
        for lines in commands(page)
    ],
)
def test_every_command_runs(lines: list[str], tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "SLMMUX_CONFIG": "",
    }
    for line in lines:
        done = subprocess.run(
            ["bash", "-c", line],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env=environment,
            timeout=200,
        )
        allowed = {0, 3} if line.startswith("slmmux check") else {0}  # no such server here
        assert done.returncode in allowed, f"{line}\n{done.stdout}{done.stderr}"


@pytest.mark.embedded
@pytest.mark.parametrize(
    "program",
    [pytest.param(program, id=page.name) for page in PAGES for program in blocks(page, "python")],
)
def test_every_python_example_runs(program: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "SLMMUX_CONFIG": ""},
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip(), "an example shows what it does"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_configuration_example_can_be_read(page: Path, tmp_path: Path) -> None:
    for example in blocks(page, "toml"):
        path = tmp_path / "slmmux.toml"
        path.write_text(example)
        assert read_config(path).models


def test_every_key_of_the_configuration_is_explained() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    keys = {key for table in TABLES.values() for key in table.__annotations__}
    missing = {key for key in keys if f"`{key}`" not in text and f"{key} =" not in text}
    assert missing - {"models", "mux", "sampling", "gateway"} == set()


def test_every_pair_of_answers_is_one_class_or_two_as_the_page_says() -> None:
    text = (ROOT / "docs" / "answers.md").read_text()
    rows = re.findall(r"\| (\w+) \| `(.+?)` \| `(.+?)` \| (one class|two classes) \|", text)
    assert len(rows) > 15
    for kind, left, right, verdict in rows:
        same = canonical_key(left, kind) == canonical_key(right, kind)
        assert same == (verdict == "one class"), (kind, left, right)


def test_the_exit_codes_of_the_readme_are_the_programs() -> None:
    from slmmux import cli  # noqa: PLC0415 - beside what it is compared with

    text = (ROOT / "README.md").read_text()
    for code in (cli.OK, cli.NO_ANSWER, cli.USAGE, cli.UPSTREAMS_FAILED, cli.FILES, 130):
        assert f"\n| {code} | " in text


def test_the_changelog_begins_with_what_is_not_released() -> None:
    assert "## Unreleased" in (ROOT / "CHANGELOG.md").read_text()
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["readme"] == "README.md"
