"""What an endpoint can do, measured with a few small calls (`slmmux check`)."""

import asyncio
import difflib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from slmmux.engines.base import Completion, Engine, Message, Prompt, Request
from slmmux.errors import EngineError, ModelNotFoundError, SlmmuxError
from slmmux.pool import EMBEDDED, connect
from slmmux.types import Model

if TYPE_CHECKING:
    from slmmux.engines.weights import Report
    from slmmux.probe import Probe

NSupport = Literal["seeded", "several", "single"]
UsageReport = Literal["every choice", "first choice", "none"]

_SEED = 20_250
_CHOICES = 3
_MAX_TOKENS = 24  # enough for different seeds to differ, few enough to be cheap
_CHAT = Prompt(messages=(Message("user", "Write twelve random words, separated by commas."),))
_TEXT = Prompt(text="Twelve random words:")
_MOST = 0.6  # of the tokens expected
_LISTED_MODELS = 6  # of an endpoint's list, in a suggestion


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointReport:
    """What one model of the pool can do; None where nobody could tell.

    Attributes:
        model: its name in the pool.
        endpoint: its base URL, or `embedded`.
        error: why it cannot be used, in the engine's own words.
        latency_s: seconds that the first call took.
        n: a request for three choices brings the texts of seed, seed + 1 and seed + 2
            (`seeded`), other texts (`several`), or one (`single`: ignored or refused).
        seed: the same seed gives the same text, and another seed another one.
        usage: choices of a reply whose tokens the endpoint counts; the others are estimated.
        logprobs: token probabilities come when asked for.
        listed: `/models` names the model.
        suggestions: what to change, in words for a person.
    """

    model: str
    endpoint: str
    error: str | None = None
    latency_s: float | None = None
    n: NSupport | None = None
    seed: bool | None = None
    usage: UsageReport | None = None
    logprobs: bool | None = None
    listed: bool | None = None
    suggestions: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether the model answered."""
        return self.error is None


async def check_models(
    models: Sequence[Model],
    *,
    timeout_s: float,
    done: Callable[[EndpointReport], None] = lambda _: None,
    pulling: "Report | None" = None,
) -> tuple[EndpointReport, ...]:
    """A report for each model, in pool order; all are measured at the same time.

    Args:
        models: unique names.
        timeout_s: seconds that one call may take.
        done: told each report as it is ready.
        pulling: told how far the pull of embedded weights is.

    Raises:
        ConfigError: an API key cannot be read.
    """
    from slmmux.probe import Probe  # noqa: PLC0415 - aiohttp takes its time

    async def one(model: Model) -> EndpointReport:
        report = await check_model(model, pool.engines[model.name], probe)
        done(report)
        return report

    async with (
        connect(models, request_timeout_s=timeout_s, report=pulling) as pool,
        Probe(timeout_s) as probe,
    ):
        return tuple(await asyncio.gather(*(one(model) for model in models)))


async def check_model(model: Model, engine: Engine, probe: "Probe") -> EndpointReport:
    """One model's report; a failure is a report too."""
    report = EndpointReport(model=model.name, endpoint=model.base_url)
    started = time.perf_counter()
    try:
        first = (await _draw(engine, replace(model, max_tokens=_MAX_TOKENS), _SEED))[0]
        report = replace(report, latency_s=time.perf_counter() - started)
        if _is_mute(first):
            return replace(report, error=first.note)
        report = await _measure(report, model, engine, probe)
    except SlmmuxError as error:
        said = str(error).replace("raise request_timeout", "raise --timeout")  # a check's own limit
        report = replace(report, error=said)
        return replace(report, suggestions=await _remedies(model, error, probe))
    return replace(report, suggestions=tuple(_suggestions(report, model)))


async def _draw(engine: Engine, model: Model, seed: int, n: int = 1) -> Sequence[Completion]:
    return await engine.draw(Request(model=model, prompt=_prompt(model), seed=seed, n=n))


def _prompt(model: Model) -> Prompt:
    return _CHAT if model.api == "chat" else _TEXT


