"""What the gateway can ask now: which models run, and whether their applications answer. Knows URLs, no wire."""

import time
from collections.abc import Callable, Mapping

import aiohttp

from deployments.answers import AnswerCache
from deployments.args import GatewayArgs
from deployments.edge import Edge
from models.catalog import Catalog
from stores.errors import StoreUnavailable
from stores.ports import Keys

PROBE_TIMEOUT_S = 2.0  # readiness is asked every few seconds by somebody; longer than this is "not ready"
PROBE_MEMORY_S = 1.0  # /readyz needs no key: a flood of it must not become a flood on the models
DOWN_MEMORY_S = 0.1  # of a model that did not answer: whoever waits for it asks again soon
JOBS_ONLY = "it works in batch jobs: becoming-one jobs submit transcribe"


class Upstreams:
    """Where each model of the catalog answers, or why it does not. `now` gives seconds."""

    def __init__(
        self,
        catalog: Catalog,
        args: GatewayArgs,
        internal_url: str,
        vendors_missing: Mapping[str, str],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`vendors_missing` says of each vendor that cannot be asked why."""
        self._now = now
        self._ready_urls = {id_: f"{internal_url}/llm/{id_}/readyz" for id_ in args.local_models}
        self._ready_urls |= dict.fromkeys(args.embedding_models, f"{internal_url}/v1/embeddings/readyz")
        reasons = {
            spec.id: _why_not(spec.kind, spec.where, vendors_missing)
            for spec in catalog.specs
            if spec.id not in self._ready_urls
        }
        self._reasons = {id_: reason for id_, reason in reasons.items() if reason is not None}
        self._down: dict[str, str] = {}
        self._probed_at_s = float("-inf")

    def unavailable(self) -> Mapping[str, str]:
        """Model id -> why it cannot be asked. A model whose application was silent is still tried: it may be back."""
        return self._reasons

    async def probe(self) -> Mapping[str, str]:
        """Model id -> "ok" or what its application answered: PROBE_MEMORY_S old, DOWN_MEMORY_S where one is down."""
        if self._now() - self._probed_at_s < (DOWN_MEMORY_S if any(self._down.values()) else PROBE_MEMORY_S):
            return self._states()
        self._probed_at_s = self._now()
        timeout = aiohttp.ClientTimeout(total=PROBE_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            for id_, url in self._ready_urls.items():
                try:
                    async with session.get(url) as answer:
                        self._down[id_] = "" if answer.status == 200 else f"answers {answer.status}"
                except (aiohttp.ClientError, TimeoutError) as error:
                    self._down[id_] = type(error).__name__
        return self._states()

    def _states(self) -> dict[str, str]:
        return {id_: self._down.get(id_) or "ok" for id_ in self._ready_urls}


class Readiness:
    """What /readyz of the gateway says: its stores and the models behind it."""

    def __init__(self, edge: Edge, keys: Keys, answers: AnswerCache, upstreams: Upstreams) -> None:
        self._edge, self._keys, self._answers, self._upstreams = edge, keys, answers, upstreams

    async def __call__(self) -> tuple[bool, dict[str, str]]:
        """Ready when callers can be known and a model answers; the cache only makes it degraded."""
        models = await self._upstreams.probe()
        checks = {
            "cache": "ok" if await self._answers.check() else "unavailable: answers are made without the shared cache",
            "keys": await check_keys(self._keys),
            **{f"model {id_}": state for id_, state in models.items()},
        }
        return checks["keys"] == "ok" and any(state == "ok" for state in models.values()), checks


async def check_keys(keys: Keys) -> str:
    """Say "ok", or that new callers cannot be known."""
    try:
        await keys.ping()
    except StoreUnavailable:
        return "unavailable: only keys used in the last minute are known"
    return "ok"


def _why_not(kind: str, where: str, vendors_missing: Mapping[str, str]) -> str | None:
    if kind == "transcription":
        return JOBS_ONLY
    if where == "cluster":
        return "not deployed here: see serve_config.yaml"
    return vendors_missing.get(where)
