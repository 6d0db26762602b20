"""A profile over a configuration: its models of the pool, its k, its validation accuracies."""

import dataclasses
from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from slmmux.bank.rows import settings_of
from slmmux.config import Config
from slmmux.default_pools import built_in_models
from slmmux.errors import ConfigError
from slmmux.profile import Profile, ProfileModel
from slmmux.types import Model

# Another id or API is another model, whose validation says nothing about this one. The rest is
# told and let through: the paper itself searches at temperature 0.5 and answers at 0.3, and
# `collect` gives a model without a prompt of its own the task's.
_IDENTITY = {"model": "id", "api": "API"}
_TOLD = ("endpoint", "prompt", "temperature", "top_p", "max_tokens")


@dataclasses.dataclass(frozen=True, slots=True)
class Applied:
    """A configuration as a profile has it.

    Attributes:
        warnings: what is not as it was on the validation questions, a sentence each.
    """

    config: Config
    warnings: tuple[str, ...]


def apply_profile(profile: Profile, config: Config) -> Applied:
    """The configuration with the profile's models in the profile's order, and its settings.

    Without a file of its own the configuration stands for all pools that need none.

    Raises:
        ConfigError: the pool lacks models of the profile, or has others under their names.
    """
    pool = _pool(config)
    problems = [*_missing(profile, config, pool), *_other_models(profile, pool)]
    if config.mux.quorum > len(profile.models):
        problems.append(
            f"[mux] quorum asks for {config.mux.quorum} models, and the profile has "
            f"{len(profile.models)}"
        )
    if problems:
        raise ConfigError("\n".join(f"{profile.source}: {problem}" for problem in problems))
    models = tuple(
        dataclasses.replace(pool[m.name], validation_accuracy=m.validation_accuracy)
        for m in profile.models
    )
    changes = {
        "k": profile.k,
        "rule": profile.voting,
        "stopping": profile.stopping,
        "schedule": profile.schedule,
    }
    given = {name: value for name, value in changes.items() if value is not None}
    mux = dataclasses.replace(config.mux, **given)  # type: ignore[arg-type]
    warnings = tuple(
        warning
        for model in profile.models
        for warning in changed_settings(model, settings_of(pool[model.name]))
    )
    return Applied(dataclasses.replace(config, models=models, mux=mux), warnings)


def _pool(config: Config) -> dict[str, Model]:
    own = {model.name: model for model in config.models}
    return own if config.path is not None else built_in_models() | own


def _missing(profile: Profile, config: Config, pool: Mapping[str, Model]) -> Iterator[str]:
    missing = [name for name in profile.names if name not in pool]
    if not missing:
        return
    where = config.path or "the built-in pools"
    guesses = {name: get_close_matches(name, pool, n=1) for name in missing}
    named = ", ".join(
        f"{name} (did you mean {guesses[name][0]}?)" if guesses[name] else name for name in missing
    )
    there = f"{where} has {', '.join(pool)}" if config.path else "they are in none of slmmux's own"
    yield (
        f"its models {named} are missing from the pool: {there}; define them there, name their "
        "file with --config, or choose again with `slmmux search --write`"
    )


def _other_models(profile: Profile, pool: Mapping[str, Model]) -> Iterator[str]:
    for model in profile.models:
        if model.name not in pool:
            continue
        now = settings_of(pool[model.name])
        for key, what in _IDENTITY.items():
            then = model.settings.get(key, now[key])
            if then != now[key]:
                yield (
                    f"{model.name} is another model in this pool: its {what} is {now[key]}, and "
                    f"was {then} on validation; put it back, or choose again with `slmmux search "
                    "--write`"
                )


def changed_settings(model: ProfileModel, now: Mapping[str, object]) -> Iterator[str]:
    """What shapes its samples otherwise than on the validation questions, a sentence each.

    Args:
        model: of the profile.
        now: its settings now, as far as they are known.
    """
    for key in (*_IDENTITY, *_TOLD):
        then = model.settings.get(key)
        if then is None or now.get(key) in (None, then):
            continue
        if key == "prompt":
            yield f"{model.name}: asked with another prompt than on the validation questions"
        else:
            yield f"{model.name}: {key} is {now[key]}, and was {then} on the validation questions"
