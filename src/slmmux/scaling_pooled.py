"""Exactly how often pooled vote is right on one question when k of N samples of each model count.

**What is computed.** Every model m draws k of its N_m samples, all ordered ways equally likely; the
class with the most draws of all models together wins. A tie goes to the class met first in pool
order, then sample index.

**Ties.** Take the tied classes T, and the first model m of which some draw falls in T. Given how
many of its draws fall in each class, j_c, every order of the draws is equally likely, so the first
of those in T is in class r with chance j_r / Σ_{c ∈ T} j_c = ∫₀¹ j_r s^(Σ_T j_c − 1) ds. Under the
integral the tied classes are independent of each other.

**How.** Let z_m count the draws of model m. That class c has so many draws of each model has the
generating function Σ_j Π_m C(c_m, j_m) z_m^{j_m}, and z = Π z_m^k picks the draws that are asked
for. Right class r wins with v votes, its tie (if any) settled in model m:

    L_c = Σ_{j: Σ j < v} Π C(c_i, j_i) z_i^{j_i}                          class c stays below
    T_c = Σ_{j: Σ j = v, j_i = 0 before m} s^{j_m} Π C(c_i, j_i) z_i^{j_i}       class c is tied
    E_r = Σ_{j: Σ j = v, j_i = 0 before m, j_m ≥ 1} j_m s^{j_m − 1} Π C(c_i, j_i) z_i^{j_i}

    P · Π C(N_i, k) = Σ_{r right, v, m} ∫₀¹ [z₁^k z₂^k …]  E_r Π_{c ≠ r} (L_c + T_c) F ds

with F = Π (1 + z_i)^{rest_i} for samples that cannot matter: of classes with fewer than v recorded
members, or without a vote.

The integrand is a polynomial in s of degree < k, which Gauss-Legendre quadrature with ⌈k/2⌉ nodes
integrates exactly. Where no class but r has v members, its votes alone decide: a convolution of
hypergeometric distributions. One product holds all draws up to k, so that every smaller k is read
off it as well. The product has up to (k + 1)^models coefficients, and a factor as many terms as
there are ways to share v votes between the models: `work` counts them, and a question for which
that is too much is left to `scaling_sampled`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from math import comb, prod
from typing import TypeAlias

import numpy as np

from slmmux.scaling_modes import binomials
from slmmux.table import Amounts

Class: TypeAlias = tuple[int, ...]  # how many recorded samples of each model are in it

_CALL = 4_000  # coefficients that could be multiplied while one numpy call is made


@dataclass(frozen=True, slots=True)
class Ballot:
    """What a pooled vote depends on; equal ballots have equal chances.

    Attributes:
        totals: samples of each model, pool order.
        right, wrong: the classes, in any fixed order.
    """

    totals: tuple[int, ...]
    right: tuple[Class, ...]
    wrong: tuple[Class, ...]


@dataclass(frozen=True, slots=True)
class _Nodes:
    """Where the integral over s is evaluated: [nodes] each.

    Attributes:
        model: in which the tie is settled.
        s: the points.
        weight: of the points.
    """

    model: tuple[int, ...]
    s: Amounts
    weight: Amounts


@dataclass(frozen=True, slots=True)
class _Contest:
    """Right class r wins with v votes where others can have as many.

    Attributes:
        others: the other classes with v or more recorded samples.
        shape: most draws of each model that fall in r or others, plus 1.
        nodes: of the integral.
    """

    r: Class
    v: int
    others: tuple[Class, ...]
    shape: tuple[int, ...]
    nodes: _Nodes


def ballot(totals: Sequence[int], classes: Sequence[Class], right: Sequence[bool]) -> Ballot:
    """A question's ballot; classes that nobody voted for are left out."""
    voted = [(c, r) for c, r in zip(classes, right, strict=True) if any(c)]
    return Ballot(
        totals=tuple(totals),
        right=tuple(sorted(c for c, is_right in voted if is_right)),
        wrong=tuple(sorted(c for c, is_right in voted if not is_right)),
    )


def work(case: Ballot, k_max: int) -> int:
    """About how many multiplications `pooled_scores` takes."""
    total = 0
    for contest in _contests(case, k_max):
        terms = sum(_term_count(c, contest.v, k_max) for c in (contest.r, *contest.others))
        total += terms * (_CALL + prod(contest.shape) * len(contest.nodes.model))
    return total


def pooled_scores(case: Ballot, k_max: int) -> Amounts:
    """[k_max] P(the pooled vote is right) for k = 1..k_max.

    Args:
        case: with k_max or more samples of every model.
        k_max: the most samples from each model.
    """
    found = np.zeros(k_max)
    for contest in _contests(case, k_max):
        found += _won(contest, case.totals, k_max)
    for total in case.totals:
        found /= _choose(total, k_max)[total, 1:]
    for r in case.right:
        found += _at_least(case, r, _runner_up(case, r) + 1, k_max)
    return np.minimum(found, 1.0)


def _others(case: Ballot, r: Class) -> list[Class]:
    """All classes but one that has these counts."""
    classes = [*case.right, *case.wrong]
    classes.remove(r)
    return classes


def _runner_up(case: Ballot, r: Class) -> int:
    """The most votes that a class other than r can have."""
    return max((sum(c) for c in _others(case, r)), default=0)


