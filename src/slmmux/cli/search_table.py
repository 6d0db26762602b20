"""The outcome of a search for a person."""

from fractions import Fraction

from rich.console import Console
from rich.table import Table

from slmmux.cli.show import counted
from slmmux.search import Ranking
from slmmux.search_outcome import SearchOutcome
from slmmux.search_pareto import Front


def show(out: Console, outcome: SearchOutcome) -> None:
    """Print the best subsets, what they are worth, and how sure that is."""
    out.print(_title(outcome), style="bold")
    out.print()
    _print_rankings(out, outcome)
    best = outcome.best_single
    out.print(
        f"best model alone: {best}, {_percent(outcome.singles[best])} (its most common answer)"
    )
    if outcome.front is not None:
        out.print()
        _print_front(out, outcome, outcome.front)
    out.print()
    _print_warnings(out, outcome)
    _print_notes(out, outcome)


def _title(outcome: SearchOutcome) -> str:
    sets = outcome.sets
    groups = f", {sets.groups} groups" if sets.groups > 1 else ""
    return (
        f"{outcome.task}: {counted(sets.questions, 'question')}, "
        f"{counted(len(sets.models), 'model')}, "
        f"k = {sets.k}{groups}"
    )


def _print_rankings(out: Console, outcome: SearchOutcome) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("size", justify="right")
    table.add_column("models", overflow="fold")
    columns = ["O", "union", "contra.", "mux", "wins"]
    for title in columns if outcome.objective == "paper" else ["mux", "union", "contra.", "wins"]:
        table.add_column(title, justify="right", no_wrap=True)
    for size, ranking in outcome.rankings.items():
        sure = outcome.stability.get(size)
        for place, subset in enumerate(ranking.subsets[: outcome.top]):
            wins = None
            if sure is not None:
                wins = sure.wins if place == 0 else sure.rivals[place - 1].wins
            mux = outcome.mux[subset.members]
            table.add_row(
                str(size) if place == 0 else "",
                ", ".join(outcome.names(subset.members)),
                _percent(subset.objective),
                _percent(Fraction(subset.union, subset.cells)),
                _percent(Fraction(subset.contradiction, subset.cells)),
                *([_percent(mux)] if outcome.objective == "paper" else []),
                "–" if wins is None else f"{wins:.0%}",
                style="bold" if place == 0 else "",
            )
    out.print(table)
    out.print()


def _print_front(out: Console, outcome: SearchOutcome, front: Front) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("worth their cost", overflow="fold")
    columns = [
        ("mux", [_percent(point.accuracy) for point in front.points]),
        ("draws", [str(point.draws) for point in front.points]),
        ("tokens", [f"{p.tokens:,.0f}" for p in front.points if p.tokens is not None]),
        ("cost", [f"{p.cost:,.4g}" for p in front.points if p.cost is not None]),
    ]
    known = [(title, cells) for title, cells in columns if cells]
    for title, _ in known:
        table.add_column(title, justify="right", no_wrap=True)
    names = [", ".join(outcome.names(point.members)) for point in front.points]
    for row in zip(names, *(cells for _, cells in known), strict=True):
        table.add_row(*row)
    out.print(table)
    counted = ", ".join(title for title, _ in known[1:])
    out.print(f"{counted}: of the full budget, a question", style="dim")
    if not front.complete:
        out.print("note: the time limit came before every subset was looked at")


def _print_warnings(out: Console, outcome: SearchOutcome) -> None:
    for size, ranking in outcome.rankings.items():
        if not ranking.proven:
            out.print(f"warning: {_unproven(ranking)}", style="yellow")
        sure = outcome.stability.get(size)
        if sure is not None and sure.within_noise:
            others = f"{sure.within_noise} of the {sure.ranked - 1} next best"
            out.print(
                f"warning: size {size}: the questions do not tell the best from {others}; it "
                f"wins {sure.told} of {sure.resamples:,} bootstrap resamples (ties shared)",
                style="yellow",
            )


def _unproven(ranking: Ranking) -> str:
    best = ranking.subsets[0].objective
    if not ranking.begun:
        return (
            f"size {ranking.size}: not begun, the time limit came first; what is shown is a guess"
        )
    return (
        f"size {ranking.size}: stopped by the time limit; the best found has "
        f"{_percent(best)}, and no subset has more than {_percent(ranking.bound)}"
    )


def _print_notes(out: Console, outcome: SearchOutcome) -> None:
    maximised = "mux"
    if outcome.objective == "paper":
        maximised = f"O = union − λ · contra., λ = {_weight(outcome.weight)}"
    out.print(
        f"maximised: {maximised}; union: some model is correct ({outcome.correct}); contra.: while "
        "another is consistently wrong; mux: accuracy of SLM-MUX, expected over all ways to draw k "
        "of the samples; wins: share of the resamples, ties shared",
        style="dim",
    )
    for size, ranking in outcome.rankings.items():
        _print_level(out, outcome, size, ranking)
    for note in outcome.notes:
        out.print(f"note: {note}")


def _print_level(out: Console, outcome: SearchOutcome, size: int, ranking: Ranking) -> None:
    """Name the subset that only the order of the pool puts below one with a lower mux."""
    best = ranking.subsets[0]
    level = [s for s in ranking.subsets if (s.objective, s.union) == (best.objective, best.union)]
    other = max(level, key=lambda subset: outcome.mux[subset.members])
    if outcome.mux[other.members] > outcome.mux[best.members]:
        out.print(
            f"note: size {size}: {', '.join(outcome.names(other.members))} is level with the best, "
            "with a higher mux; equals are listed in pool order"
        )


def _weight(weight: Fraction) -> str:
    return str(weight) if weight.denominator in (1, 3, 6, 7, 9) else f"{float(weight):g}"


def _percent(share: Fraction) -> str:
    """A share in percent; O with a large λ is no share."""
    return f"{float(share):.1%}" if abs(share) <= 1 else f"{float(share):,.1f}"
