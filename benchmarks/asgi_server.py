"""How a baseline's ASGI application is served: uvicorn at its leanest, the way Serve configures it and no more."""

import os
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def serve(app: App, port: int) -> None:
    """Answer on that port of loopback until the process ends."""
    stop_with_parent()
    uvicorn.run(app, host="127.0.0.1", port=port, loop="uvloop", http="httptools", lifespan="off",
                access_log=False, log_level="warning", timeout_keep_alive=120)  # fmt: skip


def stop_with_parent() -> None:
    """End this process when its stdin closes, which happens when whoever started it is gone."""
    threading.Thread(target=lambda: os._exit(len(os.read(sys.stdin.fileno(), 1))), daemon=True).start()


async def read_body(receive: Receive) -> bytes:
    """The whole body."""
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body", False):
        message = await receive()
        body += message.get("body", b"")
    return body


async def respond(send: Send, status: int, body: bytes, content_type: bytes = b"application/json") -> None:
    """A whole answer."""
    headers = [(b"content-type", content_type), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
