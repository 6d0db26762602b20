"""Models whose settings changed under the same name: said before a second set is drawn."""

from collections.abc import Iterator, Mapping, Sequence

from slmmux.bank import Bank
from slmmux.bank.rows import BankModel, fingerprint_of, settings_of
from slmmux.results import Json
from slmmux.types import Model


def changed_models(bank: Bank, task: str, models: Sequence[Model]) -> tuple[str, ...]:
    """One sentence for each model of which the bank has the task's samples, with other settings.

    Greedy samples beside sampled ones are no change, and neither is a set that was begun before.

    Args:
        bank: open.
        task: that is about to be drawn.
        models: with the settings of now.
    """
    recorded = bank.models([task])
    return tuple(_sentences(recorded, models))


def _sentences(recorded: Sequence[BankModel], models: Sequence[Model]) -> Iterator[str]:
    for model in models:
        now = settings_of(model)
        named = [other for other in recorded if other.name == model.name]
        others = [other for other in named if _greedy(other.settings) == _greedy(now)]
        if others and fingerprint_of(now) not in [other.fingerprint for other in named]:
            yield (
                f"{model.name}: the bank has samples of it with other settings "
                f"({_difference(others[-1].settings, now)}); they stay, and a second set is drawn "
                "beside them. If that is not meant, stop and restore the settings; a new name or "
                "another bank keeps the sets apart"
            )


def _greedy(settings: Mapping[str, Json]) -> bool:
    return settings.get("temperature") == 0


def _difference(before: Mapping[str, Json], now: Mapping[str, Json]) -> str:
    said = [
        "another prompt" if name == "prompt" else f"{name} {before[name]} there, {value} now"
        for name, value in now.items()
        if name in before and before[name] != value
    ]
    return "; ".join(said) or "the bank knows less of them"
