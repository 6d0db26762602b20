"""Every chart as files: its data as CSV and JSON, its picture as SVG, and as PNG and PDF."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import vl_convert

from slmmux.report import theme
from slmmux.report.chart import ROWS, Chart
from slmmux.report.page import VEGA_LITE
from slmmux.report.targets import WRITTEN, check_files, written_in
from slmmux.whole_files import write_whole

Picture: TypeAlias = Literal["svg", "png", "pdf"]

PICTURES: tuple[Picture, ...] = ("svg", "png", "pdf")
_WIDTH = 640
_SCALE = 2


def write_files(
    charts: Sequence[Chart],
    folder: Path,
    report: Callable[[str], None] = lambda _: None,
    *,
    pictures: Sequence[Picture] = PICTURES[:1],
) -> list[Path]:
    """Write two files of data and the pictures of each chart that has something to draw.

    Args:
        charts: of a page.
        folder: made when it is not there; files that an earlier report wrote there are replaced.
        report: told each chart's name when its files are written.
        pictures: kinds of them; PDF takes longest by far.

    Raises:
        UsageError: a file of that name is there that no report wrote; nothing was changed.
    """
    drawn = [chart for chart in charts if chart.spec is not None]
    endings = ("csv", "json", *pictures)
    names = [f"{chart.name}.{ending}" for chart in drawn for ending in endings]
    folder.mkdir(parents=True, exist_ok=True)
    check_files(folder, names)
    listed = {"files": sorted(written_in(folder).union(names))}
    write_whole(folder / WRITTEN, (json.dumps(listed, indent=1) + "\n").encode())
    for chart in drawn:
        for ending, content in _contents(chart, pictures).items():
            write_whole(folder / f"{chart.name}.{ending}", content)
        report(chart.name)
    return [folder / name for name in names]


def _contents(chart: Chart, pictures: Sequence[Picture]) -> dict[str, bytes]:
    data = {
        "csv": _csv(chart).encode(errors="replace"),
        "json": (json.dumps([dict(row) for row in chart.rows], indent=1) + "\n").encode(),
    }
    svg: str = vl_convert.vegalite_to_svg(
        standalone(chart), vl_version=VEGA_LITE, allowed_base_urls=[]
    )
    drawn: dict[Picture, Callable[[], bytes]] = {
        "svg": svg.encode,
        "png": lambda: vl_convert.svg_to_png(svg, scale=_SCALE),
        "pdf": lambda: vl_convert.svg_to_pdf(svg),
    }
    return data | {kind: drawn[kind]() for kind in pictures}


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
