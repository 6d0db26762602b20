import os
import re
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from slmmux.cli.app import app
from slmmux.cli.init import _ENDPOINTS
from slmmux.cli.init_template import ENTRIES, render
from slmmux.config import Config, MuxConfig, read_config
from slmmux.config_gateway import GatewayConfig, gateway_of
from slmmux.config_schema import TABLES
from slmmux.default_pools import DEFAULT_MODELS
from slmmux.errors import UsageError
from slmmux.sampling import SamplingLimits

runner = CliRunner()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for entry in ENTRIES.values():
        if entry.api_key_env:
            monkeypatch.setenv(entry.api_key_env, "secret")
    return tmp_path


def parsed(text: str) -> Config:
    Path("slmmux.toml").write_text(text)
    return read_config(Path("slmmux.toml"))


def switched_on(text: str) -> str:
    return re.sub(r"^#(?=\S)", "", text, flags=re.MULTILINE)


def test_the_new_file_is_the_default_pool_with_the_default_settings() -> None:
    result = runner.invoke(app, ["init"])
    assert result.output == "wrote slmmux.toml\nnext: slmmux check\n"
    config = read_config(Path("slmmux.toml"))
    assert config.models == DEFAULT_MODELS
    assert config.mux == MuxConfig()
    assert config.sampling == SamplingLimits()


def test_everything_switched_on_parses_too() -> None:
    config = parsed(switched_on(render()))
    assert config.bigger is not None  # is asked when the others are not sure enough
    names = [model.name for model in (*config.models, config.bigger)]
    assert len(names) == len(DEFAULT_MODELS) + len(ENTRIES)
    assert config.sampling == SamplingLimits(), "a setting that is switched off shows its default"
    assert config.mux.deadline_s == 60.0


@pytest.mark.parametrize("name", ENTRIES)
def test_each_entry_can_be_switched_on_by_itself(name: str) -> None:
    assert runner.invoke(app, ["init", "--endpoint", name]).exit_code == 0
    config = read_config(Path("slmmux.toml"))
    assert len(config.models) == 1
    assert config.models[0].api_key_env == ENTRIES[name].api_key_env


def test_several_entries_can_be_switched_on() -> None:
    result = runner.invoke(app, ["init", "--endpoint", "OpenAI", "--endpoint", "vllm"])
    assert "next: export OPENAI_API_KEY=…, the key for openai" in result.output
    assert len(read_config(Path("slmmux.toml")).models) == 2


def test_the_option_offers_every_entry() -> None:
    assert tuple(ENTRIES) == _ENDPOINTS


def test_an_unknown_entry_is_refused_before_anything_is_written() -> None:
    result = runner.invoke(app, ["init", "--endpoint", "olama"])
    assert isinstance(result.exception, UsageError)
    assert "did you mean ollama?" in str(result.exception)
    assert not Path("slmmux.toml").exists()


def test_a_file_is_never_overwritten_unless_asked_to() -> None:
    Path("slmmux.toml").write_text("mine")
    result = runner.invoke(app, ["init"])
    assert str(result.exception) == "slmmux.toml exists; --force overwrites it"
    assert Path("slmmux.toml").read_text() == "mine"
    assert runner.invoke(app, ["init", "--force"]).exit_code == 0
    assert Path("slmmux.toml").read_text() == render()


def test_a_folder_gets_the_file_under_its_usual_name(folder: Path) -> None:
    (folder / "sub").mkdir()
    result = runner.invoke(app, ["init", "sub"])
    assert result.output.endswith("next: slmmux check --config sub/slmmux.toml\n")
    assert (folder / "sub/slmmux.toml").is_file()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_told(folder: Path) -> None:
    folder.chmod(0o500)
    result = runner.invoke(app, ["init"])
    folder.chmod(0o700)
    assert str(result.exception) == "slmmux.toml cannot be written: Permission denied"


def test_a_folder_that_is_not_there_is_told() -> None:
    result = runner.invoke(app, ["init", "no/such/folder/x.toml"])
    assert "cannot be written: No such file or directory" in str(result.exception)


def test_the_file_explains_every_key() -> None:
    text = render()
    for table in TABLES.values():
        for key in table.__annotations__:
            assert re.search(rf"\b{key}\b", text), key


def test_the_defaults_of_the_gateway_in_the_file_are_the_programs() -> None:
    section = render().partition("[gateway]")[2].partition("\n[")[0]
    table = tomllib.loads("\n".join(re.findall(r"^#(\w+ = \S+)", section, re.MULTILINE)))
    assert set(table) == set(TABLES["gateway"].__annotations__)
    defaults = {key: value for key, value in table.items() if key not in {"keys_file", "bank"}}
    assert gateway_of(defaults, Path()) == GatewayConfig()
