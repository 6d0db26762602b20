"""A rule put over a pool: the order of its streams, its weights, and what it selects."""

from collections.abc import Mapping, Sequence
from functools import cached_property

from slmmux.certainty import Threshold, is_below
from slmmux.rules import Rule
from slmmux.selection import leave_open, priority, select
from slmmux.types import Model, Sample, Selection, Tally
from slmmux.votes import Stream, outcomes_of, stream
from slmmux.weighted import select as select_weighted


class PoolRule:
    """How a pool's votes become a selection, and when it is sure enough.

    Args:
        rule: how the votes are counted.
        models: of the pool, in its order.
        k: samples from each.
        abstain_below: certainty under which a selection is not sure enough; None never.

    Attributes:
        priority: names, highest validation accuracy first (rule 4).
        weights: of the models' votes in pool order; None is Algorithm 1.

    Raises:
        UsageError: the rule's calibration is of other models or another k.
    """

    def __init__(
        self, rule: Rule, models: Sequence[Model], k: int, abstain_below: float | None
    ) -> None:
        names = [model.name for model in models]
        self.rule = rule
        self.weights = rule.weights(names, k)
        self._models = models
        self._k = k
        self._least = abstain_below
        self._accuracies = {model.name: model.validation_accuracy for model in models}
        self.priority = priority(names, self._accuracies)

    @cached_property
    def streams(self) -> Sequence[Model]:
        """The models in the order that settles ties: priority, or pool order of added-up votes."""
        if self.weights is not None:
            return tuple(self._models)
        return sorted(self._models, key=lambda model: self.priority.index(model.name))

    @cached_property
    def threshold(self) -> Threshold | None:
        """For the draws: what has to be known of the certainty."""
        if self._least is None:
            return None
        return Threshold(self._least, self._k, self.weights, self.rule.calibration)

    def select(
        self, tallies: Sequence[Tally], samples: Mapping[str, Sequence[Sample]], *, exact: bool
    ) -> Selection:
        """What the rule makes of the votes.

        Args:
            tallies: pool order.
            samples: by model.
            exact: the question is decided; else open draws were given up.
        """
        if self.weights is not None:
            streams = self._streams(samples)
            return select_weighted(tallies, streams, self.rule, self.weights, exact=exact)
        selection = select(tallies, self._accuracies)
        if exact and any(t.drawn < t.k for t in tallies):
            selection = leave_open(selection, self._streams(samples), self.priority, self._k)
        return selection

    def _streams(self, samples: Mapping[str, Sequence[Sample]]) -> list[Stream]:
        return [stream(outcomes_of(samples[model.name]), self._k) for model in self.streams]

    def is_sure(self, selection: Selection) -> bool:
        """Whether a selection is known to be sure enough."""
        return self._least is None or not is_below(selection, self._least)
