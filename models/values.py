"""The words every room shares, as frozen values. Parsed once at a border, trusted below it.

Text in: GenerateRequest -> StreamEvent* (Started, TextDelta..., Finished). Texts in: Vectors. Audio in: Transcript.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
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


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. Text only in this release; images and tool calls join as further fields."""

    role: Literal["system", "user", "assistant"]
    text: str
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


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """One generation, whatever surface it came through. `model` is a role or the id of a spec."""

    model: str
    messages: tuple[Message, ...]
    max_output_tokens: int | None = None
    sampling: Sampling = field(default_factory=Sampling)
    answer_schema: JsonSchema | None = None
    data_class: DataClass = DataClass.PERSONAL


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, as counted by the engine that answered. `cached_input_tokens` are among `input_tokens`."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0


FinishReason = Literal["stop", "length", "content_filter"]


@dataclass(frozen=True, slots=True)
class Started:
    """The engine has accepted the request. First event of a stream."""

    spec_id: str


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of the answer, at least one character."""

    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """Last event of a stream."""

    reason: FinishReason
    usage: Usage


StreamEvent = Started | TextDelta | Finished


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
