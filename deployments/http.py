"""The few HTTP gestures every application makes, on raw ASGI: a framework's router costs more than a cached answer."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any

from deployments.errors import body_of, retry_after, single_cause, status_of
from models.errors import ClusterError, InvalidRequest, TooLarge

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]

JSON = b"application/json"
EVENT_STREAM = b"text/event-stream; charset=utf-8"


class ClientGone(Exception):  # an event, not an error of ours
    """The client hung up before its request was read."""


async def respond(send: Send, status: int, body: bytes, content_type: bytes = JSON, headers: Headers = ()) -> None:
    """Send a whole answer."""
    start = [(b"content-type", content_type), (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": body})


async def respond_error(send: Send, error: ClusterError, headers: Headers = ()) -> None:
    """Send an error in OpenAI's shape, with Retry-After where waiting helps."""
    error = single_cause(error)
    extra = list(headers)
    wait = retry_after(error)
    if wait is not None:
        extra.append((b"retry-after", wait))
    await respond(send, status_of(error), body_of(error), JSON, extra)


async def read_body(headers: Mapping[bytes, bytes], receive: Receive, limit_bytes: int) -> bytes:
    """The whole body, at most `limit_bytes`. Raises TooLarge without reading a body that announces more, ClientGone."""
    announced = headers.get(b"content-length")
    if announced is not None:
        if not announced.isdigit():
            raise InvalidRequest("The header Content-Length must be a whole number of bytes.")
        if int(announced) > limit_bytes:
            raise TooLarge("The body", int(announced), limit_bytes, "bytes")
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGone
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        if len(body) > limit_bytes:
            raise TooLarge("The body", len(body), limit_bytes, "bytes")
        return body
    parts, size = [body], len(body)
    while message.get("more_body", False):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit_bytes:
            raise TooLarge("The body", size, limit_bytes, "bytes")
    return b"".join(parts)
