import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from slmmux.errors import UsageError
from slmmux.tasks import find_task, is_task, prompt_style, task_names

BUILT_IN = ("arithmetic", "file", "gpqa", "gsm8k", "math", "math500", "mmlu_pro", "reasoning_gym")
PLAIN = ("arithmetic", "gpqa", "gsm8k", "math", "math500", "mmlu_pro")

PLUGIN = '''
"""Capitals of countries."""

from slmmux.prompts import question_of
from slmmux.tasks.base import Problem
from slmmux.tasks.published import HubData, PublishedTask, text_in
from slmmux.types import Example


def parse(cells):
    question = question_of(f"What is the capital of {text_in(cells, 'country')}?", "text")
    metadata = {"continent": text_in(cells, "continent")}
    return Problem(question=question, reference=text_in(cells, "city"), metadata=metadata)


TASK = PublishedTask(
    name="capitals",
    kind="text",
    column="country",
    hub=HubData(repo="example/capitals", revision="0" * 40),
    parse=parse,
    examples=(Example("What is the capital of Spain?", "The answer is Madrid."),),
)
'''


def plugin(folder: Path, entries: str) -> None:
    """A distribution as pip would leave it: a module, and metadata with entry points."""
    (folder / "capital_tasks.py").write_text(PLUGIN)
    metadata = folder / "capital_tasks-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: capital-tasks\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[slmmux.tasks]\n{entries}\n")


def child(folder: Path, code: str) -> Any:
    path = os.pathsep.join([str(folder), *sys.path])
    done = subprocess.run(
        [sys.executable, "-P", "-c", f"import json\n{code}"],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_built_in_tasks_are_found_without_installed_entry_points() -> None:
    assert set(BUILT_IN) <= set(task_names())
    for name in PLAIN:
        task = find_task(name)
        assert (task.name, task.secret) == (name, name == "gpqa")


def test_what_stands_after_a_colon_is_the_tasks_argument() -> None:
    assert find_task("file:a/b.jsonl").name == "file:a/b.jsonl"
    assert find_task("reasoning_gym:chain_sum").name == "reasoning_gym:chain_sum"
    assert is_task("reasoning_gym:chain_sum")
    assert not is_task("reasoning_gym_easy")
    assert not is_task("gpqa:diamond")  # GPQA takes no argument: a bank's own name
    assert not is_task("file")  # and a file's task needs one


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("gsm8", "there is no task 'gsm8'; did you mean gsm8k?"),
        ("MMLU-Pro", "there is no task 'MMLU-Pro'; did you mean mmlu_pro?"),
        ("zzz", "there is no task 'zzz'; there are arithmetic, file, gpqa"),
        ("gsm8k:main", "task gsm8k takes nothing after a colon; write gsm8k"),
        ("file", "task file needs to know which: file:PATH"),
        ("reasoning_gym:", "task reasoning_gym needs to know which: reasoning_gym:NAME"),
    ],
)
def test_a_wrong_name_is_told_with_a_suggestion(name: str, told: str) -> None:
    with pytest.raises(UsageError) as error:
        find_task(name)
    assert str(error.value).startswith(told)


def test_another_package_adds_a_task_by_an_entry_point(tmp_path: Path) -> None:
    plugin(tmp_path, "capitals = capital_tasks:TASK")
    rows = [
        {"country": f"Country {i}", "city": f"City {i}", "continent": "Asia"} for i in range(40)
    ]
    data = tmp_path / "capitals.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    names, count, correct, metadata = child(
        tmp_path,
        "from pathlib import Path\nfrom slmmux.tasks import find_task, task_names\n"
        f"task = find_task('capitals')\nproblems = task.load('test', data=Path({str(data)!r}))\n"
        "grade = task.grade(problems[0], None)\n"
        "print(json.dumps([list(task_names()), len(problems), grade.correct, "
        "dict(problems[0].metadata)]))",
    )
    assert "capitals" in names
    assert 20 <= count < 40
    assert correct is False
    assert metadata == {"continent": "Asia"}


def test_another_package_cannot_take_over_a_built_in_name(tmp_path: Path) -> None:
    plugin(tmp_path, "gsm8k = capital_tasks:TASK")
    code = "from slmmux.tasks import find_task\nprint(json.dumps(find_task('gsm8k').column))"
    assert child(tmp_path, code) == "question"


def test_a_broken_entry_point_is_told_when_its_task_is_asked_for(tmp_path: Path) -> None:
    plugin(tmp_path, "capitals = capital_tasks:GONE")
    code = (
        "from slmmux.errors import UsageError\nfrom slmmux.tasks import find_task\n"
        "find_task('gsm8k')\ntry:\n    find_task('capitals')\n"
        "except UsageError as error:\n    print(json.dumps(str(error)))"
    )
    told = child(tmp_path, code)
    assert "task capitals cannot be loaded from capital_tasks:GONE" in str(told)


@pytest.mark.parametrize("name", [*PLAIN, "reasoning_gym:chain_sum"])
def test_every_task_has_zero_shot_and_few_shot_prompts(name: str) -> None:
    if name.startswith("reasoning_gym"):
        pytest.importorskip("reasoning_gym")
    task = find_task(name)
    assert prompt_style(task).examples == ()
    assert prompt_style(task, 2).examples == task.examples[:2]
    assert len(task.examples) >= 3
    with pytest.raises(UsageError, match="is more"):
        prompt_style(task, len(task.examples) + 1)


def test_the_example_task_of_the_authors_guide_is_the_one_tested_here() -> None:
    from slmmux.tasks import base  # noqa: PLC0415

    guide = base.__doc__ or ""
    for line in PLUGIN.strip().splitlines()[8:14]:
        assert line.strip() in guide
