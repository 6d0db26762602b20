"""Which models together: the search's best sets of every size, every pair, what is worth its cost.

Sets are chosen on the validation questions, and everything drawn is measured on the reported ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import comb
from typing import Any

import altair as alt

from slmmux.evaluate import Plan
from slmmux.holdout import HINDSIGHT, Split
from slmmux.report.chart import Chart, Row, data, heat_map, percent, spec_of, told, without
from slmmux.report.theme import MUTED, SERIES
from slmmux.search import Limits, evaluated
from slmmux.search_accuracy import Expected, expected
from slmmux.search_outcome import SearchOutcome
from slmmux.search_run import SearchPlan, run_search
from slmmux.search_sets import SearchSets, correctness, search_sets
from slmmux.table import guess_notes

_LARGEST = 5  # models in a set
_FRONT_SUBSETS = 20_000  # that the front is searched among
_RESAMPLES = 200
_LINES = ("union accuracy", "SLM-MUX", "contradiction", "objective")


@dataclass(frozen=True, slots=True)
class Found:
    """What the search found, and the reported questions to measure it on.

    Attributes:
        outcome: of the validation questions.
        sets, votes: of the reported ones.
        hindsight: they are the same.
        known: notes that stand elsewhere on the page.
    """

    outcome: SearchOutcome
    sets: SearchSets
    votes: Expected
    hindsight: bool
    known: tuple[str, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """How the sets were chosen."""
        chosen = (
            f"Sets are {HINDSIGHT}: chosen on the questions that they are measured on."
            if self.hindsight
            else "Sets are chosen on the validation questions and measured on the reported ones."
        )
        notes = [note for note in self.outcome.notes if note not in self.known]
        return (chosen, *(f"{note[0].upper()}{note[1:]}." for note in notes))


def find(split: Split, plan: Plan, report: Callable[[int, float], None]) -> Found:
    """Search the validation questions.

    Args:
        split: two models or more.
        plan: says how many samples a model.
        report: told the size of sets that are being searched, and how far that is.
    """
    models = len(split.test.models)
    sizes = tuple(range(1, min(_LARGEST, models) + 1))
    single = plan.k == 1
    outcome = run_search(
        split.validation,
        SearchPlan(
            sizes=sizes,
            k=plan.k,
            count_single_samples=single,
            top=1,
            pareto=sum(comb(models, size) for size in sizes) <= _FRONT_SUBSETS,
            resamples=_RESAMPLES,
            seed=plan.seed,
        ),
        Limits(report=report),
    )
    sets = search_sets(split.test, plan.k, correctness("mode"), count_single_samples=single)
    votes = expected(split.test, plan.k, outcome.accuracy.by_model)
    return Found(outcome, sets, votes, split.hindsight, tuple(guess_notes(split.test)))


def by_size(found: Found) -> tuple[Chart, Chart]:
    """Accuracies against the number of models, and the parts of the objective."""
    rows = [row for size in found.outcome.rankings for row in _sized(found, size)]
    accuracies = tuple(row for row in rows if row["line"] in _LINES[:2])
    parts = tuple(row for row in rows if row["line"] != "SLM-MUX")
    return (
        Chart(
            name="sizes",
            title="Accuracy against number of models",
            caption="For every number of models, the best set of so many: how often some model of "
            "it is right (union accuracy), and how often SLM-MUX is; the gap is what selecting "
            "the right model could still win.",
            rows=accuracies,
            spec=_lines(_LINES[:2], "share of questions"),
            notes=found.notes,
        ),
        Chart(
            name="objective",
            title="What the search weighs",
            caption="Objective = union accuracy − contradiction; where contradiction climbs as "
            "fast as union accuracy, another model brings as much harm as help.",
            rows=parts,
            spec=_lines((_LINES[0], *_LINES[2:]), "share of questions"),
        ),
    )


def _sized(found: Found, size: int) -> list[Row]:
    members = found.outcome.rankings[size].subsets[0].members
    subset = evaluated(found.sets, members, found.outcome.weight)
    stability = found.outcome.stability.get(size)
    values = (
        subset.union / subset.cells,
        float(found.votes.accuracy(members)),
        subset.contradiction / subset.cells,
        float(subset.objective),
    )
    return [
        {
            "models": size,
            "line": line,
            "value": value,
            "set": ", ".join(found.outcome.names(members)),
            "chosen in resamples": None if stability is None else stability.wins,
        }
        for line, value in zip(_LINES, values, strict=True)
    ]


def _lines(names: Sequence[str], title: str) -> dict[str, Any]:
    places = [_LINES.index(name) for name in names]
    colours = (SERIES[2], SERIES[0], SERIES[1], SERIES[3])
    shapes = ("circle", "diamond", "triangle-down", "square")
    base = alt.Chart(data(), height=280).encode(
        x=alt.X("models:O", title="models in the set", axis=alt.Axis(labelAngle=0)),
        y=alt.Y("value:Q", axis=percent(title), scale=alt.Scale(zero=False)),
        color=alt.Color(
            "line:N",
            title=None,
            scale=alt.Scale(domain=list(names), range=[colours[p] for p in places]),
        ),
        tooltip=told(
            ("line:N", "what", ""),
            ("value:Q", "share", ".1%"),
            ("set:N", "set", ""),
            ("chosen in resamples:Q", "chosen in resamples", ".0%"),
        ),
    )
    return spec_of(
        alt.layer(
            base.mark_line(),
            base.mark_point(filled=True, size=90, opacity=1).encode(
                shape=alt.Shape(
                    "line:N",
                    title=None,
                    scale=alt.Scale(domain=list(names), range=[shapes[p] for p in places]),
                )
            ),
        )
    )


def pairs(found: Found) -> tuple[Chart, Chart]:
    """Union accuracy and contradiction of every two models."""
    models = found.sets.models
    rows = [_pair(found, one, other) for one in range(len(models)) for other in range(len(models))]
    tooltip = (
        ("model:N", "model", ""),
        ("other:N", "and", ""),
        ("union:Q", "union accuracy", ".1%"),
        ("contradiction:Q", "contradiction", ".1%"),
        ("objective:Q", "objective", ".1%"),
    )
    note = "The numbers below stand for the models beside."
    return (
        Chart(
            name="pairs-union",
            title="Pairs: how much two models know together",
            caption="A square is the share of questions that at least one of the two answers "
            "correctly; the diagonal is the model alone.",
            rows=tuple(rows),
            spec=heat_map(models=len(models), value="union", title="union", tooltip=tooltip),
            notes=(note,),
        ),
        Chart(
            name="pairs-contradiction",
            title="Pairs: how often they contradict",
            caption="A square is the share of questions on which one of the two is always wrong "
            "in the same way while the other is right: less is better.",
            rows=tuple(rows),
            spec=heat_map(
                models=len(models),
                value="contradiction",
                title="contradiction",
                tooltip=tooltip,
                how=".1%",
            ),
            notes=(note,),
        ),
    )


def _pair(found: Found, one: int, other: int) -> Row:
    subset = evaluated(found.sets, sorted({one, other}), found.outcome.weight)
    names = found.sets.models
    return {
        "number": one + 1,
        "other_number": other + 1,
        "model": f"{one + 1} {names[one]}",
        "other": f"{other + 1} {names[other]}",
        "union": subset.union / subset.cells,
        "contradiction": None if one == other else subset.contradiction / subset.cells,
        "objective": None if one == other else float(subset.objective),
    }


def front(found: Found) -> Chart:
    """The sets of models that nothing cheaper beats."""
    name, title = "front", "Sets of models worth their cost"
    caption = (
        "Every mark is a set of models that no other set beats at its price in samples, tokens "
        "or money; where the line is flat, more models cost more and bring little."
    )
    known = found.outcome.front
    if known is None:
        why = (
            f"Not drawn: a pool of {len(found.sets.models)} models has too many sets to look at "
            "all of them here; `slmmux search --pareto` does."
        )
        return without(name, title, caption, why)
    rows: list[Row] = [
        {
            "samples": point.draws,
            "tokens": point.tokens,
            "money": point.cost,
            "accuracy": float(found.votes.accuracy(point.members)),
            "models": len(point.members),
            "set": ", ".join(found.outcome.names(point.members)),
        }
        for point in known.points
    ]
    base = alt.Chart(data(), height=280).encode(
        x=alt.X(
            "samples:Q",
            title="samples of a question (full budget)",
            scale=alt.Scale(zero=True, nice=True),
        ),
        y=alt.Y("accuracy:Q", axis=percent("accuracy of SLM-MUX"), scale=alt.Scale(zero=False)),
    )
    points = base.mark_point(filled=True, size=110, opacity=0.9, color=SERIES[0]).encode(
        tooltip=told(
            ("set:N", "set", ""),
            ("models:Q", "models", ""),
            ("accuracy:Q", "accuracy", ".1%"),
            ("samples:Q", "samples", ""),
            ("tokens:Q", "tokens", ",.0f"),
            ("money:Q", "money", ",.4~g"),
        )
    )
    line = base.mark_line(color=MUTED, strokeDash=[4, 3], interpolate="step-after")
    line = line.encode(order="samples:Q")
    largest = max(found.outcome.rankings)
    budget = f"Sets of up to {largest} models, with full budgets: exact stopping needs less."
    return Chart(
        name=name,
        title=title,
        caption=caption,
        rows=tuple(rows),
        spec=spec_of(alt.layer(line, points)),
        notes=(f"{budget} {found.notes[0]}",),
    )
