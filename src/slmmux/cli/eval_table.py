"""An evaluation for a person: what a terminal of 80 columns holds, and more where there is room."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from rich.console import Console
from rich.table import Table

from slmmux.cli.show import counted
from slmmux.evaluation import Comparison, Entry, Evaluation
from slmmux.methods import METHODS
from slmmux.types import Interval

_WIDE = 112

_Column: TypeAlias = tuple[str, Callable[[Entry], str]]


def show(out: Console, evaluation: Evaluation, *, brief: bool = False) -> None:
    """Print the evaluation as tables and notes.

    Args:
        out: whose width decides how many columns there are.
        evaluation: to show.
        brief: accuracies and draws only.
    """
    out.print(_title(evaluation), style="bold")
    out.print()
    accuracy: list[_Column] = [
        ("accuracy", lambda e: _percent(e.estimate.accuracy)),
        ("95% interval", lambda e: _range(e.estimate.ci95)),
        ("draws", lambda e: _count(e.used.draws)),
        ("of budget", lambda e: f"{e.used.draws / e.full.draws:.0%}"),
    ]
    usage = _usage_columns(evaluation.entries)
    if brief:
        _print_entries(out, evaluation, accuracy)
        _print_notes(out, evaluation)
        return
    if out.width >= _WIDE:
        _print_entries(out, evaluation, accuracy + usage)
    else:
        _print_entries(out, evaluation, accuracy)
        _print_entries(out, evaluation, usage)
    _print_comparisons(out, evaluation)
    _print_models(out, evaluation)
    _print_groups(out, evaluation)
    _print_notes(out, evaluation)


def _title(evaluation: Evaluation) -> str:
    runs = (
        f"samples 0 to {evaluation.k - 1}"
        if evaluation.trials == 1
        else f"{evaluation.trials} subsets of {evaluation.k} samples"
    )
    return (
        f"{evaluation.task}: {counted(evaluation.questions, 'question')}, "
        f"{counted(len(evaluation.models), 'model')}, k = {evaluation.k} ({runs})"
    )


def _usage_columns(entries: Sequence[Entry]) -> list[_Column]:
    """Tokens and cost where somebody counted them, and what went without an answer."""
    columns: list[_Column] = []
    if any(entry.full.tokens is not None for entry in entries):
        columns.append(("tokens", lambda e: _amount(e.used.tokens)))
        columns.append(("full", lambda e: _amount(e.full.tokens)))
    if any(entry.full.cost is not None for entry in entries):
        columns.append(("cost", lambda e: _money(e.used.cost)))
        columns.append(("full", lambda e: _money(e.full.cost)))
    columns.append(("abstained", lambda e: _percent(e.abstained)))
    columns.append(("errored", lambda e: _percent(e.errored)))
    return columns


def _print_entries(out: Console, evaluation: Evaluation, columns: Sequence[_Column]) -> None:
    table = _table("method", "models")
    for title, _ in columns:
        table.add_column(title, justify="right", no_wrap=True)
    for entry in evaluation.entries:
        table.add_row(
            entry.method,
            _models(entry.models, evaluation),
            *(cell(entry) for _, cell in columns),
            style="bold" if entry.method == "mux" else "",
        )
    out.print(table)
    out.print()


def _print_comparisons(out: Console, evaluation: Evaluation) -> None:
    """Methods that use several models against the best of one model, and pooled vote."""
    table = _table("method", "against")
    for title in ("difference", "95% interval", "alone right", "p"):
        table.add_column(title, justify="right", no_wrap=True)
    for entry in evaluation.entries:
        consistent = None if evaluation.k == 1 else entry.vs_best_self_consistency
        for comparison in (entry.vs_best_single, consistent, entry.vs_pooled_vote):
            if comparison is not None and len(entry.models) > 1:
                table.add_row(entry.method, *_compared(comparison, evaluation))
    if table.row_count:
        out.print(table)
        out.print()


def _compared(comparison: Comparison, evaluation: Evaluation) -> tuple[str, ...]:
    samples = {"single": 1, "self_consistency": evaluation.k}.get(comparison.method)
    other = comparison.method
    if samples is not None:
        other = f"{comparison.models[0]} ×{samples}"
    found, mcnemar = comparison.difference, comparison.mcnemar
    return (
        other,
        f"{100 * found.difference:+z.1f}",
        f"{100 * found.ci95.low:+z.1f} to {100 * found.ci95.high:+z.1f}",
        "–" if mcnemar is None else f"{mcnemar.only_this} : {mcnemar.only_other}",
        "–" if mcnemar is None else _probability(mcnemar.p_value),
    )


def _print_models(out: Console, evaluation: Evaluation) -> None:
    """Validation accuracy of every model, and whose answers the methods gave."""
    sharing = [entry for entry in evaluation.entries if entry.attribution is not None]
    table = _table("model")
    table.add_column("validation accuracy", justify="right")
    for entry in sharing:
        table.add_column(f"share of {entry.method}'s answers", justify="right")
    for model in evaluation.models:
        shares = [(entry.attribution or {})[model] for entry in sharing]
        table.add_row(model, _percent(evaluation.accuracy.by_model[model]), *map(_percent, shares))
    out.print(table)
    out.print()


def _print_groups(out: Console, evaluation: Evaluation) -> None:
    """Accuracy by group; of methods that use one model, the best one's."""
    if evaluation.by is None:
        return
    best: dict[str, Entry] = {}
    for entry in evaluation.entries:
        known = best.get(entry.method)
        if known is None or entry.estimate.accuracy > known.estimate.accuracy:
            best[entry.method] = entry
    table = _table(evaluation.by)
    table.add_column("questions", justify="right")
    for method in best:
        table.add_column(method.replace("_", " "), justify="right")
    groups = next(iter(best.values())).groups
    for place, group in enumerate(groups):
        table.add_row(
            "–" if group.value is None else str(group.value),
            f"{group.questions:,}",
            *(_percent(entry.groups[place].estimate.accuracy) for entry in best.values()),
        )
    out.print(table)
    one = [f"{m}: {e.models[0]}" for m, e in best.items() if len(evaluation.models) > len(e.models)]
    if one:
        out.print(f"one model: its best on all questions ({', '.join(one)})", style="dim")
    out.print()


