import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from slmmux.config import (
    Config,
    MuxConfig,
    find_config,
    load_config,
    read_config,
)
from slmmux.config_schema import TABLES
from slmmux.default_pools import DEFAULT_MODELS, POOLS, built_in_models
from slmmux.errors import ConfigError
from slmmux.pool import connect, read_api_key
from slmmux.sampling import SamplingLimits
from slmmux.types import Example, Model, PromptStyle
from slmmux.waves import Risk

ONE = '[[models]]\nname = "a"\nmodel = "m"\nbase_url = "http://localhost:1/v1"\n'


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SLMMUX_CONFIG", raising=False)
    monkeypatch.setenv("SET_KEY", "secret-in-environment")
    return tmp_path


def read(text: str) -> Config:
    Path("slmmux.toml").write_text(text)
    return read_config(Path("slmmux.toml"))


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(text)
    return str(caught.value)


def test_a_full_file_becomes_frozen_values(folder: Path) -> None:
    (folder / "shots.jsonl").write_text('{"question": "1+1?", "answer": "2", "id": 7}\n\n')
    config = read(
        """
[[models]]
name = "qwen"
model = "Qwen/Qwen2.5-7B-Instruct"
base_url = "http://localhost:8000/v1/"
api_key_env = "SET_KEY"
few_shot_file = "shots.jsonl"
temperature = 1
prompt = {system = "Be brief.", stop = ["Q:"]}

[mux]
k = 5
stopping = {risk = 0.05}
deadline = 20
"""
    )
    assert config == Config(
        path=Path("slmmux.toml"),
        models=(
            Model(
                name="qwen",
                model="Qwen/Qwen2.5-7B-Instruct",
                base_url="http://localhost:8000/v1",
                api_key_env="SET_KEY",
                temperature=1.0,
                prompt=PromptStyle(
                    examples=(Example("1+1?", "2"),), system="Be brief.", stop=("Q:",)
                ),
            ),
        ),
        mux=MuxConfig(k=5, stopping=Risk(0.05), deadline_s=20.0),
    )
    assert isinstance(config.models[0].temperature, float)


def test_without_a_file_the_default_pool_runs_embedded() -> None:
    config = load_config()
    assert config == Config(path=None, models=DEFAULT_MODELS)
    assert [model.base_url for model in config.models] == ["embedded", "embedded"]
    assert [model.api for model in config.models] == ["completions", "completions"]


def test_an_explicit_file_comes_before_the_environment_and_that_before_the_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_config() is None
    Path("slmmux.toml").write_text(ONE)
    assert find_config() == Path("slmmux.toml")
    for name in ("named.toml", "variable.toml"):
        (folder / name).write_text(ONE)
    monkeypatch.setenv("SLMMUX_CONFIG", "variable.toml")
    assert find_config() == Path("variable.toml")
    assert find_config(Path("named.toml")) == Path("named.toml")


def test_a_file_may_be_named_by_a_text(folder: Path) -> None:
    (folder / "pool.toml").write_text(ONE)
    assert load_config("pool.toml") == read_config("pool.toml") == load_config(Path("pool.toml"))


def test_a_built_in_pool_that_is_misspelt_is_suggested() -> None:
    with pytest.raises(ConfigError, match=r"pools: .*candidates; did you mean candidates\?"):
        load_config("canddates")


def test_a_named_file_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"pool\.toml: there is no such file; `slmmux init`"):
        load_config(Path("pool.toml"))
    monkeypatch.setenv("SLMMUX_CONFIG", "other.toml")
    with pytest.raises(ConfigError, match=r"other\.toml: SLMMUX_CONFIG names it"):
        load_config()


