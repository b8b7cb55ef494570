"""/v1/chat/completions: wire <-> values."""

import contextlib
import json

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from deployments.completion import storable
from deployments.surfaces import chat
from models.catalog import Spec
from models.engines.openai_wire import Reading, body_of
from models.errors import InvalidRequest
from models.outputs import Accumulator, Output
from models.values import (
    DataClass,
    Finished,
    GenerateRequest,
    Image,
    JsonSchema,
    Message,
    Sampling,
    Started,
    Text,
    TextDelta,
    ThinkingDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolCallStarted,
    ToolChoice,
    ToolResult,
    Usage,
)

BODY = {"model": "realtime", "messages": [{"role": "user", "content": "hi"}]}
USAGE = Usage(12, 3, 5)
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
SPEC = Spec("any", "chat", "openai", "openai", "any")


def user(*parts: object) -> dict:
    return {"role": "user", "content": list(parts)}


def read(**changes):
    return chat.read({**BODY, **changes}, DataClass.PERSONAL)


def test_a_request_becomes_values() -> None:
    wire, request = read(
        messages=[
            {"role": "developer", "content": "be kind"},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "name": "ann"},
        ],
        max_tokens=9,
        temperature=0.5,
        seed=7,
        stop=["x", "y"],
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
        stream=True,
        stream_options={"include_usage": True},
    )
    assert request.messages == (Message("system", "be kind"), Message("user", "ab", "ann"))
    assert request.max_output_tokens == 9
    assert request.sampling == Sampling(temperature=0.5, seed=7, stop=("x", "y"))
    assert request.answer_schema == JsonSchema({"type": "object"}, "n")
    assert wire.include_usage


def test_max_completion_tokens_is_the_newer_name_of_max_tokens() -> None:
    assert read(max_completion_tokens=5)[1].max_output_tokens == 5


def test_fields_the_sdks_send_as_null_or_empty_pass() -> None:
    assert (
        read(tools=None, tool_choice=None, logprobs=False, functions=[], n=1, stop=None, seed=None)[1].model
        == "realtime"
    )


