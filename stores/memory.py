"""An honest in-memory peer of every port: same promises, one process, nothing survives it."""

import dataclasses
import time
from collections.abc import Callable
from datetime import datetime

from stores.errors import StoreUnavailable
from stores.ports import ApiKey


class MemoryCache:
    """Cache in a dict. `now` gives seconds; `available = False` makes every call fail as a dead server would."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._entries: dict[str, tuple[bytes, float]] = {}
        self.available = True

    async def get(self, key: str) -> bytes | None:
        self._check()
        entry = self._entries.get(key)
        if entry is None or entry[1] <= self._now():
            self._entries.pop(key, None)
            return None
        return entry[0]

    async def put(self, key: str, value: bytes, ttl_s: float) -> None:
        self._check()
        self._entries[key] = (value, self._now() + ttl_s)

    async def delete(self, key: str) -> None:
        self._check()
        self._entries.pop(key, None)

    async def ping(self) -> None:
        self._check()

    async def close(self) -> None:
        """Nothing is held open."""

    def _check(self) -> None:
        if not self.available:
            raise StoreUnavailable("memory cache", "switched off")


class MemoryKeys:
    """Keys in a dict. `available = False` makes every call fail as a dead server would."""

    def __init__(self) -> None:
        self._keys: dict[str, ApiKey] = {}
        self.available = True

    async def add(self, key: ApiKey) -> None:
        self._check()
        if key.id in self._keys:
            raise ValueError(f"there is a key {key.id} already")
        self._keys[key.id] = key

    async def get(self, key_id: str) -> ApiKey | None:
        self._check()
        return self._keys.get(key_id)

    async def list(self) -> list[ApiKey]:
        self._check()
        return sorted(self._keys.values(), key=lambda key: key.created_at)

    async def revoke(self, key_id: str, at: datetime) -> bool:
        self._check()
        key = self._keys.get(key_id)
        if key is None or key.revoked_at is not None:
            return False
        self._keys[key_id] = dataclasses.replace(key, revoked_at=at)
        return True

    async def ping(self) -> None:
        self._check()

    async def close(self) -> None:
        """Nothing is held open."""

    def _check(self) -> None:
        if not self.available:
            raise StoreUnavailable("memory keys", "switched off")
