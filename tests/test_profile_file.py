"""Profile files: the same values come back, and everything wrong is told at once."""

import dataclasses
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmmux.errors import ConfigError
from slmmux.profile import Data, Objective, Profile, ProfileModel, RuleAccuracy
from slmmux.profile_file import parse_profile, read_profile
from slmmux.profile_text import to_toml
from slmmux.rules import Calibration, Rule
from slmmux.types import Interval
from slmmux.waves import Risk


def model(name: str, accuracy: float = 0.25) -> ProfileModel:
    return ProfileModel(
        name=name,
        validation_accuracy=accuracy,
        correct=3,
        samples=12,
        fingerprint="0123456789abcdef",
        settings={"model": "tiny", "api": "chat", "temperature": 0.5, "max_tokens": 64},
    )


PROFILE = Profile(
    source="profile.toml",
    tool="slmmux 0.1.0",
    created="2026-11-25",
    rule="mux",
    calibration=None,
    why_rule="no rule is better by more than its standard error",
    why_models="the best two",
    seed=0,
    k=3,
    stopping="exact",
    schedule="balanced",
    models=(model("a"), model("b", 1 / 3)),
    objective=Objective(
        name="paper",
        value=0.5,
        weight=1.0,
        correct="mode",
        union=0.6,
        contradiction=0.1,
        sizes=(2, 3),
    ),
    scores=(
        RuleAccuracy(
            rule="mux", models=("a", "b"), accuracy=0.5, stderr=0.1, ci95=Interval(0.3, 0.7)
        ),
    ),
    data=Data(
        bank="samples.db",
        digest="0" * 32,
        question_digest="1" * 32,
        tasks=("arithmetic",),
        questions=4,
        models=3,
        samples=36,
        run_seed=0,
    ),
)


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_profile(Path("profile.toml"), text)
    return str(caught.value)


def changed(old: str, new: str) -> str:
    text = to_toml(PROFILE)
    assert old in text
    return text.replace(old, new, 1)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "profile.toml"
    path.write_text(to_toml(PROFILE), encoding="utf-8")
    assert read_profile(path) == dataclasses.replace(PROFILE, source=str(path))


def test_an_accuracy_that_its_counts_cannot_make_is_refused() -> None:
    even = dataclasses.replace(model("a", 0.99), correct=18, samples=48, samples_each=(3, 3))
    text = to_toml(
        dataclasses.replace(
            PROFILE, models=(even,), data=dataclasses.replace(PROFILE.data, questions=16)
        )
    )
    assert (
        "validation_accuracy: is 0.99, and 18 of 48 correct samples on 16 questions make 0.375"
        in (refusal(text))
    )
    true = parse_profile(Path("profile.toml"), text.replace("= 0.99", "= 0.375"))
    assert true.models[0].samples_each == (3, 3)
    ragged = text.replace("= 0.99", "= 0.4").replace("[3, 3]", "[1, 9]")
    assert parse_profile(Path("profile.toml"), ragged).accuracies == {"a": 0.4}
    assert "which do not make 48" in refusal(text.replace("[3, 3]", "[4, 9]"))
    assert "validation_accuracy" in refusal(changed("= 0.25", "= 0.99"))


def test_few_questions_are_told_in_the_file() -> None:
    assert "# Careful: chosen on 4 questions: fewer than 50 hardly" in to_toml(PROFILE)
    many = dataclasses.replace(PROFILE, data=dataclasses.replace(PROFILE.data, questions=50))
    assert "Careful" not in to_toml(many)


_WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)
_SHARES = st.floats(0.1, 0.75)  # what 3 correct samples on 4 questions allow


@given(name=_WORDS, why=st.text(st.characters(exclude_categories=["Cs"])), share=_SHARES)
def test_any_name_any_sentence_and_every_digit_come_back(name: str, why: str, share: float) -> None:
    profile = dataclasses.replace(
        PROFILE,
        rule="calibrated",
        calibration=Calibration(
            models=(name,),
            k=3,
            weights=(1000,),
            sharpness=8 * share,
            outside=-share,
            questions=4,
            spread=share,
        ),
        why_models=why,
        stopping=Risk(0.05),
        schedule=None,
        created=None,
        objective=None,
        scores=(),
        models=(model(name, share),),
    )
    assert parse_profile(Path("profile.toml"), to_toml(profile)) == profile


