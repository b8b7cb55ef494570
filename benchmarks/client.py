"""What a load is, and a client that sends it: one process, uvloop, a parser in C, keep-alive connections.

It takes an exact number of requests and can keep the answers, which `wrk` cannot; about 12,000 requests a second, so it
is no match for a cached answer but for everything that a model or a timer paces. load.py chooses between the two.
"""

import asyncio
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httptools
import uvloop

ANSWER_TIMEOUT_S = 120.0  # a long answer of a small model under 8 clients takes 10 s; a hang must not take the evening


class TableFailed(Exception):
    """There is no figure, or none that would be true: an answer was an error, or not what the table is about."""


@dataclass(frozen=True, slots=True)
class Load:
    """POSTs of `bodies` in turn to `url` + `path`, each connection asking again as soon as it is answered."""

    url: str
    path: str
    bodies: Sequence[bytes]
    connections: int
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.url)
        return parts.hostname or "127.0.0.1", parts.port or 80

    def wire(self) -> list[bytes]:
        """Each request as it goes over the wire."""
        host, port = self.address
        lines = [f"POST {self.path} HTTP/1.1", f"host: {host}:{port}", "content-type: application/json"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        head = "\r\n".join(lines).encode()
        return [b"%b\r\ncontent-length: %d\r\n\r\n%b" % (head, len(body), body) for body in self.bodies]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a load: 2xx answers, the seconds they took together, latencies of single requests."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float


Taker = Callable[[bytes], None]


def exactly(load: Load, requests: int, take: Taker | None = None) -> Outcome:
    """Send that many requests and wait for all answers; `take` gets each body. Raises TableFailed."""
    return _run(load, lambda asked: asked < requests, take)


def for_seconds(load: Load, seconds: float) -> Outcome:
    """Send for that long, then wait for the answers under way. Raises TableFailed."""
    end = time.perf_counter() + seconds
    return _run(load, lambda _: time.perf_counter() < end, None)


def one(load: Load) -> bytes:
    """The body of one answer."""
    bodies: list[bytes] = []
    exactly(load, 1, bodies.append)
    return bodies[0]


def _run(load: Load, more: Callable[[int], bool], take: Taker | None) -> Outcome:
    return uvloop.run(_Asking(load, more, take).all())


class _Asking:
    """One load under way: connections take the next request from one line."""

    def __init__(self, load: Load, more: Callable[[int], bool], take: Taker | None) -> None:
        self._load, self._more, self._take = load, more, take
        self._requests = self._next(load.wire())
        self._latencies_s: list[float] = []

    async def all(self) -> Outcome:
        began = time.perf_counter()
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._load.connections):
                    group.create_task(self._connection())
        except* TableFailed as failures:
            raise failures.exceptions[0] from None  # the others follow from it, or say the same
        seconds = time.perf_counter() - began
        found = sorted(self._latencies_s)
        p99 = found[min(len(found) - 1, round(len(found) * 0.99))]
        return Outcome(len(found), seconds, statistics.median(found) * 1e3, p99 * 1e3)

    async def _connection(self) -> None:
        host, port = self._load.address
        try:
            transport, answers = await asyncio.get_running_loop().create_connection(_Answers, host, port)
        except OSError as error:
            raise TableFailed(f"{self._load.url} cannot be reached: {error}") from error
        try:
            for request in self._requests:
                began = time.perf_counter()
                answer = None
                while answer is None:
                    if answers.closed:
                        transport.close()
                        transport, answers = await asyncio.get_running_loop().create_connection(_Answers, host, port)
                    transport.write(request)
                    async with asyncio.timeout(ANSWER_TIMEOUT_S):
                        answer = await answers.next()
                status, body = answer
                self._latencies_s.append(time.perf_counter() - began)
                if not 200 <= status < 300:
                    raise TableFailed(f"{self._load.url}{self._load.path} answered {status}: {body[:300]!r}")
                if self._take is not None:
                    self._take(body)
        except TimeoutError as error:
            raise TableFailed(f"{self._load.url}{self._load.path}: no answer in {ANSWER_TIMEOUT_S:.0f} s") from error
        finally:
            transport.close()

    def _next(self, wire: Sequence[bytes]) -> Iterator[bytes]:
        asked = 0
        while self._more(asked):
            yield wire[asked % len(wire)]
            asked += 1


class _Answers(asyncio.Protocol):
    """One connection's answers, one at a time. The names are the parser's callbacks."""

    def __init__(self) -> None:
        self._waiter: asyncio.Future[tuple[int, bytes] | None] | None = None
        self._answered, self._silent = 0, True
        self._parser = httptools.HttpResponseParser(self)
        self._parts: list[bytes] = []
        self._ends_with_connection = False
        self.closed = False  # nothing more can be asked here

    async def next(self) -> tuple[int, bytes] | None:
        """Status and body of the next answer; None where a kept connection was closed instead: ask on a new one.

        llama.cpp's server closes after each stream, whatever its headers say.
        """
        self._waiter = asyncio.get_running_loop().create_future()
        return await self._waiter

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"an answer is not HTTP: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if exc is None and self._ends_with_connection:
            self.on_message_complete()
        if self._answered and self._silent and self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        self._fail(f"the connection was closed before the answer ended ({exc or 'end of stream'})")

    def on_message_begin(self) -> None:
        self._ends_with_connection, self._silent = True, False

    def on_header(self, name: bytes, _: bytes) -> None:
        if name.lower() in {b"content-length", b"transfer-encoding"}:
            self._ends_with_connection = False

    def on_body(self, body: bytes) -> None:
        self._parts.append(body)

    def on_message_complete(self) -> None:
        answer = (self._parser.get_status_code(), b"".join(self._parts))
        self.closed = self.closed or not self._parser.should_keep_alive()
        self._ends_with_connection, self._silent = False, True
        self._answered += 1
        self._parser, self._parts = httptools.HttpResponseParser(self), []
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(answer)

    def _fail(self, reason: str) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(TableFailed(reason))
