"""What more samples bring: exact expectations over all ways to draw k of the recorded samples."""

from collections.abc import Sequence

import altair as alt

from slmmux.errors import UsageError
from slmmux.holdout import Split
from slmmux.report.chart import Chart, Row, data, percent, spec_of, told, without
from slmmux.report.measured import Measured
from slmmux.report.subsets import Found
from slmmux.report.theme import SERIES
from slmmux.scaling import Plan, Point, scaling
from slmmux.scaling_run import with_samples

_MODELS_SHOWN = 5
_SHAPES = ("diamond", "square", "circle", "triangle-up", "triangle-down", "cross", "triangle-left")
_FARTHER = (
    "Farther right is more samples from each model; where a line is flat, more samples no longer "
    "pay."
)
_STEPS = (
    "Each line is SLM-MUX with the best set of so many models; compare a step to the right (one "
    "more sample of each model) with a step to the next line (one more model)."
)
_SAMPLES = ("samples", "Accuracy against samples", _FARTHER)
_GRID = ("models-samples", "More models, or more samples?", _STEPS)
_EXACT = "Exact means over all ways to draw so many of the recorded samples."


def curves(measured: Measured, split: Split, found: Found | None) -> tuple[Chart, ...]:
    """Accuracy against samples, of all models together and each; and of sets of every size.

    Args:
        measured: for pooled vote's accuracy.
        split: where choices are made and where they are reported.
        found: the sets; None where there is one model.
    """
    names = (_SAMPLES, _GRID) if found else (_SAMPLES,)
    try:
        split, most = with_samples(split, None, allow_missing=measured.plan.allow_missing)
    except UsageError as error:
        return tuple(without(*name, f"Not drawn: {error}") for name in names)
    if most == 1:
        why = (
            "Not drawn: some model has only one sample on some question, so there is nothing to "
            "draw against. `slmmux collect -k 5` draws more."
        )
        return tuple(without(*name, why) for name in names)
    short = measured.plan.allow_missing
    plan = Plan(k_max=most, pooled=False, replays=0, allow_missing=short)
    models = len(split.test.models)
    everyone = scaling(split, [range(models), *([m] for m in range(models))], plan)
    drawn = [_samples(measured, everyone.points, models)]
    if found is not None:
        ranked = found.outcome.rankings.values()
        grid = scaling(split, [ranking.subsets[0].members for ranking in ranked], plan)
        drawn.append(_grid(grid.points, found))
    return tuple(drawn)


def _samples(measured: Measured, points: Sequence[Point], models: int) -> Chart:
    """Points of all models, then of each."""
    alone = [p for p in points if len(p.models) == 1]
    last = max(p.k for p in alone)
    best = sorted((p for p in alone if p.k == last), key=lambda p: -p.mux.accuracy)
    shown = [p.models[0] for p in best[:_MODELS_SHOWN]]
    rows: list[Row] = []
    notes = [_EXACT]
    if models > 1:
        rows += [_row("SLM-MUX, all models", p) for p in points if len(p.models) == models]
        rows.append(_pooled(measured))
        notes.append("Pooled vote is a point here; `slmmux scale` has its whole curve.")
    rows += [_row(name, p) for name in shown for p in alone if p.models[0] == name]
    if models > len(shown):
        notes.append(f"The best {len(shown)} of {models} models are drawn (self-consistency).")
    else:
        notes.append("A model's own line is its self-consistency.")
    return Chart(
        name=_SAMPLES[0],
        title=_SAMPLES[1],
        caption=_SAMPLES[2],
        rows=tuple(rows),
        spec=_lines(rows),
        notes=(" ".join(notes),),
    )


def _pooled(measured: Measured) -> Row:
    (pooled,) = measured.entries("pooled_vote")
    return {
        "line": "pooled vote, all models",
        "k": measured.plan.k,
        "accuracy": pooled.estimate.accuracy,
        "low": pooled.estimate.ci95.low,
        "high": pooled.estimate.ci95.high,
    }


def _grid(points: Sequence[Point], found: Found) -> Chart:
    rows = [
        _row(f"{len(p.models)} {'model' if len(p.models) == 1 else 'models'}", p)
        | {"set": ", ".join(p.models)}
        for p in points
    ]
    return Chart(
        name=_GRID[0],
        title=_GRID[1],
        caption=_GRID[2],
        rows=tuple(rows),
        spec=_lines(rows),
        notes=(f"{_EXACT} {found.notes[0]}",),
    )


def _row(line: str, point: Point) -> dict[str, str | int | float | None]:
    return {
        "line": line,
        "k": point.k,
        "accuracy": point.mux.accuracy,
        "low": point.mux.ci95.low,
        "high": point.mux.ci95.high,
    }


def _lines(rows: Sequence[Row]) -> dict[str, object]:
    names = list(dict.fromkeys(str(row["line"]) for row in rows))
    base = alt.Chart(data(), height=320).encode(
        x=alt.X("k:O", title="samples from each model (k)", axis=alt.Axis(labelAngle=0)),
        y=alt.Y("accuracy:Q", axis=percent("accuracy"), scale=alt.Scale(zero=False)),
        color=alt.Color(
            "line:N", title=None, scale=alt.Scale(domain=names, range=list(SERIES[: len(names)]))
        ),
        tooltip=told(
            ("line:N", "who", ""),
            ("k:O", "samples of each", ""),
            ("accuracy:Q", "accuracy", ".1%"),
            ("low:Q", "95% interval from", ".1%"),
            ("high:Q", "to", ".1%"),
            *([("set:N", "set", "")] if "set" in rows[0] else []),
        ),
    )
    return spec_of(
        alt.layer(
            base.mark_line(),
            base.mark_point(filled=True, size=80, opacity=1).encode(
                shape=alt.Shape(
                    "line:N",
                    title=None,
                    scale=alt.Scale(domain=names, range=list(_SHAPES[: len(names)])),
                )
            ),
        )
    )