def _print_notes(out: Console, evaluation: Evaluation) -> None:
    for method in dict.fromkeys(entry.method for entry in evaluation.entries):
        out.print(f"{method}: {METHODS[method].summary}", style="dim")
    accuracy = evaluation.accuracy
    out.print(f"validation accuracies, which settle ties: {accuracy.source}", style="dim")
    out.print(
        "×k: the best single model's most common answer of k samples (in hindsight); "
        "intervals: over questions; differences in percentage points, paired bootstrap; alone "
        "right and p: McNemar's exact test, on the run of each model's first samples",
        style="dim",
    )
    if evaluation.trials > 1:
        out.print("draws, tokens, cost: in the run of each model's first samples", style="dim")
    for note in evaluation.notes:
        out.print(f"note: {note}")


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in names:
        table.add_column(name, overflow="fold", no_wrap=name == "method")
    return table


def _models(models: Sequence[str], evaluation: Evaluation) -> str:
    if len(models) == 1:
        return models[0]
    return f"all {len(models)}" if len(models) == len(evaluation.models) else ", ".join(models)


def _percent(share: float) -> str:
    return f"{share:.1%}"


def _range(interval: Interval) -> str:
    return f"{100 * interval.low:.1f}–{100 * interval.high:.1f}%"


def _count(count: float) -> str:
    return f"{count:,.0f}"


def _amount(amount: float | None) -> str:
    return "–" if amount is None else _count(amount)


def _money(cost: float | None) -> str:
    return "–" if cost is None else f"{cost:,.4g}"


def _probability(p_value: float) -> str:
    return "<0.001" if p_value < 0.001 else f"{p_value:.3f}"  # noqa: PLR2004
