"""The whole answer that a stream of events comes to."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from models.values import (
    Finished,
    FinishReason,
    Part,
    Started,
    StreamEvent,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallStarted,
    Usage,
)


@dataclass(frozen=True, slots=True)
class Output:
    """One answer. `parts` are Text, Thinking and ToolCall in the order in which they were said."""

    parts: tuple[Part, ...]
    reason: FinishReason
    usage: Usage
    logprobs: tuple[Mapping[str, Any], ...] = ()
    stop_sequence: str | None = None

    @property
    def text(self) -> str:
        """All its words, joined."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def thinking(self) -> str:
        """All that was thought aloud, joined."""
        return "".join(part.text for part in self.parts if isinstance(part, Thinking))

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The calls, in order."""
        return tuple(part for part in self.parts if isinstance(part, ToolCall))

    @property
    def is_plain(self) -> bool:
        """Whether it is words and nothing else."""
        return not self.logprobs and all(isinstance(part, Text) for part in self.parts)


@dataclass(slots=True)
class _Growing:
    """A part that is being said: pieces of its text, and what it is."""

    kind: type[Text] | type[Thinking] | type[ToolCall]
    pieces: list[str] = field(default_factory=list)
    id: str = ""
    name: str = ""
    signature: str | None = None
    redacted: str | None = None

    def whole(self) -> Part:
        text = "".join(self.pieces)
        if self.kind is Text:
            return Text(text)
        if self.kind is Thinking:
            return Thinking(text, self.signature, self.redacted)
        return ToolCall(self.id, self.name, text)


class Accumulator:
    """Takes events in order; `output` once `finished`. A second Started begins anew and drops what was said."""

    def __init__(self, events: Iterable[StreamEvent] = ()) -> None:
        self.spec_id = ""
        self._end: Finished | None = None
        self._growing: list[_Growing] = []
        self._calls: dict[int, _Growing] = {}
        self._logprobs: list[Mapping[str, Any]] = []
        for event in events:
            self.add(event)

    @property
    def finished(self) -> bool:
        """Whether the last event has come."""
        return self._end is not None

    def add(self, event: StreamEvent) -> None:
        """The next event."""
        if isinstance(event, TextDelta):
            self._last(Text).pieces.append(event.text)
            self._logprobs += event.logprobs
        elif isinstance(event, ToolCallDelta):
            self._calls[event.index].pieces.append(event.arguments)
        elif isinstance(event, ToolCallStarted):
            self._calls[event.index] = _Growing(ToolCall, id=event.id, name=event.name)
            self._growing.append(self._calls[event.index])
        elif isinstance(event, ThinkingDelta):
            self._think(event)
        elif isinstance(event, Finished):
            self._end = event
        elif isinstance(event, Started):
            self.spec_id = event.spec_id
            self._growing, self._calls, self._logprobs = [], {}, []

    def output(self) -> Output:
        """The whole answer. Raises ValueError before its end."""
        if self._end is None:
            raise ValueError("an answer that has not ended is not whole")
        parts = tuple(part.whole() for part in self._growing)
        return Output(parts, self._end.reason, self._end.usage, tuple(self._logprobs), self._end.stop_sequence)

    def _think(self, event: ThinkingDelta) -> None:
        if event.redacted is not None:
            self._growing.append(_Growing(Thinking, redacted=event.redacted))
            return
        part = self._last(Thinking)
        part.pieces.append(event.text)
        part.signature = event.signature or part.signature

    def _last(self, kind: type[Text] | type[Thinking]) -> _Growing:
        """The part being said, if it is of that kind and goes on, else a new one: a signature ends a thought."""
        last = self._growing[-1] if self._growing else None
        if last is None or last.kind is not kind or last.signature or last.redacted:
            last = _Growing(kind)
            self._growing.append(last)
        return last