async def _measure(
    report: EndpointReport, model: Model, engine: Engine, probe: "Probe"
) -> EndpointReport:
    """One call after another, so that batching changes no text."""
    free = replace(model, max_tokens=_MAX_TOKENS, temperature=1.0, top_p=1.0, n="auto")
    same, *singles = [
        (await _draw(engine, free, seed))[0] for seed in (_SEED, _SEED, _SEED + 1, _SEED + 2)
    ]
    seed = _seeds_work(_said(same), [_said(single) for single in singles])
    n = await _n_support(singles, free, engine, seed=seed)
    report = replace(report, seed=seed, n=n)
    if model.base_url == EMBEDDED:
        return report
    served = await probe.models(model)
    return replace(
        report,
        usage=await _usage(singles, n, free, probe),
        logprobs=await probe.logprobs(free, _prompt(free)),
        listed=None if served is None else model.model in served,
    )


def _is_mute(completion: Completion) -> bool:
    """No text, and neither hidden thoughts nor the small token limit explain it."""
    return (
        completion.text is None
        and completion.reasoning is None
        and completion.finish_reason != "length"
    )


def _said(completion: Completion) -> str:
    return f"{completion.reasoning or ''}\n{completion.text or ''}"


def _seeds_work(same: str, texts: Sequence[str]) -> bool | None:
    """None when every seed gives one text: a model that sure of itself tells nothing."""
    if same != texts[0]:
        return False
    return True if len(set(texts)) > 1 else None


async def _n_support(
    singles: Sequence[Completion], model: Model, engine: Engine, *, seed: bool | None
) -> NSupport:
    try:
        together = await _draw(engine, model, _SEED, _CHOICES)
    except EngineError:  # the same request was fine with one choice
        return "single"
    if len(together) < _CHOICES:
        return "single"
    same = [_said(c) for c in together] == [_said(c) for c in singles]
    return "seeded" if seed and same else "several"


async def _usage(
    singles: Sequence[Completion], n: NSupport, model: Model, probe: "Probe"
) -> UsageReport:
    if any(single.usage.estimated for single in singles):
        return "none"
    if n == "single":
        return "every choice"
    counted = await probe.tokens(model, _prompt(model), seed=_SEED, n=_CHOICES)
    expected = sum(single.usage.completion_tokens for single in singles)
    # Unseeded texts differ in length; a count of one choice alone is a third of the whole.
    enough = counted is not None and counted >= expected * _MOST
    return "every choice" if enough else "first choice"


def _suggestions(report: EndpointReport, model: Model) -> list[str]:
    found: list[str] = []
    if report.n == "seeded" and model.n != "seeded" and model.base_url != EMBEDDED:
        found.append('set n = "seeded": one request then brings several samples, always')
    if model.n == "seeded" and report.n not in {"seeded", None} and report.seed is not None:
        found.append('n = "seeded" does not hold here; set n = "auto"')
    if report.seed is False:
        found.append("seeds are not honoured: a run cannot be drawn again, only read again")
    return found


async def _remedies(model: Model, error: SlmmuxError, probe: "Probe") -> tuple[str, ...]:
    """What to change, where the engine's message alone does not tell."""
    if isinstance(error, ModelNotFoundError) and model.base_url != EMBEDDED:
        return await _instead_of(model, probe)
    return ()


async def _instead_of(model: Model, probe: "Probe") -> tuple[str, ...]:
    """What a 404 may have meant: another path, or another model."""
    served = await probe.models(model)
    if served is None:
        longer = f"{model.base_url}/v1"
        found = await probe.models(replace(model, base_url=longer))
        return () if found is None else (f'set base_url = "{longer}"',)
    if near := difflib.get_close_matches(model.model, served, n=1):
        return (f'did you mean model = "{near[0]}"?',)
    more = f" and {len(served) - _LISTED_MODELS} more" if len(served) > _LISTED_MODELS else ""
    return (f"the endpoint serves {', '.join(served[:_LISTED_MODELS]) or 'no model'}{more}",)
