"""Every chart as files: its data as CSV and JSON, its picture as SVG, PNG and PDF."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import vl_convert

from slmmux.report import theme
from slmmux.report.chart import ROWS, Chart
from slmmux.report.page import VEGA_LITE
from slmmux.whole_files import write_whole

_WIDTH = 640
_SCALE = 2


def write_files(
    charts: Sequence[Chart], folder: Path, report: Callable[[str], None] = lambda _: None
) -> list[Path]:
    """Write five files for each chart that has something to draw.

    Args:
        charts: of a page.
        folder: made when it is not there; files of the same names are replaced.
        report: told each chart's name when its files are written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for chart in charts:
        if chart.spec is None:
            continue
        for ending, content in _contents(chart).items():
            path = folder / f"{chart.name}.{ending}"
            write_whole(path, content)
            written.append(path)
        report(chart.name)
    return written


def _contents(chart: Chart) -> dict[str, bytes]:
    spec = standalone(chart)
    svg: str = vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE, allowed_base_urls=[])
    return {
        "csv": _csv(chart).encode(errors="replace"),
        "json": (json.dumps([dict(row) for row in chart.rows], indent=1) + "\n").encode(),
        "svg": svg.encode(),
        "png": vl_convert.svg_to_png(svg, scale=_SCALE),
        "pdf": vl_convert.svg_to_pdf(svg),
    }


def standalone(chart: Chart) -> dict[str, Any]:
    """The chart's Vega-Lite with its rows, colours and a fixed width: for any Vega-Lite viewer."""
    spec: dict[str, Any] = theme.resolved(
        {
            **(chart.spec or {}),
            "config": {**theme.CONFIG, "background": "var(--page)"},
            "title": chart.title,
            "width": _WIDTH,
        }
    )
    return {**spec, "datasets": {ROWS: [dict(row) for row in chart.rows]}}


def _csv(chart: Chart) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, chart.columns)
    writer.writeheader()
    writer.writerows(chart.rows)
    return text.getvalue()
