"""The page's files: what they are, where they come from, and how they are served."""

import hashlib
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hatchling.builders.wheel import WheelBuilder
from starlette.applications import Starlette
from starlette.testclient import TestClient

from slmmux.gateway.page.files import assets, routes

ROOT = Path(__file__).resolve().parents[2]
ASSETS = ROOT / "src" / "slmmux" / "gateway" / "page" / "assets"
VENDOR = ASSETS / "vendor"
OWN = sorted(path for path in ASSETS.iterdir() if path.is_file())
UNAVAILABLE = 69
MANIFEST = json.loads((VENDOR / "manifest.json").read_text())


@pytest.fixture(scope="module")
def client() -> TestClient:
    return TestClient(Starlette(routes=routes()))


def policy(reply: Any) -> dict[str, str]:
    pairs = (
        part.strip().partition(" ") for part in reply.headers["content-security-policy"].split(";")
    )
    return {name: value for name, _, value in pairs}


def test_the_policy_lets_nothing_in_from_elsewhere_and_nothing_inline(client: TestClient) -> None:
    said = policy(client.get("/"))
    assert said["default-src"] == "'none'"
    assert {value for name, value in said.items() if name.endswith("-src")} == {"'none'", "'self'"}
    assert said["require-trusted-types-for"] == "'script'"
    assert said["trusted-types"] == "'none'"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/assets/main.js", "text/javascript; charset=utf-8"),
        ("/assets/page.css", "text/css; charset=utf-8"),
        ("/assets/icon.svg", "image/svg+xml"),
        ("/assets/vendor/preact.mjs", "text/javascript; charset=utf-8"),
        ("/assets/vendor/Temml.woff2", "font/woff2"),
    ],
)
def test_a_file_has_its_type_and_the_headers_of_all(
    client: TestClient, path: str, kind: str
) -> None:
    reply = client.get(path)
    assert reply.headers["content-type"] == kind
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["referrer-policy"] == "no-referrer"
    assert "content-security-policy" in reply.headers
    assert client.head(path).headers["content-length"] == reply.headers["content-length"]


def test_a_file_that_the_browser_has_is_not_sent_again(client: TestClient) -> None:
    first = client.get("/assets/main.js")
    tag = first.headers["etag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}'):
        again = client.get("/assets/main.js", headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
    assert client.get("/assets/main.js", headers={"If-None-Match": '"other"'}).status_code == 200


def test_files_are_sent_packed_to_who_unpacks_them(client: TestClient) -> None:
    sizes = {"/": 0, **{f"/assets/{name}": len(file.content) for name, file in assets().items()}}
    del sizes["/assets/index.html"]
    whole = packed = 0
    for path, size in sizes.items():
        plain = client.get(path, headers={"Accept-Encoding": "identity"})
        reply = client.get(path, headers={"Accept-Encoding": "br, gzip;q=0.5"})
        assert "content-encoding" not in plain.headers
        assert len(plain.content) == size or path == "/"
        assert reply.content == plain.content  # the client unpacks it
        assert reply.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
        if "content-encoding" in reply.headers:
            assert reply.headers["etag"] != plain.headers["etag"]
        whole += len(plain.content)
        packed += int(reply.headers["content-length"])
    assert packed < 0.45 * whole
    assert "content-encoding" not in client.get("/assets/vendor/Temml.woff2").headers
    for refused in ("gzip;q=0", "gzip; q=0.0", "br", ""):
        reply = client.get("/assets/main.js", headers={"Accept-Encoding": refused})
        assert "content-encoding" not in reply.headers


def test_files_that_the_page_links_to_are_kept_and_the_page_is_asked_for(
    client: TestClient,
) -> None:
    page = client.get("/")
    assert page.headers["cache-control"] == "no-cache"
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    folders = {re.match(r"assets/\w{16}/", link)[0] for link in links}  # type: ignore[index]
    assert len(folders) == 1
    for link in (*links, f"{folders.pop()}vendor/Temml.woff2"):
        assert client.get(link).headers["cache-control"] == "max-age=31536000, immutable", link
    assert client.get("/assets/main.js").headers["cache-control"] == "no-cache"
    assert client.get("/assets/0123456789abcdef/main.js").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "nothing.js",
        "../files.py",
        "%2e%2e/files.py",
        "..%2ffiles.py",
        "/etc/passwd",
        "index.html",
        "",
    ],
)
def test_nothing_else_is_served(client: TestClient, path: str) -> None:
    assert client.get(f"/assets/{path}").status_code == 404


