"""OpenAI's chat completions as a client sees them: values -> request, chunks -> events. Pure.

The same wire serves vendors, vLLM and our own local LLM applications; what a vendor refuses its catalog row says.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from models.catalog import Spec
from models.engines.http_generator import StreamError
from models.errors import ModelRefused, ModelUnavailable
from models.sse import EventTooLong, SseParser
from models.values import (
    Finished,
    FinishReason,
    GenerateRequest,
    Image,
    Message,
    Part,
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

REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
OLDER_LIMIT = frozenset({"cluster", "mistral"})  # who knows `max_tokens` and not its newer name

Json = dict[str, Any]


def body_of(spec: Spec, request: GenerateRequest) -> bytes:
    """Values -> wire. Only what the request says is sent, so the server's defaults stay its own."""
    sampling = request.sampling.without(spec.refused_parameters)
    body: Json = {
        "model": spec.vendor_id,
        "messages": [wire for turn in request.messages for wire in messages_of(turn)],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    options: Json = {
        "max_tokens" if spec.where in OLDER_LIMIT else "max_completion_tokens": request.max_output_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "seed": sampling.seed,
        "stop": list(sampling.stop) or None,
        "frequency_penalty": sampling.frequency_penalty,
        "presence_penalty": sampling.presence_penalty,
        "reasoning_effort": request.effort,
    }
    body |= {name: value for name, value in options.items() if value is not None}
    if request.answer_schema is not None:
        schema = {"name": request.answer_schema.name, "schema": dict(request.answer_schema.schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        if request.tool_choice is not None:
            body["tool_choice"] = _choice(request.tool_choice)
        if request.parallel_tool_calls is not None:
            body["parallel_tool_calls"] = request.parallel_tool_calls
    if request.top_logprobs is not None:
        body["logprobs"], body["top_logprobs"] = True, request.top_logprobs
    return orjson.dumps(body)


def messages_of(turn: Message) -> list[Json]:
    """One turn as the vendor's messages: each tool result is a message of its own, before what the user says."""
    if isinstance(turn.content, str):
        return [_named({"role": turn.role, "content": turn.content}, turn)]
    messages: list[Json] = [
        {"role": "tool", "tool_call_id": part.call_id, "content": _content(part.content)}
        for part in turn.content
        if isinstance(part, ToolResult)
    ]
    said = tuple(part for part in turn.content if isinstance(part, Text | Image))
    calls = [_call(part) for part in turn.content if isinstance(part, ToolCall)]
    thought = "".join(part.text for part in turn.content if isinstance(part, Thinking))
    if not (said or calls or thought):
        return messages
    message: Json = {"role": turn.role, "content": _content(said) if said else None}
    if calls:
        message["tool_calls"] = calls
    if thought:
        message["reasoning_content"] = thought
    return [*messages, _named(message, turn)]


def _named(message: Json, turn: Message) -> Json:
    return {**message, "name": turn.name} if turn.name else message


def _content(parts: tuple[Part, ...]) -> str | list[Json]:
    """A string where it is one plain text: every server reads that."""
    if len(parts) == 1 and isinstance(parts[0], Text) and parts[0].cache is None:
        return parts[0].text
    return [_part(part) for part in parts if isinstance(part, Text | Image)]


def _part(part: Text | Image) -> Json:
    if isinstance(part, Text):
        wire: Json = {"type": "text", "text": part.text}
    else:
        image: Json = {"url": part.url or f"data:{part.media_type};base64,{part.data}"}
        if part.detail is not None:
            image["detail"] = part.detail
        wire = {"type": "image_url", "image_url": image}
    if part.cache is not None:
        wire["cache_control"] = {"type": "ephemeral", "ttl": part.cache}
    return wire


def _call(call: ToolCall) -> Json:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _tool(tool: Tool) -> Json:
    function: Json = {"name": tool.name, "parameters": dict(tool.parameters)}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _choice(choice: ToolChoice) -> str | Json:
    return {"type": "function", "function": {"name": choice.name}} if choice.mode == "named" else choice.mode


class Reading:
    """One streamed answer. `feed` bytes in any pieces and get the events that they complete; then `end`.

    `ended` is set at [DONE]. Of what arrives in one piece, text that follows text is one delta: it came as one.
    """

    __slots__ = ("_calls", "_parser", "_spec", "ended", "reason", "usage")

    def __init__(self, spec: Spec) -> None:
        self._spec, self._parser = spec, SseParser()
        self._calls: set[int] = set()
        self.reason: FinishReason | None = None
        self.usage = Usage()
        self.ended = False

    def feed(self, chunk: bytes) -> list[StreamEvent]:
        """Events in order. Raises ModelError for an error in the stream, ModelUnavailable for what is no chunk."""
        events: list[StreamEvent] = []
        try:
            for data in self._parser.feed(chunk):
                if data == b"[DONE]":
                    self.ended = True
                    break
                self._read(data, events)
        except EventTooLong as error:
            raise ModelRefused(self._spec.id, 200, f"it sent {error}") from error
        return _joined(events) if len(events) > 1 else events

    def end(self) -> Finished:
        """The last event. Raises ModelUnavailable when the answer broke off before its finish reason."""
        if self.reason is None:
            raise ModelUnavailable(self._spec.id, "its answer broke off before the end")
        return Finished(self.reason, self.usage)

    def _read(self, data: bytes, events: list[StreamEvent]) -> None:
        try:
            chunk = orjson.loads(data)
            if "error" in chunk:
                raise StreamError(chunk["error"])
            counts = chunk.get("usage")
            if counts:
                self.usage = _usage(counts)
            choices = chunk["choices"]
            if not choices:
                return
            choice = choices[0]
            given = choice.get("finish_reason")
            if given is not None:
                self.reason = REASONS.get(given, "stop")
            delta = choice["delta"]
            thought = delta.get("reasoning_content") or delta.get("reasoning")
            if thought:
                events.append(ThinkingDelta(thought))
            text = delta.get("content")
            if text:
                likely = choice.get("logprobs")
                events.append(TextDelta(text, tuple(likely.get("content") or ()) if likely else ()))
            for call in delta.get("tool_calls") or ():
                self._read_call(call, events)
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
            raise ModelUnavailable(self._spec.id, "it sent a chunk that is no chat.completion.chunk") from error

    def _read_call(self, call: Mapping[str, Any], events: list[StreamEvent]) -> None:
        index, function = int(call.get("index") or 0), call.get("function") or {}
        if index not in self._calls:
            self._calls.add(index)
            events.append(ToolCallStarted(index, call["id"], function["name"]))
        if function.get("arguments"):
            events.append(ToolCallDelta(index, function["arguments"]))


def _joined(events: list[StreamEvent]) -> list[StreamEvent]:
    """Neighbouring texts as one."""
    joined: list[StreamEvent] = []
    for event in events:
        last = joined[-1] if joined else None
        if isinstance(event, TextDelta) and isinstance(last, TextDelta):
            joined[-1] = TextDelta(last.text + event.text, last.logprobs + event.logprobs)
        else:
            joined.append(event)
    return joined


def _usage(counts: Mapping[str, Any]) -> Usage:
    read, written = counts.get("prompt_tokens_details") or {}, counts.get("completion_tokens_details") or {}
    return Usage(
        int(counts.get("prompt_tokens") or 0),
        int(counts.get("completion_tokens") or 0),
        int(read.get("cached_tokens") or 0),
        thinking_tokens=int(written.get("reasoning_tokens") or 0),
    )
