"""A bank's samples → the page in a file."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from slmmux.bank import Bank
from slmmux.evaluate import Plan, measured_accuracy
from slmmux.holdout import Split
from slmmux.report.build import build
from slmmux.report.measured import Measured, measure
from slmmux.report.page import Page, render
from slmmux.report.questions import TEXT_MEGABYTES, browser
from slmmux.report.recorded import recorded
from slmmux.report.subsets import find
from slmmux.report.targets import check_page
from slmmux.whole_files import write_whole

STEPS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A page that was written.

    Attributes:
        path: of the file.
        size_bytes: of the file.
        page: what stands on it.
        measured: what it was made from.
    """

    path: Path
    size_bytes: int
    page: Page
    measured: Measured


def write_report(
    bank: Path,
    split: Split,
    plan: Plan,
    out: Path,
    *,
    megabytes: float = TEXT_MEGABYTES,
    tell: Callable[[str, int], None] = lambda _, __: None,
) -> Written:
    """Evaluate, draw, and write the page; an earlier report is replaced, no other file is.

    Args:
        bank: that the tables were read from.
        split: where choices are made and where they are reported.
        plan: of the evaluation.
        out: the file.
        megabytes: room for sample texts in the page.
        tell: told what is being done, and by how many of `STEPS` that is further.

    Raises:
        UsageError: the samples do not suffice for the plan, or another file is there.
        OSError: the file cannot be written; what stood there before still does.
    """
    tell("evaluating", 1)
    accuracy = None if split.hindsight else measured_accuracy(split.validation, split.source)
    validation = None if split.hindsight else split.validation
    measured = measure(split.test, plan, accuracy, validation)
    found = None
    if len(split.test.models) > 1:
        found = find(split, plan, lambda size, share: tell(f"sets of {size}: {share:.0%}", 0))
    tell("reading texts", 1)
    with Bank.open(bank) as opened:
        texts = recorded(opened, split.test, plan.k)
    questions = browser(measured, texts, megabytes)
    tell("drawing", 1)
    page = build(measured, split, found, questions)
    content = render(page).encode()
    check_page(out)
    write_whole(out, content)
    return Written(path=out, size_bytes=len(content), page=page, measured=measured)
