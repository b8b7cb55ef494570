"""Who calls, and under which limits: the same for every application. Knows headers and keys, no model.

`authenticate` is on the path of every request, so verified keys are remembered for VERIFIED_S per replica.
"""

import hashlib
import hmac
import random
import re
import time
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import SecretStr

from deployments import keys as api_keys
from models.errors import Forbidden, InvalidRequest, Unauthenticated
from models.values import Caller, DataClass
from stores.errors import StoreUnavailable
from stores.ports import Keys

VERIFIED_S = 1.0  # a revoked key works at most this much longer on any replica (DESIGN §12)
STALE_S = 60.0  # while the key store is away, keys verified within this long go on: a guess between outage and risk
REMEMBERED_KEYS = 10_000  # 200 bytes each: a flood of distinct keys costs 2 MB, then the oldest go
REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}\Z")
DATA_CLASSES = {b"public": DataClass.PUBLIC, b"personal": DataClass.PERSONAL, b"private": DataClass.PRIVATE}
SERVICE = Caller("service", "service", "cluster")

HeaderMap = Mapping[bytes, bytes]
"""Lower-case name -> value; of repeated headers the last. Made once a request: a scan per header costs 1.5 µs each."""


@dataclass(frozen=True, slots=True)
class CacheDirectives:
    """Cache-Control of a request. `read`: a stored answer will do; `write`: this answer may be stored."""

    read: bool = True
    write: bool = True


DEFAULT_DIRECTIVES = CacheDirectives()


@dataclass(slots=True)
class _Verified:
    caller: Caller
    at_s: float


class Edge:
    """Turns headers into a Caller. `now` gives seconds of a clock that never steps back."""

    def __init__(
        self, keys: Keys, service_key: SecretStr | None = None, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._keys, self._now = keys, now
        self._service = service_key.get_secret_value().encode() if service_key else None
        self._verified: dict[bytes, _Verified] = {}
        self.keys_available = True

    async def authenticate(self, headers: HeaderMap, method: str) -> Caller:
        """The caller of a request. Raises Unauthenticated; StoreUnavailable when nobody can say who it is."""
        token = token_of(headers, method)
        if token is None:
            raise Unauthenticated("This request carries no API key.")
        if self._service is not None and hmac.compare_digest(token, self._service):
            return SERVICE
        fingerprint = hashlib.sha256(token).digest()
        known = self._verified.get(fingerprint)
        if known is not None and self._now() - known.at_s < VERIFIED_S:
            return known.caller
        return await self._verify(token, fingerprint, known)

    async def _verify(self, token: bytes, fingerprint: bytes, known: _Verified | None) -> Caller:
        parsed = api_keys.parse(token.decode("latin-1"))
        if parsed is None:
            raise Unauthenticated("This is not an API key of this cluster.")
        key_id, secret = parsed
        try:
            key = await self._keys.get(key_id)
            self.keys_available = True
        except StoreUnavailable:
            self.keys_available = False
            if known is not None and self._now() - known.at_s < STALE_S:
                return known.caller
            raise
        if key is None or not api_keys.matches(key, secret):
            self._verified.pop(fingerprint, None)
            raise Unauthenticated("This API key is not known.")
        if key.revoked_at is not None:
            self._verified.pop(fingerprint, None)
            raise Unauthenticated("This API key was revoked.")
        if len(self._verified) >= REMEMBERED_KEYS:
            self._verified.pop(next(iter(self._verified)))
        caller = Caller(key.id, key.role, key.tenant)
        self._verified[fingerprint] = _Verified(caller, self._now())
        return caller


def token_of(headers: HeaderMap, method: str) -> bytes | None:
    """The key of a request: `Authorization: Bearer`, `x-api-key` (Anthropic's SDK), or Basic's password (browsers).

    Basic is read on GET only: a browser repeats it by itself, also on a form that another site makes it post.
    """
    value = headers.get(b"authorization")
    if value is None:
        return headers.get(b"x-api-key")
    scheme, _, rest = value.partition(b" ")
    scheme = scheme.lower()
    if scheme == b"bearer":
        return rest.strip()
    if scheme == b"basic" and method == "GET":
        try:
            return b64decode(rest, validate=True).partition(b":")[2]
        except ValueError:
            return None
    return None


def request_id_of(headers: HeaderMap) -> bytes:
    """The caller's own x-request-id where it is well formed, else a new one."""
    given = headers.get(b"x-request-id")
    if given is not None and REQUEST_ID.match(given):
        return given
    return b"req_%024x" % random.getrandbits(96)  # names a request, guards nothing; the system's own costs 6 µs


def data_class_of(headers: HeaderMap) -> DataClass:
    """X-Data-Class, `personal` where it is absent. Raises InvalidRequest for an unknown word: never guess downwards."""
    given = headers.get(b"x-data-class")
    if given is None:
        return DataClass.PERSONAL
    data_class = DATA_CLASSES.get(given.lower())
    if data_class is None:
        raise InvalidRequest("The header X-Data-Class must be public, personal or private.")
    return data_class


def cache_directives_of(headers: HeaderMap) -> CacheDirectives:
    """Cache-Control: `no-cache` asks for a fresh answer (which is stored), `no-store` for no trace of this one."""
    given = headers.get(b"cache-control")
    if given is None:
        return DEFAULT_DIRECTIVES
    words = {word.strip().lower() for word in given.split(b",")}
    store = b"no-store" not in words
    return CacheDirectives(read=store and b"no-cache" not in words, write=store)


def require(caller: Caller, *roles: str) -> None:
    """Raise Forbidden unless the caller has one of the roles."""
    if caller.role not in roles:
        raise Forbidden(f"This needs a key of role {' or '.join(roles)}; this key has {caller.role}.")
