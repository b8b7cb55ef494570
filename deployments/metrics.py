"""What each replica counts, exported through Ray's metrics agent, so that /metrics shows all replicas together.

Counting is a dict increment (0.1 µs); a Ray metric costs about 5 µs a call, so counts are handed over once a second.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Protocol

from models.values import Usage

HAND_OVER_S = 1.0  # metrics are read every 15 s; a second's delay is nothing, and a crash loses a second of counts
LATENCY_BOUNDS_S = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0]

REQUESTS = ("becoming_one_requests_total", "Requests answered, by application, route and status.")
CACHE = ("becoming_one_cache_total", "Chat requests by where the answer came from: exact, coalesced, miss.")
TOKENS = ("becoming_one_tokens_total", "Tokens read and written by models, by direction.")
FAILURES = ("becoming_one_model_failures_total", "Model calls that failed, by model and error code.")
BATCHES = ("becoming_one_embedding_batches_total", "Calls of the embedding engine.")
BATCHED = ("becoming_one_embedding_texts_total", "Texts embedded: over the calls of the engine, the size of a batch.")
STORES = ("becoming_one_store_available", "1 where a store answers, 0 where it does not.")
LATENCY = ("becoming_one_first_token_seconds", "Time from a request to the first token of its answer.")


class Sink(Protocol):
    """Where counts go: Ray in a replica, a list in a test."""

    def add(self, name: str, description: str, tags: dict[str, str], amount: float) -> None:
        """Increase a counter."""
        ...

    def set(self, name: str, description: str, tags: dict[str, str], value: float) -> None:
        """Set a gauge."""
        ...

    def observe(self, name: str, description: str, tags: dict[str, str], value: float) -> None:
        """Add one measurement to a histogram with LATENCY_BOUNDS_S."""
        ...


class Metrics:
    """The counts of one application in one replica."""

    def __init__(self, application: str, sink: Sink | None = None) -> None:
        self._application, self._sink = application, sink
        self._counts: Counter[tuple[tuple[str, str], tuple[tuple[str, str], ...]]] = Counter()
        self._stores: dict[str, Callable[[], bool]] = {}
        self._observed: list[float] = []
        self._task: asyncio.Task[None] | None = None

    def request(self, route: str, status: int) -> None:
        """One request was answered."""
        self._counts[REQUESTS, (("route", route), ("status", str(status)))] += 1
        if self._task is None and self._sink is not None:
            self._task = asyncio.get_running_loop().create_task(self._hand_over_forever())

    def cache(self, result: str) -> None:
        """One chat request's answer came from there: exact, coalesced or miss."""
        self._counts[CACHE, (("result", result),)] += 1

    def tokens(self, spec_id: str, usage: Usage) -> None:
        """A model read and wrote that many tokens."""
        self._counts[TOKENS, (("direction", "input"), ("model", spec_id))] += usage.input_tokens
        self._counts[TOKENS, (("direction", "output"), ("model", spec_id))] += usage.output_tokens

    def model_failed(self, spec_id: str, code: str) -> None:
        """A model call failed."""
        self._counts[FAILURES, (("code", code), ("model", spec_id))] += 1

    def embedded(self, texts: int) -> None:
        """The embedding engine was called with that many texts."""
        self._counts[BATCHES, ()] += 1
        self._counts[BATCHED, ()] += texts

    def watch(self, store: str, available: Callable[[], bool]) -> None:
        """Ask how a store is whenever counts are handed over."""
        self._stores[store] = available

    def first_token(self, seconds: float) -> None:
        """A first token came after that long."""
        self._observed.append(seconds)

    def hand_over(self) -> None:
        """Pass what was counted on to the sink."""
        if self._sink is None:
            return
        counts, self._counts = self._counts, Counter()
        for ((name, description), tags), amount in counts.items():
            self._sink.add(name, description, {"application": self._application, **dict(tags)}, amount)
        for store, available in self._stores.items():
            self._sink.set(*STORES, {"application": self._application, "store": store}, float(available()))
        observed, self._observed = self._observed, []
        for seconds in observed:
            self._sink.observe(*LATENCY, {"application": self._application}, seconds)

    async def _hand_over_forever(self) -> None:
        while True:
            await asyncio.sleep(HAND_OVER_S)
            self.hand_over()
