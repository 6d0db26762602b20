"""A request's fields × a profile → what is asked of which models, and how the reply is read.

How the kind of answer is found, first rule first: the request's `slmmux.kind`; the profile's; JSON
where `response_format` asks for it; what `answers.resolve_kind` makes of the last user message;
and where that is nothing in particular, replies are grouped by their normalised text.

The answer-format instruction goes along wherever the kind was said or found, not where replies are
only grouped by text, nor with tools; `slmmux.instruction = "off"` leaves every message as it came.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from slmmux.answers import read_async, resolve_kind
from slmmux.engines.base import Completion
from slmmux.gateway.caps import Caps
from slmmux.gateway.failures import RequestError
from slmmux.gateway.fields import (
    ChatRequest,
    CompletionRequest,
    Extras,
    NamedTool,
    ObjectForm,
    RiskStop,
    SchemaForm,
    TextForm,
    Tool,
)
from slmmux.gateway.schemas import Check, check_of
from slmmux.gateway.state import Vote
from slmmux.gateway.structured import object_reader, tool_reader
from slmmux.pool import EMBEDDED
from slmmux.prompts import validate
from slmmux.rules import Rule
from slmmux.sampling import Read
from slmmux.types import Answer, Conversation, Kind, Message, Model, Options
from slmmux.waves import Plan, Risk, Stopping

AnyRequest: TypeAlias = ChatRequest | CompletionRequest
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
_JSON_ONLY = "Reply with JSON only, and nothing around it."


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request to a profile, ready to be voted on.

    Attributes:
        models: that are asked.
        bigger: who is asked where their answer is not sure enough.
        seed: of the run.
        kind_from: what said how answers are read.
        read: gets the answer out of a completion.
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
    json: bool
    n: int
    stream: bool
    include_usage: bool
    return_samples: bool


def asked(request: AnyRequest, body: dict[str, Any], vote: Vote, caps: Caps) -> Asked:
    """What the request asks of the profile.

    Args:
        request: the body, checked.
        body: the same as it came: what goes to the models as it is.
        vote: what the request's model stands for.
        caps: that it must keep.

    Raises:
        RequestError: what cannot be honoured, with its field.
        QuestionError: the question cannot be asked.
    """
    extras = request.slmmux or Extras()
    chat = request if isinstance(request, ChatRequest) else None
    form = _form(chat)
    question = _question(_messages(request, body), extras)
    kind, kind_from = _kind(question, extras, vote, structured=form is not None)
    options = _options(request, body, _instruction(extras, form))
    question = replace(question, kind=kind, options=options)
    validate(question)
    models = _able(vote, question, tools=chat is not None and bool(chat.tools))
    if not _is_instructed(kind, kind_from, tools=chat is not None and bool(chat.tools)):
        models = tuple(map(_uninstructed, models))
    plan = _plan(request, extras, vote, len(models), caps)
    vote.rule.weights([m.name for m in models], plan.k)  # says what a calibration is not for
    return Asked(
        model=request.model,
        question=question,
        kind_from=kind_from,
        models=models,
        bigger=None if plan.abstain_below is None else vote.profile.bigger,
        plan=plan,
        rule=vote.rule,
        seed=vote.profile.settings.seed if request.seed is None else request.seed,
        read=_reader(question, form, chat),
        json=form is not None,
        n=request.n or 1,
        stream=bool(request.stream),
        include_usage=bool(request.stream_options and request.stream_options.include_usage),
        return_samples=bool(extras.return_samples),
    )


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


def _messages(request: AnyRequest, body: dict[str, Any]) -> tuple[Message, ...]:
    if isinstance(request, CompletionRequest):
        prompt = request.prompt if isinstance(request.prompt, str) else request.prompt[0]
        return (Message("user", prompt),)
    return tuple(map(_message, body["messages"]))


def _message(said: dict[str, Any]) -> Message:
    role = "system" if said["role"] == "developer" else said["role"]
    content = said.get("content")
    if isinstance(content, str) and len(said) == 2:  # noqa: PLR2004 - role and content
        return Message(role, content)
    parts = content if isinstance(content, list) else []
    text = "\n".join(p["text"] for p in parts if p["type"] == "text") if parts else content or ""
    return Message(role, text, json.dumps({**said, "role": role}))


def _question(messages: Sequence[Message], extras: Extras) -> Conversation:
    """The last user message as a question, named after the whole conversation."""
    last = next((m.content for m in reversed(messages) if m.role == "user"), "")
    choices = tuple(extras.choices or ())
    whole = json.dumps([[m.role, m.raw or m.content] for m in messages])
    identity = hashlib.blake2b((whole + "\n".join(choices)).encode(), digest_size=8).hexdigest()
    return Conversation(text=last, id=identity, choices=choices, messages=tuple(messages))


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
    try:
        return json.dumps(passed_on, allow_nan=False) if passed_on else None
    except ValueError as error:
        raise RequestError("a number is too large for JSON") from error


def _able(vote: Vote, question: Conversation, *, tools: bool) -> tuple[Model, ...]:
    """The models of the profile that can be asked this.

    Raises:
        RequestError: none can.
    """
    models = vote.way.models(vote.profile.models)
    # Base models continue a text, and the embedded server hands tools to none of its models.
    if tools:
        models = tuple(m for m in models if m.api == "chat" and m.base_url != EMBEDDED)
        if not models:
            raise RequestError(
                f"no model of {vote.profile.name} can call tools: that takes a chat model behind "
                "an endpoint of its own",
                param="tools",
            )
    if any(_more_than_text(message) for message in question.messages):
        models = tuple(m for m in models if m.api == "chat")
        if not models:
            raise RequestError(
                f"the models of {vote.profile.name} take text only", param="messages"
            )
    return models


def _more_than_text(message: Message) -> bool:
    if message.raw is None:
        return False
    whole = json.loads(message.raw)
    content = whole.get("content")
    parts = content if isinstance(content, list) else ()
    return (
        message.role == "tool"
        or bool(whole.get("tool_calls"))
        or any(part["type"] != "text" for part in parts)
    )


def _plan(request: AnyRequest, extras: Extras, vote: Vote, models: int, caps: Caps) -> Plan:
    settings, way = vote.profile.settings, vote.way
    if way.k is not None and extras.k not in (None, way.k):
        raise RequestError(f"{request.model} takes {way.k} sample; leave k out", param="slmmux.k")
    k = way.k or extras.k or settings.k
    if k * models > caps.draws:
        raise RequestError(
            f"{k} samples of {models} models are {k * models} draws; a request may take "
            f"{caps.draws}",
            param="slmmux.k",
        )
    if (request.n or 1) > caps.choices:
        raise RequestError(f"n is {request.n}; it can be 1 to {caps.choices}", param="n")
    deadline_s = extras.deadline_s or settings.deadline_s or caps.deadline_s
    if deadline_s > caps.deadline_s:
        raise RequestError(
            f"deadline_s is {deadline_s:g}; it can be at most {caps.deadline_s:g}",
            param="slmmux.deadline_s",
        )
    quorum = extras.quorum or min(settings.quorum, models)
    if quorum > models:
        raise RequestError(f"quorum is {quorum}; {models} models are asked", param="slmmux.quorum")
    stopping = "off" if (request.n or 1) > 1 else _stopping(extras) or settings.stopping
    return Plan(
        k=k,
        stopping=stopping,
        schedule=settings.schedule,
        quorum=quorum,
        deadline_s=deadline_s,
        abstain_below=None if way.one else settings.abstain_below,
    )


def _stopping(extras: Extras) -> Stopping | None:
    wanted = extras.stopping
    return Risk(wanted.risk) if isinstance(wanted, RiskStop) else wanted


def _reader(
    question: Conversation, form: ObjectForm | SchemaForm | None, chat: ChatRequest | None
) -> Read:
    kind, choices = question.kind, question.choices

    async def by_kind(completion: Completion) -> Answer | None:
        return await read_async(completion.text or "", kind, choices, completion.finish_reason)

    texts: Read = by_kind
    if form is not None:
        schema = form.json_schema.schema_ if isinstance(form, SchemaForm) else None
        where = "response_format.json_schema.schema"
        check = None if schema is None else check_of(schema, where)
        texts = object_reader(check, kind, choices)
    if chat is None or not chat.tools:
        return texts
    match chat.tool_choice:
        case NamedTool(function=named):
            chosen = [tool for tool in chat.tools if tool.function.name == named.name]
            if not chosen:
                raise RequestError(f"there is no tool {named.name}", param="tool_choice")
            return tool_reader(_checks(chosen), None)
        case "required":
            return tool_reader(_checks(chat.tools), None)
        case "none":
            return tool_reader({}, texts)
        case _:
            return tool_reader(_checks(chat.tools), texts)


def _checks(tools: Sequence[Tool]) -> dict[str, Check | None]:
    """Tool → the check of its arguments, where it insists on them."""
    checks: dict[str, Check | None] = {}
    for place, tool in enumerate(tools):
        schema = tool.function.parameters if tool.function.strict else None
        where = f"tools.{place}.function.parameters"
        checks[tool.function.name] = None if schema is None else check_of(schema, where)
    return checks
