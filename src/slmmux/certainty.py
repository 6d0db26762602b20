"""How sure a selection is, and when enough is known to hold an answer back.

The certainty of a selection is the probability that the rule gives, else its confidence. While
draws are open it lies between two bounds, and some completion of the open draws reaches each: the
lower one where no open draw votes for the winner (of the calibrated rule, where all of them vote
for its strongest rival, see `rules.Calibration.probability`), the upper one where all of them do
that can. So it is known whether an answer is held back as soon as both bounds lie on one side of
the threshold: the full budget's certainty lies between them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from slmmux.rules import Calibration, Weights
from slmmux.selection import contenders
from slmmux.stopping import Schedule
from slmmux.types import Interval, Selection
from slmmux.votes import Stream
from slmmux.weighted import standing


@dataclass(frozen=True, slots=True)
class Threshold:
    """The least certainty with which an answer is given.

    Attributes:
        least: 0..1.
        k: samples from each model.
        weights: of the models' votes; None is Algorithm 1.
        calibration: of the rule, where it has one.
    """

    least: float
    k: int
    weights: Weights | None = None
    calibration: Calibration | None = None

    def is_settled(self, streams: Sequence[Stream]) -> bool:
        """Whether every completion lies on the same side of it; of a question that is decided."""
        bounds = self.bounds(streams)
        return bounds.low >= self.least or bounds.high < self.least

    def bounds(self, streams: Sequence[Stream]) -> Interval:
        """The certainty, lowest and highest that the open draws of a decided question allow."""
        if self.weights is None:
            most = max((c.votes for c in contenders(streams)), default=0)
            return Interval(max(s.lead for s in streams) / self.k, most / self.k)
        now = standing(streams, self.weights)
        if not now.ranking:
            return Interval(0.0, 0.0)
        winner = now.ranking[0]
        if self.calibration is not None:
            return self.calibration.probability(now.scores, winner, now.open)
        total = self.k * sum(self.weights)
        score = now.scores[winner]
        return Interval(score / total, (score + now.open) / total)

    def next_wave(self, streams: Sequence[Stream], schedule: Schedule) -> tuple[int, ...]:
        """Draws that bring a decided question nearer to being settled; all zero when it is.

        Half of what is open and can still move the certainty, or one draw, or all of it.

        Args:
            streams: with no draw in flight.
            schedule: `balanced`, `draws` or `waves`.
        """
        wave = [0] * len(streams)
        if self.is_settled(streams):
            return tuple(wave)
        for position in self._movers(streams):
            still_open = streams[position].open
            wave[position] = still_open if schedule == "waves" else -(-still_open // 2)
            if schedule == "draws":
                wave[position] = 1
                break
        return tuple(wave)

    def _movers(self, streams: Sequence[Stream]) -> list[int]:
        """Streams whose open draws can move the certainty."""
        if self.weights is None:
            carriers = {c.position for c in contenders(streams)}
            return [p for p, s in enumerate(streams) if s.open and p in carriers]
        return [p for p, s in enumerate(streams) if s.open and self.weights[p]]


def is_below(selection: Selection, least: float) -> bool:
    """Whether a selection is not known to be as certain as this."""
    certain = selection.probability or selection.confidence
    return certain.low < least
