"""Weighted votes: which class they select, and which draws can still change that.

A class's score is Σ_m weight_m · votes_m(class), weights ≥ 0 (`slmmux.rules`). The largest score
wins; a tie goes to the class that is met first in pool order, then sample index. All weights 1 is
the pooled vote.

**The certificate.** A completion fills every open outcome with a class, seen or unseen, or with no
vote. A class c wins in some completion if and only if it wins in the one where every open outcome
is c. For take any completion in which c wins, and turn one more open outcome into c: c's score
does not fall, no other score grows, c's first member is met no later, and no other class's is met
earlier. So c still wins, and step by step all open outcomes are c. In that completion

- c has its score now plus all the open weight W = Σ_m weight_m · open_m, every other class has what
  it has now;
- c is met at its first member or at the earliest open outcome, whichever comes first; with gaps in
  the index the open outcome may come before members that are known, and `Stream.settled` says so.

Hence c can win if and only if (−score − W, met) there is below (−score, met) of every other class
seen, and it is enough to look at the best of these. A class that nobody has shown yet starts from 0
votes; it stands for infinitely many, so where one can win the question is open. When no class can
win, no outcome is open and nobody voted: "no answer" is then certain (rule 5). What is returned is
what wins if every open outcome votes for nothing, which is one of the completions.

The tests enumerate all streams for small n, k and few classes against the definition.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from slmmux.rules import Rule, Weights, no_answer
from slmmux.types import Interval, Selection, Tally
from slmmux.votes import Stream

# (stream, place): twice a class's place among those of its stream; odd for an open outcome between.
_Met: TypeAlias = tuple[int, int]
_NEVER: _Met = (1 << 30, 0)


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of the weighted votes.

    Attributes:
        scores: of every class seen, by when it is met.
        met: of every class seen, so that smaller comes first.
        open: Σ_m weight_m · open draws.
        opening: the earliest open outcome; `_NEVER` without one.
    """

    scores: Mapping[str, int]
    met: Mapping[str, _Met]
    open: int
    opening: _Met

    @property
    def ranking(self) -> list[str]:
        """Classes, best first, as if every open draw voted for nothing."""
        return sorted(self.scores, key=lambda key: (-self.scores[key], self.met[key]))


def standing(streams: Sequence[Stream], weights: Weights) -> Standing:
    """The weighted votes of these streams.

    Args:
        streams: in pool order.
        weights: of the models, in the same order.
    """
    scores: dict[str, int] = {}
    met: dict[str, _Met] = {}
    opening = _NEVER
    for position, (current, weight) in enumerate(zip(streams, weights, strict=True)):
        for place, (key, votes) in enumerate(current.classes):
            scores[key] = scores.get(key, 0) + weight * votes
            met.setdefault(key, (position, 2 * place))
        if current.open and opening == _NEVER:
            opening = (position, 2 * current.settled - 1)
    still_open = sum(w * s.open for s, w in zip(streams, weights, strict=True))
    return Standing(scores, met, still_open, opening)


def can_win(streams: Sequence[Stream], weights: Weights) -> tuple[str | None, ...]:
    """Every class that some completion selects; None stands for any class not seen yet.

    Args:
        streams: in pool order.
        weights: of the models, in the same order.
    """
    now = standing(streams, weights)
    best = now.ranking[:2]
    found: list[str | None] = []
    for key, score in now.scores.items():
        rival = best[1:] if key == best[0] else best[:1]
        top = (-score - now.open, min(now.met[key], now.opening))
        if all(top < (-now.scores[other], now.met[other]) for other in rival):
            found.append(key)
    unseen = (-now.open, now.opening)
    if now.opening != _NEVER and all(unseen < (-now.scores[o], now.met[o]) for o in best[:1]):
        found.append(None)
    return tuple(found)


