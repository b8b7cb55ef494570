"""The main path: cache? -> join a flight? -> plan -> engine -> cache. Knows values; no wire, no Ray.

The front (front.py) has asked both caches already; what arrives here is a miss, or asked for a fresh answer.
"""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass

from deployments.answers import Answer, AnswerCache
from deployments.edge import CacheDirectives
from deployments.flights import Flight, Flights
from deployments.metrics import Metrics
from models.catalog import Catalog, Spec
from models.errors import AllModelsFailed, ModelError, NoCandidate, Unfit
from models.outputs import Accumulator, Output
from models.ports import Generator
from models.routing import plan
from models.values import GenerateRequest, Started, StreamEvent


@dataclass(frozen=True, slots=True)
class Passage:
    """A request's place on a flight. `coalesced`: somebody else had started it."""

    flight: Flight
    coalesced: bool


class Completion:
    """Answers generation requests from the first model of the plan that can."""

    def __init__(
        self,
        catalog: Catalog,
        engines: Mapping[str, Generator],
        unavailable: Callable[[], Mapping[str, str]],
        answers: AnswerCache,
        metrics: Metrics,
    ) -> None:
        """`engines` by spec id. `unavailable` gives spec id -> why it cannot be asked now."""
        self._catalog, self._engines, self._unavailable = catalog, engines, unavailable
        self._answers, self._metrics = answers, metrics
        self._flights = Flights()
        self._storing: set[asyncio.Task[None]] = set()

    def begin(self, request: GenerateRequest, key: str | None, directives: CacheDirectives) -> Passage:
        """Join the identical request in flight, or start one. Raises UnknownModel, NoCandidate before anything runs.

        `key` None: nothing is shared. A request that wants a fresh answer starts its own flight, and others may join.
        """
        if key is not None and directives.read:
            under_way = self._flights.find(key)
            if under_way is not None:
                self._metrics.cache("coalesced")
                return Passage(under_way, coalesced=True)
        chosen = plan(request, self._catalog, self._unavailable())
        if chosen.unfit:
            raise Unfit(request.model, chosen.dropped)
        if not chosen.candidates:
            raise NoCandidate(request.model, chosen.dropped)
        flight = Flight(f"chatcmpl-{random.getrandbits(112):028x}", int(time.time()))  # a name, no secret
        flight.plan = chosen.summary

        def source(_: Flight) -> AsyncGenerator[StreamEvent, None]:
            return self._generate(request, tuple(candidate.spec for candidate in chosen.candidates))

        self._flights.start(
            key if directives.write else None,
            flight,
            source,
            lambda ended: self._landed(key if directives.write else None, ended),
        )
        self._metrics.cache("miss")
        return Passage(flight, coalesced=False)

    async def _generate(self, request: GenerateRequest, specs: tuple[Spec, ...]) -> AsyncGenerator[StreamEvent, None]:
        """The events of the first spec that starts to answer. After its first text a failure is the caller's to see."""
        failures: list[ModelError] = []
        for spec in specs:
            spoken = False
            try:
                async with aclosing(self._engines[spec.id].stream(spec, request)) as stream:
                    async for event in stream:
                        spoken = spoken or not isinstance(event, Started)
                        yield event
            except ModelError as error:
                self._metrics.model_failed(spec.id, error.code)
                if spoken or not error.retryable:
                    raise
                failures.append(error)
            else:
                return
        raise AllModelsFailed(request.model, tuple(failures))

    def _landed(self, key: str | None, flight: Flight) -> None:
        if not flight.finished:
            return
        answer = Accumulator(flight.events)
        output = answer.output()
        self._metrics.tokens(answer.spec_id, output.usage)
        if key is None or not storable(output):
            return
        stored = Answer(flight.id, flight.created_s, answer.spec_id, output.text, output.reason, output.usage)
        entry = self._answers.remember(key, stored)
        task = asyncio.get_running_loop().create_task(self._answers.store(key, entry))
        self._storing.add(task)  # the loop itself keeps no reference to a task
        task.add_done_callback(self._storing.discard)


def storable(output: Output) -> bool:
    """Only whole plain answers are worth keeping: not empty, cut at a limit or filtered, no tool calls (DESIGN §6)."""
    return output.reason == "stop" and output.is_plain and bool(output.text)
