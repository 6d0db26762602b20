"""Questions with references, one short file a task; how to write one: `slmmux.tasks.base`.

Tasks are found by name. The built-in ones are listed here; an entry point of the group
`slmmux.tasks` adds one from another package. What comes after a colon is the task's own argument:
`file:questions.jsonl`, `reasoning_gym:chain_sum`.
"""

import difflib
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from slmmux.errors import UsageError
from slmmux.tasks.base import Problem, Split, Task, graded, prompt_style

__all__ = [
    "Problem",
    "Split",
    "Task",
    "find_task",
    "graded",
    "is_task",
    "prompt_style",
    "task_names",
]

GROUP = "slmmux.tasks"

_BUILT_IN = {
    "arithmetic": "slmmux.tasks.arithmetic:TASK",
    "file": "slmmux.tasks.file:FileTask",
    "gpqa": "slmmux.tasks.gpqa:TASK",
    "gsm8k": "slmmux.tasks.gsm8k:TASK",
    "math": "slmmux.tasks.mathematics:TASK",
    "math500": "slmmux.tasks.math500:TASK",
    "mmlu_pro": "slmmux.tasks.mmlu_pro:TASK",
    "reasoning_gym": "slmmux.tasks.reasoning_gym:ReasoningGymTask",
}

_ARGUMENTS = {"file": "PATH", "reasoning_gym": "NAME"}


def task_names() -> tuple[str, ...]:
    """All registered names, sorted, without arguments."""
    return tuple(sorted(_entries()))


def is_task(name: str) -> bool:
    """Whether `find_task` knows this name; whether it can be loaded is another matter.

    A bank's task may have any name: `gpqa:diamond` and `file` are none of ours, since GPQA takes no
    argument and a file's task needs one.
    """
    word, colon, argument = name.partition(":")
    entry = _entries().get(word)
    if entry is None:
        return False
    try:
        takes_argument = callable(_load(entry))
    except UsageError:
        return True
    return bool(argument) if takes_argument else not colon


def find_task(name: str) -> Task:
    """The task of this name: `gsm8k`, `file:questions.jsonl`, `reasoning_gym:chain_sum`.

    Raises:
        UsageError: there is none; the message suggests the nearest.
    """
    word, colon, argument = name.partition(":")
    entry = _entries().get(word)
    if entry is None:
        raise UsageError(f"there is no task {word!r}{_hint(word)}")
    found = _load(entry)
    takes_argument = callable(found)
    if takes_argument and not argument:
        raise UsageError(f"task {word} needs to know which: {word}:{_ARGUMENTS.get(word, '…')}")
    if colon and not takes_argument:
        raise UsageError(f"task {word} takes nothing after a colon; write {word}")
    task: Task = found(argument) if takes_argument else found
    return task


def _entries() -> dict[str, EntryPoint]:
    """Name → entry; a built-in name wins, and of two packages the first by its own name."""
    found = sorted(entry_points(group=GROUP), key=lambda e: e.value, reverse=True)
    built_in = {name: EntryPoint(name, value, GROUP) for name, value in _BUILT_IN.items()}
    return {entry.name: entry for entry in found} | built_in


def _load(entry: EntryPoint) -> Any:
    try:
        return entry.load()
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"task {entry.name} cannot be loaded from {entry.value}: {error}; "
            "reinstall the package that brings it"
        ) from error


def _hint(word: str) -> str:
    names = task_names()
    near = difflib.get_close_matches(word.lower().replace("-", "_"), names, n=1, cutoff=0.5)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; there are {', '.join(names)}"