def shortest_certificate(
    streams: Sequence[Stream], weights: Weights, likely: Sequence[float]
) -> tuple[int, ...]:
    """Draws from each stream that decide for the leader if all of them vote for it.

    Every such draw of weight w is w more for the leader and w less for what its strongest rival
    can reach. So with equal weights no set of draws that decides the question, for any class, is
    smaller: none of these is made in vain. With others it is, where the heaviest model is not the
    most likely to agree; the order is by weight × chance.

    Args:
        streams: in pool order, of a question that is not decided.
        weights: of the models, in the same order.
        likely: chance that each model's next draw votes for the leader.
    """
    now = standing(streams, weights)
    ranked = [(now.scores[key], now.met[key]) for key in now.ranking[:2]]
    (score, met), rival = (*ranked, (0, _NEVER), (0, _NEVER))[:2]
    missing = rival[0] + now.open - score  # of twice the weight that is to be drawn
    counts = [0] * len(streams)
    order = sorted(range(len(streams)), key=lambda place: -weights[place] * likely[place])
    for position in order:
        while counts[position] < streams[position].open:
            first = counts[now.opening[0]] > 0 or met < now.opening
            wins_ties = first and min(met, now.opening) < rival[1]
            if missing < 0 or (missing == 0 and wins_ties):
                return tuple(counts)
            counts[position] += 1
            missing -= 2 * weights[position]
    return tuple(counts)


def select(
    tallies: Sequence[Tally],
    streams: Sequence[Stream],
    rule: Rule,
    weights: Weights,
    *,
    exact: bool,
) -> Selection:
    """The class with the largest sum of weighted votes.

    While draws are open this is the winner if every open draw voted for nothing, so it is the
    winner of the full budget whenever only one class can still win (`can_win`).

    Args:
        tallies: one for each model, pool order.
        streams: the same votes, with what is open.
        rule: one that adds up votes.
        weights: of the models' votes, pool order.
        exact: the question is decided; else the open draws were given up.
    """
    now = standing(streams, weights)
    ranking = now.ranking
    if not ranking:
        return no_answer(rule.name)
    key = ranking[0]
    score, total = now.scores[key], sum(w * t.k for t, w in zip(tallies, weights, strict=True))
    known = None
    if rule.calibration is not None:
        known = rule.calibration.probability(now.scores, key, now.open)
    tied = [other for other in ranking[1:] if now.scores[other] == score]
    saved = "; no draw that was saved could change the answer"
    return Selection(
        key=key,
        answer=next(c.text for t in tallies for c in t.classes if c.key == key),
        decided_by=None,
        confidence=Interval(score / total, (score + now.open) / total),
        tie_break="first met" if tied else "none",
        reason=_reason(tallies, now, weights, known) + (saved if exact and now.open else ""),
        rule=rule.name,
        probability=known,
    )


def _reason(
    tallies: Sequence[Tally], now: Standing, weights: Weights, known: Interval | None
) -> str:
    """One sentence: what the winner has, what comes next, and how likely it is right."""
    total = sum(weight * t.k for t, weight in zip(tallies, weights, strict=True))
    equal = len(set(weights)) == 1
    scores = [now.scores[key] for key in now.ranking[:2]]
    if equal:
        has = [f"{score // weights[0]}" for score in scores]
        most = f"the most votes of all models, {has[0]} of {total // weights[0]}"
    else:
        has = [f"{score / total:.0%}" for score in scores]
        most = f"the most weight, {has[0]} of all votes'"
    if len(scores) == 1:
        said = f"it has {most}, and no other answer has any"
    elif scores[0] == scores[1]:
        said = f"it has {most}, as another answer has, and was met first in pool order"
    else:
        said = f"it has {most}; the next answer has {has[1]}"
    if known is not None:
        said += f"; it is right with probability {shown(known)}"
    return said


def shown(known: Interval) -> str:
    """`0.71`, or `0.48 to 0.99`."""
    low, high = f"{known.low:.2f}", f"{known.high:.2f}"
    return low if low == high else f"{low} to {high}"
