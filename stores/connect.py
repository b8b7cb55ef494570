"""Settings -> ports. Nothing connects here: each port does on first use, in the process that uses it."""

from dataclasses import dataclass

from stores.cache_redis import RedisCache
from stores.keys_postgres import PostgresKeys
from stores.memory import MemoryKeys
from stores.ports import Cache, Keys
from stores.settings import StoreSettings


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores of one process. `cache` is None where no Redis is configured: replicas then keep their own LRU."""

    cache: Cache | None
    keys: Keys


def connect(settings: StoreSettings) -> Stores:
    """Choose the adapter of each port. Without a database no key is known, so every request is refused."""
    cache = RedisCache(settings.redis_url, settings.redis_timeout_s) if settings.redis_url else None
    keys = PostgresKeys(settings.user_database_url) if settings.user_database_url else MemoryKeys()
    return Stores(cache, keys)
