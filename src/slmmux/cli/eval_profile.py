"""What `slmmux eval --profile` takes from a profile, and says about it."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from slmmux.evaluation import Evaluation, ValidationAccuracy
    from slmmux.methods import Method
    from slmmux.profile import Profile
    from slmmux.table import Table


def read_for(path: Path | None, validation_bank: Path | None) -> "Profile | None":
    """The profile that `--profile` names.

    Raises:
        UsageError: it cannot be read, or `--validation-bank` is there too.
    """
    from slmmux.errors import UsageError
    from slmmux.profile_file import read_profile

    if path is None:
        return None
    if validation_bank is not None:
        raise UsageError(
            "--profile and --validation-bank both say how good the models are; keep one of them"
        )
    return read_profile(path)


def accuracy_of(profile: "Profile", table: "Table") -> "ValidationAccuracy":
    """The profile's validation accuracies for the models of the table.

    Raises:
        UsageError: it has none for some of them.
    """
    from slmmux.errors import UsageError
    from slmmux.evaluation import ValidationAccuracy

    known = profile.accuracies
    bare = _bare(profile, table)
    if strangers := [name for name in table.models if bare[name] not in known]:
        raise UsageError(
            f"--models: {profile.source} says nothing of {', '.join(strangers)}; it has "
            f"{', '.join(profile.names)}"
        )
    source = f"profile {Path(profile.source).name}"
    return ValidationAccuracy(source, {name: known[bare[name]] for name in table.models})


def calibrated_by(
    profile: "Profile", methods: "Mapping[str, Method]", table: "Table", k: int
) -> "dict[str, Method]":
    """The methods, `calibrated` by the profile where it is of these models and this k."""
    from slmmux.methods import Calibrated

    calibration, bare = profile.calibration, _bare(profile, table)
    fits = (
        calibration is not None
        and calibration.k == k
        and sorted(bare.values()) == sorted(calibration.models)
    )
    if calibration is None or not fits or "calibrated" not in methods:
        return dict(methods)
    weights = dict(zip(calibration.models, calibration.weights, strict=True))
    ordered = replace(
        calibration, models=table.models, weights=tuple(weights[bare[n]] for n in table.models)
    )
    return {**methods, "calibrated": Calibrated.fitted(ordered)}


def _bare(profile: "Profile", table: "Table") -> dict[str, str]:
    """The table's names → the profile's: a bank may say NAME#FINGERPRINT."""
    known = profile.names
    return {
        name: name if name in known else name.rpartition("#")[0] or name for name in table.models
    }


def notes_on(
    evaluation: "Evaluation", profile: "Profile", table: "Table", bank: Path
) -> "Evaluation":
    """The evaluation with what a reader must know of the profile."""
    from slmmux.holdout import HINDSIGHT
    from slmmux.table_digest import question_digest

    notes = [f"the profile serves {profile.rule}, k = {profile.k}: {', '.join(profile.names)}"]
    if question_digest(table) == profile.data.question_digest:
        notes.append(f"the profile was chosen on these same questions: {HINDSIGHT}")
    if profile.caution is not None:
        notes.append(f"the profile was {profile.caution}")
    notes += _changes(profile, table, bank)
    return replace(evaluation, notes=(*evaluation.notes, *notes))


def _changes(profile: "Profile", table: "Table", path: Path) -> list[str]:
    """What shaped the bank's samples otherwise than those that the profile was chosen from."""
    from slmmux.bank import Bank
    from slmmux.pool_models import pool_models
    from slmmux.profile_pool import changed_settings

    tasks = list(dict.fromkeys(question.task for question in table.questions))
    with Bank.open(path) as bank:
        models = pool_models(bank.models(tasks), table.models)
    bare = _bare(profile, table)
    chosen = {model.name: model for model in profile.models}
    return [
        change
        for name, model in zip(table.models, models, strict=True)
        for change in changed_settings(chosen[bare[name]], model.model.settings)
    ]
