"""A request's fields × a profile → what is asked of which models, and how the reply is read.

How the kind of answer is found, first rule first: the request's `slmmux.kind`; the profile's; JSON
where `response_format` asks for it; what `answers.resolve_kind` makes of the last user message;
and where that is nothing in particular, replies are grouped by their normalised text.

The answer-format instruction goes along wherever the kind was said or found, not where replies are
only grouped by text, nor with tools; `slmmux.instruction = "off"` leaves every message as it came.
"""

import json
import secrets
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from slmmux.answers import resolve_kind
from slmmux.errors import QuestionError
from slmmux.gateway.bodies import check_numbers
from slmmux.gateway.caps import Caps
from slmmux.gateway.failures import RequestError
from slmmux.gateway.fields import (
    AnyRequest,
    ChatRequest,
    Extras,
    ObjectForm,
    SchemaForm,
    TextForm,
)
from slmmux.gateway.messages import (
    conversation_of,
    has_more_than_text,
    messages_of,
    more_than_text,
)
from slmmux.gateway.plans import plan_of
from slmmux.gateway.promises import Promise
from slmmux.gateway.readers import reading_of
from slmmux.gateway.state import Vote
from slmmux.gateway.together import check_choices, check_together, must_call
from slmmux.pool import EMBEDDED
from slmmux.prompts import validate
from slmmux.rules import Rule
from slmmux.sampling import Read
from slmmux.types import Conversation, Kind, Model, Options
from slmmux.waves import Plan

KindFrom: TypeAlias = Literal["request", "profile", "response_format", "auto", "fallback"]

_PASSED_ON = (
    "response_format",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "frequency_penalty",
    "presence_penalty",
    "user",
)
_SEEDS = 2**31
_JSON_ONLY = "Reply with JSON only, and nothing around it."


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request to a profile, ready to be voted on.

    Attributes:
        models: that are asked.
        bigger: who is asked where their answer is not sure enough.
        seed: of the run: the request's, or a fresh one, so that asking again draws again.
        kind_from: what said how answers are read.
        read: gets the answer out of a completion.
        promise: what the reply must be, answer or not.
        json: whether the reply's content is to be JSON and nothing else.
        n: distinct answers wanted.
    """

    model: str
    question: Conversation
    kind_from: KindFrom
    models: tuple[Model, ...]
    bigger: Model | None
    plan: Plan
    rule: Rule
    seed: int
    read: Read
    promise: Promise | None
    json: bool
    n: int
    stream: bool
    include_usage: bool
    return_samples: bool

    @property
    def draws(self) -> tuple[tuple[Model, int], ...]:
        """Every model that may be asked, and the samples of it at most."""
        pool = tuple((model, self.plan.k) for model in self.models)
        return pool if self.bigger is None else (*pool, (self.bigger, 1))


def asked(request: AnyRequest, body: dict[str, Any], vote: Vote, caps: Caps) -> Asked:
    """What the request asks of the profile.

    Args:
        request: the body, checked.
        body: the same as it came: what goes to the models as it is.
        vote: what the request's model stands for.
        caps: that it must keep.

    Raises:
        RequestError: what cannot be honoured, with its field.
    """
    check_numbers(body)
    check_together(request)
    extras = request.slmmux or Extras()
    chat = request if isinstance(request, ChatRequest) else None
    form = _form(chat)
    question = conversation_of(messages_of(request, body), tuple(extras.choices or ()))
    kind, kind_from = _kind(question, extras, vote, structured=form is not None)
    options = _options(request, body, _instruction(extras, None if must_call(request) else form))
    question = replace(question, kind=kind, options=options)
    check_choices(question)
    _check_question(question, request)
    tools = chat is not None and bool(chat.tools)
    models = _able(vote, question, tools=tools)
    bigger = vote.profile.bigger
    if bigger is not None and not _can_be_asked(bigger, question, tools=tools):
        bigger = None
    if must_call(request) or not _is_instructed(kind, kind_from, tools=tools):
        models = tuple(map(_uninstructed, models))
        bigger = None if bigger is None else _uninstructed(bigger)
    plan = plan_of(request, extras, vote, len(models), caps)
    as_json = kind == "json" and kind_from in ("request", "profile")
    reading = reading_of(question, form, chat, as_json=as_json)
    vote.rule.weights([m.name for m in models], plan.k)  # says what a calibration is not for
    return Asked(
        model=request.model,
        question=question,
        kind_from=kind_from,
        models=models,
        bigger=None if plan.abstain_below is None else bigger,
        plan=plan,
        rule=vote.rule,
        seed=secrets.randbelow(_SEEDS) if request.seed is None else request.seed,
        read=reading.read,
        promise=reading.promise,
        json=form is not None,
        n=request.n or 1,
        stream=bool(request.stream),
        include_usage=bool(request.stream_options and request.stream_options.include_usage),
        return_samples=bool(extras.return_samples),
    )


def _check_question(question: Conversation, request: AnyRequest) -> None:
    field = "messages" if isinstance(request, ChatRequest) else "prompt"
    if not any(m.content.strip() or more_than_text(m) for m in question.messages):
        raise RequestError(f"{field}: nothing is said; ask something", param=field)
    try:
        validate(question)
    except QuestionError as error:
        raise RequestError(f"{field}: {error}", param=field) from error


def _form(chat: ChatRequest | None) -> ObjectForm | SchemaForm | None:
    form = None if chat is None else chat.response_format
    return None if isinstance(form, TextForm) else form


def _options(request: AnyRequest, body: dict[str, Any], instruction: str | None) -> Options:
    longest = request.max_tokens
    if isinstance(request, ChatRequest):
        longest = request.max_completion_tokens or longest
    stop = request.stop or ()
    return Options(
        temperature=request.temperature,
        top_p=request.top_p,
        max_tokens=longest,
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
        instruction=instruction,
        fields=_fields(body),
    )


def _kind(
    question: Conversation, extras: Extras, vote: Vote, *, structured: bool
) -> tuple[Kind, KindFrom]:
    if extras.kind not in (None, "auto"):
        return extras.kind, "request"
    if vote.profile.kind != "auto":
        return vote.profile.kind, "profile"
    if structured:
        return "json", "response_format"
    found = resolve_kind(question)
    return found, "fallback" if found == "text" else "auto"


def _instruction(extras: Extras, form: ObjectForm | SchemaForm | None) -> str | None:
    """What is said about the reply's form; None is what the kind says of itself."""
    if extras.instruction == "off":
        return ""
    if isinstance(form, SchemaForm):
        return f"{_JSON_ONLY} It must fit this JSON Schema:\n{json.dumps(form.json_schema.schema_)}"
    return None if form is None else _JSON_ONLY