@pytest.mark.parametrize(
    ("changes", "param", "code"),
    [
        ({"messages": []}, "messages", "invalid_value"),
        ({"messages": "hi"}, "messages", "invalid_value"),
        ({"messages": [{"role": "user"}]}, "messages.0.content", "missing_required_parameter"),
        ({"messages": [{"role": "alien", "content": "x"}]}, "messages.0.role", "invalid_value"),
        ({"messages": [{"role": "user", "content": "  "}]}, "messages", "invalid_value"),
        ({"messages": [{"role": "user", "content": "a\x00b"}]}, "messages.0.content", "invalid_value"),
        ({"max_tokens": 0}, "max_tokens", "invalid_value"),
        ({"max_tokens": -1}, "max_tokens", "invalid_value"),
        ({"max_tokens": 10**30}, "max_tokens", "invalid_value"),
        ({"max_tokens": "many"}, "max_tokens", "invalid_value"),
        ({"temperature": 3}, "temperature", "invalid_value"),
        ({"n": 2}, "n", "invalid_value"),
        ({"stop": [""]}, "stop", "invalid_value"),
        ({"model": ""}, "model", "invalid_value"),
        ({"tools": [{"type": "function"}]}, "tools.0.function", "missing_required_parameter"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools.0.function.name", "invalid_value"),
        ({"tool_choice": "required"}, None, "invalid_value"),
        ({"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "f"}}}, None, "invalid_value"),
        ({"functions": [{"name": "f"}]}, "functions", "unsupported_parameter"),
        ({"logit_bias": {"1": 5}}, "logit_bias", "unsupported_parameter"),
        ({"top_logprobs": 3}, None, "invalid_value"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.tool_call_id", "missing_required_parameter"),
        ({"messages": [{"role": "assistant"}]}, "messages.0", "invalid_value"),
        ({"messages": [{"content": "x"}]}, "messages.0.role", "missing_required_parameter"),
        (
            {"messages": [user({"type": "input_audio", "input_audio": {}})]},
            "messages.0.content.0.type",
            "invalid_value",
        ),
        (
            {"messages": [user({"type": "image_url", "image_url": {"url": "ftp://x"}})]},
            "messages.0.content.0.image_url.url",
            "invalid_value",
        ),
        ({"temprature": 1}, "temprature", "unknown_parameter"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "missing_required_parameter"),
        ({"seed": 2**70}, "seed", "invalid_value"),
    ],
)
def test_what_is_wrong_is_named(changes: dict, param: str, code: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(**changes)
    assert (caught.value.param, caught.value.code) == (param, code)
    assert "`" in str(caught.value) or "message" in str(caught.value)
    assert "tagged-union" not in str(caught.value)


def test_the_first_wrong_message_is_named_also_where_a_later_one_is_wrong_deeper() -> None:
    messages = [{"role": "user", "content": "hi"}] * 11
    messages[1] = {"role": "user"}
    messages[10] = user({"type": "image_url", "image_url": {"url": "ftp://x"}})
    with pytest.raises(InvalidRequest) as caught:
        read(messages=messages)
    assert caught.value.param == "messages.1.content"


NAMES = st.from_regex(r"[a-z_]{1,12}", fullmatch=True)
WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1).filter(str.strip)
TTL = st.none() | st.sampled_from(["5m", "1h"])
TEXTS = st.builds(Text, WORDS, TTL)
IMAGES = st.builds(
    Image, st.just("aGk="), st.just("image/png"), detail=st.none() | st.just("low"), cache=TTL
) | st.builds(Image, url=st.just("https://example.org/a.png"), cache=TTL)
RESULTS = st.builds(ToolResult, NAMES, WORDS.map(lambda text: (Text(text),)))
CALLS = st.builds(ToolCall, NAMES, NAMES, st.just('{"a": 1}'))
SAID = (
    st.lists(TEXTS | IMAGES, min_size=1, max_size=3)
    .map(tuple)
    .filter(lambda parts: not all(isinstance(part, Text) and part.cache is None for part in parts))
)
TURNS = (
    st.builds(Message, st.sampled_from(["system", "user", "assistant"]), WORDS, st.none() | NAMES)
    | st.builds(Message, st.just("user"), SAID)
    | st.builds(lambda text, calls: Message("assistant", (*text, *calls)), st.lists(WORDS.map(Text), max_size=1),
                st.lists(CALLS, min_size=1, max_size=3))
    | st.builds(lambda result: Message("user", (result,)), RESULTS)
)  # fmt: skip
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
ASKED = st.builds(
    GenerateRequest,
    model=st.just("any"),
    messages=st.lists(TURNS, min_size=1, max_size=5).map(tuple),
    max_output_tokens=st.none() | st.integers(1, 1000),
    sampling=st.builds(Sampling, temperature=st.none() | st.just(0.5), seed=st.none() | st.integers(0, 9)),
    effort=st.none() | st.just("low"),
    top_logprobs=st.none() | st.integers(0, 20),
    tools=st.just((Tool("weather", SCHEMA, "how it is", True), Tool("time", SCHEMA))),
    tool_choice=st.none() | st.builds(ToolChoice, st.sampled_from(["auto", "none", "required"]))
    | st.just(ToolChoice("named", "time")),
    parallel_tool_calls=st.none() | st.booleans(),
)  # fmt: skip


@given(ASKED)
@settings(max_examples=300, deadline=None)
def test_what_our_engine_sends_our_surface_reads_as_the_same_request(request: GenerateRequest) -> None:
    """Values -> wire -> values: nothing is lost on the way to an upstream that is one of ours."""
    wire = orjson.loads(body_of(SPEC, request))
    again = chat.read(wire, DataClass.PERSONAL)[1]
    assert again == request


def test_a_tool_call_is_the_vendor_s_object_whole_and_streamed() -> None:
    said = [
        Started("m"),
        ThinkingDelta("hm"),
        TextDelta("Let me "),
        TextDelta("look."),
        ToolCallStarted(0, "c1", "weather"),
        ToolCallDelta(0, '{"city":'),
        ToolCallStarted(1, "c2", "time"),
        ToolCallDelta(1, "{}"),
        ToolCallDelta(0, '"Riga"}'),
        Finished("tool_calls", USAGE),
    ]
    output = Accumulator(said).output()
    whole = ChatCompletion.model_validate_json(chat.write("chatcmpl-1", 7, "m", output)).choices[0]
    assert whole.finish_reason == "tool_calls"
    assert whole.message.content == "Let me look."
    assert [(call.id, call.function.name, call.function.arguments) for call in whole.message.tool_calls] == [
        ("c1", "weather", '{"city":"Riga"}'), ("c2", "time", "{}")]  # fmt: skip
    writer = chat.ChunkWriter("chatcmpl-1", 7, "m", include_usage=False)
    chunks = events(writer.first() + b"".join(map(writer.event, said)))
    deltas = [chunk.choices[0].delta for chunk in chunks]
    calls = [call for delta in deltas for call in delta.tool_calls or ()]
    assert [(call.index, call.id, call.function.name) for call in calls if call.id] == [
        (0, "c1", "weather"),
        (1, "c2", "time"),
    ]
    assert "".join(call.function.arguments for call in calls if call.index == 0) == '{"city":"Riga"}'
    assert chunks[-1].choices[0].finish_reason == "tool_calls"
    assert deltas[1].reasoning_content == "hm"

    reading = Reading(SPEC)
    read = Accumulator(reading.feed(writer.first() + b"".join(map(writer.event, said))))
    read.add(reading.end())
    assert read.output().parts == output.parts  # our engine reads what our surface writes


def test_log_probabilities_come_with_their_text() -> None:
    likely = ({"token": "Hi", "logprob": -0.1, "bytes": [72, 105], "top_logprobs": []},)
    said = [TextDelta("Hi", likely), Finished("stop", USAGE)]
    whole = ChatCompletion.model_validate_json(chat.write("c", 7, "m", Accumulator(said).output())).choices[0]
    assert whole.logprobs.content[0].token == "Hi"
    writer = chat.ChunkWriter("c", 7, "m", include_usage=False)
    chunk = events(writer.first() + b"".join(map(writer.event, said)))[1]
    assert chunk.choices[0].logprobs.content[0].logprob == -0.1
    assert not storable(Accumulator(said).output())


def test_a_conversation_with_tools_becomes_values() -> None:
    _, request = read(
        tools=TOOLS,
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "look", "cache_control": {"type": "ephemeral"}},
                                         {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}]},
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "rain"},
        ],
    )  # fmt: skip
    assert request.messages == (
        Message("user", (Text("look", "5m"), Image("aGk=", "image/png"))),
        Message("assistant", (ToolCall("c1", "weather", "{}"),)),
        Message("user", (ToolResult("c1", (Text("rain"),)),)),
    )
    assert request.tools == (Tool("weather", {"type": "object"}),)


