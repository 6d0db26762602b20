"""What a profile answers, over real sockets on both sides."""

import json
from dataclasses import replace
from typing import Any

import pytest

from slmmux import Mux, connect
from slmmux.gateway.caps import Caps
from slmmux.methods.live import ask as ask_live
from slmmux.testing import FaultEndpoint, Reply
from slmmux.types import Model, PromptStyle

BOX = r"Reason step by step, and put your final answer within \boxed{}."
SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer"}, "unit": {"type": "string"}},
    "required": ["n"],
    "additionalProperties": False,
}
FORM = {"type": "json_schema", "json_schema": {"name": "sum", "schema": SCHEMA, "strict": True}}
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}


def saying(*texts: str) -> FaultEndpoint:
    """An endpoint whose requests get these replies, in order and again."""
    given = iter(range(10**6))
    return FaultEndpoint(text=lambda *_: texts[next(given) % len(texts)])


def message(**fields: Any) -> Reply:
    choice = {"message": fields, "finish_reason": "stop"}
    usage = {"prompt_tokens": 10, "completion_tokens": 5}
    return Reply(body=json.dumps({"choices": [choice], "usage": usage}).encode())


def call(arguments: str, name: str = "add") -> Reply:
    function = {"name": name, "arguments": arguments}
    return message(content=None, tool_calls=[{"id": "c", "type": "function", "function": function}])


async def test_the_reply_is_the_winning_models_own_text_with_the_vote_behind_it(
    serve: Any,
) -> None:
    running = await serve(
        saying("It is 41.", "Say 42.", "Or 43."), saying("So: 6 × 7 = 42.", "It is 42.", "42")
    )
    reply = await running.ask(slmmux={"stopping": "off"})
    assert reply["object"] == "chat.completion"
    assert reply["model"] == "pool"
    (choice,) = reply["choices"]
    assert choice["message"] == {
        "role": "assistant",
        "content": "So: 6 × 7 = 42.",
        "refusal": None,
    }
    assert choice["finish_reason"] == "stop"
    behind = reply["slmmux"]
    assert behind["answer"] == "42"
    assert behind["decided_by"] == "b"
    assert behind["confidence"] == {"low": 1, "high": 1}
    assert behind["kind"] == "math"
    assert behind["kind_from"] == "auto"
    assert behind["probability"] is None
    assert (behind["draws"], behind["draws_saved"], behind["budget"]) == (6, 0, 6)
    assert [tally["model"] for tally in behind["tallies"]] == ["a", "b"]
    assert not behind["abstained"]
    assert behind["degraded"] == {}
    assert "samples" not in behind


async def test_usage_adds_up_every_upstream_call(serve: Any) -> None:
    running = await serve(FaultEndpoint(), FaultEndpoint())
    reply = await running.ask(slmmux={"stopping": "off", "k": 2})
    assert reply["usage"] == {
        "prompt_tokens": 40,
        "completion_tokens": 24,
        "total_tokens": 64,
    }


async def test_draws_that_cannot_change_the_answer_are_saved_and_counted(serve: Any) -> None:
    running = await serve(FaultEndpoint(), other := FaultEndpoint())
    behind = (await running.ask())["slmmux"]
    assert behind["draws_saved"] == 3
    assert behind["exact"]
    assert other.requests == []


async def test_a_conversation_reaches_every_model_as_it_is_with_the_instruction_below(
    serve: Any,
) -> None:
    running = await serve(a := FaultEndpoint(), b := FaultEndpoint())
    talk = [
        {"role": "developer", "content": "Talk like a pirate."},
        {"role": "user", "content": "Hi!"},
        {"role": "assistant", "content": "Arr!"},
        {"role": "user", "content": "What is 6 × 7?", "name": "Ann"},
    ]
    await running.ask(messages=talk, slmmux={"stopping": "off"})
    for endpoint in (a, b):
        for sent in endpoint.requests:
            assert sent["messages"][0] == {"role": "system", "content": "Talk like a pirate."}
            assert sent["messages"][1:3] == talk[1:3]
            assert sent["messages"][3] == {**talk[3], "content": f"What is 6 × 7?\n\n{BOX}"}
    await running.ask(messages=talk, slmmux={"instruction": "off"})
    assert a.requests[-1]["messages"][1:] == talk[1:]


