import json
import os
import pty
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from slmmux.bank.imports import import_file

SLMMUX = str(Path(sys.executable).with_name("slmmux"))
ROW = {"task": "sums", "question_id": "q1", "gold": "4", "model": "weak", "answers": ["4", None]}


def slmmux(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SLMMUX, "bank", *arguments], capture_output=True, text=True, cwd=folder, check=False
    )


def said(folder: Path, *arguments: str) -> str:
    """What a command that succeeds says on stdout, then stderr."""
    done = slmmux(folder, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def refused(folder: Path, code: int, *arguments: str) -> str:
    done = slmmux(folder, *arguments)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("error: ")
    return done.stderr


def write(folder: Path, name: str, *rows: dict[str, Any]) -> None:
    (folder / name).write_text("\n".join(json.dumps(row) for row in rows) + "\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "rows.jsonl", ROW, ROW | {"model": "strong", "temperature": 0.3})
    import_file(tmp_path / "bank.db", tmp_path / "rows.jsonl")
    return tmp_path


def contents(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / "bank.db")) as connection:
        return list(connection.iterdump())


def test_a_models_hash_stands_whole_below_its_name_where_there_is_no_room(tmp_path: Path) -> None:
    name = "qwen2.5-0.5b"
    write(tmp_path, "rows.jsonl", *(ROW | {"model": name, "temperature": t} for t in (0.3, 0.9)))
    import_file(tmp_path / "bank.db", tmp_path / "rows.jsonl")
    hashes = [
        holding["fingerprint"][:8]
        for holding in json.loads(said(tmp_path, "info", "bank.db", "--json"))["holdings"]
    ]
    narrow = said(tmp_path, "info", "bank.db")
    assert all(re.search(f"^#{mark}\\s*$", narrow, re.MULTILINE) for mark in hashes), narrow
    assert narrow.count(f"{name} ") == 2
    wide = subprocess.run(
        [SLMMUX, "bank", "info", "bank.db"],
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    ).stdout
    assert all(f"{name}#{mark}" in wide for mark in hashes), wide


def test_an_import_says_what_it_added_and_what_it_guessed(tmp_path: Path) -> None:
    write(tmp_path, "rows.jsonl", ROW, ROW | {"model": "strong"})
    out = said(tmp_path, "import", "bank.db", "rows.jsonl")
    assert "rows.jsonl: 2 rows, 4 samples added, 1 new questions, 2 new models" in out
    assert "sums: answers are read as number, guessed from the references" in out
    again = said(tmp_path, "import", "bank.db", "rows.jsonl", "rows.jsonl")
    assert again.count("0 samples added (4 were there already)") == 2


def test_the_kind_can_be_said(tmp_path: Path) -> None:
    write(tmp_path, "rows.jsonl", ROW)
    assert "guessed" not in said(tmp_path, "import", "bank.db", "rows.jsonl", "--kind", "text")
    assert "read as text" in said(tmp_path, "info", "bank.db")


def test_info_shows_tasks_and_models(folder: Path) -> None:
    out = said(folder, "info", "bank.db")
    assert "bank.db: 4 samples" in out
    assert "sums: 1 questions, read as number" in out
    assert ["weak", "0", "2", "2", "1", "1", "0", "–", "–"] in [
        line.split() for line in out.splitlines()
    ]


def test_info_for_programs(folder: Path) -> None:
    summary = json.loads(said(folder, "info", "bank.db", "--json"))
    assert summary["schema"] == "slmmux.bank/1"
    assert (summary["samples"], summary["questions"], summary["claims"]) == (4, 1, 0)
    assert summary["tasks"] == [
        {"task": "sums", "questions": 1, "kinds": ["number"], "without_reference": 0}
    ]
    assert [holding["model"] for holding in summary["holdings"]] == ["weak", "strong"]
    assert summary["holdings"][0] | {"fingerprint": ""} == {
        "task": "sums",
        "model": "weak",
        "fingerprint": "",
        "run_seed": 0,
        "samples": 2,
        "least": 2,
        "most": 2,
        "answered": 1,
        "unreadable": 1,
        "failed": 0,
        "tokens": None,
        "cost": None,
    }


def test_info_of_an_empty_bank(tmp_path: Path) -> None:
    (tmp_path / "none.jsonl").touch()
    said(tmp_path, "import", "bank.db", "none.jsonl")
    assert "0 samples" in said(tmp_path, "info", "bank.db")


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz", "out.jsonl.zst", "out.parquet"])
def test_an_export_is_read_by_an_import(folder: Path, name: str) -> None:
    assert f"{name}: 2 rows" in said(folder, "export", "bank.db", name)
    said(folder, "import", "again.db", name)
    assert (
        slmmux(folder, "export", "again.db", "-").stdout
        == slmmux(folder, "export", "bank.db", "-").stdout
    )


def test_an_export_to_stdout_is_json_lines(folder: Path) -> None:
    lines = slmmux(folder, "export", "bank.db", "-", "--task", "sums").stdout.splitlines()
    assert [json.loads(line)["model"] for line in lines] == ["weak", "strong"]


def test_an_export_to_a_pipe_that_closes_is_quiet(folder: Path) -> None:
    write(folder, "many.jsonl", *(ROW | {"question_id": str(i)} for i in range(5000)))
    said(folder, "import", "many.db", "many.jsonl")
    done = subprocess.run(
        ["bash", "-c", f"{SLMMUX} bank export many.db - | head -1"],
        capture_output=True,
        text=True,
        cwd=folder,
        check=True,
    )
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


def test_banks_merge_into_one(folder: Path) -> None:
    write(folder, "more.jsonl", ROW | {"model": "new"})
    said(folder, "import", "more.db", "more.jsonl")
    out = said(folder, "merge", "all.db", "bank.db", "more.db")
    assert "bank.db: 4 samples added" in out
    assert "more.db: 2 samples added" in out
    assert json.loads(said(folder, "info", "all.db", "--json"))["samples"] == 6


def test_a_sound_bank_is_verified(folder: Path) -> None:
    assert said(folder, "verify", "bank.db").startswith("bank.db is sound\n")


def test_a_bank_that_is_not_sound_says_how(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "bank.db")) as connection:
        connection.execute("UPDATE samples SET key = '9' WHERE idx = 0")
        connection.commit()
    error = refused(folder, 4, "verify", "bank.db")
    assert "bank.db is not sound:\n  sums q1: sample 0 of model 1" in error
    assert said(folder, "reextract", "bank.db") == "2 answers changed\n"
    said(folder, "verify", "bank.db")


