"""A deterministic engine of each kind, shipped, so that a test can assert its output."""

import asyncio
import hashlib
import json
import threading
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from models.catalog import Spec
from models.errors import ContextTooLong, InvalidRequest, ModelError
from models.values import (
    Finished,
    GenerateRequest,
    Segment,
    Started,
    StreamEvent,
    TextDelta,
    Transcript,
    Usage,
    Vectors,
    Word,
)


class FakeGenerator:
    """Says `reply`, or the last message back, a word at a time; words are tokens.

    Obeys max_output_tokens, stop and the spec's context; under a schema it says the plainest value that fits. `calls`
    counts requests, `open` those under way, `stopped` those whose listener left early. With `gate` each word after the
    first waits for it. `failures` are raised one a request, first before any event, until they are used up.
    """

    def __init__(
        self, reply: str | None = None, gate: asyncio.Event | None = None, failures: Sequence[ModelError] = ()
    ) -> None:
        self._reply, self._gate, self._failures = reply, gate, list(failures)
        self.calls = 0
        self.open = 0
        self.stopped = 0
        self.requests: list[GenerateRequest] = []

    async def stream(self, spec: Spec, request: GenerateRequest) -> AsyncGenerator[StreamEvent, None]:
        self.calls += 1
        self.requests.append(request)
        if self._failures:
            raise self._failures.pop(0)
        read = sum(len(turn.text.split()) for turn in request.messages)
        if spec.context_tokens and read >= spec.context_tokens:
            raise ContextTooLong(spec.id, read, spec.context_tokens)
        words, ended = self._words(request)
        ended_by_itself = False
        self.open += 1
        try:
            yield Started(spec.id)
            for number, word in enumerate(words):
                if number and self._gate is not None:
                    await self._gate.wait()
                yield TextDelta(word)
            ended_by_itself = True
            yield Finished("stop" if ended else "length", Usage(read, len(words)))
        finally:
            self.open -= 1
            self.stopped += not ended_by_itself

    async def close(self) -> None:
        """Nothing is held open."""

    def _words(self, request: GenerateRequest) -> tuple[list[str], bool]:
        """The words to say, spaces kept, and whether they are all."""
        text = request.messages[-1].text if self._reply is None else self._reply
        if request.answer_schema is not None:
            text = json.dumps(_satisfying(request.answer_schema.schema))
        for sequence in request.sampling.stop:
            text = text.partition(sequence)[0]
        words = [word if number == 0 else " " + word for number, word in enumerate(text.split())]
        limit = request.max_output_tokens
        return (words, True) if limit is None or len(words) <= limit else (words[:limit], False)


def _satisfying(schema: Mapping[str, Any]) -> Any:
    """The plainest value under a JSON Schema of objects, arrays, enums and bounds (no references, no patterns)."""
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return _satisfying(schema["anyOf"][0])
    kind = schema.get("type", "null")
    if isinstance(kind, list):
        kind = kind[0]
    if kind == "object":
        return {name: _satisfying(schema["properties"][name]) for name in schema.get("required", ())}
    if kind == "array":
        return [_satisfying(schema.get("items", {}))] * schema.get("minItems", 0)
    plain: dict[str, Any] = {
        "string": "x" * schema.get("minLength", 1),
        "integer": schema.get("minimum", 0),
        "number": schema.get("minimum", 0.0),
        "boolean": True,
    }
    return plain.get(kind)


