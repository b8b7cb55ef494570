"""/v1/chat/completions: OpenAI's wire <-> values. Pure.

`read` refuses by name what this cluster cannot carry over; it never drops a field in silence. The shapes written are
the vendor's own, chunk order and empty first delta included, because frameworks on top of the SDKs read those too.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from pydantic import ValidationError

from deployments.surfaces.chat_wire import ChatRequest, NamedTool, ResponseFormat
from deployments.surfaces.wire import invalid
from models.errors import InvalidRequest
from models.outputs import Output
from models.values import (
    DataClass,
    Finished,
    FinishReason,
    GenerateRequest,
    JsonSchema,
    Message,
    Sampling,
    StreamEvent,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolCallStarted,
    ToolChoice,
    ToolResult,
    Usage,
)

REPLAY_CHARACTERS = 24  # a replayed stream comes in pieces of about six words' length, as live ones do
NO_PARAMETERS: Mapping[str, Any] = {"type": "object", "properties": {}}
DONE = b"data: [DONE]\n\n"
LATER = frozenset({"functions", "function_call", "audio", "logit_bias", "prediction", "web_search_options", "verbosity",
                   "moderation", "prompt_cache_retention"})  # fmt: skip
"""Fields of the vendor's that this cluster does not carry; absent, null or empty they pass."""


def read(body: Any, data_class: DataClass) -> tuple[ChatRequest, GenerateRequest]:
    """Wire -> values. Raises InvalidRequest naming the field."""
    if not isinstance(body, Mapping):
        raise InvalidRequest('The body must be a JSON object like {"model": "realtime", "messages": [...]}.')
    for name in LATER & body.keys():
        if body[name] not in (None, False, [], {}):
            raise InvalidRequest(
                f"`{name}` is not supported by the models of this cluster yet. Leave it out.",
                name,
                "unsupported_parameter",
            )
    try:
        wire = ChatRequest.model_validate({name: value for name, value in body.items() if name not in LATER})
    except ValidationError as error:
        raise invalid(error) from error
    messages = tuple(turn.turn for turn in wire.messages)
    check_text(messages)
    request = GenerateRequest(
        model=wire.model,
        messages=messages,
        max_output_tokens=wire.max_completion_tokens or wire.max_tokens,
        sampling=Sampling(
            temperature=wire.temperature,
            top_p=wire.top_p,
            seed=wire.seed,
            stop=(wire.stop,) if isinstance(wire.stop, str) else wire.stop or (),
            frequency_penalty=wire.frequency_penalty,
            presence_penalty=wire.presence_penalty,
        ),
        answer_schema=_schema(wire.response_format),
        data_class=data_class,
        effort=wire.reasoning_effort,
        top_logprobs=(wire.top_logprobs or 0) if wire.logprobs else None,
        **_tools(wire),
    )
    return wire, request


def _tools(wire: ChatRequest) -> dict[str, Any]:
    if not wire.tools:
        return {}
    choice: ToolChoice | None = None
    if isinstance(wire.tool_choice, NamedTool):
        choice = ToolChoice("named", wire.tool_choice.function.name)
    elif wire.tool_choice is not None:
        choice = ToolChoice(wire.tool_choice)
    functions = [tool.function for tool in wire.tools]
    tools = tuple(Tool(one.name, one.parameters or NO_PARAMETERS, one.description, one.strict) for one in functions)
    return {"tools": tools, "tool_choice": choice, "parallel_tool_calls": wire.parallel_tool_calls}


def write(id_: str, created_s: int, spec_id: str, output: Output) -> bytes:
    """Values -> one chat.completion."""
    calls, thinking = output.tool_calls, output.thinking
    text: str | None = output.text
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
    if calls:
        message["content"] = text or None
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in calls
        ]
    if thinking:
        message["reasoning_content"] = thinking
    likely = {"content": output.logprobs, "refusal": None} if output.logprobs else None
    choice = {"index": 0, "message": message, "logprobs": likely, "finish_reason": output.reason}
    return orjson.dumps(
        {
            "id": id_,
            "object": "chat.completion",
            "created": created_s,
            "model": spec_id,
            "choices": [choice],
            "usage": _usage(output.usage),
            "service_tier": "default",
            "system_fingerprint": None,
        }
    )


