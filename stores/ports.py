"""What each thing that remembers promises. One contract suite per port runs over its fake and its adapters."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from models.values import CallerRole


class Cache(Protocol):
    """Bytes by key with a time to live. May forget at any moment; never lies about what it returns."""

    async def get(self, key: str) -> bytes | None:
        """The value, or None when it is absent or expired. Raises StoreUnavailable."""
        ...

    async def put(self, key: str, value: bytes, ttl_s: float) -> None:
        """Keep `value` for `ttl_s` seconds, replacing what was there. Raises StoreUnavailable."""
        ...

    async def delete(self, key: str) -> None:
        """Forget the key; nothing happens when it is not there. Raises StoreUnavailable."""
        ...

    async def ping(self) -> None:
        """Return when the store answers. Raises StoreUnavailable."""
        ...

    async def close(self) -> None:
        """Let go of connections; the port may be used again and then reconnects."""
        ...


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One API key as stored: never the secret, only its sha256 (a 256-bit random secret needs no slow hash)."""

    id: str
    name: str
    secret_sha256: bytes
    role: CallerRole
    tenant: str
    created_at: datetime
    revoked_at: datetime | None = None


class Keys(Protocol):
    """API keys by id. `id` is the public part of a key, the part that may appear in lists and logs."""

    async def add(self, key: ApiKey) -> None:
        """Store a new key. Raises ValueError when the id is taken, StoreUnavailable."""
        ...

    async def get(self, key_id: str) -> ApiKey | None:
        """The key, revoked ones too, or None. Raises StoreUnavailable."""
        ...

    async def list(self) -> list[ApiKey]:
        """All keys, oldest first. Raises StoreUnavailable."""
        ...

    async def revoke(self, key_id: str, at: datetime) -> bool:
        """Mark the key as revoked; False when there is none or it was revoked before. Raises StoreUnavailable."""
        ...

    async def ping(self) -> None:
        """Return when the store answers. Raises StoreUnavailable."""
        ...

    async def close(self) -> None:
        """Let go of connections; the port may be used again and then reconnects."""
        ...
