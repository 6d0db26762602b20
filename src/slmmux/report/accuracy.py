"""How good each method is, and what it costs: the evaluation's entries as charts."""

from collections.abc import Sequence

import altair as alt

from slmmux.evaluation import Entry, Evaluation
from slmmux.report.chart import Cell, Chart, Row, data, percent, spec_of, told
from slmmux.report.measured import Measured
from slmmux.report.theme import MUTED, SERIES

NAMES = {
    "mux": "SLM-MUX",
    "pooled_vote": "pooled vote",
    "calibrated": "calibrated vote",
    "self_consistency": "self-consistency",
    "single": "one sample",
    "oracle": "oracle (ceiling)",
}
ONE_MODEL = ("self_consistency", "single")
_COLOURS = (*SERIES[:2], SERIES[4], *SERIES[2:4], SERIES[6])
_SHAPES = ("diamond", "square", "triangle-down", "circle", "triangle-up", "cross")
_MODELS_SHOWN = 12
_LINE = 30  # pixels
_TOLD = (
    ("who:N", "who", ""),
    ("method:N", "method", ""),
    ("accuracy:Q", "accuracy", ".1%"),
    ("low:Q", "95% interval from", ".1%"),
    ("high:Q", "to", ".1%"),
)


def who(entry: Entry) -> str:
    """The model of an entry that uses one; else its method."""
    return entry.models[0] if entry.method in ONE_MODEL else NAMES[entry.method]


def by_method(measured: Measured) -> Chart:
    """Accuracy of every method with its 95% interval; a line for each model's own ways."""
    evaluation = measured.evaluation
    rows = [_row(entry) for entry in _shown(evaluation)]
    scale, axis = alt.Scale(zero=False, nice=True), percent("questions answered correctly")
    lines = dict.fromkeys(row["who"] for row in rows)
    base = alt.Chart(data(), height=_LINE * len(lines)).encode(
        y=alt.Y("who:N", sort=None, title=None, scale=alt.Scale(paddingInner=0.4)),
        yOffset=alt.YOffset("place:N", scale=alt.Scale(domain=[0, 1, 2])),
        tooltip=told(*_TOLD),
    )
    drawing = alt.layer(
        base.mark_rule(strokeWidth=4, opacity=0.45).encode(
            x=alt.X("low:Q", axis=axis, scale=scale), x2="high:Q", color=_colour(rows)
        ),
        base.mark_point(filled=True, size=100, opacity=1).encode(
            x=alt.X("accuracy:Q", axis=axis, scale=scale), color=_colour(rows), shape=_shape(rows)
        ),
    )
    return Chart(
        name="accuracy",
        title="Accuracy by method",
        caption="Farther right is better; the bar through a mark is its 95% interval, so marks "
        "whose bars overlap much may differ by chance only.",
        rows=tuple(rows),
        spec=spec_of(drawing),
        notes=_left_out(evaluation),
    )


def against_cost(measured: Measured) -> Chart:
    """Accuracy against what a question costs, and the methods that nothing cheaper beats."""
    evaluation = measured.evaluation
    entries = [e for e in ways(evaluation) if e.method != "oracle"]
    rows = [row for measure in _MEASURES for row in _costs(entries, measure, evaluation.questions)]
    measures = list(dict.fromkeys(str(row["measure"]) for row in rows))
    base = alt.Chart(data(), height=320)
    if len(measures) > 1:
        chosen = alt.param(
            name="measure",
            value=measures[0],
            bind=alt.binding_select(options=measures, name="Cost is counted in "),
        )
        base = base.add_params(chosen).transform_filter("datum.measure === measure")
    x = alt.X("cost:Q", title=_cost_of(measures), scale=alt.Scale(zero=True))
    y = alt.Y("accuracy:Q", axis=percent("accuracy"), scale=alt.Scale(zero=False))
    front = (
        base.transform_filter("datum.front === 'yes'")
        .mark_line(interpolate="step-after", color=MUTED, strokeDash=[4, 3], point=False)
        .encode(x=x, y=y, order="cost:Q")
    )
    points = base.mark_point(filled=True, size=120, opacity=0.9).encode(
        x=x,
        y=y,
        color=_colour(rows),
        shape=_shape(rows),
        tooltip=told(
            *_TOLD[:3],
            ("cost:Q", "cost of a question", ",.4~f"),
            ("measure:N", "counted in", ""),
            ("front:N", "on the front", ""),
        ),
    )
    return Chart(
        name="cost",
        title="Accuracy against cost",
        caption="Higher is better and farther left is cheaper; the dashed line (the Pareto front) "
        "joins the ways that nothing cheaper beats.",
        rows=tuple(rows),
        spec=spec_of(alt.layer(front, points)),
        notes=(_counted(measured),),
    )


