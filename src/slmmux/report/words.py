"""What the page says in words: what was measured, what came out, and what the terms mean."""

from importlib.resources import files

from slmmux._version import __version__
from slmmux.evaluation import EVALUATED, Comparison, Entry
from slmmux.holdout import HINDSIGHT
from slmmux.report.accuracy import NAMES
from slmmux.report.measured import Measured
from slmmux.table_digest import digest


def terms() -> list[tuple[str, str]]:
    """(term, meaning) of every word that the page takes for granted."""
    lines = files(__package__).joinpath("terms.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.partition(": ") for line in lines)
    return [(term, meaning) for term, _, meaning in pairs]


def summary(measured: Measured) -> str:
    """The outcome beside one model with as many samples, and with one."""
    evaluation = measured.evaluation
    (mux,) = measured.entries("mux")
    first = (
        f"SLM-MUX answers {_percent(mux)} of {evaluation.questions:,} "
        f"{_plural('question', evaluation.questions)} correctly, with "
        f"k = {evaluation.k} {_plural('sample', evaluation.k)} from each of "
        f"{len(evaluation.models)} {_plural('model', len(evaluation.models))}."
    )
    compared, single = mux.vs_best_self_consistency, mux.vs_best_single
    if compared is None or single is None:
        return first
    best = _entry_of(measured, compared)
    same = "" if single.models == compared.models else f" of {single.models[0]}"
    one = (
        ""
        if evaluation.k == 1
        else (f" One sample{same} answers {_percent(_entry_of(measured, single))}.")
    )
    means = "One sample" if evaluation.k == 1 else f"The most common of {evaluation.k} samples"
    return (
        f"{first} {means} of the best model alone ({best.models[0]}, {HINDSIGHT}) answers "
        f"{_percent(best)}; {_difference(compared)}.{one}"
    )


def _entry_of(measured: Measured, compared: Comparison) -> Entry:
    """The other method's entry."""
    return next(e for e in measured.entries(compared.method) if e.models == compared.models)


def _difference(compared: Comparison) -> str:
    found = compared.difference
    low, high = found.ci95.low, found.ci95.high
    points = f"{100 * abs(found.difference):.1f} points"
    if low == high == 0:
        return "SLM-MUX is equal to it on every question"
    if round(100 * low, 1) == round(100 * high, 1) == 0:
        return "the two differ by less than 0.1 points"
    interval = f"95% interval {100 * low:+z.1f} to {100 * high:+z.1f}"
    if low > 0:
        return f"SLM-MUX is better by {points} ({interval})"
    if high < 0:
        return f"SLM-MUX is worse by {points} ({interval})"
    return f"the difference of {100 * found.difference:+z.1f} points ({interval}) may be chance"


def facts(measured: Measured) -> list[tuple[str, str]]:
    """What was measured, and with what."""
    evaluation, table = measured.evaluation, measured.table
    runs = (
        f"samples 0 to {evaluation.k - 1} of each model"
        if evaluation.trials == 1
        else f"mean over {evaluation.trials} seeded subsets of {evaluation.k} samples; charts of "
        f"single questions show each model's first {evaluation.k}"
    )
    found = [
        ("task", evaluation.task),
        ("questions", f"{evaluation.questions:,}"),
        ("models", ", ".join(evaluation.models)),
        ("samples", f"k = {evaluation.k}: {runs}"),
        ("seeds", f"samples {table.run_seed}, subsets and intervals {evaluation.seed}"),
        ("answers read as", ", ".join(evaluation.kinds)),
        ("validation accuracies, which settle ties", evaluation.accuracy.source),
        ("data", f"hash {digest(table)[:16]}"),
        ("written by", f"slmmux {__version__}"),
    ]
    if measured.crossed is not None and evaluation.accuracy.source == EVALUATED:
        found.append(("calibrated vote", "weights for each question are fitted on other ones"))
    return found + [("note", note) for note in evaluation.notes]


def methods(measured: Measured) -> list[tuple[str, Entry]]:
    """Every entry with its method's name, in the order of `accuracy.NAMES`."""
    return [(NAMES[method], entry) for method in NAMES for entry in measured.entries(method)]


def _percent(entry: Entry) -> str:
    return f"{entry.estimate.accuracy:.1%}"


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"