async def test_what_a_request_says_of_sampling_goes_to_every_model(serve: Any) -> None:
    running = await serve(a := FaultEndpoint())
    options = {
        "temperature": 0.9,
        "top_p": 0.8,
        "stop": ["END"],
        "frequency_penalty": 0.5,
        "presence_penalty": -0.5,
        "user": "ann",
    }
    reply = await running.ask(**options, max_completion_tokens=7, seed=3, slmmux={"k": 1})
    (sent,) = a.requests
    assert {key: sent[key] for key in options} == options
    assert sent["max_tokens"] == 7
    assert sent["model"] == "model-a"
    assert reply["slmmux"]["seed"] == 3
    await running.ask(seed=4, slmmux={"k": 1})
    assert a.requests[1]["seed"] != sent["seed"]


async def test_a_request_without_a_seed_draws_afresh_and_says_how_to_repeat_it(serve: Any) -> None:
    running = await serve(a := FaultEndpoint())
    first = await running.ask(slmmux={"k": 1})
    await running.ask(slmmux={"k": 1})
    await running.ask(slmmux={"k": 1}, seed=first["slmmux"]["seed"])
    assert a.requests[1]["seed"] != a.requests[0]["seed"]
    assert a.requests[2] == a.requests[0]


async def test_several_choices_are_the_best_distinct_answers_of_the_full_budget(
    serve: Any,
) -> None:
    a = saying("It is 1.", "It is 1.", "It is 2.", "It is 3.")
    running = await serve(a, saying("It is 4.", "It is 5.", "It is 6.", "It is 6."))
    reply = await running.ask(n=3, slmmux={"k": 4})
    texts = [choice["message"]["content"] for choice in reply["choices"]]
    assert texts == ["It is 1.", "It is 6.", "It is 2."]
    assert [choice["index"] for choice in reply["choices"]] == [0, 1, 2]
    assert reply["slmmux"]["draws"] == 8
    assert len((await running.ask(n=30, slmmux={"k": 4}))["choices"]) == 6


async def test_json_is_voted_on_as_a_whole_and_misfits_are_unreadable(serve: Any) -> None:
    a = saying('{"n": 42, "unit": "m"}', '```json\n{"unit":"m","n":42.0}\n```', '{"n": "42"}')
    running = await serve(a)
    reply = await running.ask(response_format=FORM, slmmux={"stopping": "off"})
    assert reply["choices"][0]["message"]["content"] == '{"n": 42, "unit": "m"}'
    behind = reply["slmmux"]
    assert (behind["kind"], behind["kind_from"]) == ("json", "response_format")
    assert behind["confidence"]["low"] == pytest.approx(2 / 3)
    assert behind["tallies"][0]["unreadable"] == 1
    sent = a.requests[0]
    assert sent["response_format"] == FORM
    assert sent["messages"][0]["content"].endswith(f"this JSON Schema:\n{json.dumps(SCHEMA)}")


async def test_an_upstream_without_reply_forms_is_asked_in_words_and_checked(serve: Any) -> None:
    no = Reply(400, b'{"error": {"message": "response_format is not supported"}}')
    a = FaultEndpoint(no, "ok", text='Here you are: {"n": 42}. Anything else?')
    running = await serve(a, limits=replace_limits())
    reply = await running.ask(response_format={"type": "json_object"}, slmmux={"k": 1})
    assert reply["choices"][0]["message"]["content"] == '{"n": 42}'
    assert "response_format" not in a.requests[-1]


def replace_limits() -> Any:
    from slmmux.sampling import SamplingLimits  # noqa: PLC0415

    return SamplingLimits(max_attempts=1)


async def test_a_kind_that_is_said_reads_the_answer_in_the_json(serve: Any) -> None:
    a = saying('{"reasoning": "short", "answer": "42"}', '{"answer": 42, "reasoning": "long"}')
    running = await serve(a)
    form = {"type": "json_object"}
    reply = await running.ask(
        response_format=form, slmmux={"k": 2, "kind": "number", "stopping": "off"}
    )
    assert reply["slmmux"]["confidence"] == {"low": 1, "high": 1}
    assert json.loads(reply["choices"][0]["message"]["content"])["reasoning"] == "short"


