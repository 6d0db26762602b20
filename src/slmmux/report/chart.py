"""A chart: what it says, how to read it, the rows that it draws, and how it draws them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import altair as alt

Cell: TypeAlias = str | int | float | None
Row: TypeAlias = Mapping[str, Cell]
Drawing: TypeAlias = alt.TopLevelMixin

ROWS = "rows"
_ROOMY = 12  # models with larger squares
_WRITTEN = 8  # models whose squares have room for their number


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One chart of the page, or the reason why it is not there.

    Attributes:
        name: its anchor, and its files' name.
        title: what it is about.
        caption: how to read it, in a sentence.
        rows: the data that it draws, all with the same keys.
        spec: Vega-Lite that draws the rows, without the rows; None where there is nothing to draw.
        notes: what a reader must know of these figures.
    """

    name: str
    title: str
    caption: str
    rows: tuple[Row, ...]
    spec: Mapping[str, Any] | None
    notes: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The keys of its rows."""
        return tuple(self.rows[0]) if self.rows else ()


def data() -> alt.NamedData:
    """What every drawing takes its rows from: they are put in when it is drawn."""
    return alt.NamedData(name=ROWS)


def spec_of(drawing: Drawing) -> dict[str, Any]:
    """The drawing as Vega-Lite, as wide as its place in the page."""
    found: dict[str, Any] = drawing.to_dict(validate=False)
    found.pop("config", None)
    return {"width": "container", "autosize": {"type": "fit-x", "contains": "padding"}, **found}


def without(name: str, title: str, caption: str, why: str) -> Chart:
    """The place of a chart that these samples cannot fill."""
    return Chart(name=name, title=title, caption=caption, rows=(), spec=None, notes=(why,))


def percent(title: str | None, **more: Any) -> alt.Axis:
    """An axis of shares."""
    return alt.Axis(title=title, format=".1~%", **more)


def told(*columns: tuple[str, str, str]) -> list[alt.Tooltip]:
    """What a mark says when it is pointed at: (field with type, title, format)."""
    return [
        alt.Tooltip(field, title=title, format=how) if how else alt.Tooltip(field, title=title)
        for field, title, how in columns
    ]


def heat_map(
    *,
    models: int,
    value: str,
    title: str,
    tooltip: Sequence[tuple[str, str, str]],
    how: str = ".0%",
) -> dict[str, Any]:
    """Squares of `number` × `other_number`, models named beside and numbered below.

    Args:
        models: how many there are.
        value: the field that a square shows, a share.
        title: of the colours.
        tooltip: as for `told`.
        how: shares are written.
    """
    step = 26 if models <= _ROOMY else 16
    base = alt.Chart(data(), height=step * models).encode(
        x=alt.X(
            "other_number:O",
            title=None,
            axis=alt.Axis(labelAngle=0, labelOverlap="greedy", orient="bottom"),
        ),
        y=alt.Y("model:N", sort=None, title=None),
        tooltip=told(*tooltip),
    )
    squares = base.mark_rect().encode(
        color=alt.Color(
            f"{value}:Q",
            title=title,
            scale=alt.Scale(scheme="cividis"),
            legend=alt.Legend(format=how, gradientLength=160, tickCount=3),
        )
    )
    layers: list[alt.Chart] = [squares]
    if models <= _WRITTEN:
        # The scale is dark below its middle: ink that can be read on both.
        middle = f"datum.{value} > (domain('color')[0] + domain('color')[1]) / 2"
        layers.append(
            base.transform_filter(f"datum.{value} !== null")
            .mark_text(fontSize=11)
            .encode(
                text=alt.Text(f"{value}:Q", format=how),
                color=alt.condition(middle, alt.value("#000"), alt.value("#fff")),
            )
        )
    return spec_of(alt.layer(*layers))
