"""One question's draws, wave by wave, until the stopping rule has what it needs."""

import asyncio
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

from slmmux.answers import read_async, strip_reasoning
from slmmux.certainty import Threshold
from slmmux.engines.base import Completion, Prompt
from slmmux.errors import UsageError
from slmmux.risk import chance_of_change
from slmmux.rules import Weights
from slmmux.sampling import Read, Sampler
from slmmux.selection import is_decided, matters
from slmmux.stopping import Schedule, next_wave, quorum_is_settled
from slmmux.types import Answer, Model, Question, Sample, ToolCall
from slmmux.votes import Stream, outcomes_of, stream


@dataclass(frozen=True, slots=True)
class Risk:
    """Stop drawing when the estimated chance that the selection still changes is below this.

    Attributes:
        chance: between 0 and 1, both excluded.

    Raises:
        UsageError: it is not.
    """

    chance: float

    def __post_init__(self) -> None:
        if not 0 < self.chance < 1:
            raise UsageError(f"risk is {self.chance:g}; it must lie between 0 and 1")

    def __str__(self) -> str:
        return f"risk {self.chance:g}"


Stopping: TypeAlias = Literal["exact", "off"] | Risk
OnSample: TypeAlias = Callable[[Sample], None]
Said: TypeAlias = tuple[str | None, str | None, tuple[ToolCall, ...]]

