"""Exact expected scores against every ordered draw through the voting code, and real banks."""

import importlib.util
import itertools
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slmmux.bank import Bank
from slmmux.bank.imports import import_file
from slmmux.bank.rows import BankQuestion
from slmmux.errors import UsageError
from slmmux.methods import budget_of, find_methods
from slmmux.pool_models import pool_models
from slmmux.scaling_modes import binomials
from slmmux.scaling_scores import Expected, expected_scores
from slmmux.selection import select
from slmmux.table import MISSING, NO_VOTE, Recorded, Table, load_table
from slmmux.types import Answer, Sample
from slmmux.votes import mode, tally

SHARED = Path(__file__).resolve().parents[2] / "shared"
needs_data = pytest.mark.skipif(
    not SHARED.is_dir(), reason="needs the recorded answers in ../shared/data"
)
CLASSES = 3
Streams = list[list[int]]  # a model's samples: classes, or NO_VOTE


def recorded(classes: "np.typing.NDArray[np.int32]") -> Recorded:
    return Recorded(
        classes=classes,
        errored=np.zeros(classes.shape, np.bool_),
        tokens=np.zeros(classes.shape),
        cost=np.zeros(classes.shape),
    )


def table_of(questions: Sequence[Streams], right: Sequence[Sequence[bool]]) -> Table:
    """Questions whose models have these samples, of which these classes are right."""
    width = max(len(samples) for streams in questions for samples in streams)
    models, classes = len(questions[0]), max(map(len, right))
    cells = np.full((len(questions), models, width), MISSING, np.int32)
    flags = np.zeros((len(questions), classes + 2), np.bool_)
    for place, (streams, are_right) in enumerate(zip(questions, right, strict=True)):
        flags[place, : len(are_right)] = are_right
        for model, samples in enumerate(streams):
            cells[place, model, : len(samples)] = samples
    return Table(
        questions=tuple(
            BankQuestion(id=place, task="t", name=str(place), text=str(place))
            for place in range(len(questions))
        ),
        kinds=tuple("number" for _ in questions),
        guessed={},
        models=tuple("abcdefgh"[:models]),
        run_seed=0,
        samples=recorded(cells),
        greedy=recorded(np.full((len(questions), models, 1), MISSING, np.int32)),
        right=flags,
    )


def keys(samples: Sequence[int]) -> list[str | None]:
    return [None if sample == NO_VOTE else str(sample) for sample in samples]


def drawn(model: str, classes: Sequence[int]) -> list[Sample]:
    return [
        Sample(
            model=model,
            question_id="q",
            index=index,
            answer=None if key is None else Answer(key, key),
        )
        for index, key in enumerate(keys(classes))
    ]


def brute_mux(
    streams: Streams, right: Sequence[bool], k: int, accuracies: dict[str, float]
) -> Fraction:
    """The share of all ordered draws in which `select` answers correctly."""
    won = cases = 0
    for draw in itertools.product(*(itertools.permutations(s, k) for s in streams)):
        tallies = [tally(m, drawn(m, d), k) for m, d in zip("abcdefgh", draw, strict=False)]
        key = select(tallies, accuracies).key
        won += key is not None and right[int(key)]
        cases += 1
    return Fraction(won, cases)


def brute_pooled(streams: Streams, right: Sequence[bool], k: int) -> Fraction:
    won = cases = 0
    for draw in itertools.product(*(itertools.permutations(s, k) for s in streams)):
        key, _ = mode(keys([sample for samples in draw for sample in samples]))
        won += key is not None and right[int(key)]
        cases += 1
    return Fraction(won, cases)


samples = st.integers(NO_VOTE, CLASSES - 1)
rights = st.lists(st.booleans(), min_size=CLASSES, max_size=CLASSES)
two_models = st.lists(st.lists(samples, min_size=2, max_size=4), min_size=2, max_size=2)
three_models = st.lists(st.lists(samples, min_size=2, max_size=3), min_size=3, max_size=3)
ragged = two_models | three_models