def test_the_same_profile_is_the_same_bytes_and_one_change_is_one_line() -> None:
    before, again = to_toml(PROFILE), to_toml(PROFILE)
    after = to_toml(dataclasses.replace(PROFILE, k=5))
    assert before == again
    different = [
        pair
        for pair in zip(before.splitlines(), after.splitlines(), strict=True)
        if pair[0] != pair[1]
    ]
    assert len(different) == 1


def test_what_is_not_known_has_no_line() -> None:
    written = tomllib.loads(to_toml(dataclasses.replace(PROFILE, created=None, stopping=None)))
    assert {"created", "stopping"}.isdisjoint(written)


def test_every_problem_is_told_in_one_message_with_its_key_and_a_suggestion() -> None:
    text = changed("k = 3", "k = 0").replace('rule = "mux"', 'rule = "mucks"', 1)
    text = text.replace("fingerprint", "fingerprnt", 1).replace("validation_accuracy = 0.25", "", 1)
    message = refusal(text)
    assert message.startswith("5 problems in the profile\n")
    for line in (
        "profile.toml: k: must be at least 1, not 0",
        'profile.toml: rule: must be "mux"',
        "profile.toml: models[0].validation_accuracy: is missing",
        "profile.toml: models[0].fingerprint: is missing",
        "profile.toml: models[0].fingerprnt: unknown key; did you mean fingerprint?",
    ):
        assert line in message


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('name = "b"', 'name = "a"', '"a" is also the name of another model'),
        ("correct = 3", "correct = 13", "models[0].correct: is 13 of 12 samples"),
        ("ci95 = [0.3, 0.7]", "ci95 = [0.7, 0.3]", "ends before it begins"),
        ("ci95 = [0.3, 0.7]", "ci95 = [0.7]", "must have at least 2 in it, not 1"),
        ("lambda = 1.0", "lambda = -1.0", "objective.lambda: must be at least 0, not -1.0"),
        ("sizes = [2, 3]", "sizes = []", "must have at least 1 in it, not 0"),
        ("created", "date", "date: unknown key"),
        ("slmmux.profile/1", "slmmux.profile/2", "use the slmmux that wrote it"),
        ("schema", "schemata", "not a profile"),
        ("seed = 0", "seed = ", "not valid TOML"),
    ],
)
def test_a_profile_that_cannot_be_true_is_refused(old: str, new: str, words: str) -> None:
    assert words in refusal(changed(old, new))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("a = 600", "c = 600", "calibration.weights: are of c, b, and the models are a, b"),
        ("a = 600", "a = 1001", "calibration.weights.a: must be at most 1000, not 1001"),
        ("k = 3 # what", "k = 4 # what", "calibration.k: is 4, and the profile's k is 3"),
        ("[calibration]", "[calibrations]", "calibrations: unknown key; did you mean calibration?"),
    ],
)
def test_a_calibration_fits_its_profile(old: str, new: str, words: str) -> None:
    calibration = Calibration(
        models=("a", "b"),
        k=3,
        weights=(600, 1000),
        sharpness=5.0,
        outside=0.5,
        questions=4,
        spread=0.1,
    )
    text = to_toml(dataclasses.replace(PROFILE, rule="calibrated", calibration=calibration))
    assert parse_profile(Path("profile.toml"), text).voting == Rule("calibrated", calibration)
    assert old in text
    assert words in refusal(text.replace(old, new, 1))


def test_the_calibrated_rule_takes_a_calibration() -> None:
    message = refusal(changed('rule = "mux"', 'rule = "calibrated"'))
    assert "calibrated takes a [calibration], and there is none" in message


def test_a_configuration_is_no_profile() -> None:
    assert "the pool's own file is for --config" in refusal('[[models]]\nmodel = "m"\n')


def test_keys_that_are_secret_are_refused_and_not_shown() -> None:
    message = refusal(changed('name = "a"', 'name = "a"\napi_key = "sk-very-secret"'))
    assert "api_key" in message
    assert "sk-very-secret" not in message


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no-such\.toml"):
        read_profile(tmp_path / "no-such.toml")


@pytest.mark.parametrize("damage", [str.upper, lambda text: text[: len(text) // 2]])
def test_a_damaged_profile_is_an_error_in_words(damage: Callable[[str], str]) -> None:
    assert "profile.toml" in refusal(damage(to_toml(PROFILE)))