def test_every_problem_is_in_one_message() -> None:
    message = refusal(
        ONE + 'temprature = 0.3\napi_key_env = "UNSET_KEY"\n'
        '[[models]]\nname = "a"\nmodel = "m"\nbase_url = "localhost:8000/v1"\n'
        "[mux]\nk = 0\n[sampling]\nretries = 3\n"
    )
    assert message.splitlines() == [
        "6 problems in the configuration",
        "  slmmux.toml: mux.k: must be at least 1, not 0",
        "  slmmux.toml: sampling.retries: unknown key; did you mean max_attempts?",
        "  slmmux.toml: models[0].temprature: unknown key; did you mean temperature?",
        (
            "  slmmux.toml: models[0].api_key_env: UNSET_KEY is not set; "
            "export UNSET_KEY=… with the endpoint's key"
        ),
        (
            '  slmmux.toml: models[1].base_url: "localhost:8000/v1" has no http:// or https://; '
            'did you mean "http://localhost:8000/v1"?'
        ),
        '  slmmux.toml: models[1].name: "a" is also the name of models[0]',
    ]


@pytest.mark.parametrize(
    ("toml", "problem"),
    [
        ("colour = 1\n" + ONE, "colour: unknown key; known are models, mux, sampling"),
        ("[model]\n" + ONE, "model: unknown key; did you mean models?"),
        ("k = 5\n" + ONE, "k: unknown key; k belongs in [mux]"),
        (ONE + "k = 5", "models[0].k: unknown key; k belongs in [mux]"),
        (ONE + 'system = "x"', "models[0].system: unknown key; system belongs in [models.prompt]"),
        (ONE + "timeout = 5", "models[0].timeout: unknown key; request_timeout belongs in"),
        (ONE + "max-tokens = 5", "models[0].max-tokens: unknown key; did you mean max_tokens?"),
        (ONE + 'top_p = "0.9"', 'top_p: must be a number, not "0.9"; write top_p = 0.9'),
        (ONE + "temperature = nan", "temperature: must be a finite number, not nan"),
        (ONE + "temperature = true", "temperature: must be a number, not true"),
        (ONE + "max_tokens = 10000001", "max_tokens: must be at most 10000000, not 10000001"),
        (ONE + "[mux]\nk = 1001", "mux.k: must be at most 1000, not 1001"),
        (ONE + f"[mux]\nseed = {2**63}", f"mux.seed: must be less than {2**63}, not {2**63}"),
        (ONE + f"[mux]\nseed = {-(2**63) - 1}", f"mux.seed: must be at least {-(2**63)}, not"),
        (ONE + "temperature = 30", "temperature: must be at most 2, not 30"),
        (ONE + "max_tokens = 9.5", "max_tokens: must be a whole number, not 9.5"),
        (ONE + "validation_accuracy = 85", "validation_accuracy: must be at most 1, not 85"),
        (ONE + "price_per_mtok_in = -1", "price_per_mtok_in: must be at least 0, not -1"),
        (ONE + 'n = "seed"', 'not "seed"; did you mean "seeded"?'),
        (ONE + 'prompt = "be brief"', 'prompt: must be a table, not "be brief"'),
        (ONE + 'prompt = {stop = "x"}', "prompt.stop: must be a list in square brackets"),
        (ONE + "prompt = {stop = [1]}", "models[0].prompt.stop[0]: must be text in quotes, not 1"),
        (ONE + '[mux]\nstopping = "never"', 'stopping: must be "exact", "off" or {risk = 0.05}'),
        (ONE + "[mux]\nstopping = {risk = 2}", "mux.stopping.risk: must be less than 1, not 2"),
        (ONE + "[mux]\nstopping = {}", "mux.stopping.risk: is missing"),
        (ONE + "[mux]\nquorum = 2", "mux.quorum: asks for 2 models, and there are 1"),
        (ONE + "[sampling]\nrequest_timeout = 0", "must be more than 0, not 0"),
        ('[[models]]\nname = "a"\nbase_url = "http://x/v1"', "models[0].model: is missing"),
        ('[[models]]\nmodel = " "\nbase_url = "http://x/v1"', "models[0].model: must not be empty"),
        ('[models]\nmodel = "m"', "models: must be a list of tables: write [[models]]"),
        ("", "models: is missing: a pool needs a model; `slmmux init` writes an example"),
        ("models = []", "models: is missing"),
        ('[[models]]\nmodel = "smollm2-13m"', "did you mean smollm2-135m?"),
        (
            '[[models]]\nmodel = "smollm2-135m"\napi_key_env = "SET_KEY"',
            "the embedded engine needs no key",
        ),
        (ONE.replace("/v1", "/v1/chat/completions"), 'write base_url = "http://localhost:1/v1"'),
        (ONE.replace("localhost:1", "localhost:99999"), "base_url: is not a URL (Port out of"),
        (ONE.replace("http://localhost:1", "api.x.com"), 'did you mean "https://api.x.com/v1"?'),
        (ONE.replace("localhost:1/v1", ""), '"http://" names no host; write an address such as'),
        (ONE.replace("//localhost:1", "/localhost:1"), '"http:/localhost:1/v1" names no host; '),
        (ONE + 'few_shot_file = "no.jsonl"', "few_shot_file: no.jsonl: No such file"),
        (ONE + 'api_key_file = "no.key"', "api_key_file: no.key: No such file"),
        (
            ONE + 'api_key_file = "k"\napi_key_env = "SET_KEY"',
            "api_key_file: cannot stand beside api_key_env",
        ),
    ],
)
def test_a_problem_names_file_key_and_remedy(toml: str, problem: str) -> None:
    message = refusal(toml)
    assert problem in message
    assert message.startswith("slmmux.toml: ")
    assert "\n" not in message