@settings(max_examples=60, deadline=None)
@given(ragged, rights, st.permutations([0.1, 0.5, 0.5]))
def test_mux_is_right_as_often_as_in_all_ordered_draws_of_the_selection_code(
    streams: Streams, right: list[bool], ranks: list[float]
) -> None:
    accuracies = dict(zip("abc", ranks, strict=True))
    k_max = min(map(len, streams))
    table = table_of([streams], [right])
    k_max = min(k_max, 2) if len(streams) > 2 else k_max
    expected = Expected.of(table, k_max)
    order = expected.order(range(len(streams)), accuracies)
    for k in range(1, k_max + 1):
        truth = brute_mux(streams, right, k, accuracies)
        assert expected.modes.mux(order)[0, k - 1] == pytest.approx(float(truth), abs=1e-12)
        assert expected.modes.mux_at(order, k)[0] == pytest.approx(float(truth), abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(ragged, rights)
def test_pooled_vote_is_right_as_often_as_in_all_ordered_draws_of_the_voting_code(
    streams: Streams, right: list[bool]
) -> None:
    k_max = min(map(len, streams))
    found = Expected.of(table_of([streams], [right]), k_max).pooled(range(len(streams)))
    assert found.exact.all()
    for k in range(1, k_max + 1):
        truth = brute_pooled(streams, right, k)
        assert found.scores[0, k - 1] == pytest.approx(float(truth), abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(st.lists(samples, min_size=1, max_size=6), rights)
def test_self_consistency_is_right_as_often_as_in_all_ordered_draws_of_the_voting_code(
    stream: list[int], right: list[bool]
) -> None:
    expected = Expected.of(table_of([[stream]], [right]), len(stream))
    found = expected.modes.self_consistency(0)[0]
    for k in range(1, len(stream) + 1):
        truth = brute_pooled([stream], right, k)
        assert found[k - 1] == pytest.approx(float(truth), abs=1e-12)
    assert found[0] == pytest.approx(expected.single(0)[0])


@settings(max_examples=40, deadline=None)
@given(ragged, rights)
def test_missing_samples_fill_up_to_each_k_and_no_further(
    streams: Streams, right: list[bool]
) -> None:
    k_max = 4 if len(streams) == 2 else 3
    streams[0] = streams[0][:1]
    accuracies = dict.fromkeys("abc", 0.5)
    expected = Expected.of(table_of([streams], [right]), k_max, allow_missing=True)
    members = range(len(streams))
    pooled = expected.pooled(members)
    drawn = expected.pooled(members, reach=0)
    for k in range(1, k_max + 1):
        filled = [stream + [NO_VOTE] * (k - len(stream)) for stream in streams]
        known = Expected.of(table_of([filled], [right]), k)
        mux = known.modes.mux_at(known.order(members, accuracies), k)
        assert expected.modes.mux(members)[0, k - 1] == pytest.approx(mux[0], abs=1e-12)
        truth = known.pooled(members).scores[0, k - 1]
        assert pooled.scores[0, k - 1] == pytest.approx(truth, abs=1e-12)
        assert drawn.scores[0, k - 1] == pytest.approx(truth, abs=0.02)


def test_a_model_without_samples_is_never_right_and_never_in_the_way() -> None:
    table = table_of([[[], [0, 1]]], [[True, False]])
    found = Expected.of(table, 3, allow_missing=True)
    assert found.modes.self_consistency(0).tolist() == [[0, 0, 0]]
    assert found.modes.mux([0, 1]).tolist() == [[0.5, 0.5, 0.5]]
    assert found.pooled([0, 1]).scores.tolist() == [[0.5, 0.5, 0.5]]


def test_a_model_alone_is_pooled_and_muxed_as_its_own_self_consistency() -> None:
    table = table_of([[[0, 0, 1, 2, NO_VOTE]], [[1, 1, 0, 2, 2]]], [[True, False, False]] * 2)
    expected = Expected.of(table, 5)
    own = expected.modes.self_consistency(0)
    assert expected.modes.mux([0]) == pytest.approx(own)
    assert expected.pooled([0]).scores == pytest.approx(own)


def test_of_t_classes_tied_within_a_model_each_wins_equally_often() -> None:
    table = table_of([[[0, 1, 2]]], [[True, False, False]])
    assert expected_scores(table, "self_consistency", 3, accuracies={}) == pytest.approx([1 / 3])


def test_a_tie_of_the_pooled_vote_goes_to_the_model_that_comes_first() -> None:
    table = table_of([[[0, 0], [1, 1]], [[1, 1], [0, 0]]], [[True, False]] * 2)
    assert expected_scores(table, "pooled_vote", 2, accuracies={}).tolist() == [1.0, 0.0]


def test_a_tie_between_models_goes_to_the_higher_validation_accuracy_then_to_pool_order() -> None:
    table = table_of([[[0, 0], [1, 1]]], [[False, True]])
    assert expected_scores(table, "mux", 2, accuracies={"a": 0.4, "b": 0.5}).tolist() == [1.0]
    assert expected_scores(table, "mux", 2, accuracies={"a": 0.5, "b": 0.5}).tolist() == [0.0]


def test_samples_without_a_vote_stay_in_k_and_vote_for_nothing() -> None:
    table = table_of([[[0, NO_VOTE, NO_VOTE], [1, NO_VOTE, NO_VOTE]]], [[True, False]])
    found = Expected.of(table, 3).modes.mux([0, 1])[0]
    # With k = 1 a's only vote comes up in 1/3 of the draws; b's wins when a shows none.
    assert found.tolist() == pytest.approx([1 / 3, 2 / 3, 1.0])


def test_nobody_votes_and_nobody_is_right() -> None:
    table = table_of([[[NO_VOTE] * 2, [NO_VOTE] * 2]], [[True]])
    for rule in ("mux", "pooled_vote"):
        assert expected_scores(table, rule, 2, accuracies={}).tolist() == [0.0]


@pytest.mark.parametrize("reach", [0, 20_000])
def test_a_pooled_vote_out_of_reach_is_drawn_and_says_its_error(reach: int) -> None:
    rng = np.random.default_rng(0)
    streams = [rng.integers(NO_VOTE, 4, (3, 6)).tolist() for _ in range(40)]
    expected = Expected.of(table_of(streams, [[True, False, False, False]] * 40), 6)
    exact, drawn_scores = expected.pooled(range(3)), expected.pooled(range(3), reach=reach)
    assert exact.exact.all()
    assert not drawn_scores.exact[:, :5].all()
    assert drawn_scores.exact[:, 5].all()  # all 6 of 6: only ties are left to chance
    assert (drawn_scores.variance[drawn_scores.exact] == 0).all()
    error = np.sqrt(drawn_scores.variance.sum(axis=0))
    distance = np.abs((drawn_scores.scores - exact.scores).sum(axis=0))
    assert (distance <= 3 * error + 1e-9).all()
    again = expected.pooled(range(3), reach=reach)
    assert (again.scores == drawn_scores.scores).all()


def test_more_samples_than_there_are_is_refused() -> None:
    table = table_of([[[0, 0], [1]]], [[True, False]])
    with pytest.raises(UsageError, match="k = 2 takes as many samples of every model; some have 1"):
        Expected.of(table, 2)
    with pytest.raises(UsageError, match="k is 0"):
        Expected.of(table, 0)
    with pytest.raises(UsageError, match="no rule median"):
        expected_scores(table, "median", 1, accuracies={})
    with pytest.raises(UsageError, match="single takes one model, and 2 take part"):
        expected_scores(table, "single", 1, accuracies={})


def test_a_number_of_subsets_beyond_a_float_is_refused() -> None:
    assert binomials(50, 25)[50, 25] == 126_410_606_437_752
    with pytest.raises(UsageError, match="k = 600 of 1200 samples is out of reach"):
        binomials(1200, 600)


# Against real banks.


def loaded(name: str, folder: Path, *models: str) -> Table:
    import_file(folder / "bank.db", SHARED / "data" / f"{name}.jsonl.gz")
    with Bank.open(folder / "bank.db") as bank:
        chosen = pool_models(bank.models(), models)
        return load_table(bank, bank.tasks(), run_seed=0, models=chosen)


def random_draws(table: Table, k: int, seed: int) -> "np.typing.NDArray[np.int32]":
    """The first k of every model's samples, in a random order."""
    rng = np.random.default_rng(seed)
    classes = table.samples.classes
    chances = np.where(classes == MISSING, 2.0, rng.random(classes.shape))
    return np.take_along_axis(classes, np.argsort(chances, axis=2)[:, :, :k], axis=2)


@needs_data
@pytest.mark.parametrize(("bank", "k"), [("date_4_models", 3), ("embedded_6_models_10_samples", 5)])
def test_expected_scores_of_a_real_bank_are_those_of_many_draws_through_the_methods(
    bank: str, k: int, tmp_path: Path
) -> None:
    table = loaded(bank, tmp_path).of(range(4))
    accuracies = dict(zip(table.models, [0.3, 0.6, 0.3, 0.5], strict=True))
    rows = np.arange(len(table.questions))
    methods = find_methods(["mux", "pooled_vote", "self_consistency"])
    runs: dict[str, list[float]] = {name: [] for name in methods}
    for seed in range(40):
        budget = budget_of(table.models, random_draws(table, k, seed), accuracies)
        for name, method in methods.items():
            last = method.decide(budget)[-1]  # of self-consistency: the last model's
            runs[name].append(float(table.right[rows, last.picks[:, 0]].mean()))
    for name, found in runs.items():
        members = [3] if name == "self_consistency" else None
        expected = expected_scores(table, name, k, accuracies=accuracies, models=members)
        error = np.std(found, ddof=1) / np.sqrt(len(found))
        assert abs(float(expected.mean()) - np.mean(found)) <= 3 * error, name


@needs_data
def test_expected_mux_of_a_real_bank_is_that_of_the_plain_loops(tmp_path: Path) -> None:
    table = loaded("reasoning_gym_9_models_3_samples", tmp_path).at(range(0, 850, 10))
    loops = reference("loops")
    place = {name: p for p, name in enumerate(table.models)}
    accuracies = {name: 1 - p / 10 for name, p in place.items()}
    labels = np.where(table.right[np.arange(85)[:, None, None], table.samples.classes], -9, 0)
    cells = np.where(labels == -9, -9, table.samples.classes)
    samples_of = [
        [[None if c == NO_VOTE else c for c in stream] for stream in cells[:, model].tolist()]
        for model in range(len(table.models))
    ]
    priority = [place[name] for name in sorted(place, key=lambda name: -accuracies[name])]
    found = [
        loops.mux_accuracy_monte_carlo(samples_of, [-9] * 85, 2, priority, 10, seed=seed)
        for seed in range(20)
    ]
    error = np.std(found, ddof=1) / np.sqrt(len(found))
    exact = float(expected_scores(table, "mux", 2, accuracies=accuracies).mean())
    assert abs(exact - np.mean(found)) <= 3 * error


def reference(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, SHARED / "reference" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
