"""Rules: how the votes of a pool become one answer.

- `mux`: Algorithm 1 of the SLM-MUX paper: the most confident model's most common answer.
- `pooled_vote`: the most common answer of all samples (Agent Forest, arXiv 2402.05120).
- `calibrated`: the same with a weight for each model's votes, fitted on validation questions
  (`slmmux.calibration`), and with the probability that the answer is right.

The last two add up weighted votes: the class with the largest Σ_m weight_m · votes_m wins, and a
tie goes to the class that is met first in pool order, then sample index. Weights are whole numbers,
so comparing sums is exact and the same on every machine. Self-consistency is either of the first
two with a pool of one model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp
from typing import TypeAlias

from slmmux.errors import UsageError
from slmmux.types import Interval, RuleName, Selection

Weights: TypeAlias = tuple[int, ...]

SHARPEST = 50  # surer than any data of ours, and far from what `exp` can bear
FULL_WEIGHT = 1000  # of the model whose votes weigh the most, in a calibration
_DECIMALS = 6  # of a probability: what one machine's `exp` adds to another's is far below


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What validation questions say about a pool's votes; `slmmux.calibration.fit` makes it.

    With s(c) = sharpness · Σ_m weight_m · votes_m(c) / (FULL_WEIGHT · k) and f(s) = exp s − 1, the
    probability that class c is right is f(s(c)) / (exp outside + Σ_d f(s(d))), d over all classes;
    exp outside stands for "none of them is right". A class without votes adds f(0) = 0: how many
    answers nobody gave makes no difference.

    Attributes:
        models: names in pool order.
        k: samples from each model.
        weights: of each model's votes, 0 to FULL_WEIGHT; equal ones make the rule a pooled vote.
        sharpness: s of a class that has all votes of one model of full weight, 0 to SHARPEST.
        outside: log of the weight of "none of them is right", at most SHARPEST either way.
        questions: validation questions it was fitted on.
        spread: standard deviation of the models' weights before the data, as estimated from it
            (in log-odds, as `sharpness`); 0 where the data do not tell the models apart.

    Raises:
        UsageError: values that make no rule.
    """

    models: tuple[str, ...]
    k: int
    weights: Weights
    sharpness: float
    outside: float
    questions: int
    spread: float

    def __post_init__(self) -> None:
        if len(self.weights) != len(self.models) or not self.models:
            raise UsageError(
                f"a calibration has {len(self.weights)} weights for {len(self.models)} models; "
                "it takes one for each"
            )
        if not all(0 <= weight <= FULL_WEIGHT for weight in self.weights) or not any(self.weights):
            raise UsageError(
                f"a calibration's weights are {', '.join(map(str, self.weights))}; they lie "
                f"between 0 and {FULL_WEIGHT} and are not all 0"
            )
        if not (0 <= self.sharpness <= SHARPEST and abs(self.outside) <= SHARPEST):
            raise UsageError(
                f"a calibration's sharpness is {self.sharpness:g} and its outside is "
                f"{self.outside:g}; the first lies between 0 and {SHARPEST}, the other between "
                f"−{SHARPEST} and {SHARPEST}"
            )

    def probability(self, scores: Mapping[str, int], key: str, still_open: int = 0) -> Interval:
        """The probability that this class is right: lowest and highest that open draws allow.

        The highest is reached when every open draw votes for the class. The lowest is reached
        when every open draw votes for its strongest rival. For the class then has what it has now,
        and Σ_d f(s(d)) is as large as it gets: f is convex, so moving a vote from one class to
        another whose s, with it, is no smaller does not lower the sum; step by step the strongest
        rival takes them all (any class, where there is none yet).

        Args:
            scores: Σ_m weight_m · votes_m of every class that has votes.
            key: the class.
            still_open: Σ_m weight_m · open draws.
        """
        rivals = [score for other, score in scores.items() if other != key]
        high = self._chance(scores[key] + still_open, rivals)
        if not still_open:
            return Interval(high, high)
        strongest = max(rivals, default=0)
        if rivals:
            rivals.remove(strongest)
        return Interval(self._chance(scores[key], [*rivals, strongest + still_open]), high)

    def _chance(self, score: int, rivals: Sequence[int]) -> float:
        unit = self.sharpness / (FULL_WEIGHT * self.k)
        none = exp(-unit * score)  # everything is divided by exp s, which may be large
        against = sum(exp(unit * (rival - score)) - none for rival in rivals)
        return round((1 - none) / (1 - none + against + exp(self.outside) * none), _DECIMALS)


@dataclass(frozen=True, slots=True)
class Rule:
    """How votes become an answer.

    Attributes:
        name: `mux`, `pooled_vote` or `calibrated`.
        calibration: for `calibrated`.

    Raises:
        UsageError: an unknown name, or a calibration that is missing or in the way.
    """

    name: RuleName = "mux"
    calibration: Calibration | None = None

    def __post_init__(self) -> None:
        if self.name not in RULES:
            raise UsageError(f"rule is {self.name!r}; it can be one of {', '.join(RULES)}")
        if (self.calibration is None) == (self.name == "calibrated"):
            raise UsageError(
                "rule calibrated needs a calibration, which comes from validation questions"
                if self.calibration is None
                else f"rule {self.name} takes no calibration; the rule with one is calibrated"
            )

    def weights(self, models: Sequence[str], k: int) -> Weights | None:
        """Weight of each model's votes, as ordered here; None where the rule is mux.

        Args:
            models: of the pool.
            k: samples from each model.

        Raises:
            UsageError: the calibration is of other models or another k.
        """
        if self.name == "mux":
            return None
        if self.calibration is None:
            return (1,) * len(models)
        known = dict(zip(self.calibration.models, self.calibration.weights, strict=True))
        if sorted(known) != sorted(models):
            raise UsageError(
                f"the calibration is of {', '.join(known)}, and the pool is {', '.join(models)}: "
                "calibrate this pool, or use rule mux or pooled_vote"
            )
        if self.calibration.k != k:
            raise UsageError(
                f"the calibration is for k = {self.calibration.k}, not {k}: ask with that k, or "
                "calibrate for this one"
            )
        return tuple(known[model] for model in models)


RULES: tuple[RuleName, ...] = ("mux", "pooled_vote", "calibrated")
MUX = Rule()


def no_answer(rule: RuleName) -> Selection:
    """The selection where no sample of any model has a readable answer (rule 5)."""
    return Selection(
        key=None,
        answer=None,
        decided_by=None,
        confidence=Interval(0.0, 0.0),
        tie_break="none",
        reason="no sample of any model has a readable answer",
        rule=rule,
    )
