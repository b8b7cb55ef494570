"""The Python client: a cluster over HTTP and nothing else, blocking (Client) or awaited (AsyncClient).

    client = Client()                                        # the cluster of `becoming-one up`, or BECOMING_ONE_URL
    print(client.ask("What is the fourth way?").text)
    for piece in client.stream("Tell me more."):
        print(piece, end="", flush=True)
    vectors = client.embed(["a sentence", "another"])        # float32 (2, dim), rows of length 1

Rules stand in operations.py, shapes in wire.py, what can go wrong in errors.py; here are the two ways to wait.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

import httpx

from becoming_one import operations
from becoming_one.connection import TIMEOUT_S, Connection, open_reply, opened, request, whole_reply
from becoming_one.errors import ClientError
from becoming_one.operations import Health, Operation, Pause
from becoming_one.wire import Answer, AskOptions, Call, Prompt, Reply, StreamReader, Usage, ask_call, read_answer

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["Answer", "AskOptions", "AsyncClient", "Client", "ClientError", "Health", "Usage"]

EMBEDDING_MODEL = "all-minilm-l6-v2"

T = TypeVar("T")


class Client(Connection):
    """A cluster, blocking. Safe to share between threads. Close it, or use it in a `with`.

    `base_url` and `api_key` default to BECOMING_ONE_URL and BECOMING_ONE_API_KEY, then to what `becoming-one up` left
    in the nearest `.becoming-one/`. `timeout_s` is the longest silence within an answer. A connection that fails, a 429
    and a 503 are tried again up to `max_retries` times, later each time and not before the server asks.
    """

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        timeout_s: float = TIMEOUT_S,
        max_retries: int = 3,
    ) -> None:
        super().__init__(base_url, api_key, timeout_s, max_retries)
        self._http = httpx.Client(**self._arguments)

    def ask(self, prompt: Prompt, model: str = "realtime", **options: Unpack[AskOptions]) -> Answer:
        """One answer to a text, or to the turns so far. `model` is a role or the id of a model. Raises ClientError."""
        call = ask_call(prompt, model, options, streamed=False)
        return read_answer(self._run(operations.answered(call, self._retries)))

    def stream(self, prompt: Prompt, model: str = "realtime", **options: Unpack[AskOptions]) -> "TextStream":
        """One answer, piece by piece as it is made; sent when the first piece is asked for."""
        return TextStream(self, ask_call(prompt, model, options, streamed=True))

    def embed(
        self,
        texts: Sequence[str],
        model: str = EMBEDDING_MODEL,
        dimensions: int | None = None,
        progress: bool = False,
    ) -> "npt.NDArray[np.float32]":
        """Embed texts, in order: float32 (len(texts), dim), rows of length 1, so that a dot product is a cosine.

        Any number of texts, sent in batches. `dimensions` keeps the first so many and scales back to length 1.
        `progress` draws a bar. No texts give shape (0, dimensions or 0). Raises ClientError.
        """
        texts = [texts] if isinstance(texts, str) else texts
        with _bar(len(texts), progress) as advance:
            return self._run(operations.embedded(texts, model, dimensions, self._retries, advance))

    def models(self) -> list[dict[str, Any]]:
        """Every model that the key may use, as GET /v1/models tells them."""
        return self._run(operations.listed(self._retries))

    def health(self) -> Health:
        """How the cluster is now; asks once, and says "unreachable" where nothing answers."""
        return self._run(operations.examined())

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _run(self, operation: Operation[T]) -> T:
        outcome: Reply | ClientError | None = None
        while True:
            try:
                step = operation.send(outcome)
            except StopIteration as end:
                value: T = end.value
                return value
            if isinstance(step, Pause):
                time.sleep(step.seconds)
                outcome = None
            else:
                outcome = self._attempt(step)

    def _attempt(self, call: Call) -> Reply | ClientError:
        try:
            response = self._http.send(request(self._http, call), stream=call.streamed)
            if not call.streamed:
                return whole_reply(response)
            if response.is_success:
                return open_reply(response)
            response.read()
            return whole_reply(response)
        except httpx.RequestError as error:
            return self.failed(error)


class TextStream(Iterator[str]):
    """The pieces of one answer, blocking. Leave its `with`, or `close` it, and the generation stops."""

    def __init__(self, client: Client, call: Call) -> None:
        self._client = client
        self._answer: Answer | None = None
        self._pieces = self._read(call)

    @property
    def answer(self) -> Answer:
        """The whole answer with its usage, once every piece was read."""
        return _whole(self._answer)

    def close(self) -> None:
        """Stop here: the connection closes, and with it the generation."""
        self._pieces.close()

    def __next__(self) -> str:
        return next(self._pieces)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _read(self, call: Call) -> Generator[str, None, None]:
        reply = self._client._run(operations.answered(call, self._client._retries))  # noqa: SLF001  # one room
        response, reader = opened(reply), StreamReader(reply)
        try:
            for chunk in response.iter_bytes():
                yield from reader.feed(chunk)
        except httpx.RequestError as error:
            if not reader.done:
                raise self._client.broken(error, reader) from error
        finally:
            response.close()
        self._answer = reader.answer()


class AsyncClient(Connection):
    """A cluster, awaited. Methods, defaults and errors are Client's. One event loop a client."""

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        timeout_s: float = TIMEOUT_S,
        max_retries: int = 3,
    ) -> None:
        super().__init__(base_url, api_key, timeout_s, max_retries)
        self._http = httpx.AsyncClient(**self._arguments)

    async def ask(self, prompt: Prompt, model: str = "realtime", **options: Unpack[AskOptions]) -> Answer:
        """As Client.ask."""
        call = ask_call(prompt, model, options, streamed=False)
        return read_answer(await self._run(operations.answered(call, self._retries)))

    def stream(self, prompt: Prompt, model: str = "realtime", **options: Unpack[AskOptions]) -> "AsyncTextStream":
        """As Client.stream, for `async for`."""
        return AsyncTextStream(self, ask_call(prompt, model, options, streamed=True))

    async def embed(
        self,
        texts: Sequence[str],
        model: str = EMBEDDING_MODEL,
        dimensions: int | None = None,
        progress: bool = False,
    ) -> "npt.NDArray[np.float32]":
        """As Client.embed."""
        texts = [texts] if isinstance(texts, str) else texts
        with _bar(len(texts), progress) as advance:
            return await self._run(operations.embedded(texts, model, dimensions, self._retries, advance))

    async def models(self) -> list[dict[str, Any]]:
        """As Client.models."""
        return await self._run(operations.listed(self._retries))

    async def health(self) -> Health:
        """As Client.health."""
        return await self._run(operations.examined())

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def _run(self, operation: Operation[T]) -> T:
        outcome: Reply | ClientError | None = None
        while True:
            try:
                step = operation.send(outcome)
            except StopIteration as end:
                value: T = end.value
                return value
            if isinstance(step, Pause):
                await asyncio.sleep(step.seconds)
                outcome = None
            else:
                outcome = await self._attempt(step)

    async def _attempt(self, call: Call) -> Reply | ClientError:
        try:
            response = await self._http.send(request(self._http, call), stream=call.streamed)
            if not call.streamed:
                return whole_reply(response)
            if response.is_success:
                return open_reply(response)
            await response.aread()
            return whole_reply(response)
        except httpx.RequestError as error:
            return self.failed(error)


