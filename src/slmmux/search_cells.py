"""Subsets as unions of packed bits: what a subset counts, and what one more model adds to it.

For a subset S let c(S) and w(S) be the unions of its models' correct and consistently wrong cells,
U(S) = |c(S)| and A(S) = |c(S) ∖ w(S)|, the cells that are correct and clean. Then Contradiction =
U − A, and what is maximised is key(S) = a·U(S) + b·A(S) with b ≥ 0 (`Weights`; a is negative where
λ > 1). For a subset P and one more model j,

    u_j = |c_j ∖ c(P)|     g_j = |c_j ∖ c(P) ∖ w(P)|     l_j = |(c(P) ∖ w(P)) ∩ w_j|

give U(P+j) = U(P) + u_j and A(P+j) = A(P) + g_j − l_j: no model is correct and consistently wrong
on one cell, and what is already wrong stays so.
"""

from dataclasses import dataclass

import numpy as np

from slmmux.search_best import Counts, Places
from slmmux.search_sets import Words

_LOW = np.uint64(0x00FF00FF00FF00FF)  # the lower octet of each pair
_OCTET = np.uint64(8)
_ADD_FOUR = np.uint64(0x0001000100010001)  # a product with it has the four sums' sum on top
_HIGHEST = np.uint64(48)
_FOUR_FIT = 1024  # words whose bits are fewer than 2^16
_SIXTEEN = np.uint64(0xFFFF)
_FIT = 511  # sums of two counts, 128 at most, that fit 16 bits together


@dataclass(frozen=True, slots=True)
class Weights:
    """key = union · U + clean · A.

    Attributes:
        union: of a cell where some model is correct.
        clean: of a cell where moreover none is consistently wrong; 0 or more.
    """

    union: int
    clean: int


@dataclass(frozen=True, slots=True)
class State:
    """Some subsets.

    Attributes:
        correct: [subsets × words] c(P).
        wrong: [subsets × words] w(P).
        keys: [subsets].
    """

    correct: Words
    wrong: Words
    keys: Counts


@dataclass(frozen=True, slots=True)
class Scores:
    """What candidates add to subsets: u, g and l above, [subsets × candidates] each."""

    union: Counts
    gain: Counts
    loss: Counts


@dataclass(frozen=True, slots=True)
class Candidates:
    """A pool's models in the order in which they are tried, the best single ones first.

    Attributes:
        pool: [candidates] their positions in the pool.
        correct, wrong: [candidates × words]; no cell of a model is in both.
        behind: [candidates + 1 × words] what the candidates from each place on have correct.
        weights: of the key.
    """

    pool: Places
    correct: Words
    wrong: Words
    behind: Words
    weights: Weights

    def __len__(self) -> int:
        return len(self.pool)

    def state(self, places: Places) -> State:
        """Subsets counted from their members' bits; [subsets × size] places in this order."""
        shape = (len(places), self.correct.shape[1])
        correct, wrong = np.zeros(shape, np.uint64), np.zeros(shape, np.uint64)
        for column in places.T:
            correct |= self.correct[column]
            wrong |= self.wrong[column]
        return State(correct, wrong, self.keys(correct, wrong))

    def keys(self, correct: Words, wrong: Words) -> Counts:
        """Of unions of bits."""
        return self.weights.union * count(correct) + self.weights.clean * count(correct & ~wrong)

    def caps(self, state: State, first: Places) -> Counts:
        """[subsets] no key exceeds this with more models from these places on."""
        more = self.behind[first] & ~state.correct
        clean = self.weights.clean * count(more & ~state.wrong)
        return state.keys + max(self.weights.union, 0) * count(more) + clean

    def scores(self, state: State, first: int) -> Scores:
        """Of the candidates from place `first` on."""
        correct, wrong = self.correct[first:], self.wrong[first:]
        absent = ~state.correct
        return Scores(
            count(absent[:, None] & correct),
            count((absent & ~state.wrong)[:, None] & correct),
            count((state.correct & ~state.wrong)[:, None] & wrong),
        )

    def shares(self, scores: Scores, left: int) -> Counts:
        """[subsets × candidates] s_j of `search_tree` where so many models are still to come.

        With one to come it is what the candidate adds to the key.
        """
        union = self.weights.union * (left if self.weights.union > 0 else 1)
        return union * scores.union + self.weights.clean * (left * scores.gain - scores.loss)


def candidates(correct: Words, wrong: Words, weights: Weights) -> Candidates:
    """The pool in the order of the search; [models × words] each."""
    alone = weights.union * count(correct) + weights.clean * count(correct & ~wrong)
    pool = np.lexsort((np.arange(len(correct)), -alone))
    nothing = np.zeros((1, correct.shape[1]), np.uint64)
    behind = np.bitwise_or.accumulate(correct[pool][::-1], axis=0)[::-1]
    return Candidates(pool, correct[pool], wrong[pool], np.concatenate([behind, nothing]), weights)


def count(words: Words) -> Counts:
    """[… × words] → […] bits that are set; words in multiples of 8.

    Counts of single words are octets, and eight of them are added at once: first neighbours, which
    gives four sums of 16 bits, then these over the words, then the four. That is as quick as
    counting the bits, and several times as quick as a sum over a short axis.
    """
    octets = np.bitwise_count(words).view(np.uint64)
    pairs = (octets & _LOW) + ((octets >> _OCTET) & _LOW)
    if words.shape[-1] < _FOUR_FIT:
        four = pairs.sum(axis=-1) * _ADD_FOUR >> _HIGHEST
        return np.asarray(four.astype(np.int64))
    sums: Counts = np.zeros(words.shape[:-1], np.int64)
    for begin in range(0, pairs.shape[-1], _FIT):
        part = pairs[..., begin : begin + _FIT].sum(axis=-1)
        for place in range(0, 64, 16):
            sums += ((part >> np.uint64(place)) & _SIXTEEN).astype(np.int64)
    return sums
