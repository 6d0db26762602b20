"""Scaling points for a person, in 80 columns."""

from collections.abc import Callable, Sequence
from itertools import groupby

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from slmmux.cli.show import at_least, counted
from slmmux.metrics import Estimate
from slmmux.scaling import Point, PooledPoint
from slmmux.scaling_outcome import ScalingOutcome, mean_error
from slmmux.theory import Approximation, Theory

_WIDEST = 200  # columns


def show(out: Console, outcome: ScalingOutcome) -> None:
    """Print the points of every size, what is chosen, and how to read it."""
    out.print(_title(outcome), style="bold")
    out.print()
    for models, points in groupby(outcome.scaling.points, lambda point: point.models):
        _print_size(out, outcome, models, list(points))
    _print_choices(out, outcome)
    if outcome.theory is not None:
        _print_theory(out, outcome.theory)
    _print_notes(out, outcome)


def _title(outcome: ScalingOutcome) -> str:
    split = outcome.split
    return (
        f"{outcome.task}: {counted(len(split.test.questions), 'question')}, "
        f"{counted(len(split.test.models), 'model')}, k = 1 to {outcome.plan.k_max}"
    )


def _print_size(
    out: Console, outcome: ScalingOutcome, models: Sequence[str], points: Sequence[Point]
) -> None:
    out.print(f"K = {len(models)}: {', '.join(models)}", style="bold")
    table = Table(box=None, pad_edge=False)
    columns = [
        (title, cell)
        for title, cell in _COLUMNS.items()
        if any(cell(point) for point in outcome.scaling.points)
    ]
    for title, _ in columns:
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for point in points:
        chosen = point in {outcome.scaling.best, outcome.scaling.enough}
        table.add_row(
            *(cell(point) for _, cell in columns),
            _mark(outcome, point),
            style="bold" if chosen else "",
        )
    # Wider than the terminal, lines wrap there: no figure and no verdict is ever cut off.
    at_least(out, Measurement.get(out, out.options.update(max_width=_WIDEST), table).maximum)
    out.print(table)
    out.print()


def _mark(outcome: ScalingOutcome, point: Point) -> str:
    marks = [
        name
        for name, chosen in (("best", outcome.scaling.best), ("enough", outcome.scaling.enough))
        if point is chosen
    ]
    if not marks and outcome.scaling.enough_k[len(point.models)] == point.k:
        return "·"
    return ", ".join(marks)


def _print_choices(out: Console, outcome: ScalingOutcome) -> None:
    for name, point in (("best", outcome.scaling.best), ("enough", outcome.scaling.enough)):
        made = "" if point.draws is None else f", {point.draws.mean:.1f} made"
        out.print(
            f"{name}: K = {len(point.models)}, k = {point.k}: {_percent(point.mux.accuracy)} with "
            f"{point.budget} draw{'s' * (point.budget != 1)} in full{made} ({outcome.label})"
        )
    out.print()


def _print_theory(out: Console, theory: Theory) -> None:
    types = Table(box=None, pad_edge=False)
    out.print("questions by p, the share of a model's samples that is right", style="bold")
    types.add_column("model", overflow="fold")
    for title in ("p = 1", "½ < p < 1", "p = ½", "0 < p < ½", "p = 0"):
        types.add_column(title, justify="right", no_wrap=True)
    for name, found in theory.types.items():
        counts = (found.certain, found.likely, found.even, found.unlikely, found.never)
        types.add_row(name, *map(str, counts))
    out.print(types)
    out.print()
    out.print("the paper's A(N, p) beside the exact accuracies", style="bold")
    table = Table(box=None, pad_edge=False)
    for title in ("K", "k", "A(k, p max)", "mux", "A(Kk, p mean)", "pooled", "A(k, p)", "self-c."):
        table.add_column(title, justify="right", no_wrap=True)
    for each in theory.comparisons:
        table.add_row(
            str(len(each.models)),
            str(each.k),
            *_both(each.mux),
            *_both(each.pooled),
            *_both(each.self_consistency),
        )
    out.print(table)
    errors = [
        f"{name} {_points(mean_error(found))}"
        for name, found in (
            ("mux", [each.mux for each in theory.comparisons]),
            ("pooled vote", [each.pooled for each in theory.comparisons]),
            ("self-consistency", [each.self_consistency for each in theory.comparisons]),
        )
    ]
    out.print(f"mean distance of A(N, p) in points: {', '.join(errors)}")
    out.print()


def _print_notes(out: Console, outcome: ScalingOutcome) -> None:
    split = outcome.split
    out.print(
        "accuracies: exact means over all ordered draws of k recorded samples; interval: 95%, over "
        "questions; gain: of mux, in points; self-c.: self-consistency of the size's best model",
        style="dim",
    )
    out.print(
        "best: highest validation accuracy; enough: a draw more brings less than "
        f"{100 * outcome.plan.worth:g} points (--worth); ·: the same among points of this K",
        style="dim",
    )
    out.print(
        f"subsets, K, k and ties: by {split.source} ({len(split.validation.questions):,} "
        f"questions), search at k = {outcome.search_k}",
        style="dim",
    )
    if any(point.draws is not None for point in outcome.scaling.points):
        out.print(
            f"draws: a question, with exact stopping, mean of {outcome.plan.replays} replays; up "
            f"to a budget of {outcome.plan.replay_to} (--replays, --replay-to); /draw: gain for "
            "each more",
            style="dim",
        )
    drawn = [p.pooled for p in outcome.scaling.points if p.pooled is not None and p.pooled.drawn]
    if drawn:
        worst = max(100 * found.stderr for found in drawn)
        out.print(
            f"~ pooled vote of some questions by seeded draws, standard error up to {worst:.2f} "
            "points",
            style="dim",
        )
    for note in outcome.notes:
        out.print(f"note: {note}")


def _pooled(found: PooledPoint | None) -> str:
    if found is None:
        return ""
    return ("~" if found.drawn else "") + _percent(found.estimate.accuracy)


def _signed(gain: float | None, digits: int) -> str:
    return "" if gain is None else f"{100 * gain:+z.{digits}f}"


def _both(found: Approximation | None) -> tuple[str, str]:
    if found is None:
        return "–", "–"
    return _percent(found.approximation), _percent(found.expected)


def _percent(share: float) -> str:
    return f"{_hundredths(share)}%"


def _hundredths(share: float) -> str:
    """`97.1`; `100` is as short as the others, so that columns keep their width."""
    return f"{100 * share:z.1f}".replace("100.0", "100")


def _points(error: float | None) -> str:
    return "–" if error is None else f"{100 * error:.1f}"


def _range(estimate: Estimate) -> str:
    return f"{_hundredths(estimate.ci95.low)}–{_hundredths(estimate.ci95.high)}%"


# Columns that no point fills are left out.
_COLUMNS: dict[str, Callable[[Point], str]] = {
    "k": lambda point: str(point.k),
    "mux": lambda point: _percent(point.mux.accuracy),
    "interval": lambda point: _range(point.mux),
    "gain": lambda point: _signed(point.gain, 1),
    "self-c.": lambda point: _percent(point.self_consistency.accuracy),
    "pooled": lambda point: _pooled(point.pooled),
    "budget": lambda point: str(point.budget),
    "draws": lambda point: "" if point.draws is None else f"{point.draws.mean:.1f}",
    "/draw": lambda point: _signed(point.gain_per_draw, 2),
}