async def test_tool_calls_are_voted_on_and_the_winners_own_are_the_reply(serve: Any) -> None:
    odd = FaultEndpoint(call('{"a": 6, "b": 7}'), call('{"b":7,"a":6.0}'), call('{"a": 1}'))
    running = await serve(odd)
    reply = await running.ask(tools=[TOOL], slmmux={"stopping": "off"})
    (choice,) = reply["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    (made,) = choice["message"]["tool_calls"]
    assert made["function"] == {"name": "add", "arguments": '{"a": 6, "b": 7}'}
    assert reply["slmmux"]["answer"] == 'add({"a":6,"b":7})'
    assert reply["slmmux"]["confidence"]["low"] == pytest.approx(2 / 3)
    assert odd.requests[0]["tools"] == [TOOL]


@pytest.mark.parametrize(
    "made", [call("{"), call("[]"), call("{}", "launch"), call('{"a": 1} and more')]
)
async def test_a_call_that_cannot_be_made_votes_for_nothing(serve: Any, made: Reply) -> None:
    running = await serve(FaultEndpoint(made))
    assert (await running.ask(tools=[TOOL], slmmux={"k": 1}))["slmmux"]["abstained"]


async def test_two_calls_at_once_vote_for_nothing_where_one_was_asked_for(serve: Any) -> None:
    one = {"id": "c", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    running = await serve(a := FaultEndpoint(message(content=None, tool_calls=[one, one])))
    reply = await running.ask(tools=[TOOL], slmmux={"k": 1})
    assert len(reply["choices"][0]["message"]["tool_calls"]) == 2
    reply = await running.ask(tools=[TOOL], parallel_tool_calls=False, slmmux={"k": 1})
    assert reply["slmmux"]["abstained"]
    assert a.requests[-1]["parallel_tool_calls"] is False


@pytest.mark.parametrize(
    ("kind", "said", "answer"),
    [
        ("yes_no", '{"answer": true}', "true"),
        ("date", '{"when": "2024-05-01"}', "2024-05-01"),
        ("math", '{"steps": "3 + 4", "answer": 7}', "7"),
        ("text", '{"answer": "Paris"}', "Paris"),
    ],
)
async def test_any_kind_is_read_from_the_json_that_was_asked_for(
    serve: Any, kind: str, said: str, answer: str
) -> None:
    running = await serve(saying(said))
    reply = await running.ask(response_format={"type": "json_object"}, slmmux={"kind": kind})
    assert reply["slmmux"]["answer"] == answer
    assert reply["choices"][0]["message"]["content"] == said


async def test_a_call_that_is_required_is_the_only_vote(serve: Any) -> None:
    running = await serve(FaultEndpoint("ok", call("{}"), call("{}")))
    reply = await running.ask(tools=[TOOL], tool_choice="required", slmmux={"stopping": "off"})
    assert reply["slmmux"]["tallies"][0]["unreadable"] == 1
    assert reply["choices"][0]["finish_reason"] == "tool_calls"


async def test_base_models_are_left_out_where_tools_are_offered(serve: Any) -> None:
    b = FaultEndpoint(call("{}"))
    async with FaultEndpoint() as a:
        base = Model(name="a", model="a", base_url=a.base_url, api="completions")
        running = await serve(base, b)
        reply = await running.ask(tools=[TOOL])
        assert [tally["model"] for tally in reply["slmmux"]["tallies"]] == ["b"]
        assert a.requests == []


async def test_where_no_model_can_call_tools_the_request_is_refused(serve: Any) -> None:
    base = Model(name="a", model="a", base_url="http://127.0.0.1:9/v1", api="completions")
    running = await serve(base)
    status, error = await running.refusal(tools=[TOOL])
    assert (status, error["param"]) == (400, "tools")
    assert "no model of pool can call tools" in error["message"]


async def test_the_kind_is_the_requests_then_the_profiles_then_guessed(serve: Any) -> None:
    running = await serve(saying("The answer is yes."), kind="yes_no")
    assert (await running.ask())["slmmux"]["kind_from"] == "profile"
    behind = (await running.ask(slmmux={"kind": "text"}))["slmmux"]
    assert (behind["kind"], behind["kind_from"]) == ("text", "request")


async def test_what_is_of_no_kind_is_grouped_by_its_text_which_the_reply_says(serve: Any) -> None:
    running = await serve(a := saying("Roses are red.", "roses are  red", "Violets are blue."))
    reply = await running.ask("Write a poem.", slmmux={"stopping": "off"})
    behind = reply["slmmux"]
    assert (behind["kind"], behind["kind_from"]) == ("text", "fallback")
    assert "normalised text" in behind["kind_note"]
    assert reply["choices"][0]["message"]["content"] == "Roses are red."
    assert a.requests[0]["messages"] == [{"role": "user", "content": "Write a poem."}]


async def test_a_prompt_styles_own_instruction_stays_where_the_kind_has_none(serve: Any) -> None:
    async with FaultEndpoint() as a:
        style = PromptStyle(instruction="In French.")
        running = await serve(Model(name="a", model="a", base_url=a.base_url, prompt=style))
        await running.ask("Write a poem.", slmmux={"k": 1})
        assert a.requests[0]["messages"][0]["content"] == "Write a poem.\n\nIn French."


async def test_choices_are_put_below_the_question_and_read(serve: Any) -> None:
    running = await serve(a := saying("The answer is (B)."))
    reply = await running.ask("The sky?", slmmux={"choices": ["green", "blue"]})
    assert reply["slmmux"]["kind"] == "choice"
    assert reply["slmmux"]["answer"] == "B"
    assert "A) green\nB) blue" in a.requests[0]["messages"][0]["content"]


async def test_without_a_readable_answer_the_best_models_first_text_is_the_reply(
    serve: Any,
) -> None:
    async with saying("Who knows?") as a, saying("What a question!", "Well.") as b:
        models = [
            Model(name=n, model=n, base_url=e.base_url, validation_accuracy=accuracy)
            for n, e, accuracy in (("a", a, 0.1), ("b", b, 0.9))
        ]
        running = await serve(*models)
        reply = await running.ask(slmmux={"stopping": "off"})
        assert reply["slmmux"]["abstained"]
        assert reply["slmmux"]["answer"] is None
        assert reply["choices"][0]["message"]["content"] == "What a question!"


async def test_all_upstreams_down_is_a_503_with_each_ones_reason(serve: Any) -> None:
    running = await serve(FaultEndpoint("server error"), FaultEndpoint("wrong key"))
    status, error = await running.refusal()
    assert status == 503
    assert error["type"] == "upstream_error"
    assert "CUDA out of memory" in error["upstreams"]["a"]
    assert "Incorrect API key" in error["upstreams"]["b"]


async def test_a_quorum_that_is_not_met_is_an_error_too(serve: Any) -> None:
    running = await serve(FaultEndpoint(), FaultEndpoint("server error"))
    status, error = await running.refusal(slmmux={"quorum": 2})
    assert (status, error["code"]) == (503, "quorum_not_met")
    assert list(error["upstreams"]) == ["b"]


async def test_one_model_down_is_named_and_the_vote_goes_on(serve: Any) -> None:
    running = await serve(FaultEndpoint("server error"), FaultEndpoint())
    behind = (await running.ask())["slmmux"]
    assert list(behind["degraded"]) == ["a"]
    assert behind["answer"] == "42"


async def test_a_question_that_fits_no_models_context_is_the_clients_matter(serve: Any) -> None:
    running = await serve(FaultEndpoint("context"))
    status, error = await running.refusal()
    assert (status, error["code"]) == (400, "context_length_exceeded")


async def test_a_request_that_every_endpoint_rejects_is_not_worth_another_try(serve: Any) -> None:
    no = Reply(400, b'{"error": {"message": "frequency_penalty is not allowed"}}')
    running = await serve(FaultEndpoint(no), FaultEndpoint(no))
    status, error = await running.refusal(frequency_penalty=1)
    assert (status, error["code"]) == (400, "rejected_upstream")
    assert "frequency_penalty is not allowed" in error["upstreams"]["b"]


async def test_a_deadline_takes_the_vote_over_what_has_come(serve: Any) -> None:
    running = await serve(FaultEndpoint("hang"), FaultEndpoint())
    behind = (await running.ask(slmmux={"deadline_s": 0.4}))["slmmux"]
    assert behind["answer"] == "42"
    assert behind["elapsed_s"] < 2


async def test_a_profile_may_not_wait_longer_than_any_request_may(serve: Any) -> None:
    running = await serve(FaultEndpoint(), caps=Caps(deadline_s=5), deadline_s=60.0)
    assert (await running.ask())["slmmux"]["answer"] == "42"


async def test_samples_come_along_when_asked_for(serve: Any) -> None:
    running = await serve(FaultEndpoint())
    samples = (await running.ask(slmmux={"return_samples": True, "k": 1}))["slmmux"]["samples"]
    assert [s["text"] for s in samples] == ["The answer is 42."]


async def test_reasoning_stands_beside_the_content(serve: Any) -> None:
    running = await serve(saying("<think>6 × 7 …</think>It is 42."))
    (choice,) = (await running.ask(slmmux={"k": 1}))["choices"]
    assert choice["message"]["content"] == "It is 42."
    assert choice["message"]["reasoning_content"] == "6 × 7 …"


@pytest.mark.parametrize("method", ["mux", "pooled_vote", "self_consistency", "single"])
async def test_a_method_by_its_name_answers_as_it_does_everywhere(serve: Any, method: str) -> None:
    def text(body: dict[str, Any], _: int) -> str:
        return f"The answer is {body['seed'] % 3}."

    async with FaultEndpoint(text=text) as a, FaultEndpoint(text=text) as b:
        models = [
            Model(name=n, model=n, base_url=e.base_url, validation_accuracy=accuracy)
            for n, e, accuracy in (("a", a, 0.4), ("b", b, 0.6))
        ]
        running = await serve(*models, k=5)
        reply = await running.ask(
            model=f"pool:{method}",
            slmmux={"return_samples": True, "instruction": "off"},
            seed=0,
        )
        samples = reply["slmmux"]["samples"]
        assert {s["model"] for s in samples} <= (
            {"a", "b"} if method in ("mux", "pooled_vote") else {"b"}
        )
        question = replace_id("What is 6 × 7?", samples[0]["question_id"])
        async with connect(models) as pool:
            expected = await ask_live(Mux(pool, k=5, stopping="off"), method, question)
        assert reply["slmmux"]["answer"] == expected.answer


def replace_id(text: str, identity: str) -> Any:
    from slmmux.prompts import question_of  # noqa: PLC0415

    return replace(question_of(text), id=identity)


async def test_a_completion_puts_its_prompt_to_the_pool_and_answers_in_its_own_shape(
    serve: Any,
) -> None:
    running = await serve(a := FaultEndpoint())
    for prompt in ("What is 6 × 7?", ["What is 6 × 7?"]):
        status, reply = await running.post({"model": "pool", "prompt": prompt}, "completions")
        assert status == 200
        assert reply["object"] == "text_completion"
        assert reply["choices"] == [
            {"index": 0, "text": "The answer is 42.", "finish_reason": "stop", "logprobs": None}
        ]
    assert a.requests[0]["messages"][0]["content"].startswith("What is 6 × 7?")


async def test_models_lists_profiles_methods_and_members(serve: Any) -> None:
    running = await serve(FaultEndpoint(), FaultEndpoint())
    async with running.session.get(f"{running.url}/v1/models") as reply:
        listed = {entry["id"]: entry["slmmux"]["role"] for entry in (await reply.json())["data"]}
    assert listed["pool"] == "profile"
    assert listed["pool:self_consistency"] == "method"
    assert listed["a"] == listed["b"] == "member"
    assert "pool:calibrated" not in listed
    for name in listed:
        async with running.session.get(f"{running.url}/v1/models/{name}") as reply:
            assert (await reply.json())["id"] == name


async def test_health_is_told_apart_from_being_ready(serve: Any) -> None:
    running = await serve(FaultEndpoint())
    running.gateway.ready = False
    async with running.session.get(f"{running.url}/healthz") as reply:
        assert reply.status == 200
    async with running.session.get(f"{running.url}/readyz") as reply:
        assert reply.status == 503
        assert (await reply.json())["error"]["message"]


async def test_an_answer_that_is_not_sure_enough_is_held_back_but_said(serve: Any) -> None:
    running = await serve(saying("It is 1.", "It is 2.", "It is 3."), abstain_below=0.9)
    reply = await running.ask(slmmux={"stopping": "off"})
    assert reply["slmmux"]["abstained"]
    assert "held back" in reply["slmmux"]["reason"]
    assert reply["choices"][0]["message"]["content"] == "It is 1."


async def test_a_bigger_model_is_asked_where_the_pool_is_not_sure(serve: Any) -> None:
    async with saying("It is 42.") as b:
        bigger = Model(name="big", model="big", base_url=b.base_url)
        pool = saying("It is 1.", "It is 2.", "It is 3.")
        running = await serve(pool, abstain_below=0.9, bigger=bigger)
        reply = await running.ask(temperature=0)
        assert reply["slmmux"]["decided_by"] == "big"
        assert reply["slmmux"]["escalated"]["key"] == "1"
        assert reply["choices"][0]["message"]["content"] == "It is 42."
        assert b.requests[0]["temperature"] == 0
