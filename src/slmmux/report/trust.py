"""How far a stated confidence can be trusted: said against what was right."""

import altair as alt

from slmmux.calibration import RUNS, Reliability, reliability
from slmmux.report.chart import Chart, Row, data, percent, spec_of, told, without
from slmmux.report.measured import Measured
from slmmux.report.theme import MUTED, SERIES

_NAME, _TITLE = "reliability", "Can the confidence be trusted?"
_READ = (
    "A mark above the dashed line was right more often than it said, one below less often; larger "
    "marks stand for more answers."
)
_LINES = ("calibrated probability", "SLM-MUX's votes ÷ k")


def diagram(measured: Measured) -> Chart:
    """The reliability diagram, with the expected calibration error."""
    if measured.crossed is None:
        why = "Not drawn: one question is too few to fit on some and to measure on others."
        return without(_NAME, _TITLE, _READ, why)
    found = reliability(measured.table, measured.plan.k, fitted=measured.crossed)
    rows = [*_calibrated(found), *_votes(measured)]
    share = alt.Scale(domain=[0, 1])
    said = alt.X("said:Q", axis=percent("said to be right"), scale=share)
    right = alt.Y("right:Q", axis=percent("was right"), scale=share)
    base = alt.Chart(data(), height=320)
    marks = base.mark_point(filled=True, opacity=0.85).encode(
        x=said,
        y=right,
        size=alt.Size("share:Q", legend=None, scale=alt.Scale(range=[40, 500])),
        color=alt.Color(
            "line:N", title=None, scale=alt.Scale(domain=list(_LINES), range=[SERIES[4], SERIES[0]])
        ),
        shape=alt.Shape(
            "line:N", title=None, scale=alt.Scale(domain=list(_LINES), range=["circle", "diamond"])
        ),
        tooltip=told(
            ("line:N", "by", ""),
            ("said:Q", "said", ".1%"),
            ("right:Q", "was right", ".1%"),
            ("share:Q", "of all answers", ".1%"),
        ),
    )
    error = (
        f"Expected calibration error of the calibrated probability: {100 * found.error:.1f} points "
        "on average between said and right, on questions that it was not fitted on. Votes ÷ k is "
        f"how sure SLM-MUX's model was of itself.{_taken_over(measured)}"
    )
    # From corner to corner: the rule is drawn once, from values of its own.
    ideal = base.transform_aggregate(count="count()").mark_rule(color=MUTED, strokeDash=[4, 3])
    ideal = ideal.encode(
        x=alt.datum(0, scale=share), y=alt.datum(0), x2=alt.datum(1), y2=alt.datum(1)
    )
    return Chart(
        name=_NAME,
        title=_TITLE,
        caption=_READ,
        rows=tuple(rows),
        spec=spec_of(alt.layer(ideal, marks)),
        notes=(error,),
    )


def _taken_over(measured: Measured) -> str:
    """Which runs the two are taken over, where there are several."""
    if measured.decided.runs == 1:
        return ""
    return (
        f" It is taken over the {measured.decided.runs} runs of the accuracies, the calibrated "
        f"probability over {RUNS} runs of neighbouring samples, as it is fitted."
    )


def _calibrated(found: Reliability) -> list[Row]:
    return [
        {"line": _LINES[0], "said": b.probability, "right": b.right, "share": b.share}
        for b in found.bins
    ]


def _votes(measured: Measured) -> list[Row]:
    """By how many votes the deciding model's mode had, in all runs of the evaluation."""
    found = measured.decided.by_votes
    k, answers = len(found) - 1, int(found[1:].sum())
    return [
        {
            "line": _LINES[1],
            "said": count / k,
            "right": int(found[count, 1]) / int(found[count].sum()),
            "share": int(found[count].sum()) / answers,
        }
        for count in range(1, k + 1)
        if found[count].any()
    ]
