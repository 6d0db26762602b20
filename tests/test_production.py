"""docs/production.md and deploy/: what the page says is done, as far as a test can do it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "production.md").read_text()
UNIT = ROOT / "deploy" / "slmmux.service"
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
BIN = Path(sys.executable).parent


def lines_of(section: str) -> list[str]:
    """The commands of a section."""
    text = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\$ (.+)$", text, flags=re.MULTILINE)


@pytest.mark.embedded
@pytest.mark.timeout(300)
def test_the_page_is_followed_to_the_letter(tmp_path: Path) -> None:
    commands = lines_of("Try it first")
    assert len(commands) > 15
    end = "trap 'kill $(jobs -p) 2> /dev/null || true' EXIT"  # of whatever fails before the end
    script = "\n".join(["set -e -o pipefail", end, *commands])
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "SLMMUX_CONFIG": "", "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    log = (tmp_path / "gateway.log").read_text() if (tmp_path / "gateway.log").exists() else ""
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{log}"
    assert '"object":"chat.completion"' in done.stdout
    assert 'slmmux_draws_total{served="slmmux"}' in done.stdout
    assert "exit code 143" in done.stdout
    assert "gateway" in done.stdout.rpartition("banked")[2]
    assert (tmp_path / "alice.key").read_text().strip() not in log


def test_the_other_sections_install_what_is_there() -> None:
    for path in re.findall(r"deploy/[\w.]+", PAGE):
        assert (ROOT / path).exists(), path
    wanted = set(re.findall(r"'\.\[([\w,]+)\]'", PAGE)) | set(
        re.findall(r"/src\[([\w,]+)\]", DOCKERFILE.read_text())
    )
    assert wanted == {"gateway,embedded"}


def test_the_container_file_passes_its_linter() -> None:
    linter = shutil.which("hadolint", path=f"{BIN}{os.pathsep}{os.environ['PATH']}")
    if linter is None:
        pytest.skip("hadolint is not installed here")
    done = subprocess.run([linter, str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_container_runs_without_privileges_and_says_how_it_is() -> None:
    text = DOCKERFILE.read_text()
    assert re.search(r"^USER 10001$", text, flags=re.MULTILINE)
    assert "HEALTHCHECK" in text
    assert "/healthz" in text


@pytest.fixture(name="unit")
def installed_unit(tmp_path: Path) -> Path:
    """The unit, with a program and a user that this machine has."""
    text = UNIT.read_text().replace("/opt/slmmux/bin/slmmux", str(BIN / "slmmux"))
    unit = tmp_path / "slmmux.service"
    unit.write_text(re.sub(r"^(User|Group)=slmmux$", r"\1=root", text, flags=re.MULTILINE))
    return unit


def systemd(*arguments: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed here")
    return subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, check=False, timeout=60
    )


def test_systemd_takes_the_unit_without_a_word(unit: Path) -> None:
    done = systemd("verify", str(unit))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_unit_is_hardened(unit: Path) -> None:
    done = systemd("security", "--offline=true", "--threshold=20", "--no-pager", str(unit))
    assert done.returncode == 0, done.stdout[-300:]


def test_the_unit_waits_longer_than_the_gateway_drains() -> None:
    from slmmux.config_gateway import GatewayConfig  # noqa: PLC0415 - for this test only

    (seconds,) = re.findall(r"^TimeoutStopSec=(\d+)$", UNIT.read_text(), flags=re.MULTILINE)
    assert int(seconds) >= GatewayConfig().drain_s + 10