MOST_SAMPLES = 1000  # of a model on a question; more is a slip of the finger
_SLOW_S = 1.0  # for a call that fails: a refused connection takes less, a timeout more
_OUTER_TAGS = re.compile(r"^\s*<[^<>]*>|<[^<>]*>\s*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How far and in which order a question is drawn; see `Mux` for the meaning of each.

    Raises:
        UsageError: a value out of range.
    """

    k: int
    stopping: Stopping
    schedule: Schedule
    quorum: int
    deadline_s: float | None
    abstain_below: float | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.k <= MOST_SAMPLES:
            raise UsageError(
                f"k is {self.k}; it counts samples from each model, so make it 1 to {MOST_SAMPLES}"
            )
        if self.stopping not in ("exact", "off") and not isinstance(self.stopping, Risk):
            raise UsageError(f"stopping is {self.stopping!r}; it can be 'exact', 'off' or a Risk")
        if self.schedule not in get_args(Schedule):
            known = ", ".join(get_args(Schedule))
            raise UsageError(f"schedule is {self.schedule!r}; it can be one of {known}")
        if self.deadline_s is not None and not 0 < self.deadline_s < math.inf:
            raise UsageError(
                f"deadline is {self.deadline_s:g} s; make it above 0; leave it out for no deadline"
            )
        if self.abstain_below is not None and not 0 < self.abstain_below <= 1:
            raise UsageError(
                f"abstain_below is {self.abstain_below:g}; it is a probability, so make it above 0 "
                "and at most 1"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """What came of one question's draws.

    Attributes:
        samples: by model in priority order, then index; failed ones included.
        draws: samples asked for, cancelled ones included.
        exact: no open draw can change the selected class, or whether it is sure enough.
    """

    samples: tuple[Sample, ...]
    draws: int
    waves: int
    exact: bool


class Drawing:
    """Draws one question; use each instance once.

    Args:
        sampler: of the run.
        question: with its kind resolved.
        prompts: model name → prompt.
        models: in priority order, or in pool order with weights.
        plan: when to stop.
        weights: of the models' votes, in that order; None is Algorithm 1.
        threshold: of certainty, where an answer may be held back.
        on_sample: told of every sample as it arrives.
        read: gets the answer out of a completion; by default as the question's kind says.
    """

    def __init__(
        self,
        sampler: Sampler,
        question: Question,
        *,
        prompts: Mapping[str, Prompt],
        models: Sequence[Model],
        plan: Plan,
        weights: Weights | None = None,
        threshold: Threshold | None = None,
        on_sample: OnSample | None = None,
        read: Read | None = None,
    ) -> None:
        self._sampler = sampler
        self._question = question
        self._prompts = prompts
        self._models = models
        self._plan = plan
        self._weights = weights
        self._threshold = threshold
        self._on_sample = on_sample
        self._reader = read or self._by_kind
        self._samples: list[dict[int, Sample]] = [{} for _ in models]
        self._unread: list[list[Callable[[], Sequence[Sample]]]] = [[] for _ in models]
        self._issued = [0] * len(models)
        self._read_before: dict[Said, Answer | None] = {}
        self._waves = 0
        self._over = False
        self._late = False

    async def run(self) -> Drawn:
        """Wave after wave until nothing that is open can matter, or the deadline passes."""
        began = asyncio.get_running_loop().time()
        tasks: set[asyncio.Task[None]] = set()
        try:
            while not self._over and any(wave := self._next_wave()):
                tasks = self._issue(wave)
                await self._wait(tasks, began)
        finally:
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.gather(*tasks, return_exceptions=True)
        return Drawn(
            samples=tuple(s for row in self._samples for _, s in sorted(row.items())),
            draws=sum(self._issued),
            waves=self._waves,
            exact=not self._late and (self._is_complete() or self._is_settled(self._streams())),
        )

    def _next_wave(self) -> tuple[int, ...]:
        plan = self._plan
        if plan.stopping == "off":
            return tuple(plan.k - issued for issued in self._issued)
        streams = self._streams()
        wave = next_wave(streams, plan.schedule, plan.quorum, self._weights)
        if not any(wave) and self._threshold is not None:
            wave = self._threshold.next_wave(streams, plan.schedule)
        if any(wave) and self._hangs():
            return tuple(map(max, wave, self._rest()))
        return wave

    def _hangs(self) -> bool:
        """Whether a model has given nothing but failures that took their time.

        Then all that can still matter goes out at once: what hangs is waited for once more, not
        wave after wave. Outcomes are fixed by their index, so more of them change no answer.
        """
        return any(
            bool(row) and all(_failed_slowly(sample) for sample in row.values())
            for row in self._samples
        )

    def _enough(self) -> bool:
        """Whether the stopping rule is satisfied by what has arrived."""
        plan = self._plan
        if plan.stopping == "off":
            return False
        streams = self._streams()
        settled = self._is_settled(streams)
        if not settled and isinstance(plan.stopping, Risk):
            settled = chance_of_change(streams, self._weights) < plan.stopping.chance
        return settled and quorum_is_settled(streams, plan.quorum)

    def _is_complete(self) -> bool:
        """Whether the full budget has been drawn: nothing is open."""
        return all(len(row) == self._plan.k for row in self._samples)

    def _is_settled(self, streams: Sequence[Stream]) -> bool:
        """Whether no open draw can change the class, or whether it is sure enough."""
        decided = is_decided(streams, self._weights)
        return decided and (self._threshold is None or self._threshold.is_settled(streams))

    def _streams(self) -> list[Stream]:
        return [stream(outcomes_of(row.values()), self._plan.k) for row in self._samples]

    def _issue(self, wave: Sequence[int]) -> set["asyncio.Task[None]"]:
        self._waves += 1
        create_task = asyncio.get_running_loop().create_task
        return {create_task(request) for request in self._requests(wave)}

    async def _wait(self, tasks: set["asyncio.Task[None]"], began: float) -> None:
        """Wait for what matters of these draws; on return, `tasks` holds what is left of them.

        At half of the deadline everything that can still matter goes out, so that a model that
        hangs does not keep the others from being asked.
        """
        deadline_s = self._plan.deadline_s or math.inf
        early = self._plan.stopping != "off"
        loop = asyncio.get_running_loop()
        while tasks and not self._over:
            elapsed_s = loop.time() - began
            hedged = not early or elapsed_s >= deadline_s / 2
            left_s = deadline_s * (1 if hedged else 0.5) - elapsed_s
            done, _ = await asyncio.wait(
                tasks,
                timeout=None if left_s == math.inf else max(0.0, left_s),
                return_when=asyncio.FIRST_COMPLETED if early else asyncio.ALL_COMPLETED,
            )
            for task in done:
                task.result()
            tasks -= done
            self._over = self._enough()
            if not tasks or self._over or loop.time() - began < deadline_s / 2:
                continue
            if loop.time() - began >= deadline_s:
                self._give_up()
            elif any(rest := self._rest()):
                tasks |= self._issue(rest)

    def _rest(self) -> tuple[int, ...]:
        """What has not been asked for and can still matter, whatever is under way."""
        streams = self._streams()
        needed = matters(streams, self._weights)
        if not quorum_is_settled(streams, self._plan.quorum):
            needed |= {i for i, s in enumerate(streams) if not s.classes}
        return tuple(
            self._plan.k - issued if position in needed else 0
            for position, issued in enumerate(self._issued)
        )

    def _requests(self, wave: Sequence[int]) -> Iterable["asyncio._CoroutineLike[None]"]:
        ordered = self._plan.stopping != "off"
        for position, count in enumerate(wave):
            first = self._issued[position]
            self._issued[position] += count
            model = self._models[position]
            for indices in self._sampler.runs(model, range(first, first + count), ordered=ordered):
                yield self._request(position, model, indices)

    async def _request(self, position: int, model: Model, indices: range) -> None:
        unread = self._unread[position]
        samples = await self._sampler.draw(
            self._question.id,
            model,
            self._prompts[model.name],
            indices,
            self._read,
            on_reply=unread.append,
        )
        for sample in map(without_reasoning, samples):
            self._samples[position][sample.index] = sample
            if self._on_sample is not None:
                self._on_sample(sample)

    async def _read(self, completion: Completion) -> Answer | None:
        """The answer in a text; small models repeat themselves, so each text is read once."""
        said = (completion.text, completion.finish_reason, completion.tool_calls)
        if said not in self._read_before:
            self._read_before[said] = await self._reader(completion)
        return self._read_before[said]

    async def _by_kind(self, completion: Completion) -> Answer | None:
        question = self._question
        return await read_async(
            completion.text or "", question.kind, question.choices, completion.finish_reason
        )

    def _give_up(self) -> None:
        """What was asked for and has no answer yet stays in the data, as a failure (rule 1)."""
        self._over = self._late = True
        for position, issued in enumerate(self._issued):
            row = self._samples[position]
            came = (sample for replies in self._unread[position] for sample in replies())
            unread = {sample.index: without_reasoning(sample) for sample in came}
            for index in set(range(issued)) - set(row):
                if index in unread:
                    row[index] = self._unread_in_time(unread[index])
                else:
                    row[index] = self._no_reply(self._models[position], index)

    def _no_reply(self, model: Model, index: int) -> Sample:
        return Sample(
            model=model.name,
            question_id=self._question.id,
            index=index,
            error=f"no reply within the question's deadline of {self._plan.deadline_s:g} s",
            seed=self._sampler.seed_of(self._question.id, model, index),
        )

    def _unread_in_time(self, sample: Sample) -> Sample:
        """The endpoint did its part: the text is kept, and the reading is named."""
        if sample.error is not None:
            return sample
        late = f"still being read at the question's deadline of {self._plan.deadline_s:g} s"
        return replace(sample, error=f"its reply came, and was {late}")


def _failed_slowly(sample: Sample) -> bool:
    failed = sample.error is not None and sample.finish_reason is None
    return failed and (sample.latency_s or 0.0) > _SLOW_S


def without_reasoning(sample: Sample) -> Sample:
    """The sample with what it thinks between tags moved from its text to its reasoning."""
    text = sample.text
    if text is None or "<" not in text:
        return sample
    reply = strip_reasoning(text, sample.finish_reason)
    if reply == text:
        return sample
    if reply is None:
        error = f"{sample.model}: its reasoning never came to an answer; raise max_tokens"
        thought = _OUTER_TAGS.sub("", text).strip()
        return replace(sample, text=None, reasoning=sample.reasoning or thought, error=error)
    thought = _OUTER_TAGS.sub("", text.removesuffix(reply)).strip()
    return replace(sample, text=reply.lstrip(), reasoning=sample.reasoning or thought)