def test_the_page_links_to_what_there_is_and_holds_no_code(client: TestClient) -> None:
    text = client.get("/").text
    links = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert len(links) >= 7
    for link in links:
        assert client.get(f"/{link}").status_code == 200, link
    assert re.findall(r"<script(?![^>]*src=)|<style|\son\w+=|\sstyle=", text) == []


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_our_files_name_no_other_host_and_make_no_html(path: Path) -> None:
    text = path.read_text()
    assert [u for u in re.findall(r"https?://[^\s\"'`]+", text) if "www.w3.org" not in u] == []
    assert (
        re.findall(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|Function\(", text
        )
        == []
    )


@pytest.mark.parametrize(
    "file",
    [file for package in MANIFEST["packages"] for file in package["files"]],
    ids=lambda file: file["to"],
)
def test_a_vendored_file_is_the_published_one(file: dict[str, str]) -> None:
    assert hashlib.sha256((VENDOR / file["to"]).read_bytes()).hexdigest() == file["sha256"]


def test_the_manifest_names_every_vendored_file_and_its_licence() -> None:
    named = {file["to"] for package in MANIFEST["packages"] for file in package["files"]}
    assert {path.name for path in VENDOR.iterdir()} == {*named, "manifest.json"}
    for package in MANIFEST["packages"]:
        assert f"{package['name']}.LICENSE.txt" in named
        assert package["licence"] in ("MIT", "Apache-2.0")
        assert package["integrity"].startswith("sha512-")


def test_the_vendored_files_are_those_that_npm_publishes() -> None:
    command = [sys.executable, str(ROOT / "docs" / "page_assets.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == UNAVAILABLE:
        pytest.skip(done.stderr.strip())
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == len(MANIFEST["packages"])


def test_without_npm_it_is_said_that_nothing_was_compared(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "docs" / "page_assets.py")]
    done = subprocess.run(
        command, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    said = "npm is not installed: the vendored files were not compared with what it publishes"
    assert (done.returncode, done.stderr.strip()) == (UNAVAILABLE, said)


@pytest.mark.parametrize(
    ("file", "name", "need"),
    [
        ("temml.min.js", "__renderToMathMLTree", "maths.js makes its elements of the tree"),
        ("marked.esm.js", "emStrongMask", "markdown.js keeps formulas out of emphasis with it"),
    ],
)
def test_a_vendored_file_has_what_we_use_though_it_is_hardly_documented(
    file: str, name: str, need: str
) -> None:
    assert name in (VENDOR / file).read_text(), (
        f"{file} has no {name} any more, and {need}: stay with the version before, "
        "or find what took its place and change our file"
    )


def test_the_wheel_holds_every_file_of_the_page(tmp_path: Path) -> None:
    (built,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    inside = set(zipfile.ZipFile(built).namelist())
    assert {f"slmmux/gateway/page/assets/{name}" for name in assets()} <= inside


def colours(css: str, dark: bool) -> dict[str, str]:
    block = re.search(
        r"\[data-theme=dark\]\{(.*?)\}" if dark else r"^:root\{(.*?)\}",
        css,
        re.MULTILINE | re.DOTALL,
    )
    assert block is not None
    return dict(re.findall(r"--(\w+):(#\w+)", block[1]))


def luminance(colour: str) -> float:
    digits = colour.removeprefix("#")
    digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
    shares = (int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4))
    red, green, blue = (s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_texts_stand_out_from_their_ground(dark: bool) -> None:
    css = (ASSETS / "page.css").read_text()
    of = colours(css, dark)
    for text in ("ink", "muted", "bad", "c0"):
        for ground in ("page", "soft"):
            assert contrast(of[text], of[ground]) >= 4.5, (text, ground)
    for number in range(7):  # the letter of a class on its colour
        assert contrast(of["on"], of[f"c{number}"]) >= 4.5, number
