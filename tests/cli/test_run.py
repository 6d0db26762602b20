"""`slmmux run`: a real process, real files, a real loopback server."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from slmmux.answer_files import AnswerFile
from slmmux.cli.run import _answer_all, _Counts
from slmmux.config import load_config
from slmmux.errors import QuestionError
from slmmux.question_files import read_questions
from slmmux.testing import Fault, FaultEndpoint

SLMMUX = str(Path(sys.executable).with_name("slmmux"))


@pytest.fixture
def servers() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def serve(stack: ExitStack, tmp_path: Path, *faults: Fault, **options: Any) -> FaultEndpoint:
    """A pool of one model behind this endpoint, in `slmmux.toml` of the folder."""
    server = stack.enter_context(FaultEndpoint(*faults, **options))
    (tmp_path / "slmmux.toml").write_text(
        "[sampling]\nmax_attempts = 1\nmax_concurrency = 4\n"
        f'[[models]]\nname = "a"\nmodel = "tiny"\nbase_url = "{server.base_url}"\n'
    )
    return server


def validator(name: str) -> jsonschema.Draft202012Validator:
    """Of a schema in `docs`, itself a valid one."""
    path = Path(__file__).resolve().parents[2] / "docs" / f"{name}.schema.json"
    schema = json.loads(path.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def questions(tmp_path: Path, count: int) -> Path:
    path = tmp_path / "questions.jsonl"
    rows = [{"id": f"q{i}", "question": f"What is {i} + 1?"} for i in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def command(tmp_path: Path, *arguments: str, out: str = "answers.jsonl") -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [SLMMUX, "run", *arguments, "--out", out],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "SLMMUX_CONFIG"},
    )


def run(
    tmp_path: Path, *arguments: str, stdin: str = "", out: str = "answers.jsonl"
) -> tuple[int, str]:
    process = command(tmp_path, *arguments, out=out)
    _, err = process.communicate(stdin, timeout=60)
    assert "Traceback" not in err
    return process.returncode, err


def answers(tmp_path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().split("\n")[:-1]]


def wait_for_lines(path: Path, more_than: int) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until and not (
        path.exists() and path.read_text().count("\n") > more_than
    ):
        time.sleep(0.05)


def test_every_question_gets_one_line_with_its_id(servers: ExitStack, tmp_path: Path) -> None:
    serve(servers, tmp_path)
    code, err = run(tmp_path, str(questions(tmp_path, 7)))
    assert code == 0
    assert "7 answered" in err
    rows = answers(tmp_path)
    assert sorted(row["question"]["id"] for row in rows) == [f"q{i}" for i in range(7)]
    assert {row["schema"] for row in rows} == {"slmmux.result/1"}


def test_every_line_fits_its_schema_and_may_grow(servers: ExitStack, tmp_path: Path) -> None:
    serve(servers, tmp_path, "server error", "server error", "server error", "ok")
    (tmp_path / "slmmux.toml").write_text(
        (tmp_path / "slmmux.toml").read_text().replace("max_concurrency = 4", "max_concurrency = 1")
    )
    assert run(tmp_path, str(questions(tmp_path, 3)))[0] == 1
    for row in answers(tmp_path):
        schema = validator(row["schema"].removeprefix("slmmux.").removesuffix("/1"))
        schema.validate(row)
        schema.validate({**row, "new": 1})
    assert {row["schema"] for row in answers(tmp_path)} == {"slmmux.result/1", "slmmux.failure/1"}


def test_an_empty_csv_has_no_questions_rather_than_a_wrong_header(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("\n")
    with pytest.raises(QuestionError, match="there are no questions in it"):
        read_questions(str(tmp_path / "empty.csv"))


def test_csv_and_stdin_are_read_too(servers: ExitStack, tmp_path: Path) -> None:
    serve(servers, tmp_path, text="The answer is (A).")
    (tmp_path / "q.csv").write_text("question,choices,id\nWhich?,red|blue,c1\n")
    assert run(tmp_path, "q.csv")[0] == 0
    assert run(tmp_path, "-", stdin='{"question": "Which?", "choices": ["x", "y"]}\n')[0] == 0
    assert [row["answer"] for row in answers(tmp_path)] == ["A", "A"]


def test_a_second_run_asks_nothing_that_is_answered(servers: ExitStack, tmp_path: Path) -> None:
    server = serve(servers, tmp_path)
    run(tmp_path, str(questions(tmp_path, 3)))
    before = len(server.requests)
    code, err = run(tmp_path, str(questions(tmp_path, 5)))
    assert (code, len(answers(tmp_path))) == (0, 5)
    assert len(server.requests) - before == 2 * 3 - 2  # two of three agree: the third is saved
    assert "3 answered before" in err


def test_a_line_cut_short_by_a_crash_is_asked_again(servers: ExitStack, tmp_path: Path) -> None:
    serve(servers, tmp_path)
    run(tmp_path, str(questions(tmp_path, 3)))
    path = tmp_path / "answers.jsonl"
    path.write_text(path.read_text()[:-40])
    code, _ = run(tmp_path, str(questions(tmp_path, 3)))
    assert code == 0
    assert sorted(row["question"]["id"] for row in answers(tmp_path)) == ["q0", "q1", "q2"]


def test_texts_with_the_line_ends_of_unicode_are_read_back(
    servers: ExitStack, tmp_path: Path
) -> None:
    serve(servers, tmp_path, text="One\u2028two\u2029three\u0085 The answer is 4.")
    run(tmp_path, str(questions(tmp_path, 2)))
    code, err = run(tmp_path, str(questions(tmp_path, 3)))
    assert (code, "2 answered before" in err) == (0, True), err
    lines = (tmp_path / "answers.jsonl").read_text().split("\n")
    assert len(lines) == 3 + 1


def test_a_failed_question_stays_in_the_file_and_is_asked_again_later(
    servers: ExitStack, tmp_path: Path
) -> None:
    serve(servers, tmp_path, "server error", "server error", "server error")
    code, err = run(tmp_path, str(questions(tmp_path, 2)))
    assert code == 3
    assert "2 failed (run again to retry them)" in err
    assert [row["schema"] for row in answers(tmp_path)] == ["slmmux.failure/1"] * 2
    assert err.count("failed: a: ") == 1
    assert "500" in answers(tmp_path)[0]["reasons"]["a"]
    serve(servers, tmp_path)
    assert run(tmp_path, str(questions(tmp_path, 2)))[0] == 0
    assert [row["schema"] for row in answers(tmp_path)] == ["slmmux.result/1"] * 2


def test_answers_of_other_settings_are_not_mixed_in(servers: ExitStack, tmp_path: Path) -> None:
    serve(servers, tmp_path)
    run(tmp_path, str(questions(tmp_path, 1)))
    code, err = run(tmp_path, str(questions(tmp_path, 2)), "-k", "5")
    assert code == 2
    assert "k 3, now 5" in err
    assert len(answers(tmp_path)) == 1


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('model = "tiny"', 'model = "large"', "(model a has another id, prompt or sampling)"),
        ('model = "tiny"', 'model = "tiny"\ntemperature = 1.0', "(model a has another id"),
        ('name = "a"', 'name = "b"', "model b is new, model a is gone, priority a, now b"),
        ("[sampling]", "[mux]\ndeadline = 5\n[sampling]", "(deadline none, now 5.0)"),
    ],
)
def test_answers_of_another_pool_are_not_mixed_in(
    servers: ExitStack, tmp_path: Path, old: str, new: str, words: str
) -> None:
    serve(servers, tmp_path)
    run(tmp_path, str(questions(tmp_path, 1)))
    edit(tmp_path / "slmmux.toml", old, new)
    code, err = run(tmp_path, str(questions(tmp_path, 2)))
    assert (code, words in err) == (2, True), err
    assert len(answers(tmp_path)) == 1


def test_another_schedule_gives_the_same_answers_and_goes_on(
    servers: ExitStack, tmp_path: Path
) -> None:
    serve(servers, tmp_path)
    run(tmp_path, str(questions(tmp_path, 1)))
    code, err = run(tmp_path, str(questions(tmp_path, 2)), "--schedule", "draws")
    assert (code, "1 answered before" in err) == (0, True), err


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"question": "Which one, please?"}, "text"),
        ({"choices": ["red", "green"]}, "choices"),
        ({"kind": "text", "choices": []}, "kind"),
    ],
)
def test_a_question_that_changed_under_its_id_is_refused(
    servers: ExitStack, tmp_path: Path, change: dict[str, Any], field: str
) -> None:
    serve(servers, tmp_path, text="The answer is (A).")
    row = {"id": "q7", "question": "Which?", "choices": ["red", "blue"]}
    path = tmp_path / "one.jsonl"
    path.write_text(json.dumps(row))
    assert run(tmp_path, "one.jsonl")[0] == 0
    assert run(tmp_path, "one.jsonl")[0] == 0
    path.write_text(json.dumps({**row, **change}))
    code, err = run(tmp_path, "one.jsonl")
    assert code == 2
    assert f"answers.jsonl:1: question 'q7' had another {field} when it was answered" in err


def test_bad_rows_are_named_and_nothing_is_asked(servers: ExitStack, tmp_path: Path) -> None:
    server = serve(servers, tmp_path)
    rows = ['{"question": "fine?"}', "{oops", '{"text": "x"}', '{"question": " "}', "[1]"]
    (tmp_path / "bad.jsonl").write_text("\n".join(rows))
    code, err = run(tmp_path, "bad.jsonl")
    assert code == 2
    assert [f"line {n}:" in err for n in (1, 2, 3, 4, 5)] == [False, True, True, True, True]
    assert (server.requests, (tmp_path / "answers.jsonl").exists()) == ([], False)


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("none.jsonl", None, "No such file"),
        ("empty.jsonl", b"\n", "there are no questions"),
        ("latin.jsonl", b'{"question": "caf\xe9"}', "not UTF-8"),
        ("header.csv", b"text\nx\n", "no column `question`"),
        ("twice.jsonl", b'{"question":"a","id":1}\n{"question":"b","id":1}', "used twice"),
        (
            "deep.jsonl",
            b'{"question":"a"}\n' + b'{"question":' * 100_000,
            "line 2: nested too deep",
        ),
        ("id.jsonl", b'{"question":"a","id":"\\ud800"}', "line 1: id '\\ud800' has broken"),
        ("id.jsonl", b'{"question":"a","id":" "}', "line 1: the id is empty"),
        ("id.jsonl", b'{"question":"a","id":["b"]}', "id ['b'] is neither a text nor a whole"),
        ("id.jsonl", b'{"question":"a","id":true}', "id True is neither a text nor a whole"),
        ("id.jsonl", b'{"question":"a","id":1.5}', "id 1.5 is neither a text nor a whole"),
        ("quote.csv", b'question,id\na,1\n"b,2\nc,3\n', "line 3: the quotes do not match"),
        ("quote.csv", b'question\n"a" b\n', "line 2: the quotes do not match"),
        ("header.csv", b'"question\na\n', "line 1: the quotes do not match"),
        ("keys.jsonl", b'{"question":"a","question":"b"}', "line 1: `question` stands twice"),
        ("nul.csv", b"question\na\nb\0c\n", "line 3: a NUL byte"),
        ("columns.csv", b"question,id, id\na,b,c\n", "line 1: the header has `id` twice"),
        ("kind.jsonl", b'{"question":"a","kind":"poem"}', "'poem' is not one of"),
    ],
)
def test_a_file_that_cannot_be_asked_says_why(
    servers: ExitStack, tmp_path: Path, name: str, data: bytes | None, words: str
) -> None:
    serve(servers, tmp_path)
    if data is not None:
        (tmp_path / name).write_bytes(data)
    code, err = run(tmp_path, name)
    assert (code, words in err) == (2, True), err


def test_long_cells_unknown_columns_and_spaces_in_the_header_are_read(
    servers: ExitStack, tmp_path: Path
) -> None:
    serve(servers, tmp_path)
    long = "word " * 40_000
    (tmp_path / "q.csv").write_text(f"id, question ,source,,\nc1,{long}?,book,,\n")
    code, err = run(tmp_path, "q.csv")
    assert code == 0, err
    assert [row["question"]["id"] for row in answers(tmp_path)] == ["c1"]


def test_a_file_of_something_else_is_not_overwritten(servers: ExitStack, tmp_path: Path) -> None:
    serve(servers, tmp_path)
    (tmp_path / "answers.jsonl").write_text("my notes\n")
    code, err = run(tmp_path, str(questions(tmp_path, 1)))
    assert code == 2
    assert "not a line of `slmmux run`" in err
    assert (tmp_path / "answers.jsonl").read_text() == "my notes\n"


def test_a_second_run_on_the_same_file_is_refused_and_the_first_loses_nothing(
    servers: ExitStack, tmp_path: Path
) -> None:
    serve(servers, tmp_path)
    run(tmp_path, str(questions(tmp_path, 3)))
    path = tmp_path / "answers.jsonl"
    path.write_text(path.read_text()[:-40])  # so that the next run puts a new file in its place
    serve(servers, tmp_path, delay_s=0.1)
    first = command(tmp_path, str(questions(tmp_path, 20)))
    wait_for_lines(path, 3)
    code, err = run(tmp_path, str(questions(tmp_path, 20)))
    assert code == 2
    assert "answers.jsonl: another slmmux run is writing to it; wait for it, or name" in err
    assert first.communicate(timeout=60)[1].startswith("18 answered")
    assert sorted(row["question"]["id"] for row in answers(tmp_path)) == sorted(
        f"q{i}" for i in range(20)
    )
    assert {file.name for file in tmp_path.iterdir()} == {
        "answers.jsonl",
        "questions.jsonl",
        "slmmux.toml",
    }


def test_a_link_stays_a_link_and_the_file_behind_it_keeps_its_mode(
    servers: ExitStack, tmp_path: Path
) -> None:
    serve(servers, tmp_path)
    (tmp_path / "disk").mkdir()
    real, link = tmp_path / "disk" / "real.jsonl", tmp_path / "answers.jsonl"
    link.symlink_to(real)
    assert run(tmp_path, str(questions(tmp_path, 3)))[0] == 0
    real.write_text(real.read_text()[:-40])
    real.chmod(0o640)
    assert run(tmp_path, str(questions(tmp_path, 3)))[0] == 0
    assert (link.is_symlink(), real.stat().st_mode & 0o777) == (True, 0o640)
    assert len(answers(tmp_path)) == 3
    assert [file.name for file in real.parent.iterdir()] == ["real.jsonl"]


def test_a_k_above_any_use_is_refused_on_the_command_line_too(
    servers: ExitStack, tmp_path: Path
) -> None:
    server = serve(servers, tmp_path)
    code, err = run(tmp_path, str(questions(tmp_path, 1)), "-k", "1001")
    assert code == 2
    assert "k is 1001; it counts samples from each model, so make it 1 to 1000" in err
    assert (server.requests, (tmp_path / "answers.jsonl").exists()) == ([], False)


def test_a_dash_is_no_file_for_answers(servers: ExitStack, tmp_path: Path) -> None:
    server = serve(servers, tmp_path)
    code, err = run(tmp_path, str(questions(tmp_path, 1)), out="-")
    assert code == 2
    assert "--out names a file; for a terminal use /dev/stdout" in err
    assert (server.requests, (tmp_path / "-").exists()) == ([], False)


def test_answers_go_down_a_pipe(servers: ExitStack, tmp_path: Path) -> None:
    serve(servers, tmp_path)
    process = command(tmp_path, str(questions(tmp_path, 2)), out="/dev/stdout")
    out, _ = process.communicate(timeout=60)
    assert [json.loads(line)["schema"] for line in out.splitlines()] == ["slmmux.result/1"] * 2


def test_a_run_that_cannot_begin_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "slmmux.toml").write_text('[[models]]\nname = "a"\nmodel = "unheard-of"\n')
    code, err = run(tmp_path, str(questions(tmp_path, 1)))
    assert (code, "unheard-of" in err) == (2, True), err
    assert not (tmp_path / "answers.jsonl").exists()


def test_ctrl_c_keeps_what_is_answered_and_the_next_run_goes_on(
    servers: ExitStack, tmp_path: Path
) -> None:
    serve(servers, tmp_path, delay_s=0.1)
    process = command(tmp_path, str(questions(tmp_path, 40)))
    path = tmp_path / "answers.jsonl"
    wait_for_lines(path, 3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert err.strip().endswith("interrupted")
    kept = len(answers(tmp_path))
    assert 3 < kept < 40
    serve(servers, tmp_path)
    code, err = run(tmp_path, str(questions(tmp_path, 40)))
    assert (code, len(answers(tmp_path))) == (0, 40)
    assert f"{kept} answered before" in err


def test_a_full_disk_is_told_in_one_line(servers: ExitStack, tmp_path: Path) -> None:
    serve(servers, tmp_path)
    process = subprocess.run(
        [SLMMUX, "run", str(questions(tmp_path, 1)), "--out", "/dev/full"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert process.returncode == 4
    assert process.stderr == (
        "error: /dev/full: No space left on device; make room, or name another file with --out; "
        "what is answered is kept\n"
    )


def test_a_file_that_may_not_grow_keeps_what_is_answered(
    servers: ExitStack, tmp_path: Path
) -> None:
    serve(servers, tmp_path)
    (tmp_path / "slmmux.toml").write_text(
        (tmp_path / "slmmux.toml").read_text().replace("max_concurrency = 4", "max_concurrency = 1")
    )
    limited = "trap '' XFSZ; ulimit -f 8; exec \"$0\" run questions.jsonl --out answers.jsonl"
    process = subprocess.run(
        ["bash", "-c", limited, SLMMUX],
        cwd=questions(tmp_path, 40).parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert process.returncode == 4
    assert "answers.jsonl: File too large; make room, or name another file" in process.stderr
    code, err = run(tmp_path, str(questions(tmp_path, 40)))
    assert (code, len(answers(tmp_path))) == (0, 40)
    assert "answered before" in err


async def test_a_bug_is_told_by_its_own_name_and_what_is_answered_is_kept(
    servers: ExitStack, tmp_path: Path
) -> None:
    serve(servers, tmp_path)
    shown: list[str] = []

    def step(beside: str, steps: int = 1) -> None:
        shown.extend([beside] * steps)
        if len(shown) == 3:
            raise ZeroDivisionError("the bug itself")

    asked = read_questions(str(questions(tmp_path, 9)))
    config = load_config(tmp_path / "slmmux.toml")
    with (
        pytest.raises(ZeroDivisionError, match="the bug itself"),
        AnswerFile(tmp_path / "answers.jsonl", {}) as file,
    ):
        await _answer_all(config, asked, file, _Counts(), step)
    assert len(answers(tmp_path)) >= 3
