"""A cached answer for as little as Python can do it: the baseline of cached_chat.py.

One uvicorn process and nothing else: who asks is looked up by the hash of the key, the body is parsed and hashed in
canonical form, and the answer's bytes come from a dict in order of use, or from one Redis GET. An answer that is not
there yet is put there. No HAProxy, limits, request ids, counts, time to live, nor a second process to take over.

    python -m benchmarks.bare_server PORT dict|redis ANSWER_FILE       BENCH_KEY and BENCH_REDIS_URL in the environment
"""

import hashlib
import os
import sys
from collections import OrderedDict
from pathlib import Path
from typing import cast

import orjson
from redis.asyncio import Redis

from benchmarks.asgi_server import App, Receive, Scope, Send, read_body, respond, serve

ENTRIES = 100_000
TTL_S = 3600


def application(key: str, answer: bytes, redis: Redis | None) -> App:
    """The ASGI application."""
    callers = {hashlib.sha256(key.encode()).digest(): "laptop"}
    kept: OrderedDict[str, bytes] = OrderedDict()

    async def find(name: str) -> bytes:
        if redis is not None:
            stored = cast("bytes | None", await redis.get(name))
            if stored is None:
                await redis.set(name, answer, ex=TTL_S)
            return stored or answer
        if name in kept:
            kept.move_to_end(name)
        else:
            kept[name] = answer
            if len(kept) > ENTRIES:
                kept.popitem(last=False)
        return kept[name]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        token = headers.get(b"authorization", b"").removeprefix(b"Bearer ")
        caller = callers.get(hashlib.sha256(token).digest())
        if caller is None:
            await respond(send, 401, b'{"error":"who are you?"}')
            return
        body = orjson.loads(await read_body(receive))
        canonical = orjson.dumps([caller, body], option=orjson.OPT_SORT_KEYS)
        name = "bare:" + hashlib.blake2b(canonical, digest_size=20).hexdigest()
        await respond(send, 200, await find(name))

    return app


if __name__ == "__main__":
    port, kind, file = sys.argv[1:]
    store = Redis.from_url(os.environ["BENCH_REDIS_URL"]) if kind == "redis" else None
    serve(application(os.environ["BENCH_KEY"], Path(file).read_bytes(), store), int(port))