def _counted(measured: Measured) -> str:
    if measured.plan.in_full:
        return "SLM-MUX is counted with exact stopping, everything else with its full budget."
    return "SLM-MUX and the two votes are counted with exact stopping, which changes no answer."


_MEASURES = ("samples", "tokens", "money")


def _cost_of(measures: Sequence[str]) -> str:
    what = measures[0] if len(measures) == 1 else "cost, counted as chosen above,"
    return f"{what} of a question, on average"


def _costs(entries: Sequence[Entry], measure: str, questions: int) -> list[Row]:
    """A row for each entry; none unless the cost of all of them is known."""
    spent = [
        {"samples": e.used.draws, "tokens": e.used.tokens, "money": e.used.cost}[measure]
        for e in entries
    ]
    known = [cost for cost in spent if cost is not None]
    if len(known) < len(spent) or not any(known):
        return []
    points = [(c, e.estimate.accuracy) for c, e in zip(known, entries, strict=True)]
    front = [not any(_beats(other, point) for other in points) for point in points]
    return [
        {
            "measure": measure,
            "who": who(entry),
            "method": NAMES[entry.method],
            "cost": cost / questions,
            "accuracy": accuracy,
            "front": "yes" if first else "no",
        }
        for entry, (cost, accuracy), first in zip(entries, points, front, strict=True)
    ]


def _beats(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether one costs no more and scores no less, and is not the same."""
    return one != other and one[0] <= other[0] and one[1] >= other[1]


def ways(evaluation: Evaluation) -> list[Entry]:
    """The entries that differ: with one sample a model, self-consistency is that sample."""
    return [e for e in evaluation.entries if evaluation.k > 1 or e.method != "self_consistency"]


def _shown(evaluation: Evaluation) -> list[Entry]:
    """Methods of all models first, then the best few models; best first."""
    entries = sorted(ways(evaluation), key=lambda e: -e.estimate.accuracy)
    alone = [e for e in entries if e.method in ONE_MODEL]
    best = list(dict.fromkeys(e.models for e in alone))[:_MODELS_SHOWN]
    return [e for e in entries if e.method not in ONE_MODEL] + [
        e for models in best for e in alone if e.models == models
    ]


def _left_out(evaluation: Evaluation) -> tuple[str, ...]:
    notes = []
    if len(evaluation.models) > _MODELS_SHOWN:
        notes.append(
            f"The best {_MODELS_SHOWN} of {len(evaluation.models)} models are drawn; the table at "
            "the top of the page has all."
        )
    if evaluation.k == 1:
        notes.append(
            "With one sample of each model all are equally confident: SLM-MUX then gives the "
            "answer of the model with the highest validation accuracy, and self-consistency is "
            "one sample."
        )
    return tuple(notes)


def _row(entry: Entry) -> dict[str, Cell]:
    return {
        "who": who(entry),
        "method": NAMES[entry.method],
        "accuracy": entry.estimate.accuracy,
        "low": entry.estimate.ci95.low,
        "high": entry.estimate.ci95.high,
        "place": {"self_consistency": 0, "single": 2}.get(entry.method, 1),
    }


def _present(rows: Sequence[Row]) -> list[int]:
    """Positions in `NAMES` of the methods that are drawn."""
    there = {row["method"] for row in rows}
    return [place for place, name in enumerate(NAMES.values()) if name in there]


def _colour(rows: Sequence[Row]) -> alt.Color:
    names, places = list(NAMES.values()), _present(rows)
    scale = alt.Scale(domain=[names[p] for p in places], range=[_COLOURS[p] for p in places])
    return alt.Color("method:N", title=None, scale=scale)


def _shape(rows: Sequence[Row]) -> alt.Shape:
    names, places = list(NAMES.values()), _present(rows)
    scale = alt.Scale(domain=[names[p] for p in places], range=[_SHAPES[p] for p in places])
    return alt.Shape("method:N", title=None, scale=scale)
