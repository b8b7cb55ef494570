"""Anthropic's Messages API as a client sees it: values -> request, events of its stream -> ours. Pure.

Shapes are those of docs.anthropic.com, "Messages" and "Streaming Messages", read 2026-11. Three differences matter:
system turns stand beside the messages; what OpenAI says in a message of role `tool` is a part of the user's; and input
tokens that came from the prompt cache are counted apart, where our Usage has them among the input tokens.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from models.catalog import Spec
from models.engines.http_generator import StreamError
from models.errors import InvalidRequest, ModelRefused, ModelUnavailable
from models.sse import EventTooLong, SseParser
from models.values import (
    CacheTtl,
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
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
CHOICES = {"auto": "auto", "none": "none", "required": "any", "named": "tool"}

Json = dict[str, Any]


def body_of(spec: Spec, request: GenerateRequest) -> bytes:
    """Values -> wire. `max_tokens` is required there: the spec's own limit where the request sets none."""
    sampling = request.sampling.without(spec.refused_parameters)
    limit = request.max_output_tokens or spec.max_output_tokens
    body: Json = {
        "model": spec.vendor_id,
        "max_tokens": min(limit, spec.max_output_tokens) if spec.max_output_tokens else limit,
        "messages": _messages(request.messages),
        "stream": True,
    }
    system = [block for turn in request.messages if turn.role == "system" for block in _blocks(turn.parts)]
    options: Json = {
        "system": system or None,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "stop_sequences": list(sampling.stop) or None,
        "output_config": _output_config(request) or None,
    }
    body |= {name: value for name, value in options.items() if value is not None}
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        choice = _choice(request.tool_choice, request.parallel_tool_calls)
        if choice is not None:
            body["tool_choice"] = choice
    return orjson.dumps(body)


def _messages(turns: tuple[Message, ...]) -> list[Json]:
    """Turns of the two who talk. Neighbours of one role are one message: all results of tools must stand in one."""
    messages: list[Json] = []
    for turn in turns:
        if turn.role == "system":
            continue
        blocks = _blocks(turn.parts)
        if messages and messages[-1]["role"] == turn.role:
            messages[-1]["content"] += blocks
        elif blocks:
            messages.append({"role": turn.role, "content": blocks})
    return messages


def _blocks(parts: tuple[Part, ...]) -> list[Json]:
    return [block for part in parts for block in _block(part)]


def _block(part: Part) -> list[Json]:
    """One part as one block, or none: empty text, and thinking that its vendor did not sign, are refused there."""
    if isinstance(part, Text):
        return [_marked({"type": "text", "text": part.text}, part.cache)] if part.text else []
    if isinstance(part, Image):
        return [_marked({"type": "image", "source": _source(part)}, part.cache)]
    if isinstance(part, ToolCall):
        call = {"type": "tool_use", "id": part.id, "name": part.name, "input": _input(part)}
        return [_marked(call, part.cache)]
    return _thought(part) if isinstance(part, Thinking) else [_result(part)]


def _result(part: ToolResult) -> Json:
    result: Json = {"type": "tool_result", "tool_use_id": part.call_id, "content": _blocks(part.content)}
    if part.is_error:
        result["is_error"] = True
    return _marked(result, part.cache)


def _thought(part: Thinking) -> list[Json]:
    if part.redacted is not None:
        return [{"type": "redacted_thinking", "data": part.redacted}]
    if part.signature is not None:
        return [{"type": "thinking", "thinking": part.text, "signature": part.signature}]
    return []


def _source(image: Image) -> Json:
    if image.url is not None:
        return {"type": "url", "url": image.url}
    return {"type": "base64", "media_type": image.media_type, "data": image.data}


def _input(call: ToolCall) -> Json:
    """Arguments are an object on this wire; a model that wrote something else is quoted to its caller."""
    try:
        value = orjson.loads(call.arguments or "{}")
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise InvalidRequest(
            f"The arguments of the tool call {call.id!r} are no JSON object, which this model's vendor needs. "
            "Send them back as they came, or as {}.",
            "messages",
            "invalid_value",
        )
    return value


def _marked(block: Json, cache: CacheTtl | None) -> Json:
    if cache is not None:
        block["cache_control"] = {"type": "ephemeral"} if cache == "5m" else {"type": "ephemeral", "ttl": cache}
    return block


def _tool(tool: Tool) -> Json:
    wire: Json = {"name": tool.name, "input_schema": dict(tool.parameters)}
    if tool.description is not None:
        wire["description"] = tool.description
    if tool.strict is not None:
        wire["strict"] = tool.strict
    return _marked(wire, tool.cache)


