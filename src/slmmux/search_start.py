"""Good subsets to begin a search with: grown model by model, then improved by exchanges."""

import numpy as np

from slmmux.search_best import Best, Counts, Places
from slmmux.search_cells import Candidates

_STARTS = 5  # subsets that are grown and improved


def start(
    candidates: Candidates,
    best: Best,
    size: int,
    seeds: Places | None = None,
    *,
    improve: bool = True,
) -> None:
    """Offer good subsets: a high bar makes bounds effective.

    Args:
        candidates: of the search.
        best: takes what is found.
        size: models in a subset.
        seeds: [subsets × fewer models] pool positions of subsets worth growing.
        improve: exchange models too; else only the best one that is grown is offered.
    """
    places = np.argsort(candidates.pool)
    grown = np.empty((1, 0), np.intp) if seeds is None else places[seeds[:_STARTS]]
    while grown.shape[1] < size:
        grown = _grown(candidates, grown)
    if not improve:
        best.offer(candidates.state(grown[:1]).keys, np.sort(candidates.pool[grown[:1]], axis=1))
        return
    for row in grown:
        _climb(candidates, best, row)


def _grown(candidates: Candidates, seeds: Places) -> Places:
    """The best of the subsets that have one model more than one of these."""
    keys = _extended(candidates, seeds)
    order = np.argsort(-keys, axis=None, kind="stable")
    chosen: dict[tuple[int, ...], None] = {}
    for place in order[: _STARTS * (seeds.shape[1] + 1)].tolist():
        row, more = divmod(place, len(candidates))
        if more not in seeds[row]:
            chosen.setdefault(tuple(sorted([*seeds[row].tolist(), more])))
    return np.array(list(chosen)[:_STARTS], np.intp)


def _climb(candidates: Candidates, best: Best, places: Places) -> None:
    """Exchange one model for another as long as that makes the subset better."""
    key: int | None = None
    while True:
        shorter = np.array([np.delete(places, i) for i in range(len(places))])
        keys = _extended(candidates, shorter)
        place = int(keys.argmax())
        if key is not None and keys.flat[place] <= key:
            return
        key = int(keys.flat[place])
        row, more = divmod(place, len(candidates))
        places = np.append(shorter[row], more)
        best.offer(np.array([key]), np.sort(candidates.pool[places])[None])


def _extended(candidates: Candidates, rows: Places) -> Counts:
    """[rows × candidates] keys with one model more; very low where it is a member already."""
    state = candidates.state(rows)
    keys = state.keys[:, None] + candidates.shares(candidates.scores(state, 0), 1)
    keys[np.arange(len(rows))[:, None], rows] = np.iinfo(np.int64).min // 2
    return keys
