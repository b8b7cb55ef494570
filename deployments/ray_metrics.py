"""Metrics through Ray: each replica records into its node's agent, and /metrics reads the agents of all nodes.

So one scrape of the gateway sees every replica of every application, wherever the ingress sent it.
"""

import asyncio
from typing import Any

import aiohttp
import ray
from ray.util.metrics import Counter, Gauge, Histogram

from deployments.metrics import LATENCY_BOUNDS_S

OURS = b"ray_becoming_one_"
AGENT_TIMEOUT_S = 3.0  # an agent on a busy node answers in tens of milliseconds; a dead one must not hold the scrape


class RaySink:
    """deployments.metrics.Sink over ray.util.metrics."""

    def __init__(self) -> None:
        self._metrics: dict[str, Any] = {}

    def add(self, name: str, description: str, tags: dict[str, str], amount: float) -> None:
        self._metric(Counter, name, description, tags).inc(amount, tags=tags)

    def set(self, name: str, description: str, tags: dict[str, str], value: float) -> None:
        self._metric(Gauge, name, description, tags).set(value, tags=tags)

    def observe(self, name: str, description: str, tags: dict[str, str], value: float) -> None:
        self._metric(Histogram, name, description, tags, boundaries=LATENCY_BOUNDS_S).observe(value, tags=tags)

    def _metric(self, kind: Any, name: str, description: str, tags: dict[str, str], **more: Any) -> Any:
        if name not in self._metrics:
            self._metrics[name] = kind(name, description=description, tag_keys=tuple(tags), **more)
        return self._metrics[name]


async def export() -> bytes:
    """Our metrics of all live nodes, in Prometheus' text format. A node that does not answer is left out and named."""
    nodes = await asyncio.to_thread(ray.nodes)
    timeout = aiohttp.ClientTimeout(total=AGENT_TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        pages = await asyncio.gather(*(_page(session, node) for node in nodes if node["Alive"]))
    return b"".join(pages)


async def _page(session: aiohttp.ClientSession, node: dict[str, Any]) -> bytes:
    url = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    try:
        async with session.get(url) as answer:
            text = await answer.read()
    except (aiohttp.ClientError, TimeoutError) as error:
        return f"# node {node['NodeID']} gave no metrics: {type(error).__name__}\n".encode()
    return b"".join(line + b"\n" for line in text.split(b"\n") if OURS in line[:80])
