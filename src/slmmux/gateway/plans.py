"""How far a request is drawn, within what it may ask for."""

from slmmux.gateway.caps import Caps
from slmmux.gateway.failures import RequestError
from slmmux.gateway.fields import AnyRequest, Extras, RiskStop
from slmmux.gateway.state import Vote
from slmmux.gateway.wording import counted
from slmmux.waves import Plan, Risk, Stopping


def plan_of(request: AnyRequest, extras: Extras, vote: Vote, models: int, caps: Caps) -> Plan:
    """The plan that a request asks for; its profile's where it says nothing.

    Raises:
        RequestError: more than the caps allow, or what cannot be.
    """
    settings, way = vote.profile.settings, vote.way
    if way.k is not None and extras.k not in (None, way.k):
        raise RequestError(
            f"{request.model} takes {counted(way.k, 'sample')}, and slmmux.k is {extras.k}; leave "
            "it out",
            param="slmmux.k",
        )
    if way.temperature is not None and request.temperature not in (None, way.temperature):
        raise RequestError(
            f"{request.model} is asked at temperature {way.temperature:g}, and temperature is "
            f"{request.temperature:g}; leave it out",
            param="temperature",
        )
    k = way.k or extras.k or settings.k
    if k * models > caps.draws:
        raise RequestError(
            f"{counted(k, 'sample')} of {counted(models, 'model')} are {k * models} draws; a "
            f"request may take {caps.draws}",
            param="slmmux.k",
        )
    if (request.n or 1) > caps.choices:
        raise RequestError(f"n is {request.n}; it can be 1 to {caps.choices}", param="n")
    own_s = min(settings.deadline_s or caps.deadline_s, caps.deadline_s)
    deadline_s = extras.deadline_s or own_s
    if deadline_s > caps.deadline_s:
        raise RequestError(
            f"slmmux.deadline_s is {deadline_s:g}; it can be at most {caps.deadline_s:g}",
            param="slmmux.deadline_s",
        )
    quorum = extras.quorum or min(settings.quorum, models)
    if quorum > models:
        raise RequestError(
            f"slmmux.quorum is {quorum}; {request.model} asks {counted(models, 'model')}",
            param="slmmux.quorum",
        )
    if (request.n or 1) > 1 and extras.stopping not in (None, "off"):
        raise RequestError(
            f"slmmux.stopping saves draws, and n is {request.n}: the best distinct answers take "
            'every sample; leave it out, or make it "off"',
            param="slmmux.stopping",
        )
    stopping = "off" if (request.n or 1) > 1 else _stopping(extras) or settings.stopping
    return Plan(
        k=k,
        stopping=stopping,
        schedule=settings.schedule,
        quorum=quorum,
        deadline_s=deadline_s,
        abstain_below=None if way.one else settings.abstain_below,
    )


def _stopping(extras: Extras) -> Stopping | None:
    wanted = extras.stopping
    return Risk(wanted.risk) if isinstance(wanted, RiskStop) else wanted
