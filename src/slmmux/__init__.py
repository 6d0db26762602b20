"""Several small language models answer together; the most confident one wins."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slmmux._version import __version__
    from slmmux.config import load_config
    from slmmux.engines.base import Pool
    from slmmux.errors import SlmmuxError
    from slmmux.mux import Mux
    from slmmux.pool import connect
    from slmmux.results import to_json
    from slmmux.rules import Calibration, Rule
    from slmmux.sampling import SamplingLimits
    from slmmux.types import Example, Model, PromptStyle, Question, Result
    from slmmux.waves import Risk

__all__ = [
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

# Where each name lives: imported on first use, so that `slmmux --help` does not wait for aiohttp.
_HOMES = {
    "Calibration": "rules",
    "Example": "types",
    "Model": "types",
    "Mux": "mux",
    "Pool": "engines.base",
    "PromptStyle": "types",
    "Question": "types",
    "Result": "types",
    "Risk": "waves",
    "Rule": "rules",
    "SamplingLimits": "sampling",
    "SlmmuxError": "errors",
    "__version__": "_version",
    "connect": "pool",
    "load_config": "config",
    "to_json": "results",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'slmmux' has no attribute {name!r}")
    return getattr(import_module(f"slmmux.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
