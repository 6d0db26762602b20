"""Which draws can no longer change the selection, and which to make next (design section 4).

**What `exact` promises.** A stream is one model's fixed outcomes on one question. The class that
exact stopping selects is the class that the rule selects on the full streams, always. What follows
is for Algorithm 1; `slmmux.weighted` has the same, simpler, for rules that add up votes.

**Why it holds.** Let C be the set of completions of what is known: every way to fill the open
outcomes with classes, seen or unseen, or with no vote. The true streams are one member of C.
`selection.is_decided` is true only when every member of C gives the same class, so the true
streams give it too. That every member gives the same class is checked without enumerating C:

1. Models fill their open outcomes independently, so a class c of model m wins in some completion
   if and only if it wins in the one where m's open outcomes are all c and everybody else's vote
   for nothing (`selection.contenders` has the exchange argument: each change towards that
   completion only helps c). Hence `contenders` lists exactly the classes that can win.
2. A class that m has not shown yet stands for infinitely many classes. If one of them can win,
   so can another, and the question is open.
3. If no class at all can win, no completion has a vote: "no answer" is then certain (rule 5).
4. With gaps in the index, an open draw may come before a known outcome and win its tie (rule 3);
   `Stream.settled` carries what that needs.

The class returned is the one that wins when every open outcome votes for nothing, which is a
member of C. The tests enumerate all streams for small n, k and few classes, unreadable samples
included, against the definition, and draw larger ones at random.

**Which draw next.** No certificate needs more than the full budget; the fewest draws that any
needs is the hindsight bound. The schedules choose draws by the shortest certificate: the fewest
further draws that decide the question if all of them fall well. `draws` makes one draw after
another, each from the model for which the expected length of the shortest certificate after the
draw is least, expected under a Pólya urn (a model repeats itself in proportion to its own votes
so far, and otherwise says what other models say). `balanced` issues, at once, the draws that
`draws` would make if each fell as the urn expects, for as long
as that is likely. `waves` issues the shortest certificate, then
all that could still matter: at most two round trips. Where votes are added up, `balanced` issues
one shortest certificate after another, and `draws` its likeliest draw alone. The choice affects
cost, never the answer.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from slmmux.certificates import FRESH, Streams, best_model, canonical, drawn, urn
from slmmux.rules import Weights
from slmmux.selection import is_decided, matters
from slmmux.votes import Stream, mode, stream
from slmmux.weighted import shortest_certificate, standing

Schedule = Literal["draws", "balanced", "waves"]

# A wave goes on for as long as the draws before it fall as expected with this chance: see
# benchmarks/README.md for what other values cost.
_CONFIDENT = 0.78


def quorum_is_settled(streams: Sequence[Stream], quorum: int) -> bool:
    """Whether `quorum` models have an answer, or can no longer get there."""
    answered = sum(bool(s.classes) for s in streams)
    hopeful = sum(not s.classes and s.open > 0 for s in streams)
    return answered >= quorum or answered + hopeful < quorum


def next_wave(
    streams: Sequence[Stream],
    schedule: Schedule,
    quorum: int = 1,
    weights: Weights | None = None,
) -> tuple[int, ...]:
    """How many draws to issue next from each stream; all zero when nothing can change any more.

    Args:
        streams: with no draw in flight; in priority order, or in pool order with weights.
        schedule: `draws`, `balanced` or `waves`.
        quorum: models that must have an answer, 1 or more.
        weights: of the models' votes, in the order of the streams; None is Algorithm 1.
    """
    state = canonical(streams)
    if not is_decided(state, weights):
        if weights is not None:
            return _added_up(state, schedule, weights)
        return _SCHEDULES[schedule](state)
    if quorum_is_settled(state, quorum):
        return (0,) * len(state)
    missing = quorum - sum(bool(s.classes) for s in state)
    hopeful = [i for i, s in enumerate(state) if not s.classes and s.open]
    return _counts(state, hopeful[:missing])


@lru_cache(maxsize=1 << 16)
def _one_draw(state: Streams) -> tuple[int, ...]:
    return _counts(state, (best_model(state),))


@lru_cache(maxsize=1 << 16)
def _expected_draws(state: Streams) -> tuple[int, ...]:
    wave: list[int] = []
    chance = 1.0
    while chance >= _CONFIDENT and not is_decided(state):
        position = best_model(state)
        wave.append(position)
        likeliest, share = max(urn(state, position), key=lambda outcome: outcome[1])
        state = canonical(drawn(state, position, likeliest))
        chance *= share
    return _counts(state, wave)


@lru_cache(maxsize=1 << 16)
def _two_waves(state: Streams) -> tuple[int, ...]:
    if _is_untouched(state):
        unanimous = min(s.open for s in state)  # of the first model
        return _counts(state, (0,) * unanimous)
    still = matters(state)
    return tuple(s.open if i in still else 0 for i, s in enumerate(state))


_SCHEDULES = {"draws": _one_draw, "balanced": _expected_draws, "waves": _two_waves}


@lru_cache(maxsize=1 << 16)
def _added_up(state: Streams, schedule: Schedule, weights: Weights) -> tuple[int, ...]:
    """The next wave where votes are added up."""
    if schedule == "waves" and not _is_untouched(state):
        return tuple(s.open for s in state)
    ranking = standing(state, weights).ranking
    leader = ranking[0] if ranking else FRESH
    likely = [dict(urn(state, i)).get(leader, 0.0) if s.open else 0.0 for i, s in enumerate(state)]
    if schedule != "draws":
        return shortest_certificate(state, weights, likely)
    hopeful = [position for position, s in enumerate(state) if s.open]
    best = max(hopeful, key=lambda place: (weights[place] * likely[place], weights[place]))
    return _counts(state, (best,))


def _is_untouched(state: Streams) -> bool:
    return not any(s.classes for s in state) and len({s.open for s in state}) == 1


def _counts(state: Streams, wave: Iterable[int]) -> tuple[int, ...]:
    counts = [0] * len(state)
    for position in wave:
        counts[position] += 1
    return tuple(counts)


@dataclass(frozen=True, slots=True)
class Replay:
    """What a schedule would have drawn from recorded streams.

    Attributes:
        key: the selected class.
        draws: samples drawn from each stream.
        waves: round trips.
    """

    key: str | None
    draws: tuple[int, ...]
    waves: int


def replay(
    streams: Sequence[Sequence[str | None]],
    schedule: Schedule,
    quorum: int = 1,
    weights: Weights | None = None,
) -> Replay:
    """Run exact stopping on full recorded streams of equal length.

    Args:
        streams: class keys or None for no vote; in priority order, or in pool order with weights.
        schedule: as for `next_wave`, and so are the rest.
        quorum: models that must have an answer.
        weights: of the models' votes.
    """
    k = len(streams[0])
    draws, waves = [0] * len(streams), 0
    known = tuple(stream({}, k) for _ in streams)
    while any(wave := next_wave(known, schedule, quorum, weights)):
        waves += 1
        draws = [done + more for done, more in zip(draws, wave, strict=True)]
        known = tuple(
            stream(dict(enumerate(outcomes[:done])), k)
            for outcomes, done in zip(streams, draws, strict=True)
        )
    if weights is not None:
        ranking = standing(known, weights).ranking
        return Replay(ranking[0] if ranking else None, tuple(draws), waves)
    best: tuple[str | None, int] = (None, 0)
    for outcomes, done in zip(streams, draws, strict=True):
        best = max(best, mode(outcomes[:done]), key=lambda ending: ending[1])
    return Replay(best[0], tuple(draws), waves)