def test_answers_that_are_not_those_of_their_texts_are_counted(folder: Path) -> None:
    texts = ROW | {"task": "texts"}
    del texts["answers"]
    write(folder, "texts.jsonl", texts | {"samples": ["The answer is 4.", "The answer is 5."]})
    said(folder, "import", "bank.db", "texts.jsonl")
    sound = "bank.db is sound\n  2 answers were recorded without a text to compare them with\n"
    assert said(folder, "verify", "bank.db") == sound
    with closing(sqlite3.connect(folder / "bank.db")) as connection:
        connection.execute(
            "UPDATE samples SET answer = '9', key = '9' WHERE text = 'The answer is 5.'"
        )
        connection.commit()
    out = said(folder, "verify", "bank.db")
    assert out.startswith(sound + "  1 of 2 texts say another answer than the bank:\n")
    assert "texts q1: sample 1 of weak (run seed 0) has '9'; its text says '5'\n" in out
    assert "`slmmux bank reextract bank.db` takes the answers from the texts" in out
    said(folder, "reextract", "bank.db")
    assert said(folder, "verify", "bank.db") == sound


def test_a_kind_is_changed_for_one_task(folder: Path) -> None:
    write(folder, "more.jsonl", ROW | {"task": "more", "answers": ["04"]})
    said(folder, "import", "bank.db", "more.jsonl")
    assert "--kind needs --task: bank.db has the tasks more, sums" in refused(
        folder, 2, "reextract", "bank.db", "--kind", "text"
    )
    assert said(folder, "reextract", "bank.db", "--task", "more", "--kind", "text") == (
        "1 answers changed\n"
    )


