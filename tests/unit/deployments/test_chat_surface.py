"""/v1/chat/completions: wire <-> values."""

import contextlib
import json

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from deployments.surfaces import chat
from models.errors import InvalidRequest
from models.values import DataClass, JsonSchema, Message, Sampling, Usage

BODY = {"model": "realtime", "messages": [{"role": "user", "content": "hi"}]}
USAGE = Usage(12, 3, 5)


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
        ({"tools": [{"type": "function"}]}, "tools", "unsupported_parameter"),
        ({"logprobs": True}, "logprobs", "unsupported_parameter"),
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


@pytest.mark.parametrize("body", [None, [], "x", 3])
def test_a_body_that_is_no_object_is_refused(body: object) -> None:
    with pytest.raises(InvalidRequest, match="JSON object"):
        chat.read(body, DataClass.PERSONAL)


def test_an_answer_is_the_vendor_s_object() -> None:
    wire = chat.write("chatcmpl-1", 7, "smol", "Paris", "stop", USAGE)
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
