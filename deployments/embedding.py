"""The application on /v1/embeddings, with its model in the same process.

Requests wait for each other only while the engine is busy: what has come in by then goes together, in batches of a
bounded number of tokens, which the engine sorts by length. An idle engine starts at once.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deployments.args import EmbeddingArgs
from deployments.front import Admitted
from deployments.http import JSON, Scope, Send, respond
from deployments.metrics import Metrics
from deployments.surfaces import embeddings
from models.errors import ModelUnavailable, UnknownModel
from models.ports import Embedder

Vector = npt.NDArray[np.float32]


@dataclass(slots=True)
class _Item:
    """One text that waits."""

    text: str
    tokens: int
    future: asyncio.Future[Vector]


class Batcher:
    """Texts of all requests -> batches -> vectors. One engine call at a time, in a thread of its own."""

    def __init__(self, embedder: Embedder, batch_tokens: int, on_batch: Callable[[int], None] = lambda _: None) -> None:
        """`on_batch` is told how many texts go into each call of the engine."""
        self._embedder, self._batch_tokens, self._on_batch = embedder, batch_tokens, on_batch
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="embedder")
        self._requests: deque[deque[_Item]] = deque()
        self._task: asyncio.Task[None] | None = None

    async def encode(self, texts: Sequence[str]) -> tuple[list[Vector], int]:
        """Vectors in order, float32 (dim,) each, and the tokens read."""
        loop = asyncio.get_running_loop()
        tokens = self._embedder.count_tokens(texts)
        items = [_Item(text, size, loop.create_future()) for text, size in zip(texts, tokens, strict=True)]
        self._requests.append(deque(sorted(items, key=lambda item: item.tokens)))
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._work())
        try:
            return [await item.future for item in items], sum(tokens)
        finally:
            for item in items:
                item.future.cancel()  # of a caller who has gone: its texts are dropped when their turn comes

    async def close(self) -> None:
        """Fail what waits and let the thread end."""
        if self._task is not None:
            self._task.cancel()
        for item in (item for request in self._requests for item in request):
            if not item.future.done():
                item.future.set_exception(ModelUnavailable("embeddings", "this replica is stopping"))
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(0)  # requests read in the same turn of the loop go together
        while batch := self._next_batch():
            self._on_batch(len(batch))
            try:
                vectors = await loop.run_in_executor(self._thread, self._embedder.encode, [item.text for item in batch])
            except Exception as error:  # noqa: BLE001  # whatever the engine raises is the answer of these requests
                for item in batch:
                    if not item.future.done():
                        item.future.set_exception(error)
                continue
            for item, vector in zip(batch, vectors.values, strict=True):
                if not item.future.done():
                    item.future.set_result(vector)

    def _next_batch(self) -> list[_Item]:
        """Up to `batch_tokens` tokens (at least one text), the same share of them to every request that waits.

        So one sentence does not wait behind another caller's two thousand. The engine pads like with like.
        """
        batch: list[_Item] = []
        room, before = self._batch_tokens, -1
        while self._requests and len(batch) > before:
            before = len(batch)
            share = max(1, room // len(self._requests))
            for _ in range(len(self._requests)):
                request = self._requests.popleft()
                spent = 0
                while request and self._fits(request[0], batch, room, share - spent if spent else room):
                    item = request.popleft()
                    if not item.future.cancelled():
                        batch.append(item)
                        spent += item.tokens
                        room -= item.tokens
                if request:
                    self._requests.append(request)
        return batch

    @staticmethod
    def _fits(item: _Item, batch: list[_Item], room: int, share: int) -> bool:
        return not batch or item.tokens <= min(room, share)


class Embeddings:
    """Handler of POST /v1/embeddings."""

    def __init__(self, embedder: Embedder, args: EmbeddingArgs, metrics: Metrics) -> None:
        self._embedder, self._args = embedder, args
        self._batcher = Batcher(embedder, args.batch_tokens, metrics.embedded)

    async def create(self, _: Scope, send: Send, admitted: Admitted) -> None:
        """Embed and answer."""
        wire = embeddings.read(admitted.body, self._embedder.dim, self._args.max_inputs)
        if wire.model != self._args.model:
            raise UnknownModel(wire.model, (self._args.model,))
        vectors, tokens = await self._batcher.encode(wire.texts)
        body = embeddings.write(
            wire.model, vectors, tokens, base64=wire.encoding_format == "base64", dimensions=wire.dimensions
        )
        await respond(send, 200, body, JSON, [(b"x-model", wire.model.encode())])

    async def close(self) -> None:
        """Let go of the engine."""
        await self._batcher.close()
