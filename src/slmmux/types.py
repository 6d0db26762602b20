"""The values that cross module borders: frozen, without identity, without I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["auto", "math", "number", "choice", "date", "yes_no", "json", "text"]
Api = Literal["chat", "completions"]
RuleName = Literal["mux", "pooled_vote", "calibrated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked.

    Attributes:
        id: identifies the question in seeds, banks and reports.
        kind: how answers are read; `auto` is resolved by `answers.resolve_kind`.
        choices: option texts in order (A, B, …), for kind `choice`.
    """

    text: str
    id: str
    kind: Kind = "auto"
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation.

    Attributes:
        content: its text; "" where it has none.
        raw: the whole turn as a JSON object, where it is more than a role and a text (content
            parts, tool calls, a name); it is sent as it is.
    """

    role: str
    content: str
    raw: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the asker wants otherwise than the models' own settings; None leaves them as they are.

    Attributes:
        stop: strings that end a reply, besides those of the prompt style.
        instruction: stands for the kind's and the prompt style's answer-format instruction; ""
            means none at all.
        fields: a JSON object of further request fields, sent to every endpoint as they are.
    """

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    instruction: str | None = None
    fields: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation(Question):
    """A question that ends a conversation; `text` is what the user said last.

    Attributes:
        messages: all of it, oldest first.
        options: of this question.
    """

    messages: tuple[Message, ...]
    options: Options = field(default_factory=Options)


@dataclass(frozen=True, slots=True)
class Example:
    """A solved question shown to the model before the real one."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptStyle:
    """How a question is put to a model; the same weights with two styles are two models.

    Attributes:
        examples: few-shot examples, oldest first; empty means zero-shot.
        system: system message (chat) or preamble (completions).
        instruction: answer-format instruction appended to the question; None takes the kind's
            own instruction when there are no examples, and "" means none at all.
        stop: strings that end a completion.
    """

    examples: tuple[Example, ...] = ()
    system: str | None = None
    instruction: str | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A participant in a pool: endpoint, model id, prompt style and sampling parameters.

    Attributes:
        name: unique in the pool; shown everywhere.
        model: the id that the endpoint knows the model by (a catalog name when embedded).
        base_url: the endpoint, ending in `/v1` as a rule; `embedded` is the built-in engine.
        n: whether one request may ask for several choices. `seeded`: choice j of a request is
            the text of seed + j (llama.cpp); `auto`: several choices only when stopping is off;
            `never`: one request a sample.
        price_per_mtok_in, price_per_mtok_out: money per million prompt and completion tokens.
        validation_accuracy: share of correct samples on validation questions, 0..1 (rule 8).
        max_concurrency: requests at once to this model's endpoint.
    """

    name: str
    model: str
    base_url: str = "embedded"
    api: Api = "chat"
    prompt: PromptStyle = field(default_factory=PromptStyle)
    temperature: float = 0.3
    top_p: float = 1.0
    max_tokens: int = 1024
    n: Literal["auto", "seeded", "never"] = "auto"
    api_key_env: str | None = None
    api_key_file: str | None = None
    price_per_mtok_in: float | None = None
    price_per_mtok_out: float | None = None
    validation_accuracy: float | None = None
    max_concurrency: int = 8


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, for one sample or a sum.

    Attributes:
        estimated: True when any part is a guess because the endpoint did not say.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: bool = False

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.estimated or other.estimated,
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """What a sample says.

    Attributes:
        text: as the model wrote it.
        key: the canonical key of its class; equal keys are one class (rule 2).
    """

    text: str
    key: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function that a model wants called.

    Attributes:
        id: as the endpoint named the call; "" where it did not.
        arguments: JSON, as the model wrote it.
    """

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One completion, or the failure to get one; both stay in the denominator (rule 1).

    Attributes:
        model: name of the pool's model.
        index: position in the model's stream on this question, 0..k-1.
        text: the reply without its reasoning; None when there is none.
        reasoning: what the model thought first, where it said so.
        finish_reason: the endpoint's own word (`stop`, `length`, …).
        error: why there is no text, or why it was not read, in words for a person.
        seed: the seed asked for (rule 7).
        seed_honoured: as measured; None when nobody measured.
        latency_s: seconds from request to reply, retries included.
        answer: what was read from the text; None is a sample that votes for nothing.
        tool_calls: what it calls, where tools were offered; the text may then be empty.
    """

    model: str
    question_id: str
    index: int
    text: str | None = None
    reasoning: str | None = None
    finish_reason: str | None = None
    error: str | None = None
    usage: Usage = Usage()
    seed: int | None = None
    seed_honoured: bool | None = None
    latency_s: float = 0.0
    answer: Answer | None = None
    tool_calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, slots=True)
