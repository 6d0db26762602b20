"""`slmmux serve` and `slmmux keys` as processes: signals, restarts, and who is let in."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from slmmux.testing import FaultEndpoint

COMMAND = [str(Path(sys.executable).with_name("slmmux"))]


class Gateway:
    """A `slmmux serve` in a process of its own.

    Attributes:
        url: where it listens.
        process: it.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self.log: list[str] = []
        self.process = subprocess.Popen(
            [*COMMAND, "serve", "--port", "0", "--log", "json", *options],
            cwd=folder,
            env=environment(folder),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if found := re.search(r"http://[^/]+", line):
                self.url = found[0]
                break
        else:
            raise AssertionError(self.process.communicate()[1])
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.log.extend(self.process.stderr)

    def ask(self, key: str | None = None, **more: Any) -> tuple[int, str]:
        """Status and body of the reply to a question."""
        question = [{"role": "user", "content": "What is 6 × 7?"}]
        body = json.dumps({"model": "slmmux", "messages": question, **more}).encode()
        headers = {"Content-Type": "application/json"}
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=30)
        with contextlib.closing(connection):
            connection.request("POST", "/v1/chat/completions", body, headers)
            reply = connection.getresponse()
            return reply.status, reply.read().decode()

    def end(self, signum: int = signal.SIGTERM) -> int:
        """Send a signal, and wait for the process."""
        self.process.send_signal(signum)
        code = self.process.wait(20)
        self._reader.join(5)
        return code


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "SLMMUX_CONFIG": "", "XDG_STATE_HOME": str(folder / "state")}


