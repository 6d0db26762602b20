"""What the question browser takes from a bank: the texts of samples, and what must stay hidden."""

from collections.abc import Iterable

from slmmux.bank import Bank
from slmmux.pool_models import pool_models
from slmmux.report.questions import Recorded
from slmmux.table import Table
from slmmux.tasks import find_task, is_task


def recorded(bank: Bank, table: Table, k: int) -> Recorded:
    """The replies of samples 0..k-1 and the tasks to hide.

    Args:
        bank: that the table was read from.
        table: whose questions and models.
        k: samples from each model; texts of later samples are not read.
    """
    tasks = list(dict.fromkeys(question.task for question in table.questions))
    hidden = secret(tasks)
    open_tasks = [task for task in tasks if task not in hidden]
    if not open_tasks:
        return Recorded({}, hidden)
    models = [m.model.id for m in pool_models(bank.models(tasks), table.models)]
    place = {number: position for position, number in enumerate(models)}
    row_of = {question.id: row for row, question in enumerate(table.questions)}
    replies = {
        (row_of[question], place[model], index): text if text is not None else f"(failed: {error})"
        for question, model, index, text, error in bank.texts(open_tasks, table.run_seed, models, k)
        if question in row_of
    }
    return Recorded(replies, hidden)


def secret(tasks: Iterable[str]) -> frozenset[str]:
    """Tasks whose questions must not be shown: those that say so, and GPQA under any name."""
    return frozenset(
        task
        for task in tasks
        if "gpqa" in task.lower() or (is_task(task) and find_task(task).secret)
    )