@pytest.mark.parametrize("body", [None, [], "x", 3])
def test_a_body_that_is_no_object_is_refused(body: object) -> None:
    with pytest.raises(InvalidRequest, match="JSON object"):
        chat.read(body, DataClass.PERSONAL)


def test_an_answer_is_the_vendor_s_object() -> None:
    wire = chat.write("chatcmpl-1", 7, "smol", Output((Text("Paris"),), "stop", USAGE))
    answer = ChatCompletion.model_validate_json(wire)
    assert answer.choices[0].message.content == "Paris"
    assert answer.choices[0].finish_reason == "stop"
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (12, 15)
    assert answer.usage.prompt_tokens_details.cached_tokens == 5


def events(stream: bytes) -> list:
    assert stream.endswith(b"data: [DONE]\n\n")
    lines = stream.decode().removesuffix("data: [DONE]\n\n").split("\n\n")
    return [ChatCompletionChunk.model_validate(json.loads(line.removeprefix("data: "))) for line in lines if line]


@pytest.mark.parametrize("include_usage", [True, False])
def test_a_stream_opens_with_the_role_and_ends_with_reason_usage_and_mark(include_usage: bool) -> None:
    writer = chat.ChunkWriter("chatcmpl-1", 7, "smol", include_usage=include_usage)
    chunks = events(writer.first() + writer.delta("Par") + writer.delta("is") + writer.last("stop", USAGE))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[0].choices[0].delta.content == ""
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Paris"
    finish = chunks[-2] if include_usage else chunks[-1]
    assert finish.choices[0].finish_reason == "stop"
    assert (chunks[-1].usage is not None) == include_usage
    assert len({chunk.id for chunk in chunks}) == 1


@given(st.text())
def test_a_replayed_stream_says_the_same_text_in_pieces(text: str) -> None:
    writer = chat.ChunkWriter("chatcmpl-1", 7, "smol", include_usage=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    chunks = events(writer.replay(text, "stop", USAGE))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == text


def test_a_long_replay_comes_in_several_chunks() -> None:
    assert len(list(chat.pieces("word " * 100))) > 10


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=50)
@given(JSON)
def test_any_json_is_read_or_refused_with_a_sentence(value: object) -> None:
    for body in (value, {**BODY, "messages": value}, {**BODY, "stop": value}, {**BODY, "response_format": value}):
        with contextlib.suppress(InvalidRequest):
            assert chat.read(body, DataClass.PERSONAL)[1].messages


def test_errors_are_json_even_for_lone_surrogates() -> None:
    from deployments.errors import body_of

    assert orjson.loads(body_of(InvalidRequest("bad \ud800", "x")))["error"]["param"] == "x"