def _contests(case: Ballot, k: int) -> Iterator[_Contest]:
    for r in case.right:
        others = _others(case, r)
        top = min(sum(min(count, k) for count in r), _runner_up(case, r))
        for v in range(1, top + 1):
            live = tuple(c for c in others if sum(c) >= v)
            reach = [sum(min(c[m], v) for c in (r, *live)) for m in range(len(r))]
            shape = tuple(min(k, most) + 1 for most in reach)
            yield _Contest(r, v, live, shape, _nodes(r, shape))


def _nodes(r: Class, shape: tuple[int, ...]) -> _Nodes:
    """For every model that r has samples of: enough nodes for the degree that s can have there."""
    model: list[int] = []
    points: list[Amounts] = []
    for m, count in enumerate(r):
        if count:
            degree = shape[m] - 2  # j_m - 1 for r, and no more draws than k in all
            points.append(np.stack(np.polynomial.legendre.leggauss(degree // 2 + 1)))
            model += [m] * points[-1].shape[1]
    on_line, weight = np.concatenate(points, axis=1)  # of -1..1
    return _Nodes(tuple(model), (on_line + 1) / 2, weight / 2)


def _won(contest: _Contest, totals: Sequence[int], k_max: int) -> Amounts:
    """[k_max] P · Π C(N_i, k): the right class wins with v votes, others with as many or fewer."""
    product = np.zeros((len(contest.nodes.model), *contest.shape))
    product.reshape(len(product), -1)[:, 0] = 1  # no draws yet
    for c in contest.others:
        product = _multiplied(product, contest, c, _tied)
    product = _multiplied(product, contest, contest.r, _winning)
    found = np.tensordot(contest.nodes.weight, product, axes=1)
    rest = [
        total - sum(c[m] for c in (contest.r, *contest.others)) for m, total in enumerate(totals)
    ]
    return _picked(found, rest, k_max)


def _multiplied(
    product: Amounts, contest: _Contest, c: Class, factor: Callable[..., Amounts | float]
) -> Amounts:
    """The product with one more class in it."""
    k = max(contest.shape) - 1
    found = np.zeros_like(product)
    for votes in _terms(c, contest.v, k):
        ways = prod(map(comb, c, votes)) * factor(votes, contest)
        to = tuple(slice(j, None) for j in votes)
        come = tuple(slice(None, size - j) for j, size in zip(votes, contest.shape, strict=True))
        at = np.reshape(ways, (-1, *[1] * len(votes)))
        found[(slice(None), *to)] += at * product[(slice(None), *come)]
    return found


def _tied(votes: Class, contest: _Contest) -> Amounts | float:
    """What L_c + T_c has of these votes, but for the binomials: [nodes], or the same for all."""
    if sum(votes) < contest.v:
        return 1.0
    first = _first(votes)
    nodes = contest.nodes
    return np.array(
        [
            0.0 if first < m else point ** votes[m]
            for m, point in zip(nodes.model, nodes.s, strict=True)
        ]
    )


def _winning(votes: Class, contest: _Contest) -> Amounts | float:
    """What E_r has of these votes, but for the binomials."""
    if sum(votes) < contest.v:
        return 0.0
    first = _first(votes)
    nodes = contest.nodes
    return np.array(
        [
            votes[m] * point ** (votes[m] - 1) if first == m else 0.0
            for m, point in zip(nodes.model, nodes.s, strict=True)
        ]
    )


def _first(votes: Class) -> int:
    """The first model that has a vote."""
    return next(m for m, count in enumerate(votes) if count)


def _picked(found: Amounts, rest: Sequence[int], k_max: int) -> Amounts:
    """[k_max] the coefficients of Π z_m^k, when the rest's factors are multiplied in as well."""
    for m, samples in enumerate(rest):
        size = found.shape[0] if m == 0 else found.shape[1]
        choose = _choose(samples, k_max)[samples]
        ways = np.zeros((k_max, size))  # C(rest, k - j)
        for j in range(size):
            ways[max(j, 1) - 1 :, j] = choose[max(j, 1) - j : k_max + 1 - j]
        if m == 0:
            found = np.tensordot(ways, found, axes=1)
        else:
            found = np.einsum("kj,kj...->k...", ways, found)
    return found


def _at_least(case: Ballot, r: Class, v: int, k_max: int) -> Amounts:
    """[k_max] P(class r has v votes or more)."""
    found = np.zeros(k_max)
    for k in range(max(1, -(-v // len(r))), k_max + 1):
        votes = reduce(
            np.convolve,
            [
                _choose(count, k)[count]
                * _choose(total - count, k)[total - count, ::-1]
                / comb(total, k)
                for count, total in zip(r, case.totals, strict=True)
            ],
        )
        found[k - 1] = votes[v:].sum()
    return found


@lru_cache(maxsize=4096)
def _choose(n: int, k_max: int) -> Amounts:
    return binomials(n, k_max)


@lru_cache(maxsize=65536)
def _terms(c: Class, v: int, k: int) -> tuple[Class, ...]:
    """All ways to have up to v votes of which no model has more than k."""
    if not c:
        return ((),)
    return tuple(
        (j, *others) for j in range(min(c[0], v, k) + 1) for others in _terms(c[1:], v - j, k)
    )


@lru_cache(maxsize=65536)
def _term_count(c: Class, v: int, k: int) -> int:
    """How many `_terms` there are."""
    ways = np.ones(1)
    for count in c:
        ways = np.convolve(ways, np.ones(min(count, v, k) + 1))[: v + 1]
    return int(ways.sum())
