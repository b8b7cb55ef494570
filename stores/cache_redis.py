"""Cache on Redis or Valkey, through redis-py with hiredis.

A GET through redis-py costs 140-210 µs CPU, most of it per command and not per key. So keys that are asked for while
a trip is under way go together on the next one, as one MGET. Over an LRU hit the replica then spends 510 µs with 1
connection, 140 with 16, 40 with 64 (docs/benchmarks.md, "Who spends it").
"""

import asyncio
from collections import deque
from typing import cast

from pydantic import SecretStr
from redis.asyncio import Redis
from redis.exceptions import RedisError

from stores.errors import StoreUnavailable

MAX_CONNECTIONS = 1024  # a replica admits 1000 requests at a time, and each may be waiting for its own SET
MAX_KEYS = 64  # of one trip: with answers of 4 kB about what one read of a socket brings


class RedisCache:
    """Cache on one Redis or Valkey. Connects on first use, in the loop that uses it, so an unused one is picklable.

    Every trip ends within `timeout_s`: a cache that is slower than that is worse than none. A `get` waits for at most
    the trip that is under way and its own.
    """

    def __init__(self, url: SecretStr, timeout_s: float) -> None:
        self._url, self._timeout_s = url, timeout_s
        self._client: Redis | None = None
        self._wanted: deque[tuple[str, asyncio.Future[bytes | None]]] = deque()
        self._trips: asyncio.Task[None] | None = None

    async def get(self, key: str) -> bytes | None:
        loop = asyncio.get_running_loop()
        found: asyncio.Future[bytes | None] = loop.create_future()
        self._wanted.append((key, found))
        if self._trips is None:
            self._trips = loop.create_task(self._travel())
        return await found

    async def put(self, key: str, value: bytes, ttl_s: float) -> None:
        try:
            await self._redis().set(key, value, px=max(1, round(ttl_s * 1000)))
        except (RedisError, OSError, TimeoutError) as error:
            raise self._unavailable(error) from error

    async def delete(self, key: str) -> None:
        try:
            await self._redis().delete(key)
        except (RedisError, OSError, TimeoutError) as error:
            raise self._unavailable(error) from error

    async def ping(self) -> None:
        try:
            await self._redis().ping()
        except (RedisError, OSError, TimeoutError) as error:
            raise self._unavailable(error) from error

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _travel(self) -> None:
        """Trip after trip until nobody wants a key any more."""
        try:
            while self._wanted:
                trip = [self._wanted.popleft() for _ in range(min(len(self._wanted), MAX_KEYS))]
                try:
                    values = cast("list[bytes | None]", await self._redis().mget([key for key, _ in trip]))
                except Exception as error:  # noqa: BLE001  # whatever it is, it is these callers' answer, and the next trip goes
                    unreachable = isinstance(error, RedisError | OSError | TimeoutError)
                    for _, found in trip:
                        if not found.done():  # its caller may have gone
                            found.set_exception(self._unavailable(error) if unreachable else error)
                    continue
                for (_, found), value in zip(trip, values, strict=True):
                    if not found.done():
                        found.set_result(value)
        finally:
            self._trips = None

    def _redis(self) -> Redis:
        if self._client is None:
            self._client = Redis.from_url(
                self._url.get_secret_value(),
                socket_timeout=self._timeout_s,
                socket_connect_timeout=self._timeout_s,
                retry=None,
                max_connections=MAX_CONNECTIONS,
                client_name="becoming-one",
            )
        return self._client

    @staticmethod
    def _unavailable(error: BaseException) -> StoreUnavailable:
        return StoreUnavailable("Redis", str(error) or type(error).__name__)
