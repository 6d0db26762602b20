"""The line: question → prompts → samples → answers → votes → selection → result."""

import time
from collections.abc import Sequence
from dataclasses import replace

from slmmux.answers import resolve_kind
from slmmux.conversations import as_asked, put
from slmmux.engines.base import Pool
from slmmux.errors import UsageError
from slmmux.escalation import Escalate, escalated
from slmmux.pool_rule import PoolRule
from slmmux.prompts import question_of, validate
from slmmux.results import check_quorum, cost, degraded, shown_text, total_usage
from slmmux.rules import MUX, Rule
from slmmux.sampling import Read, Sampler, SamplingLimits
from slmmux.stopping import Schedule
from slmmux.sync import run_sync
from slmmux.types import Kind, Question, Result, RuleName, Sample, Selection, Tally
from slmmux.votes import tally
from slmmux.waves import Drawing, Drawn, OnSample, Plan, Stopping


class Mux:
    """SLM-MUX over a pool of models (arXiv 2510.05077, Algorithm 1).

    Every model samples up to k answers; the most confident model's most common answer wins, or
    another rule decides.

    Args:
        pool: models and their engines; whoever made it closes it.
        k: samples from each model in the full budget, 1 to 1000.
        rule: how the votes become an answer: `mux`, `pooled_vote`, or a `Rule` with a calibration.
        stopping: `exact` makes only draws that can change the selected class; `off` makes all
            of them at once; a `Risk` stops when a change has become unlikely, approximately.
        schedule: how `exact` and `Risk` order their draws: `draws` makes the fewest, `waves`
            the fewest round trips, `balanced` nearly as few draws in fewer round trips.
        quorum: models that must have an answer.
        deadline_s: seconds for a question; the vote is then taken over what has arrived. At half
            of it, everything that can still matter is asked for.
        seed: of the run (rule 7).
        abstain_below: an answer whose probability (where the rule gives none: whose confidence) is
            not known to reach this is held back: the result says `abstained`.
        escalate: asked instead of holding an answer back: `ask` of another Mux, say, over a bigger
            model; anything that makes a result of a question.
        limits: concurrency, timeouts and retries, shared by all questions of this object.
        sampler: instead of seed and limits: one that other objects draw with too.

    Raises:
        UsageError: an argument out of range.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        k: int = 3,
        rule: Rule | RuleName = MUX,
        stopping: Stopping = "exact",
        schedule: Schedule = "balanced",
        quorum: int = 1,
        deadline_s: float | None = None,
        seed: int = 0,
        abstain_below: float | None = None,
        escalate: Escalate | None = None,
        limits: SamplingLimits | None = None,
        sampler: Sampler | None = None,
    ) -> None:
        if not 1 <= quorum <= len(pool.models):
            raise UsageError(f"quorum is {quorum}; this pool can give 1 to {len(pool.models)}")
        self.pool = pool
        if escalate is not None and abstain_below is None:
            raise UsageError("escalate needs abstain_below: how sure is sure enough")
        self.plan = Plan(
            k=k,
            stopping=stopping,
            schedule=schedule,
            quorum=quorum,
            deadline_s=deadline_s,
            abstain_below=abstain_below,
        )
        self._escalate = escalate
        self.rule = rule if isinstance(rule, Rule) else Rule(rule)
        self._votes = PoolRule(self.rule, pool.models, k, abstain_below)
        self.order = self._votes.priority
        self._sampler = sampler or Sampler(pool, limits or SamplingLimits(), seed=seed)

    async def ask(
        self,
        question: str | Question,
        *,
        kind: Kind = "auto",
        choices: Sequence[str] = (),
        on_sample: OnSample | None = None,
        read: Read | None = None,
    ) -> Result:
        """Answer one question.

        Args:
            question: text, or a `Question` (also a `Conversation`) whose own kind and choices
                then count.
            kind: how answers are read; `auto` is resolved by `answers.resolve_kind`.
            choices: option texts in order, for kind `choice`.
            on_sample: told of every sample as it arrives.
            read: gets the answer out of a completion; by default as the kind says.

        Raises:
            QuestionError: the question cannot be asked.
            QuorumError: too few models answered; it carries what each endpoint said.
        """
        began = time.perf_counter()
        asked = _question(question, kind, choices)
        prompts = {m.name: put(asked, m) for m in self.pool.models}
        drawn = await Drawing(
            self._sampler,
            asked,
            prompts=prompts,
            models=[as_asked(m, asked) for m in self._votes.streams],
            plan=self.plan,
            weights=self._votes.weights,
            threshold=self._votes.threshold,
            on_sample=on_sample,
            read=read,
        ).run()
        result = self._result(asked, drawn, time.perf_counter() - began)
        if not self._votes.is_sure(result.selection):
            result = await escalated(result, self._escalate)
        return result

    def ask_sync(
        self, question: str | Question, *, kind: Kind = "auto", choices: Sequence[str] = ()
    ) -> Result:
        """`ask` for programs without an event loop; works in notebooks too.

        Raises:
            QuestionError, QuorumError: as `ask`.
        """
        return run_sync(self.ask(question, kind=kind, choices=choices))

    def _result(self, question: Question, drawn: Drawn, elapsed_s: float) -> Result:
        tallies, selection = self.decide(drawn.samples, exact=drawn.exact)
        check_quorum(tallies, drawn.samples, self.plan.quorum)
        return Result(
            question=question,
            kind=question.kind,
            selection=selection,
            text=shown_text(drawn.samples, selection, self.order),
            abstained=selection.key is None,
            exact=drawn.exact,
            stopping=str(self.plan.stopping),
            tallies=tuple(tallies),
            samples=drawn.samples,
            k=self.plan.k,
            seed=self._sampler.seed,
            draws=drawn.draws,
            budget=self.plan.k * len(tallies),
            waves=drawn.waves,
            usage=total_usage(drawn.samples),
            cost=cost(drawn.samples, self.pool.models),
            degraded=degraded(drawn.samples),
            elapsed_s=elapsed_s,
        )

    def decide(
        self, samples: Sequence[Sample], *, exact: bool = True
    ) -> tuple[list[Tally], Selection]:
        """The votes in one question's samples, and what the rule makes of them.

        Args:
            samples: of this pool's models, any order.
            exact: no open draw can change the selected class.
        """
        models = self.pool.models
        by_model = {m.name: [s for s in samples if s.model == m.name] for m in models}
        tallies = [tally(m.name, by_model[m.name], self.plan.k) for m in models]
        return tallies, self._votes.select(tallies, by_model, exact=exact)


def _question(question: str | Question, kind: Kind, choices: Sequence[str]) -> Question:
    if isinstance(question, str):
        question = question_of(question, kind, choices)
    validate(question)
    return replace(question, kind=resolve_kind(question))
