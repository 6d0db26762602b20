"""`slmmux run`: a file of questions → a file of answers; what is answered stays answered."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slmmux.cli import NO_ANSWER, UPSTREAMS_FAILED
from slmmux.cli.asking import (
    AbstainOption,
    DeadlineOption,
    KindOption,
    ProfileOption,
    RuleOption,
    SamplesOption,
    ScheduleOption,
    SeedOption,
    StoppingOption,
    configured,
    everyone,
    kind_of,
    mux_of,
)
from slmmux.cli.models import fetch_missing
from slmmux.cli.show import ConfigOption, console, progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slmmux.answer_files import AnswerFile
    from slmmux.cli.show import Step
    from slmmux.config import Config
    from slmmux.mux import Mux
    from slmmux.results import Json
    from slmmux.rules import Rule
    from slmmux.types import Question, RuleName


class _Counts:
    """How the questions of this run came out."""

    def __init__(self) -> None:
        self.answered = self.abstained = self.failed = self.draws = self.saved = 0
        self.reasons: dict[str, str] = {}  # what each model's endpoint said last


def run(
    questions: Annotated[
        str, typer.Argument(help="JSON Lines or CSV with a `question` column; - is stdin.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Where the answers go.", metavar="FILE")],
    *,
    kind: KindOption = "auto",
    k: SamplesOption = None,
    config: ConfigOption = None,
    profile: ProfileOption = None,
    rule: RuleOption = None,
    stopping: StoppingOption = None,
    schedule: ScheduleOption = None,
    seed: SeedOption = None,
    deadline: DeadlineOption = None,
    abstain_below: AbstainOption = None,
) -> None:
    """Answer a file of questions; one JSON result a line.

    Answers are written as they come, so the order is that of finishing; every line has its
    question's id. Run it again to go on after an interruption: answered questions are skipped,
    failed ones are asked again. Exit code 0: all answered; 1: some have no answer; 3: none could
    be asked.
    """
    from slmmux.answer_files import AnswerFile
    from slmmux.cli.run_async import run_async
    from slmmux.question_files import read_questions

    asked = read_questions(questions, kind_of(kind))
    settings = configured(
        config,
        profile=profile,
        k=k,
        rule=rule,
        stopping=stopping,
        schedule=schedule,
        seed=seed,
        deadline=deadline,
        abstain_below=abstain_below,
    )
    counts = _Counts()
    with AnswerFile(out, _shaping(settings)) as answers:
        missing = answers.missing(asked)
        skipped = len(asked) - len(missing)
        if missing:
            fetch_missing(everyone(settings))
            with progress("answering", len(asked)) as step:
                step("", skipped)
                run_async(_answer_all(settings, missing, answers, counts, step))
    _report(counts, skipped, out)
    if counts.failed and counts.failed == len(asked):
        raise typer.Exit(UPSTREAMS_FAILED)
    if counts.failed or counts.abstained:
        raise typer.Exit(NO_ANSWER)


async def _answer_all(
    config: "Config",
    questions: "Sequence[Question]",
    answers: "AnswerFile",
    counts: _Counts,
    step: "Step",
) -> None:
    """As many questions at once as there can be requests; the sampler holds the rest back."""
    import asyncio

    waiting = iter(questions)

    async def work(mux: "Mux") -> None:
        for question in waiting:
            await _answer(mux, question, answers, counts)
            step(f"{counts.draws} draws, {counts.saved} saved")

    async with mux_of(config) as mux:
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(len(questions), config.sampling.max_concurrency)):
                    group.create_task(work(mux))
        except ExceptionGroup as errors:
            raise _first(errors) from None  # all workers fail for one reason: tell it once


def _first(error: Exception) -> Exception:
    return _first(error.exceptions[0]) if isinstance(error, ExceptionGroup) else error


async def _answer(mux: "Mux", question: "Question", answers: "AnswerFile", counts: _Counts) -> None:
    from slmmux.errors import QuorumError

    try:
        result = await mux.ask(question)
    except QuorumError as error:
        answers.write_failure(question, error)
        counts.failed += 1
        counts.reasons |= error.reasons
        return
    answers.write(result)
    counts.draws += result.draws
    counts.saved += result.draws_saved
    if result.abstained:
        counts.abstained += 1
    else:
        counts.answered += 1


def _shaping(config: "Config") -> "dict[str, Json]":
    """What an answer depends on, as far as a resumed run must agree with it.

    The schedule is not in it: with `exact` it changes which draws are made, never the answer.
    """
    from slmmux.bank.rows import fingerprint_of, settings_of
    from slmmux.selection import priority

    names = [model.name for model in config.models]
    accuracies = {model.name: model.validation_accuracy for model in config.models}
    return {
        "k": config.mux.k,
        "rule": _plain_rule(config.mux.rule),
        "seed": config.mux.seed,
        "stopping": str(config.mux.stopping),
        "quorum": config.mux.quorum,
        "deadline": config.mux.deadline_s,
        "abstain_below": config.mux.abstain_below,
        "escalate_to": None if config.bigger is None else config.bigger.name,
        "models": {model.name: fingerprint_of(settings_of(model)) for model in everyone(config)},
        "priority": list(priority(names, accuracies)),
    }


def _plain_rule(rule: "Rule | RuleName") -> "Json":
    """The rule's name, or everything that it decides by."""
    import dataclasses

    from slmmux.rules import Rule

    if not isinstance(rule, Rule):
        return rule
    return rule.name if rule.calibration is None else dataclasses.asdict(rule.calibration)


def _report(counts: _Counts, skipped: int, out: Path) -> None:
    parts = [f"{counts.answered} answered"]
    for count, what in (
        (counts.abstained, "without an answer that can be given"),
        (counts.failed, "failed (run again to retry them)"),
        (skipped, "answered before"),
    ):
        if count:
            parts.append(f"{count} {what}")
    for reason in dict.fromkeys(counts.reasons.values()):
        console(stderr=True).print(f"failed: {reason}", soft_wrap=True)
    console(stderr=True).print(
        f"{', '.join(parts)}; {counts.draws} draws, {counts.saved} saved; {out}", soft_wrap=True
    )