class FakeTranscriber:
    """Hears loudness, not words: each stretch of sound is one segment, which recites `script` from its first word on.

    One word for each half second of sound, at least one. `calls` counts what it was asked, under a lock.
    """

    SAMPLE_RATE_HZ = 16_000
    WORD_S = 0.5
    PAUSE_S = 0.3  # silence that ends a segment
    LOUD = 0.01  # root mean square of 20 ms above which there is sound

    def __init__(
        self,
        script: str = "one two three four five six seven eight nine ten",
        spec_id: str = "fake-transcriber",
        language: str = "en",
        languages: frozenset[str] = frozenset({"en", "es", "fr"}),
    ) -> None:
        self.spec_id = spec_id
        self.languages = languages
        self.calls = 0
        self._script = script.split()
        self._language = language
        self._lock = threading.Lock()

    def hear(self, audio: npt.NDArray[np.float32], language: str | None = None) -> Transcript:
        if language is not None and language not in self.languages:
            raise InvalidRequest(f"{self.spec_id} does not know the language {language!r}.", "language")
        with self._lock:
            self.calls += 1
        duration_s = len(audio) / self.SAMPLE_RATE_HZ
        segments = tuple(self._segment(start_s, end_s) for start_s, end_s in self._stretches(audio))
        if not segments:
            return Transcript((), language or "und", 1.0 if language else 0.0, duration_s, self.spec_id)
        probability = 1.0 if language else 0.9
        return Transcript(segments, language or self._language, probability, duration_s, self.spec_id)

    def _stretches(self, audio: npt.NDArray[np.float32]) -> Iterator[tuple[float, float]]:
        """(start_s, end_s) of each stretch of sound; pauses shorter than PAUSE_S belong to it."""
        frame = self.SAMPLE_RATE_HZ // 50
        frames = audio[: len(audio) // frame * frame].reshape(-1, frame)
        loud = np.flatnonzero(np.sqrt(np.mean(frames**2, axis=1)) > self.LOUD)
        if len(loud) == 0:
            return
        breaks = np.flatnonzero(np.diff(loud) > self.PAUSE_S * 50) + 1
        for stretch in np.split(loud, breaks):
            yield int(stretch[0]) / 50, (int(stretch[-1]) + 1) / 50

    def _segment(self, start_s: float, end_s: float) -> Segment:
        count = max(1, round((end_s - start_s) / self.WORD_S))
        step_s = (end_s - start_s) / count
        words = tuple(
            Word(
                text=" " + self._script[index % len(self._script)],
                start_s=round(start_s + index * step_s, 3),
                end_s=round(start_s + (index + 1) * step_s, 3),
                probability=1.0,
            )
            for index in range(count)
        )
        return Segment("".join(word.text for word in words).strip(), start_s, end_s, words)


class FakeEmbedder:
    """Each text has a vector of its own, drawn from its sha256; the same text the same vector, in any process.

    Words are tokens, two more mark start and end. Different texts are nearly orthogonal: at 384 dimensions no two of a
    thousand pass a cosine of 0.35. `calls` counts calls of `encode`, `batches` keeps what each was asked, under a lock.
    """

    def __init__(self, dim: int = 384, max_tokens: int = 256) -> None:
        self.dim, self.max_tokens = dim, max_tokens
        self.calls = 0
        self.batches: list[tuple[str, ...]] = []
        self._lock = threading.Lock()

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [min(self._length(text), self.max_tokens) for text in texts]

    def encode(self, texts: Sequence[str]) -> Vectors:
        rows = [self._vector(text) for text in texts]
        with self._lock:
            self.calls += 1
            self.batches.append(tuple(texts))
        values = np.array(rows, np.float32).reshape(len(texts), self.dim)
        truncated = sum(self._length(text) > self.max_tokens for text in texts)
        return Vectors(values, np.array(self.count_tokens(texts), np.int64), truncated)

    def _vector(self, text: str) -> npt.NDArray[np.float32]:
        """A random direction, seeded by the words that are read."""
        read = " ".join(text.split()[: self.max_tokens - 2])
        try:
            seed = hashlib.sha256(read.encode()).digest()
        except UnicodeEncodeError as error:
            raise InvalidRequest("A text has a lone surrogate, half of a character. Send valid Unicode.") from error
        drawn = np.random.default_rng(int.from_bytes(seed)).standard_normal(self.dim)
        return (drawn / np.linalg.norm(drawn)).astype(np.float32)

    def _length(self, text: str) -> int:
        return len(text.split()) + 2
