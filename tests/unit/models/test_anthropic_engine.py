"""Anthropic's Messages API over HTTP: what is sent, and what becomes of its stream. A real server plays scripts."""

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest
from aiohttp import web
from pydantic import SecretStr

from models.catalog import Spec
from models.engines.anthropic import AnthropicMessages
from models.engines.anthropic_wire import Reading, body_of
from models.engines.http_generator import Timeouts
from models.errors import ContextTooLong, InvalidRequest, ModelOverloaded, ModelRefused, ModelUnavailable
from models.outputs import Accumulator
from models.values import (
    Finished,
    GenerateRequest,
    Image,
    JsonSchema,
    Message,
    Sampling,
    Started,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Usage,
)

SPEC = Spec(
    "claude", "chat", "anthropic", "anthropic", "claude-x", max_output_tokens=100,
    refused_parameters=frozenset({"temperature"}),
)  # fmt: skip
ASK = GenerateRequest("claude", (Message("system", "be kind"), Message("user", "hi")))


def event(kind: str, **fields: object) -> bytes:
    return f"event: {kind}\ndata: {orjson.dumps({'type': kind, **fields}).decode()}\n\n".encode()


def delta(index: int, kind: str, **fields: object) -> bytes:
    return event("content_block_delta", index=index, delta={"type": kind, **fields})


def begin(index: int, kind: str, **fields: object) -> bytes:
    return event("content_block_start", index=index, content_block={"type": kind, **fields})


COUNTS = {"input_tokens": 5, "cache_read_input_tokens": 30, "cache_creation_input_tokens": 7, "output_tokens": 1}
START = event("message_start", message={"id": "msg_1", "model": "claude-x", "usage": COUNTS})
END = event("message_delta", delta={"stop_reason": "tool_use", "stop_sequence": None}, usage={"output_tokens": 20})
STOP = event("message_stop")
WHOLE = [
    START,
    begin(0, "thinking", thinking="", signature=""),
    event("ping"),
    delta(0, "thinking_delta", thinking="Rain? "),
    delta(0, "thinking_delta", thinking="Look."),
    delta(0, "signature_delta", signature="sealed"),
    event("content_block_stop", index=0),
    begin(1, "text", text=""),
    delta(1, "text_delta", text="I lo"),
    delta(1, "text_delta", text="ok é"),
    begin(2, "tool_use", id="t1", name="weather", input={}),
    delta(2, "input_json_delta", partial_json=""),
    delta(2, "input_json_delta", partial_json='{"city":'),
    begin(3, "server_tool_use", id="s1", name="their own", input={}),
    delta(3, "input_json_delta", partial_json="{}"),
    begin(4, "tool_use", id="t2", name="time", input={}),
    delta(4, "input_json_delta", partial_json="{}"),
    delta(2, "input_json_delta", partial_json='"Riga"}'),
    END,
    STOP,
]
SAID = (Thinking("Rain? Look.", "sealed"), Text("I look é"), ToolCall("t1", "weather", '{"city":"Riga"}'),
        ToolCall("t2", "time", "{}"))  # fmt: skip


