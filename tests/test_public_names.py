import importlib
import subprocess
import sys

import pytest

import slmmux

NAMES = [
    "Calibration",
    "Example",
    "Model",
    "Mux",
    "Pool",
    "PromptStyle",
    "Question",
    "Result",
    "Risk",
    "Rule",
    "SamplingLimits",
    "SlmmuxError",
    "__version__",
    "connect",
    "load_config",
    "to_json",
]
HEAVY = ("aiohttp", "pydantic", "sympy", "numpy", "tenacity", "typer", "xllamacpp")


def test_the_public_names_are_these() -> None:
    assert slmmux.__all__ == NAMES
    assert dir(slmmux) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_each_public_name_is_found_and_is_what_its_module_holds(name: str) -> None:
    found = getattr(slmmux, name)
    home = importlib.import_module(f"slmmux.{slmmux._HOMES[name]}")
    assert found is getattr(home, name)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'slmmux' has no attribute 'Muxx'"):
        slmmux.Muxx  # noqa: B018


def loaded_by(statement: str) -> set[str]:
    """Packages of the heavy ones that a fresh interpreter has after this statement."""
    program = f"{statement}\nimport sys\nprint(*[m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30
    )
    return set(done.stdout.split())


def test_importing_slmmux_imports_nothing_heavy() -> None:
    assert loaded_by("import slmmux") == set()


def test_values_and_errors_import_nothing_heavy() -> None:
    assert loaded_by("from slmmux import Model, Question, Result, SlmmuxError") == set()


def test_the_line_itself_imports_no_http_client_and_no_algebra() -> None:
    assert loaded_by("from slmmux import Mux") <= {"tenacity"}