def test_a_syntax_error_names_line_and_column() -> None:
    assert refusal(ONE + "n = never") == (
        "slmmux.toml: not valid TOML: Invalid value (at line 5, column 5)"
    )


def test_a_file_that_is_not_utf_8_names_byte_and_line() -> None:
    Path("slmmux.toml").write_bytes(ONE.encode() + b"# caf\xe9\n")
    with pytest.raises(ConfigError, match=r"not UTF-8 \(byte 0xe9 in line 5\)"):
        load_config()


def test_a_byte_order_mark_is_no_problem() -> None:
    Path("slmmux.toml").write_bytes(b"\xef\xbb\xbf" + ONE.encode())
    assert load_config().models[0].name == "a"


@pytest.mark.parametrize(
    "line",
    [
        'api_key = "sk-SECRET"',
        'token = "sk-SECRET"',
        'api_key_env = "sk-SECRET"',
        'api_key_env = "hf_SECRETx"',
        "api_key = sk-SECRET",
        'headers = {Authorization = "Bearer sk-SECRET"}',
        'base_url = "https://me:SECRET@host/v1"',
        'base_url = "me:SECRET@host/v1"',
        'base_url = "https://host/v1?api_key=SECRET"',
        'base_url = "host/v1?api_key=SECRET"',
    ],
)
def test_a_key_in_the_file_is_refused_and_never_shown(line: str) -> None:
    message = refusal(f'[[models]]\nmodel = "m"\n{line}\n' + ONE)
    assert "SECRET" not in message


def test_a_key_in_the_file_is_told_where_it_belongs() -> None:
    message = refusal(ONE + 'api_key = "sk-SECRET"')
    assert 'api_key_env = "MY_API_KEY"' in message
    assert "api_key_file" in message


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ("", "is empty"),
        ('{"question": "q"}', 'line 1 needs "answer" with text'),
        ('{"question": "q", "answer": "a"}\n{', "line 2 is not JSON ("),
        ("[1]", "line 1 is not a JSON object"),
        ("{}\n" * 9, "4 more lines like that"),
    ],
)
def test_a_bad_few_shot_file_names_its_lines(rows: str, problem: str) -> None:
    Path("shots.jsonl").write_text(rows)
    message = refusal(ONE + 'few_shot_file = "shots.jsonl"')
    assert problem in message
    assert message.startswith("slmmux.toml: models[0].few_shot_file: shots.jsonl: ")


def test_a_few_shot_line_may_hold_a_unicode_line_separator() -> None:
    row = {"question": "one\u2028two", "answer": "a"}
    Path("shots.jsonl").write_text(json.dumps(row, ensure_ascii=False), encoding="utf-8")
    config = read(ONE + 'few_shot_file = "shots.jsonl"')
    assert config.models[0].prompt.examples == (Example("one\u2028two", "a"),)