class Interval:
    """Lowest and highest possible value; equal when the value is known."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ClassVotes:
    """One class of a tally, shown as its earliest member wrote it."""

    key: str
    text: str
    votes: int
    first_index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """One model's votes on one question.

    Attributes:
        k: samples asked for in the full budget: the denominator (rule 1).
        drawn: samples whose outcome is known.
        classes: mode first, then by votes and first index.
        unreadable: samples drawn that have text but no readable answer.
        errored: samples drawn that failed.
        confidence: votes of the mode / k, lowest and highest that the open draws allow.
    """

    model: str
    k: int
    drawn: int
    classes: tuple[ClassVotes, ...]
    unreadable: int
    errored: int
    confidence: Interval

    @property
    def mode(self) -> ClassVotes | None:
        """The class with the most votes; the earliest one of equals (rule 3)."""
        return self.classes[0] if self.classes else None


TieBreak = Literal["none", "validation accuracy", "pool order", "first met"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The outcome of a vote.

    Attributes:
        key: canonical key of the selected class; None when no model has an answer (rule 5).
        answer: the class as its earliest member in the deciding model wrote it.
        decided_by: the model whose mode won; None while more than one could end as the winner,
            and where all models' votes are added up.
        confidence: of the winner: its model's votes / k, or its share of all votes by weight; an
            interval while draws are open.
        tie_break: what settled equal confidences.
        reason: one sentence for a person.
        rule: how the votes were counted (`slmmux.rules`).
        probability: that the answer is right, where the rule gives one; an interval while draws
            are open.
    """

    key: str | None
    answer: str | None
    decided_by: str | None
    confidence: Interval
    tie_break: TieBreak
    reason: str
    rule: RuleName = "mux"
    probability: Interval | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A question's answer and everything behind it; `to_json` in `slmmux.results`.

    Attributes:
        kind: the answer kind that was used (`auto` resolved).
        text: the earliest sample of the winning class; when abstained, the first text of the
            model with the highest validation accuracy.
        abstained: no sample anywhere had a readable answer, or none is sure enough; the selection
            is then the best guess.
        exact: the selected class is that of the full budget on the same streams.
        draws: requests for a sample that were issued, cancelled ones included.
        budget: models × k.
        waves: round trips.
        degraded: models with a failed sample, and what their endpoint said first.
        escalated: what the pool had selected where that was not sure enough and somebody else
            was asked; None where nobody was.
        cost: money, where every used model has prices.
    """

    question: Question
    kind: Kind
    selection: Selection
    text: str | None
    abstained: bool
    exact: bool
    stopping: str
    tallies: tuple[Tally, ...]
    samples: tuple[Sample, ...]
    k: int
    seed: int
    draws: int
    budget: int
    waves: int
    usage: Usage
    cost: float | None
    degraded: Mapping[str, str]
    elapsed_s: float
    escalated: Selection | None = None

    @property
    def answer(self) -> str | None:
        """The selected answer, None when no model had one."""
        return self.selection.answer

    @property
    def draws_saved(self) -> int:
        """How many draws of the full budget were not needed."""
        return self.budget - self.draws
