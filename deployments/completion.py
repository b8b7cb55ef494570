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
from models.errors import AllModelsFailed, ModelError, NoCandidate
from models.ports import Generator
from models.routing import plan
from models.values import Finished, GenerateRequest, Started, StreamEvent, TextDelta


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
                        spoken = spoken or isinstance(event, TextDelta)
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
        answer = answer_of(flight)
        self._metrics.tokens(answer.spec_id, answer.usage)
        if key is None or not storable(answer):
            return
        entry = self._answers.remember(key, answer)
        task = asyncio.get_running_loop().create_task(self._answers.store(key, entry))
        self._storing.add(task)  # the loop itself keeps no reference to a task
        task.add_done_callback(self._storing.discard)


def answer_of(flight: Flight) -> Answer:
    """The whole answer of a finished flight."""
    spec_id, end = "", None
    texts = []
    for event in flight.events:
        if isinstance(event, TextDelta):
            texts.append(event.text)
        elif isinstance(event, Started):
            spec_id, texts = event.spec_id, []
        else:
            end = event
    if not isinstance(end, Finished):
        raise TypeError("a flight that has not finished has no answer")
    return Answer(flight.id, flight.created_s, spec_id, "".join(texts), end.reason, end.usage)


def storable(answer: Answer) -> bool:
    """Only whole answers are worth keeping: not empty, not cut at a limit, not filtered (DESIGN §6)."""
    return answer.reason == "stop" and bool(answer.text)