class ChunkWriter:
    """Values -> the chat.completion.chunk events of one stream. What does not change between chunks is encoded once."""

    def __init__(self, id_: str, created_s: int, spec_id: str, *, include_usage: bool) -> None:
        head = orjson.dumps(
            {"id": id_, "object": "chat.completion.chunk", "created": created_s, "model": spec_id,
             "service_tier": "default", "system_fingerprint": None}
        )  # fmt: skip
        self._include_usage = include_usage
        self._head = b"data: " + head[:-1]
        self._before = self._head + b',"choices":[{"index":0,"delta":{"content":'
        usage = b',"usage":null' if include_usage else b""
        self._after = b'},"logprobs":null,"finish_reason":null}]' + usage + b"}\n\n"
        self._usage_null = usage

    def first(self) -> bytes:
        """The role, with empty content, as the vendor opens every stream."""
        return (
            self._head
            + b',"choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},'
            + b'"logprobs":null,"finish_reason":null}]'
            + self._usage_null
            + b"}\n\n"
        )

    def event(self, event: StreamEvent) -> bytes:
        """What a delta or the end looks like; nothing for Started, which `first` stands for."""
        if isinstance(event, TextDelta):
            return self.delta(event.text) if not event.logprobs else self._likely(event)
        if isinstance(event, ToolCallDelta):
            return self._choice({"tool_calls": [{"index": event.index, "function": {"arguments": event.arguments}}]})
        if isinstance(event, ToolCallStarted):
            function = {"name": event.name, "arguments": ""}
            call = {"index": event.index, "id": event.id, "type": "function", "function": function}
            return self._choice({"tool_calls": [call]})
        if isinstance(event, ThinkingDelta):
            return self._choice({"reasoning_content": event.text}) if event.text else b""
        if isinstance(event, Finished):
            return self.last(event.reason, event.usage)
        return b""

    def delta(self, text: str) -> bytes:
        """The next piece of text."""
        return self._before + orjson.dumps(text) + self._after

    def _likely(self, event: TextDelta) -> bytes:
        likely = {"content": event.logprobs, "refusal": None}
        return self._choice({"content": event.text}, orjson.dumps(likely))

    def _choice(self, delta: dict[str, Any], logprobs: bytes = b"null") -> bytes:
        middle = b',"choices":[{"index":0,"delta":' + orjson.dumps(delta) + b',"logprobs":' + logprobs
        return self._head + middle + b',"finish_reason":null}]' + self._usage_null + b"}\n\n"

    def last(self, reason: FinishReason, usage: Usage) -> bytes:
        """Finish reason, token counts if they were asked for, end mark."""
        end = self._head + b',"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"' + reason.encode()
        end += b'"}]' + self._usage_null + b"}\n\n"
        if self._include_usage:
            end += self._head + b',"choices":[],"usage":' + orjson.dumps(_usage(usage)) + b"}\n\n"
        return end + DONE

    def replay(self, text: str, reason: FinishReason, usage: Usage) -> bytes:
        """A whole stream at once, for an answer that is there already."""
        return b"".join((self.first(), *map(self.delta, pieces(text)), self.last(reason, usage)))


def pieces(text: str) -> Iterator[str]:
    """Cut a text after spaces into pieces of about REPLAY_CHARACTERS; joined they are the text."""
    start = 0
    while start < len(text):
        cut = text.find(" ", start + REPLAY_CHARACTERS)
        end = len(text) if cut < 0 else cut + 1
        yield text[start:end]
        start = end


def _schema(wire: ResponseFormat | None) -> JsonSchema | None:
    if wire is None or wire.type == "text":
        return None
    if wire.type == "json_object":
        return JsonSchema({"type": "object"})
    if wire.json_schema is None:
        raise InvalidRequest(
            "`response_format.json_schema` is required when its type is json_schema.",
            "response_format.json_schema",
            "missing_required_parameter",
        )
    return JsonSchema(wire.json_schema.schema_, wire.json_schema.name)


def check_text(messages: tuple[Message, ...]) -> None:
    """Raise InvalidRequest where a turn holds what no model reads, or no turn says anything."""
    said = False
    for position, turn in enumerate(messages):
        for text in _texts(turn):
            if "\x00" in text:
                raise InvalidRequest(
                    "A message holds the character NUL, which no model reads. Remove it.",
                    f"messages.{position}.content",
                    "invalid_value",
                )
            said = said or bool(text.strip())
        said = said or (not isinstance(turn.content, str) and any(not isinstance(part, Text) for part in turn.content))
    if not said:
        raise InvalidRequest("No message holds any text. Say something.", "messages", "invalid_value")


def _texts(turn: Message) -> Iterator[str]:
    if isinstance(turn.content, str):
        yield turn.content
        return
    for part in turn.content:
        if isinstance(part, ToolResult):
            yield from (inner.text for inner in part.content if isinstance(inner, Text))
        elif isinstance(part, Text | Thinking):
            yield part.text
        elif isinstance(part, ToolCall):
            yield part.arguments


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_input_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.thinking_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
