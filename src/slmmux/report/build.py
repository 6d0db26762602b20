"""Everything measured → the page's sections."""

from slmmux.holdout import Split
from slmmux.report import accuracy, curves, models, subsets, trust, words
from slmmux.report.chart import Chart
from slmmux.report.measured import Measured
from slmmux.report.page import Page, Section
from slmmux.report.questions import Browser

_NAMED = 3  # tasks in the title


def build(measured: Measured, split: Split, found: subsets.Found | None, browser: Browser) -> Page:
    """The page.

    Args:
        measured: the evaluation and every question's decisions.
        split: where choices are made, and where they are reported.
        found: by the search; None where one model is all there is.
        browser: every question.
    """
    evaluation = measured.evaluation
    return Page(
        title=_title(measured),
        summary=words.summary(measured),
        facts=words.facts(measured),
        entries=words.methods(measured),
        questions=evaluation.questions,
        sections=sections(measured, split, found),
        browser=browser,
        terms=words.terms(),
    )


def _title(measured: Measured) -> str:
    tasks = list(dict.fromkeys(question.task for question in measured.table.questions))
    named, more = ", ".join(tasks[:_NAMED]), len(tasks) - _NAMED
    models = len(measured.table.models)
    return (
        f"{named}{f' and {more} more' if more > 0 else ''}: "
        f"{models} {'model' if models == 1 else 'models together'}"
    )


def sections(measured: Measured, split: Split, found: subsets.Found | None) -> tuple[Section, ...]:
    """All charts, under the questions that they answer."""
    together: tuple[Chart, ...] = ()
    if found is not None:
        together = (
            models.agreement(measured),
            *subsets.by_size(found),
            *subsets.pairs(found),
            subsets.front(found),
        )
    return (
        Section(
            name="how-good",
            title="How good is it?",
            charts=(
                accuracy.by_method(measured),
                accuracy.against_cost(measured),
                trust.diagram(measured),
            ),
        ),
        Section(
            name="samples",
            title="How many samples?",
            charts=(*curves.curves(measured, split, found), models.draws_saved(measured)),
        ),
        Section(
            name="models",
            title="Which models?",
            charts=(models.attribution(measured), *together),
        ),
    )


def charts(page: Page) -> tuple[Chart, ...]:
    """All charts of the page."""
    return tuple(chart for section in page.sections for chart in section.charts)
