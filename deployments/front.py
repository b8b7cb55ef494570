"""The middleware on Serve's own hook, outermost in every ingress replica of every application.

What needs no model is answered here and never enters Serve's accounting (120 µs CPU against 310-480, facts of
benchmarks/cached_chat.py): health, refusals, exact cache hits. Everything else goes on, admitted, into the application.
Serve makes the middleware; the composition root puts the replica's Front where it finds it (`install`).
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.middleware import Middleware

from deployments.answers import AnswerCache, Entry, cache_key
from deployments.edge import (
    DEFAULT_DIRECTIVES,
    CacheDirectives,
    Edge,
    cache_directives_of,
    data_class_of,
    request_id_of,
)
from deployments.errors import shape
from deployments.http import (
    EVENT_STREAM,
    JSON,
    ClientGone,
    Message,
    Receive,
    Scope,
    Send,
    read_body,
    respond,
    respond_error,
)
from deployments.metrics import Metrics
from deployments.surfaces import chat
from models.errors import ClusterError, InvalidRequest, Unauthenticated
from models.values import Caller, DataClass

ADMITTED = "becoming_one.admitted"
WITHHELD = frozenset({b"x-request-id", b"x-request-disconnect-disabled", b"x-request-timeout-seconds"})
"""Headers of Serve's that are ours to set: answers carry our request id, and hangup.py watches for clients who go."""
SERVE_WATCHES_NOT = (b"x-request-disconnect-disabled", b"?1")
SERVE_HEALTH = "/-/healthz"  # HAProxy asks each replica; through HAProxy nobody reaches it
BROWSER_CHALLENGE = (b"www-authenticate", b'Basic realm="becoming-one: any user, password = API key"')
logger = logging.getLogger("becoming_one.front")

Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(slots=True)
class Admitted:
    """What the front found out about a request, for the application behind it. `body` is the parsed JSON or None."""

    caller: Caller
    request_id: bytes
    body: Any = None
    data_class: DataClass = DataClass.PERSONAL
    directives: CacheDirectives = DEFAULT_DIRECTIVES
    cache_key: str | None = None


@dataclass(frozen=True, slots=True)
class Front:
    """What the front of one application needs. `answers` and `cached_path` only where there is an exact cache."""

    prefix: str
    edge: Edge
    metrics: Metrics
    readiness: Callable[[], Awaitable[tuple[bool, dict[str, str]]]]
    max_body_bytes: int
    answers: AnswerCache | None = None
    cached_path: str = ""
    revision: str = ""


_installed: list[Front] = []


def install(front: Front) -> None:
    """Give this process its Front; a replica has one application, so one front."""
    _installed[:] = [front]


def middlewares() -> list[Middleware]:
    """What RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH names."""
    return [Middleware(FrontMiddleware)]


