"""The HTML page: one file, nothing outside of it, and only its own scripts may run."""

import base64
import hashlib
import html
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files

import vl_convert

from slmmux.engines.weights import cache_dir
from slmmux.evaluation import Entry
from slmmux.report import theme
from slmmux.report.chart import Chart
from slmmux.report.packing import script_json
from slmmux.report.questions import Browser
from slmmux.report.targets import MARK
from slmmux.whole_files import write_whole

VEGA_LITE = "6.4"  # what altair 6 writes
_VEGA = "window.vegaEmbed = vegaEmbed;"


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Charts under one question that they answer."""

    name: str
    title: str
    charts: tuple[Chart, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What stands on the page.

    Attributes:
        summary: two sentences.
        facts: (what, value).
        entries: (method's name, outcome), all of them.
        questions: how many were asked.
        terms: (term, meaning).
    """

    title: str
    summary: str
    facts: Sequence[tuple[str, str]]
    entries: Sequence[tuple[str, Entry]]
    questions: int
    sections: Sequence[Section]
    browser: Browser
    terms: Sequence[tuple[str, str]]


def _vega() -> str:
    """The charts' library. Bundling takes over a second, so the cache keeps what it gave."""
    made_by = f"{version('vl-convert-python')} {VEGA_LITE} {_VEGA}"
    digest = hashlib.blake2b(made_by.encode(), digest_size=8).hexdigest()
    kept = cache_dir() / f"vega-{digest}.js"
    with suppress(OSError, UnicodeDecodeError):
        return kept.read_text(encoding="utf-8")
    script = vl_convert.javascript_bundle(_VEGA, vl_version=VEGA_LITE)
    with suppress(OSError):  # a cache that cannot be written costs time, not the report
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_whole(kept, script.encode())
    return str(script)


def render(page: Page) -> str:
    """The whole file.

    Texts go in escaped, data as JSON that cannot end its element. The policy lets run only the
    scripts whose hashes it names, and allows no request at all.
    """
    vega = _vega()
    own = "\n".join(_asset(name) for name in ("page.js", "charts.js", "browser.js"))
    scripts = [_in_script(vega), _in_script(own)]
    policy = (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; "
        "form-action 'none'; script-src " + " ".join(f"'sha256-{_sha256(s)}'" for s in scripts)
    )
    values = {
        "mark": MARK,
        "policy": policy,
        "title": _text(page.title),
        "css": f":root{{{theme.css(dark=False)}}}"
        f"@media (prefers-color-scheme:dark){{:root:not([data-theme=light]){{{theme.css(dark=True)}"
        f"}}}}:root[data-theme=dark]{{{theme.css(dark=True)}}}"
        f"@media print{{:root:root:root{{{theme.css(dark=False)}}}}}" + _asset("page.css"),
        "summary": _text(page.summary),
        "nav": "".join(
            f'<li><a href="#{name}">{_text(title)}</a></li>' for name, title in _places(page)
        ),
        "methods": _methods(page),
        "sections": "".join(map(_section, page.sections)),
        "notes": "".join(map(_note, page.browser.notes)),
        "facts": _definitions(page.facts),
        "terms": _definitions(page.terms),
        "config": script_json(theme.CONFIG),
        "charts": "".join(_data(chart) for s in page.sections for chart in s.charts),
        "index": page.browser.index,
        "blocks": "".join(
            f'<script type="application/octet-stream" class=block>{block}</script>'
            for block in page.browser.blocks
        ),
        "size": str(page.browser.size),
        "scripts": "".join(f"<script type=module>{script}</script>" for script in scripts),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: values[found[1]], _asset("page.html"))


def _places(page: Page) -> list[tuple[str, str]]:
    return [
        *((section.name, section.title) for section in page.sections),
        ("questions", "Every question"),
        ("measured", "What was measured"),
        ("terms", "What the words mean"),
    ]


def _section(section: Section) -> str:
    charts = "".join(map(_figure, section.charts))
    return (
        f'<section id="{section.name}"><h2>{_text(section.title)}</h2>'
        f"<div class=charts>{charts}</div></section>"
    )


def _figure(chart: Chart) -> str:
    notes = "".join(map(_note, chart.notes))
    heading = f'<h3 id="{chart.name}">{_text(chart.title)}</h3>'
    if chart.spec is None:
        return f"<figure class=absent>{heading}{notes}</figure>"
    return (
        f'<figure data-chart="{chart.name}">{heading}'
        f"<figcaption>{_text(chart.caption)}</figcaption>"
        f"<div class=chart></div>{notes}"
        "<details class=data><summary>Data and pictures</summary>"
        "<p class=files></p><div class=rows tabindex=0></div></details></figure>"
    )


def _note(text: str) -> str:
    """A note; commands in it stand between backticks."""
    marked = re.sub(r"`([^`]+)`", r"<code>\1</code>", _text(text))
    return f"<p class=note>{marked}</p>"


def _data(chart: Chart) -> str:
    if chart.spec is None:
        return ""
    value = {"spec": chart.spec, "columns": chart.columns, "rows": [*map(_values, chart.rows)]}
    return f'<script type="application/json" id="data-{chart.name}">{script_json(value)}</script>\n'


def _values(row: object) -> list[object]:
    return list(row.values()) if isinstance(row, dict) else []


def _methods(page: Page) -> str:
    rows = "".join(
        f"<tr{' class=chosen' if entry.method == 'mux' else ''}><th scope=row>{_text(name)}</th>"
        f"<td class=word>{_text(_models(entry))}</td>"
        f"<td>{entry.estimate.accuracy:.1%}</td>"
        f"<td>{entry.estimate.ci95.low:.1%}–{entry.estimate.ci95.high:.1%}</td>"
        f"<td>{entry.used.draws / page.questions:.2f}</td></tr>"
        for name, entry in page.entries
    )
    return (
        "<table><thead><tr><th scope=col>method<th scope=col>models<th scope=col>accuracy"
        "<th scope=col>95% interval<th scope=col>samples a question</tr></thead>"
        f"<tbody>{rows}</tbody></table>"
    )


def _models(entry: Entry) -> str:
    return entry.models[0] if len(entry.models) == 1 else f"all {len(entry.models)}"


def _definitions(pairs: Sequence[tuple[str, str]]) -> str:
    return "".join(f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in pairs)


def _text(text: str) -> str:
    return html.escape(text.encode(errors="replace").decode())


def _in_script(code: str) -> str:
    """The code as it may stand in a script element."""
    return re.sub(r"</(script)", r"<\\/\1", code, flags=re.IGNORECASE).replace("<!--", "<\\!--")


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
