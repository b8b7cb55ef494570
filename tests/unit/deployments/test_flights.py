"""Single flight."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from deployments.flights import Flight, Flights
from models.errors import ModelRefused, ModelUnavailable
from models.values import Finished, Started, StreamEvent, TextDelta, Usage

END = Finished("stop", Usage(1, 2, 0))


class Engine:
    """Says one word each time it is let; remembers whether it was stopped."""

    def __init__(self, error: Exception | None = None) -> None:
        self.go = asyncio.Event()
        self.starts, self.stopped, self.error = 0, False, error

    async def source(self, _: Flight) -> AsyncGenerator[StreamEvent, None]:
        self.starts += 1
        try:
            yield Started("smol")
            yield TextDelta("one ")
            await self.go.wait()
            if self.error:
                raise self.error
            yield TextDelta("two")
            yield END
        finally:
            self.stopped = True


async def collect(flight: Flight) -> list[StreamEvent]:
    async with flight.listen() as batches:
        return [event async for batch in batches for event in batch]


async def until(condition) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  # any condition, not one event
            await asyncio.sleep(0)


@pytest.fixture
def flights() -> Flights:
    return Flights()


def start(flights: Flights, engine: Engine, key: str | None = "k", ended: list | None = None) -> Flight:
    flight = Flight("id", 1)
    flights.start(key, flight, engine.source, (ended if ended is not None else []).append)
    return flight


async def test_all_who_ask_the_same_hear_the_same_from_the_first_word_on(flights: Flights) -> None:
    engine = Engine()
    flight = start(flights, engine)
    early = asyncio.create_task(collect(flight))
    await until(lambda: len(flight.events) == 2)
    late = asyncio.create_task(collect(flights.find("k")))
    engine.go.set()
    expected = [Started("smol"), TextDelta("one "), TextDelta("two"), END]
    assert await early == expected
    assert await late == expected
    assert engine.starts == 1


async def test_the_first_to_ask_may_leave_and_the_others_still_get_all(flights: Flights) -> None:
    engine = Engine()
    flight = start(flights, engine)
    first, second = asyncio.create_task(collect(flight)), asyncio.create_task(collect(flight))
    await until(lambda: flight._listeners == 2)
    first.cancel()
    await asyncio.wait([first])
    engine.go.set()
    assert (await second)[-1] == END


async def test_when_the_last_listener_leaves_the_engine_stops_and_the_next_to_ask_starts_anew(flights: Flights) -> None:
    engine = Engine()
    ended: list[Flight] = []
    flight = start(flights, engine, ended=ended)
    listener = asyncio.create_task(collect(flight))
    await until(lambda: len(flight.events) == 2)
    listener.cancel()
    await asyncio.wait([listener])
    assert flights.find("k") is None
    assert ended == [flight]
    await until(lambda: engine.stopped)
    assert flight.finished is False


async def test_an_engine_s_error_reaches_everyone_and_the_flight_is_gone(flights: Flights) -> None:
    engine = Engine(ModelRefused("smol", 500, "broken"))
    flight = start(flights, engine)
    listeners = [asyncio.create_task(collect(flight)) for _ in range(3)]
    engine.go.set()
    for outcome in await asyncio.gather(*listeners, return_exceptions=True):
        assert isinstance(outcome, ModelRefused)
    assert len(flights) == 0


async def test_a_defect_is_seen_and_not_mistaken_for_a_short_answer(flights: Flights) -> None:
    engine = Engine(ZeroDivisionError())
    flight = start(flights, engine)
    engine.go.set()
    with pytest.raises(ZeroDivisionError):
        await collect(flight)
    with pytest.raises(ZeroDivisionError):
        await flight._task


async def test_a_stopping_replica_ends_flights_with_an_error(flights: Flights) -> None:
    engine = Engine()
    flight = start(flights, engine)
    listener = asyncio.create_task(collect(flight))
    await until(lambda: len(flight.events) == 2)
    flight._task.cancel()
    with pytest.raises(ModelUnavailable):
        await listener
    assert engine.stopped


async def test_leaving_after_the_end_cancels_nothing(flights: Flights) -> None:
    engine = Engine()
    ended: list[Flight] = []
    flight = start(flights, engine, key=None, ended=ended)
    engine.go.set()
    async with flight.listen() as batches:
        async for batch in batches:
            if END in batch:
                break
    await flight._task
    assert flight.finished
    assert ended == [flight]