@pytest.mark.parametrize(
    ("code", "words", "arguments"),
    [
        (4, "none.db: there is no such bank", ("info", "none.db")),
        (4, "none.db: there is no such bank", ("merge", "new.db", "none.db")),
        (4, "rows.jsonl: not a bank", ("info", "rows.jsonl")),
        (4, "rows.jsonl: not a bank", ("import", "rows.jsonl", "rows.jsonl")),
        (4, "none.jsonl: No such file", ("import", "bank.db", "none.jsonl")),
        (4, "line 1: not JSON", ("import", "new.db", "bad.jsonl")),
        (4, "is in the bank with another text", ("import", "bank.db", "other.jsonl")),
        (4, "No such file or directory", ("export", "bank.db", "none/out.jsonl")),
        (
            2,
            "--kind numeric is not known",
            ("import", "b.db", "rows.jsonl", "--kind", "numeric"),
        ),
        (2, "has no task 'none'; it has sums", ("export", "bank.db", "-", "--task", "none")),
        (2, "has no task 'none'; it has sums", ("reextract", "bank.db", "--task", "none")),
        (2, "Missing argument", ("import", "bank.db")),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    folder: Path, code: int, words: str, arguments: tuple[str, ...]
) -> None:
    (folder / "bad.jsonl").write_text("{\n")
    write(folder, "other.jsonl", ROW | {"answers": ["5"]})
    before = contents(folder)
    assert words in refused(folder, code, *arguments)
    assert contents(folder) == before
    assert not (folder / "new.db").exists()


def test_a_full_disk_is_said_in_a_line_and_leaves_the_bank(folder: Path) -> None:
    rows = [ROW | {"question_id": "q" * 100 + str(i)} for i in range(5000)]
    write(folder, "many.jsonl", *rows)
    before = contents(folder)
    done = subprocess.run(
        ["bash", "-c", f"ulimit -f 300; exec {SLMMUX} bank import bank.db many.jsonl"],
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
    )
    assert done.returncode == 4
    assert "make room and try again. The bank is as it was before" in done.stderr
    assert "Traceback" not in done.stderr
    assert contents(folder) == before


def test_a_terminal_sees_a_bar(folder: Path) -> None:
    rows = [ROW | {"question_id": str(i), "answers": ["4"] * 9} for i in range(6000)]
    write(folder, "many.jsonl", *rows)
    parent, child = pty.openpty()
    command = [SLMMUX, "bank", "import", "many.db", "many.jsonl"]
    with subprocess.Popen(command, cwd=folder, stderr=child, stdout=child) as process:
        os.close(child)
        shown = b""
        while True:
            try:
                piece = os.read(parent, 65536)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            shown += piece
        assert process.wait() == 0
    os.close(parent)
    assert b"importing many.jsonl" in shown
    assert b"%" in shown


def test_the_group_loads_no_heavy_library() -> None:
    code = "import sys, slmmux.cli.bank; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()
    assert not {"pydantic", "sqlite3", "rich", "pyarrow", "zstandard", "sympy"} & set(loaded)


def test_help_names_every_command_and_the_exit_codes(tmp_path: Path) -> None:
    out = said(tmp_path, "--help")
    for command in ("info", "import", "export", "merge", "verify", "reextract"):
        assert f"\n  {command} " in out
    assert "Exit codes: 0 done; 2 wrong usage; 4 a bank or file cannot be used" in " ".join(
        out.split()
    )


def test_an_export_to_a_full_disk_names_the_file_and_what_to_do(folder: Path) -> None:
    words = "the disk is full or a size limit is reached; make room and try again"
    assert f"/dev/full: {words}" in refused(folder, 4, "export", "bank.db", "/dev/full")


def test_a_merge_that_fails_leaves_no_new_bank_and_says_what_to_do(folder: Path) -> None:
    for name, answer in (("one", "4"), ("two", "5")):
        write(folder, f"{name}.jsonl", ROW | {"answers": [answer]})
        said(folder, "import", f"{name}.db", f"{name}.jsonl")
    said(folder, "merge", "new.db", "one.db")
    assert "need another run seed" in refused(folder, 4, "merge", "new.db", "two.db")
    with closing(sqlite3.connect(folder / "two.db")) as connection:
        connection.execute("DROP TABLE samples")
    refused(folder, 4, "merge", "newer.db", "two.db")
    assert not list(folder.glob("newer.db*"))


def test_an_analysis_refuses_a_bank_that_is_damaged_where_it_does_not_look(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "bank.db")) as connection:
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'claims' AND type = 'table'"
        ).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    with (folder / "bank.db").open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    done = subprocess.run(
        [SLMMUX, "eval", "--bank", "bank.db"],
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
    )
    assert done.returncode == 4
    assert "bank.db: damaged" in done.stderr
