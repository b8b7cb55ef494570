"""Server-sent events, cut anywhere."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.sse import MAX_EVENT_BYTES, EventTooLong, SseParser

STREAM = (
    'data: {"a": "é"}\n\n: a comment\r\nevent: x\r\ndata:no space\r\n\r\ndata: two\ndata: lines\n\ndata: [DONE]\n\n'
)
EVENTS = ['{"a": "é"}'.encode(), b"no space", b"two\nlines", b"[DONE]"]


def test_events_comments_and_line_ends() -> None:
    assert SseParser().feed(STREAM.encode()) == EVENTS


@given(st.lists(st.integers(0, len(STREAM.encode())), max_size=12))
def test_wherever_the_stream_is_cut_the_events_are_the_same(cuts: list[int]) -> None:
    raw, parser, found = STREAM.encode(), SseParser(), []
    edges = sorted({0, *cuts, len(raw)})
    for start, end in pairwise(edges):
        found += parser.feed(raw[start:end])
    assert found == EVENTS


def test_byte_by_byte() -> None:
    parser = SseParser()
    assert [event for byte in STREAM.encode() for event in parser.feed(bytes([byte]))] == EVENTS


def test_a_lone_carriage_return_ends_a_line() -> None:
    assert SseParser().feed(b"data: a\r\rdata: b\r\r\n") == [b"a", b"b"]


def test_a_long_line_is_read_and_an_endless_one_refused() -> None:
    parser = SseParser()
    assert parser.feed(b"data: " + b"x" * 100_000 + b"\n\n") == [b"x" * 100_000]
    for _ in range(MAX_EVENT_BYTES // 65536):
        parser.feed(b"x" * 65536)
    with pytest.raises(EventTooLong):
        parser.feed(b"x")


def test_an_unfinished_event_is_not_an_event() -> None:
    assert SseParser().feed(b"data: half") == []
    assert SseParser().feed(b"data: no blank line\n") == []
