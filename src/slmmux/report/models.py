"""The models among each other: whose answers are given, who agrees with whom, draws saved."""

import altair as alt
import numpy as np

from slmmux.report.chart import Chart, Row, data, heat_map, percent, spec_of, told
from slmmux.report.measured import Measured
from slmmux.report.theme import SERIES

_SHOWN_IDLE = 8  # models, up to which one that decided nothing has an empty bar
_NOBODY = "nobody (no readable answer)"


def attribution(measured: Measured) -> Chart:
    """Whose answers SLM-MUX gives, and how many of them are right."""
    rows: list[Row] = []
    names, idle = measured.table.models, 0
    found = measured.decided
    for place, name in [*enumerate(names), (-1, _NOBODY)]:
        wrong, right = found.by_model[place].tolist()
        if not right + wrong and (place < 0 or len(names) > _SHOWN_IDLE):
            idle += place >= 0
            continue
        for order, (outcome, count) in enumerate((("right", right), ("wrong", wrong))):
            rows.append(
                {
                    "model": name,
                    "outcome": outcome,
                    "questions": count / found.runs,
                    "share": count / found.total,
                    "order": order,
                }
            )
    drawing = (
        alt.Chart(data(), height=24 * len({row["model"] for row in rows}))
        .mark_bar()
        .encode(
            y=alt.Y("model:N", sort=None, title=None),
            x=alt.X("share:Q", axis=percent("share of questions"), stack="zero"),
            color=alt.Color(
                "outcome:N",
                title="its answer is",
                scale=alt.Scale(domain=["right", "wrong"], range=[SERIES[0], SERIES[1]]),
            ),
            order="order:Q",
            tooltip=told(
                ("model:N", "decided by", ""),
                ("outcome:N", "its answer is", ""),
                ("questions:Q", "questions", ",.1~f"),
                ("share:Q", "of all", ".1%"),
            ),
        )
    )
    notes = []
    if found.runs > 1:
        notes.append(f"Mean over the {found.runs} runs that its accuracy is the mean of.")
    if idle:
        decided = f"{idle} model{'s' * (idle != 1)} decided no question"
        notes.append(f"{decided}: others were more confident.")
    return Chart(
        name="attribution",
        title="Whose answers SLM-MUX gives",
        caption="A bar is the share of questions that this model decided, split into right and "
        "wrong answers; all bars together are all questions.",
        rows=tuple(rows),
        spec=spec_of(drawing),
        notes=tuple(notes),
    )


def agreement(measured: Measured) -> Chart:
    """How often two models' most common answers are the same."""
    modes, models = measured.run.modes, measured.table.models
    answered = modes >= 0
    rows: list[Row] = []
    for first, one in enumerate(models):
        for second, other in enumerate(models):
            same = (modes[:, first] == modes[:, second]) & answered[:, first]
            rows.append(
                {
                    "number": first + 1,
                    "other_number": second + 1,
                    "model": f"{first + 1} {one}",
                    "other": f"{second + 1} {other}",
                    "agree": float(same.mean()) if first != second else None,
                }
            )
    return Chart(
        name="agreement",
        title="Which models agree",
        caption="A square is the share of questions on which the two models' most common answers "
        "are the same; models that agree less have more to add to each other.",
        rows=tuple(rows),
        spec=heat_map(
            models=len(models),
            value="agree",
            title="same answer",
            tooltip=(
                ("model:N", "model", ""),
                ("other:N", "and", ""),
                ("agree:Q", "same answer", ".1%"),
            ),
        ),
        notes=("The numbers below stand for the models beside.",),
    )


def _part(measured: Measured) -> str:
    """Which questions were played, where not all of them were."""
    played, questions = len(measured.replayed), len(measured.table.questions)
    return "" if played == questions else f" (counted on {played} of {questions:,} questions)"


def draws_saved(measured: Measured) -> Chart:
    """How many samples exact stopping draws for a question."""
    total = measured.draws.sum(axis=1).astype(np.int64)
    full = measured.run.k * len(measured.table.models)
    width = max(1, -(-full // 30))  # at most some 30 bars
    counts = np.bincount((total - 1) // width, minlength=(full - 1) // width + 1)
    rows: list[Row] = [
        {
            "from": place * width + 1,
            "to": min((place + 1) * width, full),
            "samples": str(place * width + 1)
            if width == 1
            else f"{place * width + 1}–{min((place + 1) * width, full)}",
            "questions": count,
            "share": count / len(total),
        }
        for place, count in enumerate(counts.tolist())
    ]
    drawing = (
        alt.Chart(data(), height=240)
        .mark_bar(color=SERIES[0])
        .encode(
            x=alt.X(
                "samples:O",
                sort=None,
                title=f"samples drawn for a question (full budget: {full})",
                axis=alt.Axis(labelAngle=0, labelOverlap="greedy"),
            ),
            y=alt.Y("questions:Q", title="questions", scale=alt.Scale(nice=True)),
            tooltip=told(
                ("samples:O", "samples drawn", ""),
                ("questions:Q", "questions", ","),
                ("share:Q", "of all", ".1%"),
            ),
        )
    )
    drawn, budget = int(total.sum()), full * len(total)
    return Chart(
        name="draws",
        title="Draws saved by exact stopping",
        caption="A bar counts the questions that took so many samples until no further one could "
        "change SLM-MUX's answer; the farther left, the more is saved.",
        rows=tuple(rows),
        spec=spec_of(drawing),
        notes=(
            (
                f"{drawn:,} of {budget:,} samples were needed, for the same answers: "
                f"{1 - drawn / budget:.1%} saved{_part(measured)}."
            ),
        ),
    )
