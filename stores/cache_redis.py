"""Cache on Redis or Valkey, through redis-py with hiredis."""

from typing import cast

from pydantic import SecretStr
from redis.asyncio import Redis
from redis.exceptions import RedisError

from stores.errors import StoreUnavailable

MAX_CONNECTIONS = 1024  # a replica admits 1000 requests at a time, and each may be waiting for its own GET


class RedisCache:
    """Cache on one Redis or Valkey. Connects on first use, in the loop that uses it, so an unused one is picklable.

    Every operation ends within `timeout_s`: a cache that is slower than that is worse than none.
    """

    def __init__(self, url: SecretStr, timeout_s: float) -> None:
        self._url, self._timeout_s = url, timeout_s
        self._client: Redis | None = None

    async def get(self, key: str) -> bytes | None:
        try:
            value = await self._redis().get(key)
        except (RedisError, OSError, TimeoutError) as error:
            raise self._unavailable(error) from error
        return cast("bytes | None", value)

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
