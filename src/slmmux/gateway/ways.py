"""`NAME:METHOD`: the methods that a profile can be asked by.

They are those of `slmmux eval` that give one answer without knowing it, with the draws that each
needs: a method that reads one model's samples asks one model.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from slmmux.selection import priority
from slmmux.types import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """What a method makes of a profile.

    Attributes:
        summary: one line for a person.
        one: only the model with the highest validation accuracy is asked.
        k: samples a model, where the method says how many.
        temperature: where the method says which.
    """

    summary: str
    one: bool = False
    k: int | None = None
    temperature: float | None = None

    def models(self, pool: Sequence[Model]) -> tuple[Model, ...]:
        """The models that it asks, with the settings that it needs."""
        chosen = tuple(pool)
        if self.one:
            order = priority([m.name for m in pool], {m.name: m.validation_accuracy for m in pool})
            chosen = tuple(m for m in pool if m.name == order[0])
        if self.temperature is not None:
            chosen = tuple(replace(m, temperature=self.temperature) for m in chosen)
        return chosen


MUX = Way(summary="the most confident model's most common answer")
WAYS: dict[str, Way] = {
    "mux": MUX,
    "self_consistency": Way(summary="the best model's most common answer", one=True),
    "single": Way(summary="one sample of the best model", one=True, k=1),
    "single_greedy": Way(summary="the best model at temperature 0", one=True, k=1, temperature=0.0),
}
