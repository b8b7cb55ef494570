"""The application on /: chat completions, the list of models, metrics, and the pages that describe it all."""

import time
from collections.abc import Awaitable, Callable

import orjson

from deployments import openapi
from deployments.chat_endpoint import Reply, respond_chat
from deployments.completion import Completion
from deployments.front import Admitted
from deployments.http import JSON, Scope, Send, respond
from deployments.metrics import Metrics
from deployments.surfaces import chat, models_list
from deployments.upstreams import Upstreams
from models.catalog import Catalog
from models.errors import UnknownModel

PROMETHEUS = b"text/plain; version=0.0.4; charset=utf-8"


class Gateway:
    """Handlers of the gateway's routes."""

    def __init__(
        self,
        completion: Completion,
        catalog: Catalog,
        upstreams: Upstreams,
        metrics: Metrics,
        export: Callable[[], Awaitable[bytes]],
    ) -> None:
        """`export` gives the whole cluster's metrics in Prometheus' text format."""
        self._completion, self._catalog, self._upstreams = completion, catalog, upstreams
        self._metrics, self._export = metrics, export
        self._openapi = orjson.dumps(openapi.document())
        self._docs = openapi.page().encode()

    async def complete(self, _: Scope, send: Send, admitted: Admitted) -> None:
        """Answer POST /v1/chat/completions."""
        began_s = time.monotonic()
        wire, request = chat.read(admitted.body, admitted.data_class)
        passage = self._completion.begin(request, admitted.cache_key, admitted.directives)
        flight = passage.flight
        headers = ((b"x-cache", b"coalesced" if passage.coalesced else b"miss"), (b"x-plan", flight.plan.encode()))
        async with flight.listen() as batches:
            reply = Reply(send, wire, flight.id, flight.created_s, headers)
            await respond_chat(reply, batches, lambda: self._metrics.first_token(time.monotonic() - began_s))

    async def models(self, _: Scope, send: Send, __: Admitted) -> None:
        """Answer GET /v1/models."""
        await respond(send, 200, orjson.dumps(models_list.write(self._catalog, self._upstreams.unavailable())))

    async def model(self, scope: Scope, send: Send, __: Admitted) -> None:
        """Answer GET /v1/models/{id}."""
        id_ = scope["path"].removeprefix("/v1/models/")
        row = models_list.one(self._catalog, self._upstreams.unavailable(), id_)
        if row is None:
            raise UnknownModel(id_, self._catalog.names)
        await respond(send, 200, orjson.dumps(row))

    async def metrics(self, _: Scope, send: Send, __: Admitted) -> None:
        """Answer GET /metrics."""
        await respond(send, 200, await self._export(), PROMETHEUS)

    async def openapi(self, _: Scope, send: Send, __: Admitted) -> None:
        """Answer GET /openapi.json."""
        await respond(send, 200, self._openapi, JSON)

    async def docs(self, _: Scope, send: Send, __: Admitted) -> None:
        """Answer GET /docs."""
        await respond(send, 200, self._docs, b"text/html; charset=utf-8")