def _choice(choice: ToolChoice | None, parallel: bool | None) -> Json | None:
    if choice is None and parallel is None:
        return None
    choice = choice or ToolChoice("auto")
    wire: Json = {"type": CHOICES[choice.mode]}
    if choice.name is not None:
        wire["name"] = choice.name
    if parallel is not None and choice.mode != "none":
        wire["disable_parallel_tool_use"] = not parallel
    return wire


def _output_config(request: GenerateRequest) -> Json:
    config: Json = {}
    if request.effort is not None:
        config["effort"] = request.effort
    if request.answer_schema is not None:
        config["format"] = {"type": "json_schema", "schema": dict(request.answer_schema.schema)}
    return config


class Reading:
    """One streamed answer. `feed` bytes in any pieces and get the events that they complete; then `end`.

    `ended` is set at message_stop. Blocks of kinds unknown to us are passed over: the vendor announces that some come.
    """

    __slots__ = ("_calls", "_parser", "_spec", "_stop_sequence", "ended", "reason", "usage")

    def __init__(self, spec: Spec) -> None:
        self._spec, self._parser = spec, SseParser()
        self._calls: dict[int, int] = {}  # index of a block -> which call of the answer it is
        self._stop_sequence: str | None = None
        self.reason: FinishReason | None = None
        self.usage = Usage()
        self.ended = False

    def feed(self, chunk: bytes) -> list[StreamEvent]:
        """Events in order. Raises StreamError for an error of theirs, ModelUnavailable for what is no event."""
        events: list[StreamEvent] = []
        try:
            for data in self._parser.feed(chunk):
                self._read(orjson.loads(data), events)
        except EventTooLong as error:
            raise ModelRefused(self._spec.id, 200, f"it sent {error}") from error
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, ValueError) as error:
            raise ModelUnavailable(self._spec.id, "it sent an event that is none of the Messages API") from error
        return events

    def end(self) -> Finished:
        """The last event. Raises ModelUnavailable when the answer broke off before its stop reason."""
        if self.reason is None:
            raise ModelUnavailable(self._spec.id, "its answer broke off before the end")
        return Finished(self.reason, self.usage, self._stop_sequence)

    def _read(self, event: Json, events: list[StreamEvent]) -> None:
        kind = event["type"]
        if kind == "content_block_delta":
            self._read_delta(event["index"], event["delta"], events)
        elif kind == "content_block_start":
            self._begin(event["index"], event["content_block"], events)
        elif kind == "message_start":
            self.usage = _usage(event["message"].get("usage") or {}, self.usage)
        elif kind == "message_delta":
            self.usage = _usage(event.get("usage") or {}, self.usage)
            given = event["delta"].get("stop_reason")
            if given is not None:
                self.reason = REASONS.get(given, "stop")
            self._stop_sequence = event["delta"].get("stop_sequence") or self._stop_sequence
        elif kind == "message_stop":
            self.ended = True
        elif kind == "error":
            raise StreamError(event["error"])

    def _begin(self, index: int, block: Json, events: list[StreamEvent]) -> None:
        kind = block["type"]
        if kind == "tool_use":
            self._calls[index] = len(self._calls)
            events.append(ToolCallStarted(self._calls[index], block["id"], block["name"]))
            if block.get("input"):
                events.append(ToolCallDelta(self._calls[index], orjson.dumps(block["input"]).decode()))
        elif kind == "redacted_thinking":
            events.append(ThinkingDelta(redacted=block["data"]))
        elif kind == "text" and block.get("text"):
            events.append(TextDelta(block["text"]))

    def _read_delta(self, index: int, delta: Json, events: list[StreamEvent]) -> None:
        kind = delta["type"]
        if kind == "text_delta":
            if delta["text"]:
                events.append(TextDelta(delta["text"]))
        elif kind == "input_json_delta":
            if delta["partial_json"] and index in self._calls:
                events.append(ToolCallDelta(self._calls[index], delta["partial_json"]))
        elif kind == "thinking_delta":
            events.append(ThinkingDelta(delta["thinking"]))
        elif kind == "signature_delta":
            events.append(ThinkingDelta(signature=delta["signature"]))


def _usage(counts: Mapping[str, Any], before: Usage) -> Usage:
    """Counts are cumulative; message_delta may repeat those of the input or leave them out."""

    def count(name: str) -> int | None:
        value = counts.get(name)
        return None if value is None else int(value)

    cached, written = count("cache_read_input_tokens"), count("cache_creation_input_tokens")
    cached = before.cached_input_tokens if cached is None else cached
    written = before.cache_write_tokens if written is None else written
    plain = count("input_tokens")
    if plain is None:
        plain = before.input_tokens - before.cached_input_tokens - before.cache_write_tokens
    output = count("output_tokens")
    details = counts.get("output_tokens_details") or {}
    return Usage(
        plain + cached + written,
        before.output_tokens if output is None else output,
        cached,
        written,
        int(details.get("thinking_tokens") or before.thinking_tokens),
    )
