"""Fetches what the gateway's page is made of from the npm registry, and checks it.

    python docs/page_assets.py [--write]

Exit codes: 0 all is so, 1 something is not, 69 npm is missing or does not reach its registry.

The manifest names each package's version, licence, the integrity of its archive as npm publishes
it, and the SHA-256 of every file taken from it. Without `--write` the archives and files must be
just these. With `--write`, for a new version in the manifest, the files are taken and their hashes
written down.
"""

import argparse
import base64
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parents[1]
VENDOR = ROOT / "src" / "slmmux" / "gateway" / "page" / "assets" / "vendor"
MANIFEST = VENDOR / "manifest.json"
UNAVAILABLE = 69  # sysexits' EX_UNAVAILABLE
UNREACHED = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH")


def fetched(packages: list[dict[str, Any]], folder: Path) -> dict[str, Path]:
    """Each package's archive, from the registry."""
    names = [f"{package['name']}@{package['version']}" for package in packages]
    command = ["npm", "pack", "--json", *names, "--pack-destination", str(folder)]
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    except FileNotFoundError:
        unavailable("npm is not installed")
    except subprocess.TimeoutExpired:
        unavailable("npm does not reach its registry")
    except subprocess.CalledProcessError as error:
        if any(sign in error.stderr + error.stdout for sign in UNREACHED):
            unavailable("npm does not reach its registry")
        raise SystemExit(f"npm cannot fetch {', '.join(names)}: {error.stderr}") from None
    told = json.loads(done.stdout)
    told = list(told.values()) if isinstance(told, dict) else told
    return {one["name"]: folder / one["filename"] for one in told}


def unavailable(why: str) -> NoReturn:
    """End, without having found out."""
    print(f"{why}: the vendored files were not compared with what it publishes", file=sys.stderr)
    sys.exit(UNAVAILABLE)


def integrity(archive: Path) -> str:
    """As npm writes it."""
    return "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()


def contents(archive: Path, names: list[str]) -> dict[str, bytes]:
    """These files of the archive, by their path in the package."""
    found = {}
    with tarfile.open(archive) as tar:
        for name in names:
            member = tar.extractfile(f"package/{name}")
            if member is None:
                raise SystemExit(f"{archive.name} has no file {name}")
            found[name] = member.read()
    return found


def faults(package: dict[str, Any], archive: Path, *, write: bool) -> list[str]:
    """What is not as the manifest says; with `write`, makes it so."""
    wrong = []
    published = integrity(archive)
    if write:
        package["integrity"] = published
    elif published != package["integrity"]:
        wrong.append(f"{archive.name} is {published}, not {package['integrity']}")
    inside = contents(archive, [file["from"] for file in package["files"]])
    for file in package["files"]:
        content, path = inside[file["from"]], VENDOR / file["to"]
        digest = hashlib.sha256(content).hexdigest()
        if write:
            path.write_bytes(content)
            file["sha256"] = digest
        elif file["sha256"] != digest or not path.exists() or path.read_bytes() != content:
            wrong.append(f"{path.relative_to(ROOT)} is not {file['from']} of {archive.name}")
    return wrong


def main() -> None:
    """Check everything, or write it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="take what the registry has")
    write = parser.parse_args().write
    manifest = json.loads(MANIFEST.read_text(encoding="utf-8"))
    packages = manifest["packages"]
    with tempfile.TemporaryDirectory() as folder:
        archives = fetched(packages, Path(folder))
        pairs = [(package, archives[package["name"]]) for package in packages]
        wrong = [fault for one, archive in pairs for fault in faults(one, archive, write=write)]
    if write:
        MANIFEST.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    for package in packages:
        print(f"{package['name']} {package['version']} ({package['licence']})")
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
