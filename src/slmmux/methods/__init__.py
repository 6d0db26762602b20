"""Ways to get one answer from a pool's samples, by name; one signature for all."""

from collections.abc import Sequence
from difflib import get_close_matches

from slmmux.errors import UsageError
from slmmux.methods.base import Budget, Decision, Method, budget_of
from slmmux.methods.calibrated import Calibrated
from slmmux.methods.mux import MuxMethod
from slmmux.methods.oracle import Oracle
from slmmux.methods.pooled_vote import PooledVote
from slmmux.methods.random_model import RandomModel
from slmmux.methods.self_consistency import SelfConsistency
from slmmux.methods.single import Single, SingleGreedy

__all__ = ["METHODS", "Budget", "Calibrated", "Decision", "Method", "budget_of", "find_methods"]

METHODS: dict[str, type[Method]] = {
    "single": Single,
    "single_greedy": SingleGreedy,
    "self_consistency": SelfConsistency,
    "pooled_vote": PooledVote,
    "mux": MuxMethod,
    "calibrated": Calibrated,
    "random_model": RandomModel,
    "oracle": Oracle,
}


def find_methods(names: Sequence[str]) -> dict[str, Method]:
    """The methods of these names, in this order; `-` may stand for `_`.

    Raises:
        UsageError: a name that no method has.
    """
    found: dict[str, Method] = {}
    for name in names:
        key = name.strip().lower().replace("-", "_")
        if key not in METHODS:
            close = get_close_matches(key, METHODS, n=1)
            meant = f"; did you mean {close[0]}?" if close else f": {', '.join(METHODS)}"
            raise UsageError(f"there is no method {name}{meant}")
        found[key] = METHODS[key]()
    return found
