"""A profile over a pool: its models in its order, and what is not as it was on validation."""

import dataclasses
from pathlib import Path

import pytest

from slmmux.bank.rows import fingerprint_of, settings_of
from slmmux.config import Config, MuxConfig
from slmmux.default_pools import demo_models
from slmmux.errors import ConfigError
from slmmux.profile import Data, Profile, ProfileModel
from slmmux.profile_pool import Applied, apply_profile
from slmmux.rules import Rule
from slmmux.types import Model, PromptStyle

POOL = tuple(
    Model(name=name, model=f"{name}-1b", base_url="http://localhost:1/v1") for name in "abc"
)
CONFIG = Config(path=Path("pool.toml"), models=POOL, mux=MuxConfig(k=7, deadline_s=9.0))
DATA = Data(
    bank="b.db",
    digest="0",
    question_digest="1",
    tasks=("t",),
    questions=4,
    models=3,
    samples=36,
    run_seed=0,
)


def chosen(model: Model, accuracy: float = 0.5) -> ProfileModel:
    settings = settings_of(model)
    return ProfileModel(
        name=model.name,
        validation_accuracy=accuracy,
        correct=6,
        samples=12,
        fingerprint=fingerprint_of(settings),
        settings=settings,
    )


def profile(*models: ProfileModel) -> Profile:
    return Profile(
        source="profile.toml",
        tool="slmmux 0",
        created=None,
        rule="mux",
        calibration=None,
        why_rule="",
        why_models="",
        seed=0,
        k=5,
        stopping="off",
        schedule=None,
        models=models,
        objective=None,
        scores=(),
        data=DATA,
    )


def refusal(given: Profile, config: Config = CONFIG) -> str:
    with pytest.raises(ConfigError) as caught:
        apply_profile(given, config)
    return str(caught.value)


def with_model(**changes: object) -> Applied:
    """The profile of model b as it was, over a pool where it has changed."""
    now = dataclasses.replace(POOL[1], **changes)  # type: ignore[arg-type]
    config = dataclasses.replace(CONFIG, models=(POOL[0], now))
    return apply_profile(profile(chosen(POOL[1])), config)


def test_it_takes_its_models_of_the_pool_in_its_own_order() -> None:
    applied = apply_profile(profile(chosen(POOL[2], 0.75), chosen(POOL[0])), CONFIG)
    names = [(m.name, m.validation_accuracy) for m in applied.config.models]
    assert names == [("c", 0.75), ("a", 0.5)]
    assert applied.warnings == ()


def test_what_it_says_comes_before_the_file_and_the_rest_stays() -> None:
    applied = apply_profile(profile(chosen(POOL[0])), CONFIG)
    assert applied.config.mux == MuxConfig(k=5, rule=Rule(), stopping="off", deadline_s=9.0)


def test_models_that_the_pool_lacks_are_all_named_with_a_guess() -> None:
    gone = dataclasses.replace(chosen(POOL[0]), name="aa")
    message = refusal(profile(gone, chosen(POOL[1]), dataclasses.replace(gone, name="zzz")))
    assert "profile.toml: its models aa (did you mean a?), zzz are missing from the pool" in message
    assert "pool.toml has a, b, c" in message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": "other"}, "its id is other, and was b-1b on validation"),
        ({"api": "completions"}, "its API is completions, and was chat on validation"),
    ],
)
def test_another_model_under_the_same_name_is_refused(
    changes: dict[str, object], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        with_model(**changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"temperature": 0.9}, "b: temperature is 0.9, and was 0.3 on the validation questions"),
        ({"max_tokens": 9}, "b: max_tokens is 9, and was 1024 on the validation questions"),
        ({"prompt": PromptStyle(system="Be brief.")}, "b: asked with another prompt"),
    ],
)
def test_the_same_model_asked_otherwise_is_warned_about(
    changes: dict[str, object], words: str
) -> None:
    (warning,) = with_model(**changes).warnings
    assert words in warning


@pytest.mark.parametrize("changes", [{"price_per_mtok_in": 1.0}, {"max_concurrency": 2}])
def test_what_shapes_no_sample_is_not_mentioned(changes: dict[str, object]) -> None:
    assert with_model(**changes).warnings == ()


def test_settings_that_the_bank_did_not_know_are_not_compared() -> None:
    unknown = dataclasses.replace(chosen(POOL[1]), settings={"temperature": 0.3})
    assert apply_profile(profile(unknown), CONFIG).warnings == ()


def test_without_a_file_the_built_in_pools_are_at_hand() -> None:
    ends = demo_models()[1]
    applied = apply_profile(profile(chosen(ends)), Config())
    assert [model.name for model in applied.config.models] == [ends.name]


def test_with_a_file_they_are_not() -> None:
    assert "pool.toml has a, b, c" in refusal(profile(chosen(demo_models()[1])))


def test_a_quorum_that_its_models_cannot_meet_is_refused() -> None:
    config = dataclasses.replace(CONFIG, mux=MuxConfig(quorum=2))
    assert "quorum asks for 2 models, and the profile has 1" in refusal(
        profile(chosen(POOL[0])), config
    )
