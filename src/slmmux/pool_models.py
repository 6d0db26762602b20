"""Which of a bank's models take part: names → samples, greedy samples beside them."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

from slmmux.errors import UsageError
from slmmux.table import PoolModel

if TYPE_CHECKING:
    from slmmux.bank.rows import BankModel

_TOLD = ("model", "endpoint", "temperature", "top_p", "max_tokens", "prompt")
_SHOWN = 8  # digits of a fingerprint that tell variants apart


def pool_models(recorded: "Sequence[BankModel]", names: Sequence[str] = ()) -> list[PoolModel]:
    """The models that take part, pool order.

    Samples at temperature 0 beside others of the same name are the model's greedy ones. A name
    with several other settings is several models: `NAME#FINGERPRINT` says which is meant.

    Args:
        recorded: the bank's models, in its pool order.
        names: that take part, in their pool order; none means all.

    Raises:
        UsageError: no such model, one named twice, or several models of one name.
    """
    wanted = list(names) or list(dict.fromkeys(model.name for model in recorded))
    if not wanted:
        raise UsageError("the bank holds no samples of any model on these questions")
    twice = sorted({name for name in wanted if wanted.count(name) > 1})
    if twice:
        raise UsageError(f"--models names {', '.join(twice)} twice")
    return [_pool_model(name, recorded) for name in wanted]


def _pool_model(name: str, recorded: "Sequence[BankModel]") -> PoolModel:
    named, _, mark = name.rpartition("#")
    variants = [model for model in recorded if model.name == name]
    if not variants and named:
        variants = [model for model in recorded if model.name == named]
        chosen = [model for model in variants if model.fingerprint.startswith(mark)]
    else:
        chosen = [model for model in variants if not _is_greedy(model)] or variants
    if not variants:
        raise UsageError(_unknown(name, recorded))
    if len(chosen) != 1:
        choice = ", ".join(f"{m.name}#{m.fingerprint[:_SHOWN]} {_about(m)}" for m in variants)
        raise UsageError(
            f"{name}: the bank holds {len(variants)} models of this name; --models takes one as "
            f"NAME#FINGERPRINT: {choice}"
        )
    greedy = [model for model in variants if _is_greedy(model)]
    return PoolModel(name, chosen[0], greedy[0] if len(greedy) == 1 else None)


def _is_greedy(model: "BankModel") -> bool:
    return model.settings.get("temperature") == 0


def _about(model: "BankModel") -> str:
    told = [f"{name} {model.settings[name]}" for name in _TOLD if name in model.settings]
    return f"({', '.join(told)})" if told else ""


def _unknown(name: str, recorded: "Sequence[BankModel]") -> str:
    known = list(dict.fromkeys(model.name for model in recorded))
    close = get_close_matches(name, known, n=1)
    if close:
        return f"no model {name}; did you mean {close[0]}? The bank has {', '.join(known)}"
    return f"the bank has no model {name}; it has {', '.join(known)}"