def slmmux(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def configure(folder: Path, endpoint: FaultEndpoint, more: str = "") -> None:
    models = "".join(
        f'[[models]]\nname = "{name}"\nmodel = "m"\nbase_url = "{endpoint.base_url}"\n'
        "max_concurrency = 400\n"
        for name in ("a", "b")
    )
    (folder / "slmmux.toml").write_text(
        f'{models}[sampling]\nmax_concurrency = 400\n[mux]\nk = 2\nstopping = "off"\n{more}'
    )


@pytest.fixture(name="start")
def starter(tmp_path: Path) -> Iterator[Callable[..., Gateway]]:
    """Starts gateways in the test's folder; what is left of them is killed in the end."""
    started: list[Gateway] = []

    def start(*options: str) -> Gateway:
        started.append(Gateway(tmp_path, *options))
        return started[-1]

    yield start
    for gateway in started:
        gateway.process.kill()
        gateway.process.communicate()


def test_others_are_let_in_only_with_keys(tmp_path: Path) -> None:
    with FaultEndpoint() as endpoint:
        configure(tmp_path, endpoint)
        done = slmmux(tmp_path, "serve", "--host", "0.0.0.0", "--port", "0")  # noqa: S104
    assert done.returncode == 2
    assert "there are no API keys; make one with `slmmux keys add NAME`" in done.stderr


def test_an_empty_host_is_no_address(tmp_path: Path) -> None:
    with FaultEndpoint() as endpoint:
        configure(tmp_path, endpoint)
        done = slmmux(tmp_path, "serve", "--host", "", "--port", "0")
    assert (done.returncode, "--host is empty; name an address" in done.stderr) == (2, True)


def test_keys_can_be_managed_while_the_configuration_is_broken(tmp_path: Path) -> None:
    broken = '[[models]]\nname = "a"\nbase_urll = 3\n[gateway]\nkeys_file = "my.db"\nlog = "x"\n'
    (tmp_path / "slmmux.toml").write_text(broken)
    assert slmmux(tmp_path, "keys", "add", "alice").returncode == 0
    assert "alice" in slmmux(tmp_path, "keys", "list").stdout
    assert slmmux(tmp_path, "keys", "revoke", "alice").returncode == 0
    assert (tmp_path / "my.db").exists()
    (tmp_path / "slmmux.toml").write_text(broken.replace('"my.db"', "7"))
    done = slmmux(tmp_path, "keys", "list")
    assert (done.returncode, "gateway.keys_file: must be" in done.stderr) == (2, True)
    (tmp_path / "slmmux.toml").write_text("[models\n")
    done = slmmux(tmp_path, "keys", "list")
    assert (done.returncode, "--keys-file names the file of keys" in done.stderr) == (2, True)
    assert slmmux(tmp_path, "keys", "list", "--keys-file", "my.db").returncode == 0


def test_a_key_is_shown_once_and_its_use_afterwards(
    tmp_path: Path, start: Callable[..., Gateway]
) -> None:
    with FaultEndpoint() as endpoint:
        configure(tmp_path, endpoint)
        made = slmmux(tmp_path, "keys", "add", "alice", "--rpm", "60", "--tokens-per-day", "9000")
        key = made.stdout.strip()
        assert re.fullmatch(r"slmmux-[0-9a-f]{12}-[\w-]{43}", key)
        assert "never again" in made.stderr
        gateway = start("--host", "0.0.0.0")  # noqa: S104
        assert gateway.url.startswith("http://127.0.0.1:")
        assert gateway.ask()[0] == 401
        assert gateway.ask(key)[0] == 200
        listed = slmmux(tmp_path, "keys", "list", "--json").stdout
        (entry,) = json.loads(listed)
        assert entry["used_today"] == {"requests": 1, "tokens": 64, "money": 0.0}
        assert entry["limits"]["rpm"] == 60
        assert key not in listed
        assert "64 of 9,000" in slmmux(tmp_path, "keys", "list").stdout
        assert slmmux(tmp_path, "keys", "revoke", "alice").returncode == 0
        assert gateway.ask(key)[0] == 401
        gateway.end()
        assert key not in "".join(gateway.log)
    again = slmmux(tmp_path, "keys", "revoke", "alice")
    assert (again.returncode, "no key alice" in again.stderr) == (2, True)


def test_a_restart_in_the_middle_of_a_hundred_streams(
    tmp_path: Path, start: Callable[..., Gateway]
) -> None:
    with FaultEndpoint(delay_s=1.0) as slow, ThreadPoolExecutor(100) as clients:
        configure(tmp_path, slow, "[gateway]\ndrain_time = 10\nbank = 'samples.db'\n")
        key = slmmux(tmp_path, "keys", "add", "alice", "--rpm", "101").stdout.strip()
        gateway = start()
        streams = [clients.submit(gateway.ask, key, stream=True) for _ in range(100)]
        while slow.at_once < 200:
            time.sleep(0.02)
        assert gateway.end() == 143
        for stream in streams:
            status, text = stream.result()
            assert (status, text.strip().splitlines()[-1]) == (200, "data: [DONE]")
            assert "The answer is 42." in text
            assert '"error"' not in text
        lines = [json.loads(line) for line in gateway.log if line.startswith("{")]
        (banked,) = [line for line in lines if line["message"] == "banked"]
        assert (banked["kept"], banked["dropped"]) == (400, 0)
        after = start()
        assert after.ask(key)[0] == 200
        status, body = after.ask(key)
        assert (status, json.loads(body)["error"]["code"]) == (429, "rate_limit_exceeded")


def test_kill_9_gives_no_key_its_limits_back(tmp_path: Path, start: Callable[..., Gateway]) -> None:
    with FaultEndpoint() as endpoint:
        configure(tmp_path, endpoint)
        key = slmmux(tmp_path, "keys", "add", "alice", "--tokens-per-day", "100").stdout.strip()
        gateway = start()
        assert [gateway.ask(key)[0] for _ in range(2)] == [200, 200]
        gateway.end(signal.SIGKILL)
        status, body = start().ask(key)
        assert (status, json.loads(body)["error"]["code"]) == (429, "insufficient_quota")


def test_kill_9_in_the_middle_of_a_vote_forgets_a_second_of_it_at_most(
    tmp_path: Path, start: Callable[..., Gateway]
) -> None:
    with FaultEndpoint() as quick, FaultEndpoint("hang") as hanging:
        configure(tmp_path, quick)
        text = (tmp_path / "slmmux.toml").read_text()
        (tmp_path / "slmmux.toml").write_text(hanging.base_url.join(text.rsplit(quick.base_url, 1)))
        key = slmmux(tmp_path, "keys", "add", "alice", "--tokens-per-day", "20").stdout.strip()
        gateway = start()
        with ThreadPoolExecutor(1) as clients:
            asking = clients.submit(gateway.ask, key)
            time.sleep(2.5)
            gateway.end(signal.SIGKILL)
            with pytest.raises(OSError):  # noqa: PT011 - a connection may break in many ways
                asking.result()
        (entry,) = json.loads(slmmux(tmp_path, "keys", "list", "--json").stdout)
        assert entry["used_today"]["tokens"] == 32  # two samples of the model that answered


def test_sighup_reads_the_configuration_again_and_keeps_the_old_one_where_it_is_wrong(
    tmp_path: Path, start: Callable[..., Gateway]
) -> None:
    with FaultEndpoint() as first, FaultEndpoint(text="The answer is 43.") as second:
        configure(tmp_path, first)
        gateway = start()
        assert json.loads(gateway.ask()[1])["slmmux"]["answer"] == "42"
        configure(tmp_path, second)
        gateway.process.send_signal(signal.SIGHUP)
        wait_for(gateway, "reloaded")
        assert json.loads(gateway.ask()[1])["slmmux"]["answer"] == "43"
        (tmp_path / "slmmux.toml").write_text("[mux]\nk = 0\n")
        gateway.process.send_signal(signal.SIGHUP)
        wait_for(gateway, "mux.k: must be at least 1, not 0")
        assert json.loads(gateway.ask()[1])["slmmux"]["answer"] == "43"
        assert gateway.end(signal.SIGINT) == 130


def test_a_reload_says_which_changes_wait_for_a_restart(
    tmp_path: Path, start: Callable[..., Gateway]
) -> None:
    with FaultEndpoint() as endpoint:
        configure(tmp_path, endpoint, "[gateway]\ndrain_time = 3\n")
        gateway = start("--log", "json")
        gateway.process.send_signal(signal.SIGHUP)
        wait_for(gateway, "reloaded")
        assert "waits for a restart" not in "".join(gateway.log)
        # The port is the command line's, whatever the file says.
        configure(tmp_path, endpoint, "[gateway]\ndrain_time = 4\nport = 9\nmax_requests = 7\n")
        gateway.process.send_signal(signal.SIGHUP)
        wait_for(gateway, "waits for a restart")
        (line,) = [json.loads(line) for line in gateway.log if "waits for" in line]
        assert (line["level"], line["settings"]) == ("warning", "max_requests, drain_time")


def children(gateway: Gateway) -> set[str]:
    path = Path(f"/proc/{gateway.process.pid}/task/{gateway.process.pid}/children")
    return set(path.read_text().split())


@pytest.mark.embedded
def test_a_reload_keeps_the_weights_that_it_goes_on_with(
    tmp_path: Path, start: Callable[..., Gateway]
) -> None:
    model = '[[models]]\nname = "{0}"\nmodel = "smollm2-135m"\nmax_tokens = {1}\n'
    configuration = tmp_path / "slmmux.toml"
    configuration.write_text(model.format("a", 16) + "[mux]\nk = 1\n")
    gateway = start()
    before = children(gateway)
    configuration.write_text(model.format("b", 16) + "[mux]\nk = 2\n")
    gateway.process.send_signal(signal.SIGHUP)
    wait_for(gateway, "reloaded")
    assert gateway.ask(model="b")[0] == 200
    assert gateway.ask(model="a")[0] == 404
    assert children(gateway) == before
    configuration.write_text(model.format("b", 4000))  # that takes another context
    gateway.process.send_signal(signal.SIGHUP)
    wait_for(gateway, "reloaded", times=2)
    assert gateway.ask(model="b", max_tokens=8)[0] == 200
    until = time.monotonic() + 10
    while children(gateway) & before:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert "died" not in "".join(gateway.log)


def wait_for(gateway: Gateway, words: str, times: int = 1) -> None:
    until = time.monotonic() + 10
    while "".join(gateway.log).count(words) < times:
        assert time.monotonic() < until, gateway.log
        time.sleep(0.02)


def test_settings_are_refused_with_what_to_write(tmp_path: Path) -> None:
    with FaultEndpoint() as endpoint:
        configure(tmp_path, endpoint, '[gateway]\ndrain = 5\nlog = "jsonl"\nmax_waiting = -1\n')
        done = slmmux(tmp_path, "serve")
        assert done.returncode == 2
        assert "gateway.drain: unknown key; did you mean drain_time?" in done.stderr
        assert 'gateway.log: must be "plain" or "json", not "jsonl"; did you mean' in done.stderr
        assert "gateway.max_waiting: must be at least 0, not -1" in done.stderr
        configure(tmp_path, endpoint, '[gateway]\nkeys_file = "mine.db"\n')
        done = slmmux(tmp_path, "serve")
        assert (done.returncode, "mine.db holds no API keys" in done.stderr) == (2, True)
        done = slmmux(tmp_path, "serve", "--log", "xml")
        assert (done.returncode, "it is plain or json" in done.stderr) == (2, True)


def test_the_service_manager_hears_when_it_can_answer_and_when_it_stops(
    tmp_path: Path, start: Callable[..., Gateway], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, FaultEndpoint() as endpoint:
        manager.bind(str(tmp_path / "n"))
        manager.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "n"))
        configure(tmp_path, endpoint)
        gateway = start()
        assert manager.recv(100) == b"READY=1"
        assert gateway.ask()[0] == 200
        gateway.end()
        assert manager.recv(100) == b"STOPPING=1"


def test_a_reload_before_there_is_anything_to_reload_ends_nothing() -> None:
    program = (
        "import os, signal\n"
        "from slmmux.cli.serve import _hold_reloads\n"
        "_hold_reloads()\n"
        "os.kill(os.getpid(), signal.SIGHUP)\n"
        "print('still here')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=30
    )
    assert (done.returncode, done.stdout) == (0, "still here\n")
