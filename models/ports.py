"""What an engine is. Adapters stand in engines/, deterministic peers in fakes.py; one contract suite per port."""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from models.catalog import Spec
from models.values import GenerateRequest, StreamEvent, Transcript, Vectors


class Generator(Protocol):
    """Text from messages. Many calls may be in flight at once."""

    def stream(self, spec: Spec, request: GenerateRequest) -> AsyncGenerator[StreamEvent, None]:
        """Answer in pieces: Started, TextDelta..., Finished.

        Closing the generator stops the generation within one token batch. Raises before the first event where it
        can: ContextTooLong, ModelUnavailable, ModelTimeout, ModelRefused.
        """
        ...

    async def close(self) -> None:
        """Let go of sockets, threads and memory; open streams end with ModelUnavailable."""
        ...


class Embedder(Protocol):
    """Sentence vectors. CPU- or GPU-bound and synchronous: callers run it in a thread."""

    dim: int
    max_tokens: int

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text as `encode` would read it, special tokens included, cut at `max_tokens`."""
        ...

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Embed texts, in order.

        Returns float32 of shape (len(texts), dim), rows of length 1. Texts over `max_tokens` are cut and counted in
        `Vectors.truncated`. An empty text has a vector too (the model's own for no words). Thread-safe.
        """
        ...


class Transcriber(Protocol):
    """Speech to text. Synchronous; one call uses one thread unless the adapter says otherwise."""

    spec_id: str

    def hear(self, audio: npt.NDArray[np.float32], language: str | None = None) -> Transcript:
        """Transcribe mono audio.

        `audio` float32 (samples,), 16_000 Hz, in [-1, 1]. `language` ISO 639-1, None to detect. Silence gives a
        transcript without segments.
        """
        ...
