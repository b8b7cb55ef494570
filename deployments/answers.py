"""The exact cache: an in-process LRU, then one Redis GET. Knows scopes, keys and time to live; nothing of models.

A key covers all that may change an answer (DESIGN §6): tenant and user, data class, catalog revision, and every
field of the request except how it is delivered. Private requests have no key: they are neither stored nor found.
"""

import hashlib
import random
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from models.errors import InvalidRequest
from models.outputs import Output
from models.values import Caller, DataClass, FinishReason, Text, Usage
from stores.errors import StoreCorrupt, StoreUnavailable
from stores.ports import Cache

DELIVERY_FIELDS = frozenset({"stream", "stream_options", "user", "metadata", "store", "service_tier"})
TTL_JITTER = 0.1  # ±10 %: entries made in one burst do not all end at once (DESIGN §6)
LRU_ENTRY_OVERHEAD_BYTES = 1000  # dicts and objects around a stored text, measured with sys.getsizeof
RETRY_STORE_S = 1.0  # after a failure, one request a second tries the store; the others go without at no cost
VERSION = 1  # of the stored form


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished answer, whatever surface asked. `id` and `created_s` are part of it: a replay is the same answer."""

    id: str
    created_s: int
    spec_id: str
    text: str
    reason: FinishReason
    usage: Usage

    @property
    def output(self) -> Output:
        """As it was first said."""
        return Output((Text(self.text),), self.reason, self.usage)


@dataclass(slots=True)
class Entry:
    """An answer in the LRU, with what surfaces have rendered of it."""

    answer: Answer
    expires_s: float
    leaves_lru_s: float
    rendered: dict[str, bytes] = field(default_factory=dict)


def cache_key(caller: Caller, data_class: DataClass, revision: str, body: Mapping[str, Any]) -> str | None:
    """The key of a request, None where nothing may be shared. Raises InvalidRequest when the body nests too deep.

    Who shares an answer: of public text the tenant, of personal text one user of it (the key where no user is named).
    """
    if data_class is DataClass.PRIVATE:
        return None
    person = ""
    if data_class is DataClass.PERSONAL:
        person = caller.user or _end_user(body) or caller.key_id
    meaning = {name: value for name, value in body.items() if name not in DELIVERY_FIELDS}
    try:
        canonical = orjson.dumps([caller.tenant, person, data_class, revision, meaning], option=orjson.OPT_SORT_KEYS)
    except (orjson.JSONEncodeError, RecursionError) as error:
        raise InvalidRequest("The body nests too deep to be read. Flatten it to 100 levels at most.") from error
    return "answer:" + hashlib.blake2b(canonical, digest_size=20).hexdigest()


class AnswerCache:
    """Answers by key. A store that fails costs its hits, never a request; `available` says how it is."""

    def __init__(
        self, store: Cache | None, ttl_s: int, lru_bytes: int, lru_ttl_s: int, now: Callable[[], float] = time.time
    ) -> None:
        self._store, self._ttl_s, self._now = store, ttl_s, now
        self._lru: OrderedDict[str, Entry] = OrderedDict()
        self._lru_bytes, self._lru_limit_bytes, self._lru_ttl_s = 0, lru_bytes, lru_ttl_s
        self._retry_store_at_s = 0.0
        self.available = True

    def recall(self, key: str) -> Entry | None:
        """What this replica remembers itself."""
        entry = self._lru.get(key)
        if entry is None:
            return None
        if entry.leaves_lru_s <= self._now():
            self._forget(key)
            return None
        self._lru.move_to_end(key)
        return entry

    async def find(self, key: str) -> Entry | None:
        """What the shared store remembers; it then is in the LRU too."""
        if self._store is None or self._now() < self._retry_store_at_s:
            return None
        try:
            stored = await self._store.get(key)
        except StoreUnavailable:
            self._store_failed()
            return None
        self.available = True
        if stored is None:
            return None
        try:
            answer, expires_s = _unpack(key, stored)
        except StoreCorrupt:
            return None  # answered fresh and overwritten; a foreign value under our key is not the caller's matter
        return self._keep(key, answer, expires_s) if expires_s > self._now() else None

    def remember(self, key: str, answer: Answer) -> Entry:
        """Keep an answer in this replica, for the time to live ±10 %."""
        ttl_s = self._ttl_s * random.uniform(1 - TTL_JITTER, 1 + TTL_JITTER)  # noqa: S311  # spreads, protects nothing
        return self._keep(key, answer, self._now() + ttl_s)

    async def store(self, key: str, entry: Entry) -> None:
        """Keep an answer in the shared store, for what is left of its time to live."""
        now = self._now()
        if self._store is None or now < self._retry_store_at_s or entry.expires_s <= now:
            return
        try:
            await self._store.put(key, _pack(entry), entry.expires_s - now)
            self.available = True
        except StoreUnavailable:
            self._store_failed()

    async def check(self) -> bool:
        """Ask the store how it is; True where none is configured."""
        if self._store is None:
            return True
        try:
            await self._store.ping()
        except StoreUnavailable:
            self._store_failed()
        else:
            self.available, self._retry_store_at_s = True, 0.0
        return self.available

    def _store_failed(self) -> None:
        self.available = False
        self._retry_store_at_s = self._now() + RETRY_STORE_S

    def _keep(self, key: str, answer: Answer, expires_s: float) -> Entry:
        self._forget(key)
        entry = Entry(answer, expires_s, min(expires_s, self._now() + self._lru_ttl_s))
        size = _size_bytes(answer)
        if size > self._lru_limit_bytes:
            return entry
        self._lru[key] = entry
        self._lru_bytes += size
        while self._lru_bytes > self._lru_limit_bytes:
            self._forget(next(iter(self._lru)))
        return entry

    def _forget(self, key: str) -> None:
        entry = self._lru.pop(key, None)
        if entry is not None:
            self._lru_bytes -= _size_bytes(entry.answer)


def _size_bytes(answer: Answer) -> int:
    """An answer may be rendered three ways beside its text: four times the text, and the objects around it."""
    return 4 * len(answer.text) + LRU_ENTRY_OVERHEAD_BYTES


def _end_user(body: Mapping[str, Any]) -> str | None:
    user = body.get("user")
    return f"user:{user}" if isinstance(user, str) and user else None


def _pack(entry: Entry) -> bytes:
    return orjson.dumps({"v": VERSION, "expires_s": entry.expires_s, "answer": entry.answer})


def _unpack(key: str, stored: bytes) -> tuple[Answer, float]:
    try:
        value = orjson.loads(stored)
        if value["v"] != VERSION:
            raise StoreCorrupt("cache", key, f"version {value['v']}")
        fields = value["answer"]
        return Answer(**{**fields, "usage": Usage(**fields["usage"])}), float(value["expires_s"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise StoreCorrupt("cache", key, str(error)) from error
