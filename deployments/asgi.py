"""An application as Serve sees it: routes by exact path, start and stop, and an answer for every failure."""

import logging
from collections.abc import Awaitable, Callable, Mapping

from deployments.errors import shape
from deployments.front import ADMITTED, Admitted
from deployments.hangup import Hangup
from deployments.http import ClientGone, Message, Receive, Scope, Send, respond, respond_error
from models.errors import ClusterError

Handler = Callable[[Scope, Send, Admitted], Awaitable[None]]
logger = logging.getLogger("becoming_one")


class AsgiApplication:
    """Routes (method, path) -> handler. A handler raises a ClusterError or answers; the front has admitted before."""

    def __init__(self, routes: Mapping[tuple[str, str], Handler], stop: Callable[[], Awaitable[None]]) -> None:
        """`stop` lets go of what the application holds, when its replica ends. A path may end in `/*`: any one step."""
        self._routes, self._stop = routes, stop
        self._paths = {path: [method for method, other in routes if other == path] for _, path in routes}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        started = False
        hangup = Hangup(receive)

        async def noting(message: Message) -> None:
            nonlocal started
            started = True
            if not message.get("more_body", message["type"] == "http.response.start"):
                hangup.dismiss()
            await send(message)

        try:
            with hangup:
                await self._route(scope, noting)
        except ClusterError as error:
            if not started:
                await respond_error(send, error)
        except ClientGone:
            if not started:
                await respond(send, 499, b"")  # for the counts; nobody reads it
        except Exception:
            logger.exception("request failed", extra={"path": scope["path"]})
            if started:
                raise  # the status is out: only closing the connection tells the caller
            await respond(
                send,
                500,
                shape("The server failed on this request; it is logged.", "server_error", None, "internal_error"),
            )

    async def _route(self, scope: Scope, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        path = path.rstrip("/") or "/"
        if path not in self._paths and (parent := path[: path.rfind("/")] + "/*") in self._paths:
            path = parent
        handler = self._routes.get((method, path)) or (self._routes.get(("GET", path)) if method == "HEAD" else None)
        if handler is not None:
            await handler(scope, send, scope[ADMITTED])
            return
        allowed = self._paths.get(path)
        if allowed:
            message = f"{path} takes {' or '.join(allowed)}, not {method}."
            body = shape(message, "invalid_request_error", None, "method_not_allowed")
            await respond(send, 405, body, headers=[(b"allow", ", ".join(allowed).encode())])
            return
        message = f"There is nothing at {method} {path}. GET /docs lists what there is."
        await respond(send, 404, shape(message, "invalid_request_error", None, "not_found"))

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self._stop()
                await send({"type": "lifespan.shutdown.complete"})
                return
