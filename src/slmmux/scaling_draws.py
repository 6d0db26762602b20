"""Expected draws of exact stopping, by seeded replays of recorded samples.

How many draws exact stopping makes depends on the order in which answers come, through every
certificate on the way: there is no sum to write down, so draws are replayed through the one
stopping code (`methods.replays`) on random orders of the recorded samples. A row is one order of
every model's samples of one question. The same rows serve every k, whose first k samples count, so
that differences between neighbouring k are steadier than each of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from slmmux.methods import budget_of
from slmmux.methods.replays import exact_draws
from slmmux.stopping import Schedule
from slmmux.table import MISSING, NO_VOTE, Classes, Table


@dataclass(frozen=True, slots=True)
class Draws:
    """Draws of exact stopping a question.

    Attributes:
        mean: over the rows.
        stderr: of the mean: over rows, whose questions differ as well as their orders.
        rows: how many were replayed.
    """

    mean: float
    stderr: float
    rows: int


def shuffled(table: Table, k_max: int, *, rows: int, seed: int) -> Classes:
    """[rows × models × k_max] samples of each model in random order, as many rows as asked for.

    Questions take turns in a random order, so that each has as many rows as any other, or one more.

    Args:
        table: the samples; where a model has fewer than k_max, no votes stand behind those it has.
        k_max: samples of each model.
        rows: how many.
        seed: of the orders.
    """
    rng = np.random.default_rng(seed)
    questions = len(table.questions)
    turns = [rng.permutation(questions) for _ in range(-(-rows // questions))]
    classes = table.samples.classes[np.concatenate(turns)[:rows]]
    lacking = max(0, k_max - classes.shape[2])
    classes = np.pad(classes, [(0, 0), (0, 0), (0, lacking)], constant_values=MISSING)
    chances = rng.random(classes.shape)
    chances[classes == MISSING] = 2.0  # behind everything that was drawn
    order = np.argsort(chances, axis=2)[:, :, :k_max]
    return np.maximum(np.take_along_axis(classes, order, axis=2), NO_VOTE)


def expected_draws(
    orders: Classes,
    table: Table,
    members: Sequence[int],
    k: int,
    *,
    accuracies: Mapping[str, float],
    schedule: Schedule,
) -> Draws:
    """Draws of exact stopping with k samples from each of some models.

    Args:
        orders: `shuffled`.
        table: whose samples they are.
        members: positions of the models that take part, pool order.
        k: samples from each.
        accuracies: validation accuracy by model name; settles ties.
        schedule: of the draws.
    """
    names = tuple(table.models[m] for m in members)
    budget = budget_of(names, orders[:, list(members), :k], accuracies)
    made = exact_draws(budget, schedule).sum(axis=1)
    spread = float(made.std(ddof=1)) if len(made) > 1 else 0.0
    return Draws(float(made.mean()), spread / float(np.sqrt(len(made))), len(made))
