"""`NAME:METHOD`: the methods that a profile can be asked by.

They are those of `slmmux eval` that answer without knowing the answer, each with the draws that it
needs: a method that reads one model's samples asks one model.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from slmmux.selection import priority
from slmmux.types import Model, RuleName


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """What a method makes of a profile.

    Attributes:
        summary: one line for a person.
        rule: how votes are counted; None leaves that to the profile.
        one: only the model with the highest validation accuracy is asked.
        k: samples a model, where the method says how many.
        temperature: where the method says which.
    """

    summary: str
    rule: RuleName | None = None
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


OWN = Way(summary="the vote of the pool")
WAYS: dict[str, Way] = {
    "mux": Way(summary="the most confident model's most common answer", rule="mux"),
    "pooled_vote": Way(summary="the most common answer of all samples", rule="pooled_vote"),
    "calibrated": Way(
        summary="the most common answer by the models' weights, with its probability",
        rule="calibrated",
    ),
    "self_consistency": Way(summary="the best model's most common answer", rule="mux", one=True),
    "single": Way(summary="one sample of the best model", rule="mux", one=True, k=1),
    "single_greedy": Way(
        summary="the best model at temperature 0", rule="mux", one=True, k=1, temperature=0.0
    ),
}
