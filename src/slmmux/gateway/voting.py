"""What is asked → a vote, and the answers that the client gets of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from slmmux.engines.base import Pool
from slmmux.gateway.asked import Asked
from slmmux.gateway.state import Serving
from slmmux.mux import Mux
from slmmux.results import shown
from slmmux.selection import select
from slmmux.types import Interval, Result, Sample, Selection, Tally
from slmmux.waves import OnSample


@dataclass(frozen=True, slots=True)
class Voted:
    """The outcome of a request to a profile.

    Attributes:
        answers: what the client gets, the winner first; never empty.
    """

    asked: Asked
    result: Result
    answers: tuple[Sample, ...]


async def vote(asked: Asked, serving: Serving, on_sample: OnSample | None = None) -> Voted:
    """Let the pool vote.

    Raises:
        QuorumError: too few models answered.
        SlmmuxError: the embedded engine cannot run.
    """
    pool = Pool(asked.models, {m.name: serving.pool.engines[m.name] for m in asked.models})
    plan = asked.plan
    mux = Mux(
        pool,
        k=plan.k,
        stopping=plan.stopping,
        schedule=plan.schedule,
        quorum=plan.quorum,
        deadline_s=plan.deadline_s,
        sampler=serving.sampler.with_seed(asked.seed),
    )
    result = await mux.ask(asked.question, on_sample=on_sample, read=asked.read)
    return Voted(asked, result, tuple(_answers(result, mux.order, asked)))


def _answers(result: Result, order: Sequence[str], asked: Asked) -> list[Sample]:
    """The best n distinct answers, each with its class's earliest sample.

    The next answer is the one that wins when nobody votes for those before it.
    """
    accuracies = {m.name: m.validation_accuracy for m in asked.models}
    selection: Selection = result.selection
    first = shown(result.samples, selection, order)
    answers = [] if first is None else [first]
    tallies = result.tallies
    while selection.key is not None and len(answers) < asked.n:
        tallies = tuple(_without(tally, selection.key) for tally in tallies)
        selection = select(tallies, accuracies)
        if selection.key is not None:
            sample = shown(result.samples, selection, order)
            answers += [] if sample is None else [sample]
    return answers


def _without(tally: Tally, key: str) -> Tally:
    """The tally of a full budget as if nobody had voted for this class."""
    classes = tuple(c for c in tally.classes if c.key != key)
    share = classes[0].votes / tally.k if classes else 0.0
    return replace(tally, classes=classes, confidence=Interval(share, share))
