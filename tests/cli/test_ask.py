"""`slmmux ask` as a person starts it: a real process against a real loopback server."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import jsonschema
import pytest

from slmmux.testing import Fault, FaultEndpoint

SLMMUX = str(Path(sys.executable).with_name("slmmux"))
SCHEMA = json.loads(
    (Path(__file__).resolve().parents[2] / "docs" / "result.schema.json").read_text()
)
FAST = "[sampling]\nmax_attempts = 2\nmax_retry_time = 1.0\nrequest_timeout = 2.0\n"


@pytest.fixture
def servers() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def entry(name: str, base_url: str, **keys: object) -> str:
    extra = "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
    return f'[[models]]\nname = "{name}"\nmodel = "tiny"\nbase_url = "{base_url}"\n{extra}\n'


def pool(tmp_path: Path, *entries: str, settings: str = FAST) -> Path:
    path = tmp_path / "pool.toml"
    path.write_text(settings + "\n" + "\n".join(entries))
    return path


def ask(
    *arguments: str | Path, stdin: str | None = None, **environment: str
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [SLMMUX, "ask", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        input=stdin,
        timeout=60,
        env={**os.environ, **environment},
    )


def test_it_shows_each_models_votes_the_answer_and_why(servers: ExitStack, tmp_path: Path) -> None:
    sure = servers.enter_context(FaultEndpoint(text="The answer is 42."))
    other = servers.enter_context(FaultEndpoint(text="The answer is 7."))
    config = pool(tmp_path, entry("sure", sure.base_url), entry("other", other.base_url))
    done = ask("What is 17 + 25?", "--pool", config, "--stopping", "off")
    assert done.returncode == 0
    assert "sure   ████████████  3/3  42" in done.stdout
    assert "other  ████████████  3/3  7" in done.stdout
    assert "Answer  42" in done.stdout
    assert "sure ties with other at 3 of 3 votes and comes first in the pool" in done.stdout
    assert "6 of 6 draws (0 saved)" in done.stdout


def test_draws_that_were_saved_are_said(servers: ExitStack, tmp_path: Path) -> None:
    server = servers.enter_context(FaultEndpoint())
    config = pool(tmp_path, entry("a", server.base_url), entry("b", server.base_url))
    done = ask("What is 17 + 25?", "--pool", config)
    assert "3 of 6 draws (3 saved)" in done.stdout
    assert "(not asked)" in done.stdout


def test_json_validates_against_the_documented_schema(servers: ExitStack, tmp_path: Path) -> None:
    server = servers.enter_context(FaultEndpoint())
    config = pool(tmp_path, entry("a", server.base_url))
    done = ask("What is 17 + 25?", "--pool", config, "--json")
    result = json.loads(done.stdout)
    jsonschema.validate(result, SCHEMA)
    assert (result["answer"], result["schema"]) == ("42", "slmmux.result/1")


def test_one_of_three_models_failing_is_named_and_the_vote_goes_on(
    servers: ExitStack, tmp_path: Path
) -> None:
    good = servers.enter_context(FaultEndpoint())
    bad = servers.enter_context(FaultEndpoint("server error"))
    config = pool(
        tmp_path,
        entry("bad", bad.base_url),
        entry("good", good.base_url),
        entry("fine", good.base_url),
    )
    done = ask("What is 17 + 25?", "--pool", config, "--stopping", "off")
    assert done.returncode == 0
    assert "Answer  42" in done.stdout
    assert "Degraded: bad: " in done.stdout
    assert "3/3  (failed)" in done.stdout


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("wrong key", "refused the API key"),
        ("unknown model", "tiny"),
        ("not json", "not JSON"),
        ("no choices", "choices"),
        ("hang", "within 2 s"),
        ("server error", "500"),
        ("close at once", "closed the connection"),
    ],
)
def test_when_every_model_fails_each_ones_own_words_are_told(
    servers: ExitStack, tmp_path: Path, fault: Fault, words: str
) -> None:
    server = servers.enter_context(FaultEndpoint(fault))
    config = pool(tmp_path, entry("a", server.base_url), entry("b", server.base_url))
    done = ask("What is 17 + 25?", "--pool", config, "-k", "1")
    assert done.returncode == 3
    assert done.stderr.startswith("error: none of 2 models answered")
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert all(f"  {name}: " in done.stderr for name in "ab")


def test_a_server_that_is_down_is_said_to_be_down(tmp_path: Path) -> None:
    config = pool(tmp_path, entry("a", "http://127.0.0.1:9/v1"))
    done = ask("What is 17 + 25?", "--pool", config)
    assert done.returncode == 3
    assert "connection refused" in done.stderr
    assert "start the server" in done.stderr


def test_no_readable_answer_is_exit_code_1_with_the_text(
    servers: ExitStack, tmp_path: Path
) -> None:
    server = servers.enter_context(FaultEndpoint(text="I would rather not say."))
    config = pool(tmp_path, entry("a", server.base_url))
    done = ask("What is 17 + 25?", "--pool", config)
    assert done.returncode == 1
    assert "No readable answer." in done.stdout
    assert "I would rather not say." in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["  "], "the question is empty"),
        (["x", "--kind", "poem"], "--kind poem is not known"),
        (["x", "--stopping", "2"], "neither exact, off nor a risk"),
        (["x", "--schedule", "quick"], "draws, balanced, waves"),
        (["x", "--choices", "one"], "two or more"),
        (["x", "--pool", "nowhere.toml"], "there is no such file"),
        (["x", "--pool", "canddates"], "did you mean candidates?"),
        (["x", "--deadline", "0"], "above 0; leave it out for no deadline"),
        (["x", "-k", "0"], "k"),
    ],
)
def test_wrong_usage_is_exit_code_2_with_what_to_do(arguments: list[str], words: str) -> None:
    done = ask(*arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_choices_may_be_repeated_or_separated(servers: ExitStack, tmp_path: Path) -> None:
    server = servers.enter_context(FaultEndpoint(text="The answer is (B)."))
    config = pool(tmp_path, entry("a", server.base_url))
    done = ask("Which?", "--choices", "red|green", "--choices", "blue", "--pool", config)
    assert "Answer  B" in done.stdout
    assert "C) blue" in server.requests[0]["messages"][0]["content"]


def test_a_dash_reads_the_question_from_stdin(servers: ExitStack, tmp_path: Path) -> None:
    server = servers.enter_context(FaultEndpoint())
    config = pool(tmp_path, entry("a", server.base_url))
    done = ask("-", "--pool", config, stdin="What is 17 + 25?\n")
    assert done.returncode == 0


def test_an_api_key_reaches_the_endpoint_and_no_output(servers: ExitStack, tmp_path: Path) -> None:
    server = servers.enter_context(FaultEndpoint("wrong key"))
    config = pool(tmp_path, entry("a", server.base_url, api_key_env="A_KEY"))
    done = ask("What is 17 + 25?", "--pool", config, A_KEY="secret-1234567")
    assert done.returncode == 3
    assert "A_KEY" in done.stderr
    assert "secret-1234567" not in done.stdout + done.stderr
    assert server.headers[0]["authorization"] == "Bearer secret-1234567"


def test_ctrl_c_ends_with_one_line_and_130(servers: ExitStack, tmp_path: Path) -> None:
    server = servers.enter_context(FaultEndpoint("hang"))
    config = pool(tmp_path, entry("a", server.base_url), settings="")
    process = subprocess.Popen(
        [SLMMUX, "ask", "What is 17 + 25?", "--pool", str(config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + 20
    while not server.requests and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (130, "", "interrupted\n")


@pytest.mark.embedded
def test_both_embedded_models_vote_on_the_readmes_question() -> None:
    done = ask("What is 17 + 25?", "--stopping", "off", "--json", SLMMUX_CONFIG="")
    assert done.returncode == 0
    result = json.loads(done.stdout)
    jsonschema.validate(result, SCHEMA)
    assert [t["model"] for t in result["tallies"]] == ["smollm2-135m", "gemma3-270m"]
    assert all(t["classes"] for t in result["tallies"])


def test_a_bigger_model_is_asked_when_the_pool_is_not_sure(
    servers: ExitStack, tmp_path: Path
) -> None:
    small = servers.enter_context(FaultEndpoint(text="Hm."))
    big = servers.enter_context(FaultEndpoint(text="The answer is 42."))
    settings = '[mux]\nabstain_below = 0.6\nescalate_to = "big"\n' + FAST
    config = pool(
        tmp_path, entry("small", small.base_url), entry("big", big.base_url), settings=settings
    )
    done = ask("What is 17 + 25?", "--pool", config, "--kind", "number", "--json")
    assert done.returncode == 0
    result = json.loads(done.stdout)
    jsonschema.validate(result, SCHEMA)
    assert (result["answer"], result["selection"]["decided_by"]) == ("42", "big")
    assert result["escalated"]["key"] is None
    assert [t["model"] for t in result["tallies"]] == ["small", "big"]


def test_an_answer_that_is_not_sure_enough_is_shown_as_a_guess(
    servers: ExitStack, tmp_path: Path
) -> None:
    one = servers.enter_context(FaultEndpoint(text="The answer is 1."))
    other = servers.enter_context(FaultEndpoint(text="The answer is 2."))
    config = pool(tmp_path, entry("a", one.base_url), entry("b", other.base_url))
    done = ask(
        "What is 17 + 25?", "--pool", config, "--rule", "pooled-vote", "--abstain-below", "0.6"
    )
    assert done.returncode == 1
    assert "Held back  1 is a guess" in done.stdout
    assert "its confidence of 0.50 is too low" in " ".join(done.stdout.split())


def test_a_rule_without_its_calibration_is_refused(tmp_path: Path) -> None:
    config = pool(tmp_path, entry("a", "http://localhost:1/v1"))
    done = ask("Why?", "--pool", config, "--rule", "calibrated")
    assert done.returncode == 2
    assert "takes a calibration" in done.stderr