class AsyncTextStream(AsyncIterator[str]):
    """The pieces of one answer, awaited. Leave its `async with`, or `close` it, and the generation stops."""

    def __init__(self, client: AsyncClient, call: Call) -> None:
        self._client = client
        self._answer: Answer | None = None
        self._pieces = self._read(call)

    @property
    def answer(self) -> Answer:
        """The whole answer with its usage, once every piece was read."""
        return _whole(self._answer)

    async def close(self) -> None:
        """Stop here: the connection closes, and with it the generation."""
        await self._pieces.aclose()

    async def __anext__(self) -> str:
        return await anext(self._pieces)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def _read(self, call: Call) -> AsyncGenerator[str, None]:
        reply = await self._client._run(operations.answered(call, self._client._retries))  # noqa: SLF001  # one room
        response, reader = opened(reply), StreamReader(reply)
        try:
            async for chunk in response.aiter_bytes():
                for piece in reader.feed(chunk):
                    yield piece
        except httpx.RequestError as error:
            if not reader.done:
                raise self._client.broken(error, reader) from error
        finally:
            await response.aclose()
        self._answer = reader.answer()


def _whole(answer: Answer | None) -> Answer:
    if answer is None:
        raise RuntimeError("The answer is known once the stream was read to its end.")
    return answer


def _bar(total: int, wanted: bool) -> AbstractContextManager[Callable[[int], None]]:
    """A progress bar over `total` texts, or a function that draws nothing."""
    if not wanted:
        return nullcontext(lambda _count: None)
    from becoming_one.progress import bar  # noqa: PLC0415  # rich takes 0.15 s to import

    return bar("embedding", total, "texts")
