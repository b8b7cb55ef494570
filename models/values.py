"""The words every room shares, as frozen values. Parsed once at a border, trusted below it.

Messages in: GenerateRequest -> StreamEvent* (Started, deltas, Finished). Texts in: Vectors. Audio in: Transcript.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum
from typing import Any, Literal

import numpy as np
import numpy.typing as npt


class Role(StrEnum):
    """What a caller wants of a model. Apps name roles, never vendors' models (DESIGN §4)."""

    SYNTHESIS = "synthesis"
    REALTIME = "realtime"
    BULK = "bulk"
    FILTER = "filter"
    PRIVATE = "private"


class DataClass(IntEnum):
    """How far a text may travel. Ordered: PUBLIC < PERSONAL < PRIVATE; PRIVATE never leaves the cluster."""

    PUBLIC = 0
    PERSONAL = 1
    PRIVATE = 2


CallerRole = Literal["app", "engineer", "researcher", "admin", "service"]
"""Who asks. `service` is one application of ours calling another; no key on sale has it."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, after authentication. `key_id` is public (it appears in logs), the key itself is nowhere."""

    key_id: str
    role: CallerRole
    tenant: str
    user: str | None = None

    @property
    def scope(self) -> str:
        """The hard wall of caches: answers are shared within it and never across."""
        return f"{self.tenant}/{self.user}" if self.user else self.tenant


CacheTtl = Literal["5m", "1h"]
"""A prompt-cache breakpoint: the vendor keeps what stands up to and including this piece, for that long."""


@dataclass(frozen=True, slots=True)
class Text:
    """Words."""

    text: str
    cache: CacheTtl | None = None


@dataclass(frozen=True, slots=True)
class Image:
    """A picture: `data` (base64, of `media_type`) or `url`, exactly one of them."""

    data: str | None = None
    media_type: str | None = None
    url: str | None = None
    detail: Literal["auto", "low", "high"] | None = None
    cache: CacheTtl | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model's wish to have a tool called. `arguments` is the JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str
    cache: CacheTtl | None = None


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What came of a tool call; said by the user's side."""

    call_id: str
    content: tuple[Text | Image, ...]
    is_error: bool = False
    cache: CacheTtl | None = None


@dataclass(frozen=True, slots=True)
class Thinking:
    """A model's own reasoning, given back to it. `signature` proves to its vendor that it wrote it.

    `redacted` is the vendor's sealed form, in place of the text.
    """

    text: str
    signature: str | None = None
    redacted: str | None = None


Part = Text | Image | ToolCall | ToolResult | Thinking


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. `content` is plain text, or parts in order. Tool calls are the assistant's, results the user's."""

    role: Literal["system", "user", "assistant"]
    content: str | tuple[Part, ...]
    name: str | None = None

    @property
    def parts(self) -> tuple[Part, ...]:
        """The content in parts, also where it is plain text."""
        return (Text(self.content),) if isinstance(self.content, str) else self.content

    @property
    def text(self) -> str:
        """All its words, joined."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content if isinstance(part, Text))


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may ask for. `parameters` is a JSON Schema of its arguments."""

    name: str
    parameters: Mapping[str, Any]
    description: str | None = None
    strict: bool | None = None
    cache: CacheTtl | None = None


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Whether tools are called: as the model likes, never, at least one, or the one of that `name`."""

    mode: Literal["auto", "none", "required", "named"]
    name: str | None = None


@dataclass(frozen=True, slots=True)
class JsonSchema:
    """What a structured answer must satisfy. `schema` is a JSON Schema; {"type": "object"} for plain JSON mode."""

    schema: Mapping[str, Any]
    name: str = "answer"


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen. None = the engine's default. `stop` sequences are not part of the answer."""

    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    top_k: int | None = None

    def uses(self, parameter: str) -> bool:
        """Whether it asks anything of a model: frameworks send 1.0 and 0 where they mean nothing by it."""
        value = getattr(self, parameter, None)
        return value is not None and value != () and value != NEUTRAL.get(parameter)

    def without(self, refused: frozenset[str]) -> "Sampling":
        """The same without what means nothing and a vendor would refuse for its name alone."""
        dropped: dict[str, Any] = {name: None for name in refused & NEUTRAL.keys() if not self.uses(name)}
        return replace(self, **dropped) if dropped else self


NEUTRAL: Mapping[str, float] = {"temperature": 1.0, "top_p": 1.0, "frequency_penalty": 0.0, "presence_penalty": 0.0}
"""Values that leave a model as it is, at every vendor."""


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """One generation, whatever surface it came through. `model` is a role or the id of a spec.

    `effort` is how much a model shall think, in its vendor's words. `top_logprobs`: the likelihood of each token, with
    that many others; None for none.
    """

    model: str
    messages: tuple[Message, ...]
    max_output_tokens: int | None = None
    sampling: Sampling = field(default_factory=Sampling)
    answer_schema: JsonSchema | None = None
    data_class: DataClass = DataClass.PERSONAL
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    effort: str | None = None
    top_logprobs: int | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, as counted by the engine that answered.

    Of the input tokens some were read from the vendor's prompt cache and some written to it; of the output tokens some
    were thought and not said.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    thinking_tokens: int = 0


FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


@dataclass(frozen=True, slots=True)
class Started:
    """The engine has accepted the request. First event of a stream."""

    spec_id: str


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of the answer, at least one character.

    `logprobs`: the likelihood of each of its tokens, where asked for, in OpenAI's objects, which others have copied.
    """

    text: str
    logprobs: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class ThinkingDelta:
    """The next piece of what the model thinks aloud; `signature` and `redacted` come whole, in a piece of their own."""

    text: str = ""
    signature: str | None = None
    redacted: str | None = None


@dataclass(frozen=True, slots=True)
class ToolCallStarted:
    """The model begins to ask for a tool. `index` counts the calls of this answer from 0."""

    index: int
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """The next piece of the JSON text of that call's arguments."""

    index: int
    arguments: str


@dataclass(frozen=True, slots=True)
class Finished:
    """Last event of a stream. `stop_sequence`: the one that ended it, where the engine says so."""

    reason: FinishReason
    usage: Usage
    stop_sequence: str | None = None


StreamEvent = Started | TextDelta | ThinkingDelta | ToolCallStarted | ToolCallDelta | Finished


@dataclass(frozen=True, slots=True)
class Vectors:
    """Embeddings in the order of their texts.

    `values` float32 (n, dim), rows of length 1, so a dot product is a cosine. `tokens` int64 (n,): tokens read of
    each text, special ones included. `truncated`: how many texts were longer than the model reads and were cut.
    """

    values: npt.NDArray[np.float32]
    tokens: npt.NDArray[np.int64]
    truncated: int = 0


@dataclass(frozen=True, slots=True)
class Word:
    """One spoken word. Times in seconds from the start of the recording."""

    text: str
    start_s: float
    end_s: float
    probability: float


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of speech that reads as one line. Times in seconds from the start of the recording."""

    text: str
    start_s: float
    end_s: float
    words: tuple[Word, ...] = ()
    average_log_probability: float = 0.0
    no_speech_probability: float = 0.0


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was heard. `language` is ISO 639-1 with the model's probability of it; `model` is the spec id."""

    segments: tuple[Segment, ...]
    language: str
    language_probability: float
    duration_s: float
    model: str

    @property
    def text(self) -> str:
        """All segments, one space between."""
        return " ".join(segment.text.strip() for segment in self.segments)
