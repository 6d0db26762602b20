"""Certificates: sets of draws that decide a question, whatever the other draws would say.

The shortest certificate is the fewest further draws that decide the question if all of them fall
well. The model to ask next is the one whose draw leaves the shortest certificate on average.
Averages are taken under a Pólya urn: a model repeats a class in proportion to its own votes for
it, and otherwise says what other models say or something unheard. A wrong urn costs draws, never
the answer.

Planning takes time that grows with the square of the budget. A budget above 20 samples a model is
therefore planned in larger units, of 2, 3, … samples each: nobody saves draws by telling 400
votes from 401, and whether a question is decided is never asked of these units.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import inf
from typing import TypeAlias

from slmmux.selection import contenders, votes_needed
from slmmux.votes import Stream

Streams = tuple[Stream, ...]

# How readily a model says something new, and how often that is new to every model. Results are
# flat around these values: see benchmarks/README.md.
NOVELTY = 0.3
UNHEARD = 0.4
FRESH = "\0fresh"
_FINEST = 20  # outcomes of a model that are planned one by one
_TRIED = 3  # classes tried for the shortest certificate: more cost time and save no draws

# Of a stream and a class: votes of all classes by their first members, open draws, and the place of
# this class among them (None: not seen). Its certificates depend on nothing else.
_Shape: TypeAlias = tuple[tuple[int, ...], int, int | None]


def best_model(state: Streams) -> int:
    """The model whose next draw leaves the shortest certificate, on average; priority on ties."""
    return _best_model(_in_units(state))


@lru_cache(maxsize=1 << 15)
def _best_model(state: Streams) -> int:
    costs = {
        position: sum(
            chance * shortest_certificate(canonical(drawn(state, position, key)))
            for key, chance in urn(state, position)
        )
        for position, stream in enumerate(state)
        if stream.open
    }
    return min(costs, key=lambda position: (round(costs[position], 9), position))


def _in_units(state: Streams) -> Streams:
    """The state with votes and open draws counted in units that make the largest stream small."""
    largest = max(s.open + sum(votes for _, votes in s.classes) for s in state)
    unit = -(-largest // _FINEST)
    if unit == 1:
        return state
    return canonical([_stream_in_units(s, unit) for s in state])


def _stream_in_units(stream: Stream, unit: int) -> Stream:
    whole = [(key, (votes + unit // 2) // unit) for key, votes in stream.classes]
    return Stream(
        classes=tuple((key, votes) for key, votes in whole if votes),
        open=-(-stream.open // unit),
        settled=sum(votes > 0 for _, votes in whole[: stream.settled]),
    )


def urn(state: Streams, position: int) -> list[tuple[str, float]]:
    """Classes that the model's next draw may show, with chances that sum to 1."""
    own = state[position].classes
    seen = sum(votes for _, votes in own)
    chances = {key: votes / (seen + NOVELTY) for key, votes in own}
    rest = NOVELTY / (seen + NOVELTY)
    others: dict[str, int] = {}
    for other, stream in enumerate(state):
        if other != position:
            for key, votes in stream.classes:
                others[key] = others.get(key, 0) + votes
    heard = sum(others.values())
    for key, votes in others.items():
        chances[key] = chances.get(key, 0.0) + rest * (1 - UNHEARD) * votes / heard
    chances[FRESH] = rest * UNHEARD if heard else rest
    return list(chances.items())


def drawn(state: Streams, position: int, key: str) -> Streams:
    """The state after model `position` drew one more vote for `key` at its first open index."""
    before = state[position]
    votes = dict(before.classes)
    votes[key] = votes.get(key, 0) + 1
    after = Stream(tuple(votes.items()), before.open - 1, len(votes))
    return (*state[:position], after, *state[position + 1 :])


def canonical(streams: Sequence[Stream]) -> Streams:
    """The same state with classes renamed by first appearance, so that equal states share work."""
    names: dict[str, str] = {}
    return tuple(
        Stream(
            tuple((names.setdefault(key, str(len(names))), votes) for key, votes in s.classes),
            s.open,
            s.settled,
        )
        for s in streams
    )


@lru_cache(maxsize=1 << 15)
def shortest_certificate(state: Streams) -> float:
    """Fewest further draws that decide the question if all of them fall well.

    Tries the classes that can win with the most votes, every model that could carry them and
    every number of votes; the other models then need just enough votes for it to lose their say.
    """
    possible = contenders(state)
    if not possible or ({c.key for c in possible} == {possible[0].key} != {None}):
        return 0
    likely = sorted(possible, key=lambda c: (-c.votes, c.position))
    keys = list(dict.fromkeys(FRESH if c.key is None else c.key for c in likely))[:_TRIED]
    return min(_certificate_for(tuple(_shape(s, key) for s in state)) for key in keys)


def _shape(stream: Stream, key: str) -> _Shape:
    keys, votes = zip(*stream.classes, strict=True) if stream.classes else ((), ())
    return votes, stream.open, keys.index(key) if key in keys else None


@lru_cache(maxsize=1 << 17)
def _certificate_for(shapes: tuple[_Shape, ...]) -> float:
    """The shortest certificate in which the class that the shapes single out wins.

    A carrier with v votes demands v from models of higher priority and v + 1 from the others.
    """
    leads = [max(votes, default=0) for votes, _, _ in shapes]
    reach = [
        (own := 0 if place is None else votes[place], own + left) for votes, left, place in shapes
    ]
    most = max(top for _, top in reach)
    silence = [
        _draws_to_silence(shape, votes_needed(leads, position), most + 1)
        for position, shape in enumerate(shapes)
    ]
    shortest = inf
    for votes in range(1, most + 1):
        ahead = 0.0
        for carrier, (own, top) in enumerate(reach):
            if own <= votes <= top:
                behind = sum(cost[votes + 1] for cost in silence[carrier + 1 :])
                length = ahead + max(votes - own, silence[carrier][0]) + behind
                shortest = min(shortest, length)
            ahead += silence[carrier][votes]
    return shortest


@lru_cache(maxsize=1 << 16)
def _draws_to_silence(shape: _Shape, floor: int, most: int) -> list[float]:
    """Fewest votes for a class after which no other one of its model can win, by what is demanded.

    Entry d is for a demand of d votes; inf where none suffice.

    After e such votes a rival class with v votes can reach v + open − e. It loses when that is
    below what the other models demand, or when the class, with its votes + e, stays the mode.

    Args:
        shape: of the model's stream.
        floor: what the other models demand already.
        most: the largest demand to answer for.
    """
    votes, left, place = shape
    have = 0 if place is None else votes[place]
    rivals: list[tuple[int, int]] = []
    ahead = have == 0  # a class that begins before this one wins a tie with it (rule 3)
    for rival, own in [(None, 0), *reversed(list(enumerate(votes)))]:
        if rival is not None and rival == place:
            ahead = True
        else:
            top = own + left
            rivals.append((top + 1, max(0, (top - have + ahead + 1) // 2)))
    costs: list[float] = []
    for bar in range(floor, max(most, floor) + 1):
        needed = max([min(max(0, top - bar), own) for top, own in rivals])
        costs.append(needed if needed <= left else inf)
    costs[:0] = costs[:1] * floor
    return costs
