"""Colours that colour-blind readers can tell apart, on light and on dark ground.

Specifications name a colour as `var(--…)`: in the page CSS gives it its value, so that changing
between light and dark, or printing, draws nothing anew. `resolved` puts values in for files.
"""

from collections.abc import Mapping
from typing import Any

# Okabe and Ito's palette; blue and black are lightened for dark ground, yellow is left out: it
# cannot be seen on white.
_LIGHT = {
    "--ink": "#1b1f24",
    "--muted": "#57606a",
    "--grid": "#e1e5ea",
    "--page": "#ffffff",
    "--c0": "#0072b2",
    "--c1": "#d55e00",
    "--c2": "#009e73",
    "--c3": "#cc79a7",
    "--c4": "#b07c00",
    "--c5": "#3a9bd9",
    "--c6": "#7a7a7a",
}
_DARK = {
    "--ink": "#e8eaed",
    "--muted": "#a5adb8",
    "--grid": "#333a44",
    "--page": "#14171c",
    "--c0": "#5aa9e6",
    "--c1": "#ee7733",
    "--c2": "#1fbf92",
    "--c3": "#dd90bb",
    "--c4": "#e69f00",
    "--c5": "#8ecbf2",
    "--c6": "#9aa0a6",
}
SERIES = tuple(f"var(--c{number})" for number in range(7))
INK, MUTED, GRID = "var(--ink)", "var(--muted)", "var(--grid)"

CONFIG: Mapping[str, Any] = {
    "background": "transparent",
    "font": "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": INK,
        "titleColor": MUTED,
        "titleFontWeight": "normal",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "gridColor": GRID,
        "domainColor": MUTED,
        "tickColor": MUTED,
    },
    "axisX": {"labelOverlap": "greedy", "labelSeparation": 8},
    "axisY": {"labelLimit": 240},
    "legend": {
        "labelColor": INK,
        "titleColor": MUTED,
        "titleFontWeight": "normal",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "orient": "top",
        "direction": "horizontal",
        "labelLimit": 240,
        "columns": 4,
        "symbolOpacity": 1,
        "gradientStrokeColor": MUTED,
    },
    "text": {"color": INK},
    "range": {"category": list(SERIES)},
}


def css(*, dark: bool) -> str:
    """The colours as declarations."""
    return "".join(f"{name}:{value};" for name, value in (_DARK if dark else _LIGHT).items())


def resolved(spec: Any) -> Any:
    """The specification with the light colours' values, for pictures in files."""
    if isinstance(spec, dict):
        return {key: resolved(value) for key, value in spec.items()}
    if isinstance(spec, list):
        return [resolved(value) for value in spec]
    if isinstance(spec, str) and spec.startswith("var("):
        return _LIGHT[spec[4:-1]]
    return spec
