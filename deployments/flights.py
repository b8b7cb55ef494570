"""Single flight: identical requests in flight share one generation. Knows keys and events, nothing of wires.

The generation runs in a task of its own and outlives the caller that started it for as long as anyone listens.
When the last listener leaves early, it is cancelled, and with it the upstream.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

from models.errors import ClusterError, ModelUnavailable
from models.values import Finished, StreamEvent

Source = Callable[["Flight"], AsyncGenerator[StreamEvent, None]]


class Flight:
    """One generation under way: its events so far, and who waits for more. `id` and `created_s` are the answer's."""

    def __init__(self, id_: str, created_s: int) -> None:
        self.id, self.created_s = id_, created_s
        self.events: list[StreamEvent] = []
        self.plan = ""  # why this model, for x-plan; the source writes it
        self._error: BaseException | None = None
        self._ended = False
        self._waiters: list[asyncio.Future[None]] = []
        self._listeners = 0
        self._task: asyncio.Task[None] | None = None
        self._on_end: Callable[[Flight], None] = lambda _: None

    @property
    def finished(self) -> bool:
        """Whether the whole answer is there."""
        return bool(self.events) and isinstance(self.events[-1], Finished)

    def start(self, source: Source, on_end: Callable[["Flight"], None]) -> None:
        """Begin the generation. `on_end` is called once: when it finished, failed, or nobody listened any more."""
        self._on_end = on_end
        self._task = asyncio.get_running_loop().create_task(self._run(source))

    @asynccontextmanager
    async def listen(self) -> AsyncIterator[AsyncIterator[list[StreamEvent]]]:
        """Batches of events from the first one on; leaving counts."""
        self._listeners += 1
        try:
            yield self._batches()
        finally:
            self._listeners -= 1
            if self._listeners == 0 and not self._ended and not self.finished and self._task is not None:
                self._task.cancel()
                self._end(ModelUnavailable(self.id, "everyone who asked has gone"))

    async def _batches(self) -> AsyncIterator[list[StreamEvent]]:
        """Events in order, as many at a time as there are. Raises what the generation raised."""
        seen = 0
        while True:
            if seen < len(self.events):
                batch = self.events[seen:]
                seen += len(batch)
                yield batch
            elif self._ended:
                if self._error is not None:
                    raise self._error
                return
            else:
                waiter = asyncio.get_running_loop().create_future()
                self._waiters.append(waiter)
                await waiter

    async def _run(self, source: Source) -> None:
        error: BaseException | None = None
        try:
            async with aclosing(source(self)) as stream:
                async for event in stream:
                    self.events.append(event)
                    self._wake()
        except ClusterError as failure:
            error = failure
        except asyncio.CancelledError:
            error = ModelUnavailable(self.id, "this replica is stopping")
            raise
        except BaseException as failure:
            error = failure  # a defect of ours: listeners must see it and not a short answer
            raise
        finally:
            self._end(error)

    def _end(self, error: BaseException | None) -> None:
        if not self._ended:
            self._ended, self._error = True, error
            self._wake()
            self._on_end(self)

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


class Flights:
    """The flights of one replica, by key."""

    def __init__(self) -> None:
        self._by_key: dict[str, Flight] = {}

    def find(self, key: str) -> Flight | None:
        """The flight of that key, if one is under way."""
        return self._by_key.get(key)

    def start(self, key: str | None, flight: Flight, source: Source, on_end: Callable[[Flight], None]) -> None:
        """Begin a flight that others may join under `key`; without a key nothing is shared."""
        if key is None:
            flight.start(source, on_end)
            return
        self._by_key[key] = flight

        def land(ended: Flight) -> None:
            if self._by_key.get(key) is ended:
                del self._by_key[key]
            on_end(ended)

        flight.start(source, land)

    def __len__(self) -> int:
        """How many are under way."""
        return len(self._by_key)
