"""A real HTTP server on loopback that answers what a test tells it to, and by default as a cluster would."""

import base64
import json
import socket
import struct
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from zlib import crc32

import numpy as np
import pytest

from deployments.surfaces import chat
from models.outputs import Output
from models.values import DataClass, Text, Usage

SPEC = "tiny-instruct"


@dataclass(frozen=True)
class Received:
    """One request as it came over the wire."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True)
class Response:
    """What to answer. A list body is sent in chunks; `cut`: the connection is reset after it, mid-message."""

    status: int = 200
    body: bytes | Iterable[bytes] = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False


class ClusterOnLoopback:
    """Answers `script` in turn, then as a cluster would; `received` is what it was asked."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.script: list[Response] = []
        self.hung_up = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments: Any) -> None:
                pass

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                received = Received(self.command, self.path, headers, json.loads(body) if body else None)
                server.received.append(received)
                response = server.script.pop(0) if server.script else cluster(received)
                try:
                    _send(self, response)
                except (BrokenPipeError, ConnectionResetError):
                    server.hung_up.set()
                    self.close_connection = True

            do_GET = do_POST = _serve  # noqa: N815

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def then_sends(
        self, status: int = 200, body: bytes | Iterable[bytes] = b"{}", cut: bool = False, **headers: str
    ) -> None:
        """Answer the next request with this; a list of bytes as a stream, which `cut` breaks off."""
        self.script.append(Response(status, body, _named(headers), cut))

    def then_refuses(self, status: int, message: str = "No.", code: str = "refused", **headers: str) -> None:
        """Answer the next request with an error in OpenAI's shape."""
        self.script.append(error(status, message, code, **headers))

    def then_hangs_up(self) -> None:
        """Close the connection of the next request without a word."""
        self.script.append(Response(0))

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


def cluster(received: Received) -> Response:
    """As a cluster: chat through its own surface (the answer repeats the question), embeddings, models, health."""
    if received.path == "/v1/chat/completions":
        return answer_chat(received)
    if received.path == "/v1/embeddings":
        texts = received.body["input"]
        rows = [{"index": n, "embedding": vector_of(text)} for n, text in enumerate(texts)]
        return Response(body=json.dumps({"data": rows[::-1]}).encode())  # the order of rows is theirs to choose
    if received.path == "/v1/models":
        return Response(body=json.dumps({"object": "list", "data": MODELS}).encode())
    if received.path == "/readyz":
        return Response(body=b'{"status":"degraded","checks":{"redis":"refused","llm":"ok"}}')
    return error(404, "There is nothing here.", "not_found")


def answer_chat(received: Received) -> Response:
    """The last message back, a word a piece; usage counts words."""
    wire, request = chat.read(received.body, DataClass.PERSONAL)
    text = request.messages[-1].text
    usage = Usage(len(text.split()), len(text.split()), 1)
    headers = {"x-request-id": "req_7", "x-model": SPEC, "x-cache": "coalesced", "x-plan": "first"}
    if wire.stream:
        writer = chat.ChunkWriter("chatcmpl-1", 1, SPEC, include_usage=wire.include_usage)
        words = [writer.delta(piece) for piece in text.replace(" ", " \0").split("\0")]
        return Response(200, [writer.first(), *words, writer.last("stop", usage)], headers)
    return Response(200, chat.write("chatcmpl-1", 1, SPEC, Output((Text(text),), "stop", usage)), headers)


def vector_of(text: str) -> str:
    """A vector that only this text has, in base64."""
    return base64.b64encode(np.asarray([len(text), crc32(text.encode()) % 1000, 0.5], dtype="<f4").tobytes()).decode()


def error(status: int, message: str, code: str, **headers: str) -> Response:
    """An error in OpenAI's shape."""
    body = {"error": {"message": message, "type": "t", "param": "model", "code": code}}
    return Response(status, json.dumps(body).encode(), {"x-request-id": "req_9", **_named(headers)})


MODELS = [
    {"id": "realtime", "object": "model", "kind": "role", "models": [SPEC, "big"]},
    {"id": SPEC, "object": "model", "kind": "chat", "roles": ["realtime", "bulk"], "where": "cluster",
     "context_tokens": 8192, "max_output_tokens": 0, "retires_on": None, "available": True},
    {"id": "big", "object": "model", "kind": "chat", "roles": ["realtime"], "where": "anthropic",
     "available": False, "unavailable_because": "no key for the vendor"},
]  # fmt: skip


@pytest.fixture
def server() -> Iterator[ClusterOnLoopback]:
    running = ClusterOnLoopback()
    yield running
    running.close()


@pytest.fixture
def nowhere() -> str:
    """An address at which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def _named(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def _send(handler: BaseHTTPRequestHandler, response: Response) -> None:
    if response.status == 0:  # hang up without a word
        _reset(handler)
        return
    handler.send_response(response.status)
    for name, value in response.headers.items():
        handler.send_header(name, value)
    if isinstance(response.body, bytes):
        handler.send_header("content-length", str(len(response.body)))
        handler.end_headers()
        handler.wfile.write(response.body)
        return
    handler.send_header("transfer-encoding", "chunked")
    handler.end_headers()
    for chunk in response.body:
        handler.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        handler.wfile.flush()
    if response.cut:
        _reset(handler)
    else:
        handler.wfile.write(b"0\r\n\r\n")


def _reset(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    handler.close_connection = True