class Server:
    """Answers with `status`, `headers` and `parts`."""

    def __init__(self) -> None:
        self.status, self.headers, self.parts = 200, {"content-type": "text/event-stream"}, list(WHOLE)
        self.seen: list[tuple[dict[str, str], dict]] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(({name.lower(): value for name, value in request.headers.items()}, await request.json()))
        answer = web.StreamResponse(status=self.status, headers=self.headers)
        await answer.prepare(request)
        for part in self.parts:
            await answer.write(part)
            await asyncio.sleep(0)
        return answer


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    played = Server()
    app = web.Application()
    app.router.add_post("/v1/messages", played.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    played.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield played
    await runner.cleanup()


@pytest.fixture
async def engine(server: Server) -> AsyncIterator[AnthropicMessages]:
    engine = AnthropicMessages(server.url, SecretStr("hush"), Timeouts(silence_s=5))
    yield engine
    await engine.close()


async def collect(engine: AnthropicMessages, request: GenerateRequest = ASK) -> list:
    return [event async for event in engine.stream(SPEC, request)]


def sent(request: GenerateRequest) -> dict:
    return orjson.loads(body_of(SPEC, request))


async def test_a_stream_becomes_events_in_order_with_thoughts_and_tool_calls(server, engine) -> None:
    events = await collect(engine)
    assert events[0] == Started("claude")
    assert Accumulator(events).output().parts == SAID
    assert events[-1] == Finished("tool_calls", Usage(42, 20, 30, 7))
    headers, body = server.seen[0]
    assert (headers["x-api-key"], headers["anthropic-version"]) == ("hush", "2023-06-01")
    assert "authorization" not in headers
    assert body == {
        "model": "claude-x",
        "max_tokens": 100,
        "stream": True,
        "system": [{"type": "text", "text": "be kind"}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
    }


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_wherever_the_stream_is_cut_it_says_the_same(size: int) -> None:
    whole, reading, answer = b"".join(WHOLE), Reading(SPEC), Accumulator()
    for start in range(0, len(whole), size):
        for one in reading.feed(whole[start : start + size]):
            answer.add(one)
    answer.add(reading.end())
    assert answer.output().parts == SAID
    assert reading.ended


@pytest.mark.parametrize(
    ("given", "reason"),
    [("end_turn", "stop"), ("max_tokens", "length"), ("tool_use", "tool_calls"), ("refusal", "content_filter"),
     ("model_context_window_exceeded", "length"), ("a word of next year", "stop")],
)  # fmt: skip
def test_stop_reasons_have_our_names(given: str, reason: str) -> None:
    reading = Reading(SPEC)
    reading.feed(START + event("message_delta", delta={"stop_reason": given}, usage={}) + STOP)
    assert reading.end().reason == reason


def test_the_stop_sequence_that_ended_it_is_told() -> None:
    reading = Reading(SPEC)
    reading.feed(START + event("message_delta", delta={"stop_reason": "stop_sequence", "stop_sequence": "###"}) + STOP)
    assert reading.end() == Finished("stop", Usage(42, 1, 30, 7), "###")


def test_a_conversation_with_tools_images_thoughts_and_breakpoints_goes_out_as_theirs() -> None:
    body = sent(
        GenerateRequest(
            "claude",
            (
                Message("system", (Text("be kind", "1h"),)),
                Message("user", (Text("look"), Image("aGk=", "image/png"), Image(url="https://e.org/a", cache="5m"))),
                Message("assistant", SAID),
                Message("user", (ToolResult("t1", (Text("rain"),)),)),
                Message("user", (ToolResult("t2", (Text("noon"),), is_error=True, cache="5m"),)),
                Message("user", "so?"),
            ),
            tools=(Tool("weather", {"type": "object"}, "how it is", cache="5m"),),
            tool_choice=ToolChoice("named", "weather"),
            parallel_tool_calls=False,
            answer_schema=JsonSchema({"type": "object"}),
            effort="low",
        )
    )
    ephemeral = {"type": "ephemeral"}
    assert body["system"] == [{"type": "text", "text": "be kind", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    user, assistant, results = body["messages"]
    assert user["content"][1:] == [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
        {"type": "image", "source": {"type": "url", "url": "https://e.org/a"}, "cache_control": ephemeral},
    ]
    assert assistant["content"] == [
        {"type": "thinking", "thinking": "Rain? Look.", "signature": "sealed"},
        {"type": "text", "text": "I look é"},
        {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Riga"}},
        {"type": "tool_use", "id": "t2", "name": "time", "input": {}},
    ]
    assert [block["type"] for block in results["content"]] == ["tool_result", "tool_result", "text"]
    assert results["content"][1]["is_error"]
    assert results["content"][1]["cache_control"] == ephemeral
    assert body["tools"] == [
        {"name": "weather", "description": "how it is", "input_schema": {"type": "object"}, "cache_control": ephemeral}
    ]
    assert body["tool_choice"] == {"type": "tool", "name": "weather", "disable_parallel_tool_use": True}
    assert body["output_config"] == {"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}}


@pytest.mark.parametrize(("mode", "theirs"), [("auto", "auto"), ("none", "none"), ("required", "any")])
def test_whether_tools_are_called_is_said_in_their_words(mode: str, theirs: str) -> None:
    asked = GenerateRequest("claude", ASK.messages, tools=(Tool("f", {}),), tool_choice=ToolChoice(mode))
    assert sent(asked)["tool_choice"] == {"type": theirs}


def test_what_frameworks_send_and_mean_nothing_by_is_left_out_where_it_would_be_refused() -> None:
    asked = GenerateRequest("claude", ASK.messages, sampling=Sampling(temperature=1.0, top_p=0.5, stop=("x",)))
    body = sent(asked)
    assert "temperature" not in body
    assert (body["top_p"], body["stop_sequences"]) == (0.5, ["x"])


@pytest.mark.parametrize("arguments", ["not JSON", "[1]", '"text"'])
def test_arguments_that_are_no_object_are_the_caller_s_to_mend(arguments: str) -> None:
    with pytest.raises(InvalidRequest, match="'c7'"):
        sent(GenerateRequest("claude", (Message("assistant", (ToolCall("c7", "f", arguments),)),)))


def test_thoughts_that_nobody_signed_and_empty_text_stay_here() -> None:
    turns = (Message("assistant", (Thinking("hm"), Text(""), Text("yes"))), Message("user", "go on"))
    assert sent(GenerateRequest("claude", turns))["messages"][0]["content"] == [{"type": "text", "text": "yes"}]


def failure(kind: str, message: str = "m") -> bytes:
    return orjson.dumps({"type": "error", "error": {"type": kind, "message": message}})


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, failure("invalid_request_error", "prompt is too long: 21 tokens > 20 maximum"), ContextTooLong),
        (400, failure("invalid_request_error", "tools.0: no"), InvalidRequest),
        (401, failure("authentication_error"), ModelUnavailable),
        (403, failure("permission_error"), ModelUnavailable),
        (404, failure("not_found_error"), ModelRefused),
        (429, failure("rate_limit_error"), ModelOverloaded),
        (529, failure("overloaded_error"), ModelOverloaded),
        (500, b"<html>", ModelOverloaded),
    ],
)
async def test_their_errors_become_ours(server, engine, status: int, body: bytes, kind: type[Exception]) -> None:
    server.status, server.parts, server.headers = status, [body], {"retry-after": "3"}
    with pytest.raises(kind) as caught:
        await collect(engine)
    if kind is ModelOverloaded:
        assert caught.value.retry_after_s == 3
    if kind is ContextTooLong:
        assert (caught.value.prompt_tokens, caught.value.context_tokens) == (21, 20)


async def test_an_error_in_the_midst_of_a_stream_is_theirs_and_may_pass(server, engine) -> None:
    server.parts = [*WHOLE[:9], event("error", error={"type": "overloaded_error", "message": "busy"})]
    with pytest.raises(ModelOverloaded):
        await collect(engine)


@pytest.mark.parametrize("parts", [WHOLE[:9], [START, b"data: {}\n\n"], [START, b"data: not JSON\n\n"]])
async def test_a_stream_that_breaks_off_or_is_none_is_said_to(server, engine, parts: list[bytes]) -> None:
    server.parts = parts
    with pytest.raises(ModelUnavailable):
        await collect(engine)