def test_relative_files_start_from_the_folder_of_the_configuration(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub/shots.jsonl").write_text('{"question": "q", "answer": "a"}')
    (folder / "sub/key").write_text("secret-in-file\n")
    (folder / "sub/pool.toml").write_text(
        ONE + 'few_shot_file = "shots.jsonl"\napi_key_file = "key"\n'
    )
    (model,) = read_config(folder / "sub/pool.toml").models
    assert model.prompt.examples == (Example("q", "a"),)
    assert read_api_key(model) == "secret-in-file"


def test_an_embedded_base_model_continues_a_text_unless_told_otherwise() -> None:
    table = '[[models]]\nmodel = "gemma3-270m"\n'
    assert read(table).models[0].api == "completions"
    assert read(table + 'api = "chat"').models[0].api == "chat"
    assert read(table).models[0].name == "gemma3-270m"


# For each key, a value that differs from the default.
VALUES = {
    "models": {
        "name": '"other"',
        "model": '"other"',
        "base_url": '"http://other/v1"',
        "api": '"completions"',
        "api_key_env": '"SET_KEY"',
        "api_key_file": '"key"',
        "prompt": '{system = "x"}',
        "few_shot_file": '"shots.jsonl"',
        "temperature": "0.9",
        "top_p": "0.9",
        "max_tokens": "9",
        "n": '"seeded"',
        "price_per_mtok_in": "0.9",
        "price_per_mtok_out": "0.9",
        "validation_accuracy": "0.9",
        "max_concurrency": "9",
    },
    "models.prompt": {
        "system": '"x"',
        "instruction": '"x"',
        "stop": '["x"]',
        "examples": '[{question = "x", answer = "y"}]',
    },
    "mux": {
        "profile": '"profile.toml"',
        "k": "9",
        "rule": '"pooled_vote"',
        "stopping": '"off"',
        "schedule": '"draws"',
        "deadline": "9",
        "abstain_below": "0.9",
        "escalate_to": '"a"\nabstain_below = 0.5',
        "quorum": "2",
        "seed": "9",
    },
    "sampling": {
        "max_concurrency": "9",
        "request_timeout": "9",
        "max_attempts": "9",
        "max_retry_time": "9",
    },
    "gateway": {
        "host": '"::1"',
        "port": "9",
        "hosts": '["gateway.example"]',
        "keys_file": '"keys.db"',
        "max_requests": "9",
        "max_waiting": "9",
        "max_wait": "9",
        "drain_time": "9",
        "max_deadline": "9",
        "max_draws": "9",
        "max_body_mb": "9",
        "breaker_failures": "9",
        "breaker_wait": "9",
        "slow_call": "9",
        "bank": '"samples.db"',
        "redact_prompts": "true",
        "log": '"json"',
        "log_prompts": "true",
        "traces": "true",
    },
}


def keys() -> Iterator[tuple[str, str]]:
    for table, values in VALUES.items():
        assert set(values) == set(TABLES[table].__annotations__)
        for key in values:
            yield table, key


@pytest.mark.parametrize(("table", "key"), list(keys()))
def test_every_key_is_read(table: str, key: str) -> None:
    Path("key").write_text("secret")
    Path("shots.jsonl").write_text('{"question": "q", "answer": "a"}')
    two = ONE.replace('"a"', '"b"') + "\n"
    entry = {"name": '"a"', "model": '"m"', "base_url": '"http://localhost:1/v1"'}
    plain = two + "[[models]]\n" + "".join(f"{k} = {v}\n" for k, v in entry.items())
    value = VALUES[table][key]
    if table == "models":
        entry[key] = value
        changed = two + "[[models]]\n" + "".join(f"{k} = {v}\n" for k, v in entry.items())
    else:
        changed = f"{plain}[{table}]\n{key} = {value}\n"
    assert read(changed) != read(plain)


def test_keys_do_not_appear_in_the_configuration() -> None:
    Path("key").write_text("secret-in-file")
    config = read(
        ONE + 'api_key_env = "SET_KEY"\n' + ONE.replace('"a"', '"b"') + 'api_key_file = "key"\n'
    )
    assert "secret" not in repr(config)
    assert "secret" not in json.dumps(dataclasses.asdict(config), default=str)


def test_a_key_file_with_more_than_a_key_is_refused_without_showing_it() -> None:
    Path("key").write_text("secret one\nsecret two\n")
    message = refusal(ONE + 'api_key_file = "key"')
    assert "must be one word of plain characters on one line" in message
    assert "secret" not in message


async def test_models_of_one_endpoint_and_key_share_an_engine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTHER_KEY", "another")
    models = [
        Model(name="a", model="m", base_url="http://localhost:1/v1", api_key_env="SET_KEY"),
        Model(name="b", model="n", base_url="http://localhost:1/v1", api_key_env="SET_KEY"),
        Model(name="c", model="m", base_url="http://localhost:1/v1", api_key_env="OTHER_KEY"),
        Model(name="d", model="m", base_url="http://localhost:2/v1"),
        Model(name="e", model="smollm2-135m"),
        Model(name="f", model="smollm2-135m"),
    ]
    async with connect(models) as pool:
        assert [model.name for model in pool.models] == list("abcdef")
        engines = pool.engines
        assert engines["a"] is engines["b"]
        assert len({id(engine) for engine in engines.values()}) == 4
        assert engines["e"] is engines["f"]


def test_a_key_that_went_away_names_the_model() -> None:
    model = Model(name="a", model="m", base_url="http://localhost:1/v1", api_key_env="GONE_KEY")
    with pytest.raises(ConfigError, match="a: GONE_KEY is not set"):
        connect([model])


def test_two_models_of_one_name_do_not_make_a_pool() -> None:
    model = Model(name="a", model="m", base_url="http://localhost:1/v1")
    with pytest.raises(ConfigError, match="need different names"):
        connect([model, model])


def test_a_profile_is_looked_for_beside_the_file_that_names_it() -> None:
    Path("folder").mkdir()
    path = Path("folder/pool.toml")
    path.write_text(ONE + '[mux]\nprofile = "chosen.toml"\n')
    assert read_config(path).profile == Path("folder/chosen.toml")


@pytest.mark.parametrize(("name", "models"), [("default", 2), ("demo", 4), ("candidates", 12)])
def test_a_built_in_pool_is_named_like_a_file(name: str, models: int) -> None:
    assert len(load_config(name).models) == models


def test_a_file_of_that_name_comes_before_the_built_in_pool() -> None:
    Path("demo").write_text(ONE)
    assert [model.name for model in load_config("demo").models] == ["a"]


def test_every_built_in_model_has_a_name_of_its_own_and_one_meaning() -> None:
    seen: dict[str, Model] = {}
    for pool in POOLS.values():
        for model in pool():
            plain = dataclasses.replace(model, validation_accuracy=None)
            assert seen.setdefault(model.name, plain) == plain
    assert set(built_in_models()) == set(seen)


def test_the_sampling_table_fills_the_limits() -> None:
    assert read(ONE + "[sampling]\nrequest_timeout = 7\nmax_retry_time = 8\n").sampling == (
        dataclasses.replace(SamplingLimits(), request_timeout_s=7.0, max_retry_s=8.0)
    )


BIGGER = """
[mux]
abstain_below = 0.6
escalate_to = "big"

[[models]]
name = "a"
model = "m"
base_url = "http://localhost:1/v1"

[[models]]
name = "big"
model = "m"
base_url = "http://localhost:2/v1"
"""


def test_the_model_to_escalate_to_is_not_part_of_the_pool() -> None:
    Path("slmmux.toml").write_text(BIGGER)
    config = read_config("slmmux.toml")
    assert [model.name for model in config.models] == ["a"]
    assert config.bigger is not None
    assert config.bigger.name == "big"
    assert config.mux.abstain_below == 0.6


def test_escalating_to_nobody_or_without_a_threshold_is_refused() -> None:
    Path("slmmux.toml").write_text(BIGGER.replace('"big"\n\n[[', '"bigg"\n\n[[', 1))
    with pytest.raises(ConfigError, match='there is no model "bigg"; it is one of a, big'):
        read_config("slmmux.toml")
    Path("slmmux.toml").write_text(BIGGER.replace("abstain_below = 0.6\n", ""))
    with pytest.raises(ConfigError, match="needs abstain_below beside it"):
        read_config("slmmux.toml")
