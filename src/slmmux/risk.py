"""How likely it is that the open draws still change the selection: an estimate, never exact.

Used by `stopping = {risk = δ}`. Each model's open draws follow a Pólya urn (`certificates.urn`),
the models independently of each other. One model's final counts are then Dirichlet-multinomial, and
its (mode, votes) is summed over all count vectors, or, where these are very many, over an even
grid of them; the classes behind the few strongest
are pooled with the unseen ones into one, which overstates what they could reach together and so
errs towards drawing on. Where votes are added up, the lead over each other class is a sum over
models with known mean and variance, and is taken as normal; the chances that one of them overtakes
are added.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from math import erfc, exp, lgamma, prod, sqrt

from slmmux.certificates import FRESH, NOVELTY, Streams, canonical, urn
from slmmux.rules import Weights
from slmmux.votes import Stream
from slmmux.weighted import standing

# Count vectors grow as open^classes: three named classes for small budgets, two for large ones.
_MANY_DRAWS = 12
_FINEST = 64  # points along each axis of the grid


def chance_of_change(streams: Sequence[Stream], weights: Weights | None = None) -> float:
    """Estimated probability, 0..1, that the full budget selects another class than the leader.

    Args:
        streams: in priority order, or in pool order with weights.
        weights: of the models' votes, in the same order; None is Algorithm 1.
    """
    return _chance_of_change(canonical(streams), weights)


@lru_cache(maxsize=1 << 14)
def _chance_of_change(state: Streams, weights: Weights | None) -> float:
    if weights is not None:
        return _chance_of_overtaking(state, weights)
    leader = _leader(state)
    if leader is None:
        return 1.0 if any(s.open for s in state) else 0.0
    endings = [_endings(state, position) for position in range(len(state))]
    stays = 0.0
    for position, ending in enumerate(endings):
        for (key, votes), chance in ending.items():
            if key == leader and votes:
                stays += chance * prod(
                    _at_most(rival, votes - 1 if other < position else votes)
                    for other, rival in enumerate(endings)
                    if other != position
                )
    return min(1.0, max(0.0, 1.0 - stays))


def _at_most(endings: dict[tuple[str, int], float], limit: int) -> float:
    return sum(chance for (_, votes), chance in endings.items() if votes <= limit)


def _leader(state: Streams) -> str | None:
    """The class that wins if every open draw votes for nothing."""
    best = max(state, key=lambda s: s.lead)  # max keeps the first of equals: priority order
    return max(best.classes, key=lambda c: c[1])[0] if best.classes else None


def _endings(state: Streams, position: int) -> dict[tuple[str, int], float]:
    """(mode, votes) of one model's finished stream → probability."""
    stream = state[position]
    if not stream.open:
        mode, votes = max(stream.classes, key=lambda c: c[1], default=(FRESH, 0))
        return {(mode, votes): 1.0}
    have, weights = _strongest(stream, urn(state, position))
    total: dict[tuple[str, int], float] = {}
    step = -(-stream.open // _FINEST)
    for counts in _count_vectors(stream.open, len(weights), step):
        final = {key: have[key] + more for key, more in zip(have, counts, strict=True)}
        mode = max(final, key=lambda key: final[key])
        ending = (mode, final[mode])
        total[ending] = total.get(ending, 0.0) + _dirichlet_multinomial(weights, counts)
    if step == 1:
        return total
    mass = sum(total.values())
    return {ending: chance / mass for ending, chance in total.items()}


def _strongest(
    stream: Stream, chances: Sequence[tuple[str, float]]
) -> tuple[dict[str, int], list[float]]:
    """Votes so far and urn weights of the likeliest classes, the rest pooled as unseen."""
    named = sorted((c for c in chances if c[0] != FRESH), key=lambda c: -c[1])
    named = named[: 3 if stream.open <= _MANY_DRAWS else 2]
    kept = dict(named)
    own = dict(stream.classes)
    seen = sum(own.values())
    # In order of first member, so that `max` settles a model's tie as rule 3 does.
    order = [key for key in own if key in kept] + [key for key in kept if key not in own]
    have = {key: own.get(key, 0) for key in order}
    have[FRESH] = max((v for key, v in own.items() if key not in kept), default=0)
    shares = [kept[key] for key in order]
    shares.append(1.0 - sum(shares))
    return have, [max(share, 1e-9) * (seen + NOVELTY) for share in shares]


def _count_vectors(total: int, parts: int, step: int) -> Iterator[tuple[int, ...]]:
    """Ways to write `total` as an ordered sum of `parts` counts: all but the last go by `step`."""
    if parts == 1:
        yield (total,)
        return
    for first in range(0, total + 1, step):
        for rest in _count_vectors(total - first, parts - 1, step):
            yield (first, *rest)


def _dirichlet_multinomial(weights: Sequence[float], counts: Sequence[int]) -> float:
    """Probability that an urn with these weights gives these counts."""
    mass, draws = sum(weights), sum(counts)
    log = lgamma(draws + 1) + lgamma(mass) - lgamma(draws + mass)
    for weight, count in zip(weights, counts, strict=True):
        log += lgamma(count + weight) - lgamma(weight) - lgamma(count + 1)
    return exp(log)


def _chance_of_overtaking(state: Streams, weights: Weights) -> float:
    """The same for added-up votes: the chances that each other class overtakes, added."""
    now = standing(state, weights)
    if not now.ranking:
        return 1.0 if any(s.open for s in state) else 0.0
    urns = [dict(urn(state, place)) if s.open else {} for place, s in enumerate(state)]
    leader = now.ranking[0]
    rivals = dict.fromkeys([*now.ranking[1:], *(key for chances in urns for key in chances)])
    step = min(weight for weight in weights if weight) / 2
    total = 0.0
    for rival in rivals:
        if rival != leader:
            mean = float(now.scores[leader] - now.scores.get(rival, 0))
            variance = 0.0
            for stream, chances, weight in zip(state, urns, weights, strict=True):
                ours, theirs = chances.get(leader, 0.0), chances.get(rival, 0.0)
                mass = sum(votes for _, votes in stream.classes) + NOVELTY
                spread = stream.open * (mass + stream.open) / (mass + 1)
                mean += weight * stream.open * (ours - theirs)
                variance += weight**2 * spread * (ours + theirs - (ours - theirs) ** 2)
            total += _below(-step, mean, variance)
    return min(1.0, total)


def _below(bound: float, mean: float, variance: float) -> float:
    """Probability that a normal variable is at or below the bound."""
    if variance <= 0:
        return float(mean <= bound)
    return erfc((mean - bound) / sqrt(2 * variance)) / 2
