"""The JSON of a chat completion request, typed: what the vendor's clients and the frameworks on top of them send.

Anything else is refused by name. Each message and part says what it is as a value.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from deployments.surfaces.wire import Wire
from models.values import CacheTtl, Image, Message, Part, Text, Thinking, ToolCall, ToolResult

MAX_OUTPUT_TOKENS = 1_000_000  # no model of any vendor writes that much; a larger number is a slip
MAX_IMAGE_CHARACTERS = 20 * 1024 * 1024  # of a data URL: 15 MB of picture, more than vendors take
DATA_URL = re.compile(r"data:(image/[a-z0-9.+-]+);base64,")


class CacheControl(Wire):
    """A prompt-cache breakpoint, as Anthropic and the frameworks write it on a part."""

    type: Literal["ephemeral"] = "ephemeral"
    ttl: CacheTtl = "5m"


class TextPart(Wire):
    """Words in a message's content."""

    type: Literal["text"]
    text: str
    cache_control: CacheControl | None = None

    @property
    def part(self) -> Text:
        """As a value."""
        return Text(self.text, self.cache_control.ttl if self.cache_control else None)


class ImageUrl(Wire):
    """Where a picture is: an https address, or itself as a data URL."""

    url: str = Field(max_length=MAX_IMAGE_CHARACTERS)
    detail: Literal["auto", "low", "high"] | None = None

    @field_validator("url")
    @classmethod
    def _leads_somewhere(cls, url: str) -> str:
        if not (url.startswith(("https://", "http://")) or DATA_URL.match(url)):
            raise ValueError("an image is an http(s) address or a URL like data:image/png;base64,...")
        return url


class ImagePart(Wire):
    """A picture in a message's content."""

    type: Literal["image_url"]
    image_url: ImageUrl
    cache_control: CacheControl | None = None

    @property
    def part(self) -> Image:
        """As a value."""
        given, cache = self.image_url, self.cache_control.ttl if self.cache_control else None
        data = DATA_URL.match(given.url)
        if data is None:
            return Image(url=given.url, detail=given.detail, cache=cache)
        return Image(given.url[data.end() :], data[1], detail=given.detail, cache=cache)


Content = str | Annotated[tuple[Annotated[TextPart | ImagePart, Field(discriminator="type")], ...], Field(min_length=1)]
Words = str | Annotated[tuple[TextPart, ...], Field(min_length=1)]


class SystemMessage(Wire):
    """What the application says to the model."""

    role: Literal["system", "developer"]
    content: Words
    name: str | None = None

    @property
    def turn(self) -> Message:
        """As a value."""
        return Message("system", _content(self.content), self.name)


class UserMessage(Wire):
    """What a person says."""

    role: Literal["user"]
    content: Content
    name: str | None = None

    @property
    def turn(self) -> Message:
        """As a value."""
        return Message("user", _content(self.content), self.name)


class CalledFunction(Wire):
    """Which function a model called, and with what: the JSON text as the model wrote it."""

    name: str = Field(min_length=1)
    arguments: str


class CalledTool(Wire):
    """A tool call of an earlier answer."""

    id: str = Field(min_length=1)
    type: Literal["function"] = "function"
    function: CalledFunction
    index: int | None = None


class AssistantMessage(Wire):
    """What a model said before: words, tool calls, or both."""

    role: Literal["assistant"]
    content: Words | Literal[""] | None = None
    name: str | None = None
    tool_calls: tuple[CalledTool, ...] | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    annotations: list[Any] | None = Field(None, max_length=0)
    audio: None = None
    function_call: None = None

    @model_validator(mode="after")
    def _says_something(self) -> "AssistantMessage":
        if self.content is None and not self.tool_calls and not self.refusal:
            raise ValueError("an assistant's message has content, tool_calls or a refusal")
        return self

    @property
    def turn(self) -> Message:
        """As a value. A refusal is what was said."""
        said = self.content if self.content is not None else self.refusal
        if not self.tool_calls and not self.reasoning_content:
            return Message("assistant", _content(said or ""), self.name)
        parts: list[Part] = [Thinking(self.reasoning_content)] if self.reasoning_content else []
        if said:
            parts += [Text(said)] if isinstance(said, str) else [one.part for one in said]
        parts += [ToolCall(call.id, call.function.name, call.function.arguments) for call in self.tool_calls or ()]
        return Message("assistant", tuple(parts), self.name)


class ToolMessage(Wire):
    """What came of a tool call."""

    role: Literal["tool"]
    content: Content | Literal[""]
    tool_call_id: str = Field(min_length=1)
    name: str | None = None

    @property
    def turn(self) -> Message:
        """As a value."""
        parts = (Text(self.content),) if isinstance(self.content, str) else tuple(one.part for one in self.content)
        return Message("user", (ToolResult(self.tool_call_id, parts),))


ChatMessage = Annotated[SystemMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")]


class Function(Wire):
    """A function that the model may call."""

    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.:-]+$")
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FunctionTool(Wire):
    """A tool: functions are the only kind that every vendor has."""

    type: Literal["function"]
    function: Function


class NamedFunction(Wire):
    """Which function."""

    name: str = Field(min_length=1)


class NamedTool(Wire):
    """The tool that must be called."""

    type: Literal["function"]
    function: NamedFunction


class StreamOptions(Wire):
    """How a stream is delivered."""

    include_usage: bool = False
    include_obfuscation: bool = False


class NamedSchema(Wire):
    """A JSON Schema and what it is called."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    name: str = Field("answer", min_length=1, max_length=64)
    schema_: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None
    description: str | None = None


class ResponseFormat(Wire):
    """What form the answer must have."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: NamedSchema | None = None


class ChatRequest(Wire):
    """Body of POST /v1/chat/completions. `model` is a role (realtime, bulk, ...) or a model of GET /v1/models."""

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
    tools: tuple[FunctionTool, ...] | None = Field(None, max_length=512)
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: str | None = Field(None, min_length=1, max_length=16)
    logprobs: bool | None = False
    top_logprobs: int | None = Field(None, ge=0, le=20)
    modalities: tuple[Literal["text"], ...] | None = None
    prompt_cache_key: str | None = Field(None, max_length=512)
    safety_identifier: str | None = Field(None, max_length=512)

    @model_validator(mode="after")
    def _fits_together(self) -> "ChatRequest":
        names = {tool.function.name for tool in self.tools or ()}
        if isinstance(self.tool_choice, NamedTool) and self.tool_choice.function.name not in names:
            raise ValueError(f"tool_choice names {self.tool_choice.function.name!r}, which is not among tools")
        if self.tool_choice not in (None, "none", "auto") and not names:
            raise ValueError("tool_choice asks for a tool call, but tools is empty")
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs: true")
        return self

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


def _content(content: str | tuple[TextPart | ImagePart, ...]) -> str | tuple[Part, ...]:
    """Plain words stay a string: it is what most turns are, and cheaper to carry."""
    if isinstance(content, str):
        return content
    if all(isinstance(one, TextPart) and one.cache_control is None for one in content):
        return "".join(one.part.text for one in content if isinstance(one, TextPart))
    return tuple(one.part for one in content)
