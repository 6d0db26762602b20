"""Writes what the documentation takes from the program itself: the tree, the help, the faults.

    python docs/generate.py [--check]

`--check` changes nothing and says which files are not what would be written.
"""

import argparse
import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

from faults import fault_rows

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "slmmux"
COMMAND = str(Path(sys.executable).with_name("slmmux"))
NOTE = "<!-- written by docs/generate.py -->\n"
WIDTH = 100
_CLAUSE = re.compile(r"(.+)(?:[,:;] | \(| and | that ).*")  # all but the last clause


def summary(path: Path) -> str:
    """The first line of a module's docstring."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0].rstrip(".")


def the_line() -> list[str]:
    """The modules that the import contract holds together, from the end of the line to its seam."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    rows = next(c["layers"] for c in contracts if c["type"] == "layers")
    names = [name.strip() for row in reversed(rows) for name in row.split("|")]
    return [name.removeprefix("slmmux.") for name in names]


def tree() -> str:
    """Every module with one comment: the line first, then what stands around it."""
    line = the_line()
    homes = sorted(p for p in SOURCE.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists())
    around = [p.stem for p in homes if p.stem not in line and not p.stem.startswith("_")]
    return "\n".join(
        ["# the line", *_branch(line), "", "# around the line", *_branch(["__init__", *around])]
    )


def _branch(names: list[str]) -> Iterator[str]:
    for name in names:
        folder = SOURCE / name
        if not folder.is_dir():
            yield _leaf(folder.with_suffix(".py"), f"{name}.py")
            continue
        yield _leaf(folder / "__init__.py", f"{name}/")
        for path in sorted(folder.glob("*.py")):
            if path.stem != "__init__":
                yield _leaf(path, f"  {path.name}")
        for inner in sorted(path.parent for path in folder.glob("*/__init__.py")):
            yield _leaf(inner / "__init__.py", f"  {inner.name}/")


def _leaf(path: Path, name: str) -> str:
    comment = summary(path)
    while len(comment) > WIDTH - 25 and (shorter := _CLAUSE.match(comment)):
        comment = shorter[1]
    return f"{name:24} {comment}".rstrip()


def readme() -> str:
    """README.md with the tree of today."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.sub(
        r"(```\nsrc/slmmux/\n).*?(```)", lambda m: f"{m[1]}{tree()}\n{m[2]}", text, flags=re.DOTALL
    )


def cli() -> str:
    """The help of every command."""
    top = help_of()
    pages = ["# The command line\n", NOTE, _block("slmmux --help", top)]
    for command in _commands(top):
        text = help_of(command)
        pages.append(f"## slmmux {command}\n\n{_block(f'slmmux {command} --help', text)}")
        pages += [
            f"### slmmux {command} {inner}\n\n"
            + _block(f"slmmux {command} {inner} --help", help_of(command, inner))
            for inner in _commands(text)
        ]
    return "\n".join(pages)


def help_of(*command: str) -> str:
    """What `--help` prints at 80 columns."""
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb"}
    done = subprocess.run(
        [COMMAND, *command, "--help"], capture_output=True, text=True, check=True, env=environment
    )
    return done.stdout.rstrip()


def _commands(text: str) -> list[str]:
    _, _, listed = text.partition("\nCommands:\n")
    return re.findall(r"^  (\w+)  ", listed.partition("\n\n")[0] + "\n", flags=re.MULTILINE)


def _block(command: str, output: str) -> str:
    return f"```text\n$ {command}\n{output}\n```\n"


def faults() -> str:
    """docs/faults.md with what each fault prints today."""
    path = ROOT / "docs" / "faults.md"
    head, mark, _ = path.read_text(encoding="utf-8").partition(NOTE)
    return head + mark + "\n" + "\n".join(fault_rows()) + "\n"


FILES: dict[str, Callable[[], str]] = {
    "README.md": readme,
    "docs/cli.md": cli,
    "docs/faults.md": faults,
}


def main() -> None:
    """Write the files, or check them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    stale = []
    for name, render in FILES.items():
        path, text = ROOT / name, render()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if not check:
                path.write_text(text, encoding="utf-8")
    if check and stale:
        sys.exit(f"not what the program says today: {', '.join(stale)}; run `make docs`")


if __name__ == "__main__":
    main()