class FrontMiddleware:
    """ASGI in, ASGI out."""

    def __init__(self, app: Asgi, front: Front | None = None) -> None:
        self._app, self._front = app, front

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await _refuse_websocket(scope, receive, send)
            return
        path: str = scope["path"]
        if path == SERVE_HEALTH:
            await self._app(scope, receive, send)
            return
        front = self._front or (_installed[0] if _installed else None)
        headers: dict[bytes, bytes] = dict(scope["headers"])
        request_id = request_id_of(headers)
        if front is None:
            await respond(send, 503, shape("This replica is starting. Try again.", "server_error", None, "starting"))
            return
        try:
            await self._answer(front, request_id, headers, scope, receive, send)
        except ClusterError as error:
            extra = [(b"x-request-id", request_id)]
            if isinstance(error, Unauthenticated):
                extra.append(BROWSER_CHALLENGE if scope["method"] == "GET" else (b"www-authenticate", b"Bearer"))
            await respond_error(_counted(front, path, send), error, extra)
        except ClientGone:
            front.metrics.request(_route(front, path), 499)

    async def _answer(  # noqa: PLR0913, PLR0917  # ASGI's three, and what was found out already
        self,
        front: Front,
        request_id: bytes,
        headers: dict[bytes, bytes],
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        path, method = scope["path"], scope["method"]
        if path in (front.prefix + "/healthz", front.prefix + "/readyz"):
            await _health(front, path, request_id, send)
            return
        admitted = Admitted(await front.edge.authenticate(headers, method), request_id)
        scope[ADMITTED] = admitted
        if method == "POST":
            admitted.data_class = data_class_of(headers)
            admitted.directives = cache_directives_of(headers)
            admitted.body = parse(await read_body(headers, receive, front.max_body_bytes))
            if front.answers is not None and path == front.cached_path:
                entry = await _recall(front, front.answers, admitted)
                if entry is not None:
                    front.metrics.cache("exact")
                    front.metrics.request(path, 200)
                    await _replay(send, entry, admitted)
                    return
        # Serve answers with a request id of its own unless the request carries one
        kept = [item for item in scope["headers"] if item[0] not in WITHHELD]
        scope["headers"] = [*kept, (b"x-request-id", request_id), SERVE_WATCHES_NOT]
        await self._app(scope, receive, _tagged(front, path, request_id, send))


def parse(body: bytes) -> Any:
    """Bytes -> JSON value. Raises InvalidRequest with where it stops being JSON."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"The body is not JSON: {error.msg} (line {error.lineno}, column {error.colno}).",
                             code="invalid_json") from error  # fmt: skip


async def _recall(front: Front, answers: AnswerCache, admitted: Admitted) -> Entry | None:
    """The stored answer, if the request may have one; sets the key under which a fresh one is stored."""
    body, directives = admitted.body, admitted.directives
    if not isinstance(body, dict) or not (directives.read or directives.write):
        return None
    admitted.cache_key = cache_key(admitted.caller, admitted.data_class, front.revision, body)
    if admitted.cache_key is None or not directives.read:
        return None
    return answers.recall(admitted.cache_key) or await answers.find(admitted.cache_key)


async def _replay(send: Send, entry: Entry, admitted: Admitted) -> None:
    """Send a stored answer as it was asked for: whole, or as the stream it once was."""
    body: dict[str, Any] = admitted.body
    answer = entry.answer
    options = body.get("stream_options")
    form = "json"
    if body.get("stream"):
        form = "sse+usage" if isinstance(options, dict) and options.get("include_usage") else "sse"
    rendered = entry.rendered.get(form)
    if rendered is None:
        if form == "json":
            rendered = chat.write(answer.id, answer.created_s, answer.spec_id, answer.output)
        else:
            writer = chat.ChunkWriter(answer.id, answer.created_s, answer.spec_id, include_usage=form == "sse+usage")
            rendered = writer.replay(answer.text, answer.reason, answer.usage)
        entry.rendered[form] = rendered
    headers = (
        (b"x-request-id", admitted.request_id),
        (b"x-model", answer.spec_id.encode()),
        (b"x-cache", b"exact"),
    )
    await respond(send, 200, rendered, JSON if form == "json" else EVENT_STREAM, headers)


async def _health(front: Front, path: str, request_id: bytes, send: Send) -> None:
    headers = [(b"x-request-id", request_id)]
    if path.endswith("/healthz"):
        await respond(send, 200, b'{"status":"ok"}', JSON, headers)
        return
    ready, checks = await front.readiness()
    degraded = any(state != "ok" for state in checks.values())
    status = "unavailable" if not ready else "degraded" if degraded else "ready"
    await respond(send, 200 if ready else 503, orjson.dumps({"status": status, "checks": checks}), JSON, headers)


def _route(front: Front, path: str) -> str:
    """A path as a metric label: ours by name, all others as one, so that a scanner cannot make a million series."""
    known = ("/v1/chat/completions", "/v1/embeddings", "/v1/models", "/metrics", "/openapi.json", "/docs")
    short = path.removeprefix(front.prefix) if front.prefix not in known else path
    return short if short in known else "other"


def _counted(front: Front, path: str, send: Send) -> Send:
    async def counted(message: Message) -> None:
        if message["type"] == "http.response.start":
            front.metrics.request(_route(front, path), message["status"])
        await send(message)

    return counted


def _tagged(front: Front, path: str, request_id: bytes, send: Send) -> Send:
    """Put x-request-id on the answer, count it, and give Serve's own plain-text refusals our error shape."""
    replacing = False

    async def tagged(message: Message) -> None:
        nonlocal replacing
        if message["type"] == "http.response.start":
            status, headers = message["status"], message["headers"]
            front.metrics.request(_route(front, path), status)
            if status >= 400 and not any(name == b"content-type" and JSON in value for name, value in headers):
                replacing = True
                code = "overloaded" if status in (429, 503) else "internal_error"
                body = shape(
                    "This replica cannot take the request now. Wait a moment and send it again."
                    if code == "overloaded" else
                    f"The server failed on this request. Quote x-request-id {request_id.decode()} when you report it.",
                    "server_error", None, code,
                )  # fmt: skip
                kept = [(name, value) for name, value in headers if name == b"retry-after"]
                await respond(send, status, body, JSON, [(b"x-request-id", request_id), *kept])
                return
            if not any(name == b"x-request-id" for name, _ in headers):
                message["headers"] = [*headers, (b"x-request-id", request_id)]
        if not replacing:
            await send(message)

    return tagged


async def _refuse_websocket(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": "no websockets here"})