def _is_instructed(kind: Kind, kind_from: KindFrom, *, tools: bool) -> bool:
    """Whether the kind says how to answer.

    Whoever speaks of JSON in a message says there what is to be in it.
    """
    said = kind_from in ("request", "profile")
    return said or (kind_from == "auto" and kind != "json" and not tools)


def _uninstructed(model: Model) -> Model:
    """The model without its kind's instruction; its own prompt style may still have one."""
    if model.prompt.instruction is not None:
        return model
    return replace(model, prompt=replace(model.prompt, instruction=""))


def _fields(body: dict[str, Any]) -> str | None:
    """What goes to every endpoint as it is."""
    passed_on = {key: body[key] for key in _PASSED_ON if body.get(key) is not None}
    if passed_on.get("response_format") == {"type": "text"}:
        del passed_on["response_format"]
    return json.dumps(passed_on) if passed_on else None


def _able(vote: Vote, question: Conversation, *, tools: bool) -> tuple[Model, ...]:
    """The models of the profile that can be asked this.

    Raises:
        RequestError: none can.
    """
    name, models = vote.profile.name, vote.way.models(vote.profile.models)
    able = tuple(m for m in models if _can_be_asked(m, question, tools=tools))
    if able:
        return able
    if tools and not any(
        _can_be_asked(m, replace(question, messages=()), tools=True) for m in models
    ):
        raise RequestError(
            f"no model of {name} can call tools: that takes a chat model behind an endpoint of its "
            "own",
            param="tools",
        )
    raise RequestError(
        f"messages: the models of {name} take text only, no pictures, sounds, files or tool calls",
        param="messages",
    )


def _can_be_asked(model: Model, question: Conversation, *, tools: bool) -> bool:
    # Base models continue a text, and the embedded server hands tools to none of its models.
    chats, alone = model.api == "chat", model.base_url != EMBEDDED
    if tools and not (chats and alone):
        return False
    if any(map(has_more_than_text, question.messages)):
        return chats and alone
    return chats or not any(map(more_than_text, question.messages))
