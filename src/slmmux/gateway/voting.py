"""What is asked → a vote, and the answers that the client gets of it."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from slmmux.engines.base import Pool
from slmmux.escalation import Escalate
from slmmux.gateway.asked import Asked
from slmmux.gateway.promises import refusal
from slmmux.gateway.state import Serving
from slmmux.gateway.watching import WATCH
from slmmux.mux import Mux
from slmmux.results import shown
from slmmux.types import Model, Question, Result, Sample
from slmmux.waves import OnSample

_LEAST_S = 0.1  # for a bigger model, when the pool has taken its time


@dataclass(frozen=True, slots=True)
class Voted:
    """The outcome of a request to a profile.

    Attributes:
        answers: what the client gets, the winner first; empty where it would be misled.
        refusal: why it gets none.
    """

    asked: Asked
    result: Result
    answers: tuple[Sample, ...]
    refusal: str | None = None


async def vote(asked: Asked, serving: Serving, on_sample: OnSample | None = None) -> Voted:
    """Let the pool vote.

    Raises:
        QuorumError: too few models answered.
        SlmmuxError: the embedded engine cannot run.
    """
    plan, bigger = asked.plan, asked.bigger
    mux = Mux(
        _pool(serving, asked.models),
        k=plan.k,
        stopping=plan.stopping,
        schedule=plan.schedule,
        rule=asked.rule,
        quorum=plan.quorum,
        deadline_s=plan.deadline_s,
        abstain_below=plan.abstain_below,
        escalate=None if bigger is None else _escalation(asked, bigger, serving),
        sampler=serving.sampler.with_seed(asked.seed),
    )
    watch = WATCH.get()
    if watch is not None:
        models = asked.models if bigger is None else (*asked.models, bigger)
        watch.asks(asked.model, asked.question, models, asked.seed)
        on_sample = _both(watch.sample, on_sample)
    result = await mux.ask(asked.question, on_sample=on_sample, read=asked.read)
    if watch is not None:
        watch.voted(result)
    order = mux.order if bigger is None else (*mux.order, bigger.name)
    return _voted(asked, result, _answers(result, mux, order, asked))


def _pool(serving: Serving, models: tuple[Model, ...]) -> Pool:
    return Pool(models, {m.name: serving.pool.engines[m.name] for m in models})


def _escalation(asked: Asked, bigger: Model, serving: Serving) -> Escalate:
    """Asks the bigger model once, in what is left of the request's time."""
    began = time.monotonic()

    async def escalate(question: Question) -> Result:
        spent_s = time.monotonic() - began
        left_s = max(_LEAST_S, (asked.plan.deadline_s or math.inf) - spent_s)
        mux = Mux(
            _pool(serving, (bigger,)),
            k=1,
            deadline_s=None if left_s == math.inf else left_s,
            sampler=serving.sampler.with_seed(asked.seed),
        )
        watch = WATCH.get()
        on_sample = None if watch is None else watch.sample
        return await mux.ask(question, on_sample=on_sample, read=asked.read)

    return escalate


def _both(first: OnSample, second: OnSample | None) -> OnSample:
    def tell(sample: Sample) -> None:
        first(sample)
        if second is not None:
            second(sample)

    return tell


def _voted(asked: Asked, result: Result, answers: Sequence[Sample]) -> Voted:
    if answers or asked.promise is None:
        return Voted(asked, result, tuple(answers))
    return Voted(asked, result, (), refusal(asked.promise, result.samples))


def _answers(result: Result, mux: Mux, order: Sequence[str], asked: Asked) -> list[Sample]:
    """The best distinct answers, each with its class's earliest sample.

    The next answer is the one that wins when nobody votes for those before it. Without any, it is
    what the best model said, as far as that is what the client asked for.
    """
    selection, samples, promise = result.selection, result.samples, asked.promise
    if selection.key is None and promise is not None:
        samples = tuple(sample for sample in samples if promise.kept(sample))
    first = shown(samples, selection, order)
    answers = [] if first is None else [first]
    while selection.key is not None and len(answers) < asked.n:
        samples = tuple(_without(sample, selection.key) for sample in samples)
        _, selection = mux.decide(samples)
        following = shown(samples, selection, order)
        if selection.key is not None and following is not None:
            answers.append(following)
    return answers


def _without(sample: Sample, key: str) -> Sample:
    """The sample, which votes for nothing if this was its class."""
    counts = sample.answer is not None and sample.answer.key == key
    return replace(sample, answer=None) if counts else sample
