"""What is asked → a vote, and the answers that the client gets of it."""

from dataclasses import dataclass, replace

from slmmux.engines.base import Pool
from slmmux.gateway.asked import Asked
from slmmux.gateway.state import Serving
from slmmux.mux import Mux
from slmmux.results import shown
from slmmux.types import Result, Sample
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
        rule=asked.rule,
        quorum=plan.quorum,
        deadline_s=plan.deadline_s,
        sampler=serving.sampler.with_seed(asked.seed),
    )
    result = await mux.ask(asked.question, on_sample=on_sample, read=asked.read)
    return Voted(asked, result, tuple(_answers(result, mux, asked.n)))


def _answers(result: Result, mux: Mux, wanted: int) -> list[Sample]:
    """The best distinct answers, each with its class's earliest sample.

    The next answer is the one that wins when nobody votes for those before it.
    """
    selection, samples = result.selection, result.samples
    first = shown(samples, selection, mux.order)
    answers = [] if first is None else [first]
    while selection.key is not None and len(answers) < wanted:
        samples = tuple(_without(sample, selection.key) for sample in samples)
        _, selection = mux.decide(samples)
        following = shown(samples, selection, mux.order)
        if selection.key is not None and following is not None:
            answers.append(following)
    return answers


def _without(sample: Sample, key: str) -> Sample:
    """The sample, which votes for nothing if this was its class."""
    counts = sample.answer is not None and sample.answer.key == key
    return replace(sample, answer=None) if counts else sample
