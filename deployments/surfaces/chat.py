"""/v1/chat/completions: OpenAI's wire <-> values. Pure.

`read` refuses by name what this cluster cannot carry over; it never drops a field in silence. The shapes written are
the vendor's own, chunk order and empty first delta included, because frameworks on top of the SDKs read those too.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from models.errors import InvalidRequest
from models.values import DataClass, FinishReason, GenerateRequest, JsonSchema, Message, Sampling, Usage

MAX_OUTPUT_TOKENS = 1_000_000  # no model of any vendor writes that much; a larger number is a slip
REPLAY_CHARACTERS = 24  # a replayed stream comes in pieces of about six words' length, as live ones do
DONE = b"data: [DONE]\n\n"
LATER = frozenset({"tools", "tool_choice", "functions", "function_call", "audio", "modalities", "logprobs",
                   "top_logprobs", "logit_bias", "prediction", "reasoning_effort", "web_search_options"})  # fmt: skip
"""Fields of the vendor's that no model of this release answers; absent or null they pass."""


class TextPart(BaseModel):
    """One piece of a message's content."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    type: Literal["text"]
    text: str


class ChatMessage(BaseModel):
    """One turn on the wire."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    role: Literal["system", "developer", "user", "assistant"]
    content: str | Annotated[tuple[TextPart, ...], Field(min_length=1)]
    name: str | None = None

    @property
    def text(self) -> str:
        """The content as one string."""
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class StreamOptions(BaseModel):
    """How a stream is delivered."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    include_usage: bool = False
    include_obfuscation: bool = False


class NamedSchema(BaseModel):
    """A JSON Schema and what it is called."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    name: str = Field("answer", min_length=1, max_length=64)
    schema_: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None
    description: str | None = None


class ResponseFormat(BaseModel):
    """What form the answer must have."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    type: Literal["text", "json_object", "json_schema"]
    json_schema: NamedSchema | None = None


class ChatRequest(BaseModel):
    """Body of POST /v1/chat/completions. `model` is a role (realtime, bulk, ...) or a model of GET /v1/models."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    model: str = Field(min_length=1, max_length=200)
    messages: tuple[ChatMessage, ...] = Field(min_length=1, max_length=10_000)
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(None, ge=1, le=MAX_OUTPUT_TOKENS)
    max_completion_tokens: int | None = Field(None, ge=1, le=MAX_OUTPUT_TOKENS)
    temperature: float | None = Field(None, ge=0, le=2, allow_inf_nan=False)
    top_p: float | None = Field(None, gt=0, le=1, allow_inf_nan=False)
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    stop: str | Annotated[tuple[str, ...], Field(max_length=16)] | None = None
    frequency_penalty: float | None = Field(None, ge=-2, le=2, allow_inf_nan=False)
    presence_penalty: float | None = Field(None, ge=-2, le=2, allow_inf_nan=False)
    response_format: ResponseFormat | None = None
    n: Literal[1] | None = 1
    user: str | None = Field(None, max_length=512)
    metadata: dict[str, str] | None = None
    store: Literal[False] | None = None
    service_tier: Literal["auto", "default"] | None = None
    parallel_tool_calls: bool | None = None

    @field_validator("stop")
    @classmethod
    def _stop_says_something(cls, stop: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        if stop is not None and any(not sequence for sequence in ((stop,) if isinstance(stop, str) else stop)):
            raise ValueError("a stop sequence must have at least one character")
        return stop

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with a chunk of token counts."""
        return self.stream_options is not None and self.stream_options.include_usage


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
    _check_text(wire)
    request = GenerateRequest(
        model=wire.model,
        messages=tuple(
            Message("system" if turn.role == "developer" else turn.role, turn.text, turn.name) for turn in wire.messages
        ),
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
    )
    return wire, request


def invalid(error: ValidationError) -> InvalidRequest:
    """The first thing wrong with a body, as a sentence with its path."""
    first = error.errors(include_url=False, include_input=False)[0]
    path = ".".join(str(step) for step in first["loc"] if not str(step).startswith(("tuple[", "str", "function-")))
    if first["type"] == "extra_forbidden":
        return InvalidRequest(f"`{path}` is not a field of this request. Leave it out.", path, "unknown_parameter")
    if first["type"] == "missing":
        return InvalidRequest(f"`{path}` is required.", path, "missing_required_parameter")
    says = first["msg"].removeprefix("Value error, ")
    return InvalidRequest(f"`{path}`: {says[:1].lower()}{says[1:]}.", path, "invalid_value")


def write(id_: str, created_s: int, spec_id: str, text: str, reason: FinishReason, usage: Usage) -> bytes:  # noqa: PLR0913, PLR0917  # the vendor's object has six variable fields
    """Values -> one chat.completion."""
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
    return orjson.dumps(
        {
            "id": id_,
            "object": "chat.completion",
            "created": created_s,
            "model": spec_id,
            "choices": [choice],
            "usage": _usage(usage),
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

    def delta(self, text: str) -> bytes:
        """The next piece of text."""
        return self._before + orjson.dumps(text) + self._after

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


def _check_text(wire: ChatRequest) -> None:
    for position, turn in enumerate(wire.messages):
        if "\x00" in turn.text:
            raise InvalidRequest(
                "A message holds the character NUL, which no model reads. Remove it.",
                f"messages.{position}.content",
                "invalid_value",
            )
    if not any(turn.text.strip() for turn in wire.messages):
        raise InvalidRequest("No message holds any text. Say something.", "messages", "invalid_value")


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_input_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
