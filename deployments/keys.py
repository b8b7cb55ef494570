"""API keys: `bo-ID-SECRET`. The id is public and names the key in lists and logs; the secret is 256 random bits.

The store keeps sha256(secret): a slow hash protects guessable passwords, and this is not one.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from datetime import UTC, datetime

from models.values import CallerRole
from stores.ports import ApiKey

PREFIX = "bo"
ID_CHARACTERS = 12  # 72 bits: unique over any number of keys one cluster will have
MAX_TOKEN_CHARACTERS = 200  # ours have 59; anything longer is refused before hashing


def _now() -> datetime:
    return datetime.now(UTC)


def new_key(name: str, role: CallerRole, tenant: str, now: Callable[[], datetime] = _now) -> tuple[ApiKey, str]:
    """Make a key: the row to store, and the token to show once."""
    key_id = secrets.token_hex(ID_CHARACTERS // 2)
    secret = secrets.token_urlsafe(32)
    key = ApiKey(key_id, name, digest(secret), role, tenant, now())
    return key, f"{PREFIX}-{key_id}-{secret}"


def parse(token: str) -> tuple[str, str] | None:
    """Token -> (id, secret), or None when it does not have the shape of a key of ours."""
    if len(token) > MAX_TOKEN_CHARACTERS or not token.isascii():
        return None
    prefix, _, rest = token.partition("-")
    key_id, _, secret = rest.partition("-")
    if prefix != PREFIX or len(key_id) != ID_CHARACTERS or not key_id.isalnum() or not secret:
        return None
    return key_id, secret


def digest(secret: str) -> bytes:
    """What the store keeps of a secret: 32 bytes."""
    return hashlib.sha256(secret.encode()).digest()


def matches(key: ApiKey, secret: str) -> bool:
    """Whether the secret is the key's, in constant time."""
    return hmac.compare_digest(key.secret_sha256, digest(secret))
