"""What is served: profiles, the models behind them, and what all requests share."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from http import HTTPStatus

from slmmux.config import MuxConfig
from slmmux.engines.base import Pool
from slmmux.errors import ConfigError
from slmmux.gateway.caps import Caps
from slmmux.gateway.failures import RequestError
from slmmux.gateway.ways import OWN, WAYS, Way
from slmmux.pool import connect
from slmmux.rules import Calibration, Rule
from slmmux.sampling import Sampler, SamplingLimits
from slmmux.types import Kind, Model


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A profile as it is served.

    Attributes:
        name: what clients call it.
        models: in pool order.
        settings: of its Mux, where a request says nothing else.
        kind: how its answers are read, where a request says nothing else.
        calibration: for its method `calibrated`.
        bigger: who is asked instead of holding an answer back.
    """

    name: str
    models: tuple[Model, ...]
    settings: MuxConfig = field(default_factory=MuxConfig)
    kind: Kind = "auto"
    calibration: Calibration | None = None
    bigger: Model | None = None

    @property
    def members(self) -> tuple[Model, ...]:
        """All models that may be asked."""
        return self.models if self.bigger is None else (*self.models, self.bigger)

    @property
    def ways(self) -> dict[str, Way]:
        """The methods that it can be asked by."""
        return {
            name: way
            for name, way in WAYS.items()
            if name != "calibrated" or self.calibration is not None
        }


@dataclass(frozen=True, slots=True)
class Vote:
    """What a model's name stands for: a profile, asked by a method."""

    profile: Served
    way: Way = OWN

    @property
    def rule(self) -> Rule:
        """How its votes are counted."""
        own = self.profile.settings.rule
        if self.way.rule is None:
            return own if isinstance(own, Rule) else Rule(own)
        calibrated = self.way.rule == "calibrated"
        return Rule(self.way.rule, self.profile.calibration if calibrated else None)


@dataclass(frozen=True, slots=True)
class Listed:
    """An entry of `/v1/models`.

    Attributes:
        models: that are asked, in pool order.
        k: samples of each; None where the request is passed on.
        fixed: whether a request cannot ask for another k.
    """

    id: str
    role: str
    summary: str
    models: tuple[str, ...]
    k: int | None = None
    fixed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """Everything that a configuration serves; a reload makes another one.

    Attributes:
        profiles: by name; the first is the default one.
        members: every model of the profiles by name, passed through.
        pool: engines of all of them.
        sampler: draws for all requests; its places are the endpoints' limits.
        since: Unix time in seconds.
    """

    profiles: Mapping[str, Served]
    members: Mapping[str, Model]
    pool: Pool
    sampler: Sampler
    since: int

    def find(self, name: str) -> Vote | Model:
        """What this name stands for.

        Raises:
            RequestError: nothing (404).
        """
        if name in self.profiles:
            return Vote(self.profiles[name])
        if name in self.members:
            return self.members[name]
        profile, _, method = name.rpartition(":")
        if profile in self.profiles and method in self.profiles[profile].ways:
            return Vote(self.profiles[profile], WAYS[method])
        if profile in self.profiles and method in WAYS:
            raise RequestError(
                f"there is no model {name[:80]!r}: {profile} has no calibration, which {method} "
                "takes; a profile that `slmmux search --write` made has one",
                status=HTTPStatus.NOT_FOUND,
                param="model",
                code="model_not_found",
            )
        known = [listed.id for listed in self.listed()]
        close = get_close_matches(name, known, n=1)
        meant = f"did you mean {close[0]}? " if close else ""
        raise RequestError(
            f"there is no model {name[:80]!r}; {meant}GET /v1/models lists what there is",
            status=HTTPStatus.NOT_FOUND,
            param="model",
            code="model_not_found",
        )

    def listed(self) -> Iterator[Listed]:
        """Everything that has a name: profiles, their methods, members."""
        for name, profile in self.profiles.items():
            models = tuple(m.name for m in profile.models)
            summary = f"{OWN.summary}: {', '.join(models)}"
            yield Listed(name, "profile", summary, models, profile.settings.k)
        for name, profile in self.profiles.items():
            for method, way in profile.ways.items():
                models = tuple(m.name for m in way.models(profile.models))
                k = way.k or profile.settings.k
                fixed = way.k is not None
                yield Listed(f"{name}:{method}", "method", way.summary, models, k, fixed)
        for name, model in self.members.items():
            yield Listed(name, "member", f"{model.model}, passed through", (name,))


@dataclass(slots=True)
class Gateway:
    """What lives as long as the server.

    Attributes:
        serving: replaced as a whole by a reload; a request keeps the one that it began with.
        caps: of every request.
        ready: whether requests are welcome; false while starting and while draining.
        breakers: reads model → the state of its endpoint's breaker, where there are breakers.
    """

    serving: Serving
    caps: Caps = field(default_factory=Caps)
    ready: bool = True
    breakers: Callable[[], Mapping[str, str]] = dict


def serve_profiles(
    profiles: Sequence[Served],
    limits: SamplingLimits,
    *,
    guard: Callable[[Pool], Pool] = lambda pool: pool,
) -> Serving:
    """Connect to the models of these profiles, each endpoint once. Nothing is sent yet.

    Args:
        profiles: the first is the default one.
        limits: of all their calls.
        guard: puts something before the engines.

    Raises:
        ConfigError: two profiles of one name, or two models that are not the same.
    """
    members: dict[str, Model] = {}
    named = {profile.name: profile for profile in profiles}
    if len(named) < len(profiles):
        raise ConfigError(f"two profiles of one name: {', '.join(p.name for p in profiles)}")
    for model in (model for profile in profiles for model in profile.members):
        other = members.setdefault(model.name, model)
        if _address(other) != _address(model):
            raise ConfigError(f"two different models are called {model.name}; rename one of them")
    clash = [name for name in members if name in named]
    if clash:
        raise ConfigError(f"{clash[0]} is the name of a profile and of a model; rename one of them")
    pool = guard(connect(tuple(members.values()), request_timeout_s=limits.request_timeout_s))
    return Serving(
        profiles=named,
        members=members,
        pool=pool,
        sampler=Sampler(pool, limits, seed=0),
        since=int(time.time()),
    )


def _address(model: Model) -> tuple[str, str, str | None, str | None]:
    return model.base_url, model.model, model.api_key_env, model.api_key_file
