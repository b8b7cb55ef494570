"""A vendor that answers at once: OpenAI's wire, no model. What it does is the upstream's cost, not ours.

The last message says what to answer: `Say 200 chunks, 5 ms apart. (17)` gives that many pieces of text, each sent by
itself, that long after each other; anything else gives one piece of 400 characters. Asked without `stream`, it gives
the whole text in one object. To any GET it is ready.

    python -m benchmarks.mock_upstream PORT
"""

import asyncio
import re
import sys

import orjson

from benchmarks.asgi_server import Receive, Scope, Send, read_body, respond, serve

ORDER = re.compile(r"Say (\d+) chunks, (\d+) ms apart")
PIECE = " spirit"  # as long as a token of English is
TEXT = ("The fourth way is a path of work on oneself in the midst of ordinary life. " * 6)[:400]
USAGE = {"prompt_tokens": 20, "completion_tokens": 80, "total_tokens": 100}
HEAD = {"id": "chatcmpl-mock", "created": 1_700_000_000, "model": "mock"}
EVENT_STREAM = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]


def event(**choice: object) -> bytes:
    """One chunk on the wire."""
    body = {**HEAD, "object": "chat.completion.chunk", "choices": [{"index": 0, **choice}]}
    return b"data: " + orjson.dumps(body) + b"\n\n"


OPENING = event(delta={"role": "assistant", "content": ""}, finish_reason=None)
SHORT = event(delta={"content": PIECE}, finish_reason=None)
LONG = event(delta={"content": TEXT}, finish_reason=None)
ENDING = event(delta={}, finish_reason="stop")
COUNTS = b"data: " + orjson.dumps({**HEAD, "object": "chat.completion.chunk", "choices": [], "usage": USAGE}) + b"\n\n"
DONE = b"data: [DONE]\n\n"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI application."""
    if scope["method"] == "GET":
        await respond(send, 200, b'{"status":"ready"}')
        return
    try:
        body = orjson.loads(await read_body(receive))
    except orjson.JSONDecodeError:
        await respond(send, 400, b'{"error":{"message":"not JSON"}}')
        return
    order = ORDER.search(body["messages"][-1]["content"])
    chunks, pause_ms = (int(order[1]), int(order[2])) if order else (1, 0)
    if body.get("stream"):
        counts = (body.get("stream_options") or {}).get("include_usage")
        await _stream(send, [SHORT] * chunks if order else [LONG], pause_ms / 1000, COUNTS if counts else b"")
        return
    message = {"role": "assistant", "content": PIECE * chunks if order else TEXT}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    await respond(send, 200, orjson.dumps({**HEAD, "object": "chat.completion", "choices": [choice], "usage": USAGE}))


async def _stream(send: Send, pieces: list[bytes], pause_s: float, counts: bytes) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": EVENT_STREAM})
    if len(pieces) == 1:
        await send({"type": "http.response.body", "body": OPENING + pieces[0] + ENDING + counts + DONE})
        return
    await send({"type": "http.response.body", "body": OPENING, "more_body": True})
    for piece in pieces:
        if pause_s:
            await asyncio.sleep(pause_s)
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": ENDING + counts + DONE})


if __name__ == "__main__":
    serve(app, int(sys.argv[1]))
