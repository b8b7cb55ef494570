"""The exact cache."""

import pytest

from deployments.answers import Answer, AnswerCache, cache_key
from models.errors import InvalidRequest
from models.values import Caller, DataClass, Usage
from stores.memory import MemoryCache

ALICE = Caller("key-a", "app", "acme")
BODY = {"model": "realtime", "messages": [{"role": "user", "content": "hi"}]}
ANSWER = Answer("chatcmpl-1", 7, "smol", "hello", "stop", Usage(3, 1, 0))


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def key(
    caller: Caller = ALICE, data_class: DataClass = DataClass.PERSONAL, revision: str = "r1", **changes
) -> str | None:
    return cache_key(caller, data_class, revision, {**BODY, **changes})


def test_how_an_answer_is_delivered_does_not_change_its_key() -> None:
    assert key(stream=True, stream_options={"include_usage": True}) == key()
    assert cache_key(ALICE, DataClass.PERSONAL, "r1", dict(reversed(BODY.items()))) == key()


@pytest.mark.parametrize(
    "changes",
    [{"model": "bulk"}, {"temperature": 0.5}, {"max_tokens": 5}, {"seed": 1}, {"stop": "x"}, {"anything_new": 1},
     {"messages": [{"role": "system", "content": "hi"}]}, {"response_format": {"type": "json_object"}}],
)  # fmt: skip
def test_whatever_may_change_an_answer_changes_its_key(changes: dict) -> None:
    assert key(**changes) != key()


def test_scopes_never_meet() -> None:
    other_tenant, other_key = Caller("key-a", "app", "umbrella"), Caller("key-b", "app", "acme")
    assert key(other_tenant) != key()
    assert key(other_tenant, DataClass.PUBLIC) != key(data_class=DataClass.PUBLIC)
    assert key(other_key) != key()
    assert key(other_key, DataClass.PUBLIC) == key(data_class=DataClass.PUBLIC)
    assert key(user="ann") != key(user="ben")
    assert key(revision="r2") != key()
    assert key(data_class=DataClass.PUBLIC) != key()


def test_private_text_has_no_key() -> None:
    assert key(data_class=DataClass.PRIVATE) is None


def test_a_body_too_deep_is_a_caller_s_error() -> None:
    deep: object = 1
    for _ in range(500):
        deep = [deep]
    with pytest.raises(InvalidRequest, match="nests too deep"):
        key(metadata2=deep)


async def test_an_answer_put_by_one_replica_is_found_by_another() -> None:
    store = MemoryCache()
    first, second = (AnswerCache(store, 3600, 10**6, 60) for _ in range(2))
    await first.store("k", first.remember("k", ANSWER))
    assert second.recall("k") is None
    found = await second.find("k")
    assert found is not None
    assert found.answer == ANSWER
    assert second.recall("k") is found


async def test_a_replica_forgets_early_and_the_store_at_the_end() -> None:
    clock = Clock()
    store = MemoryCache(clock)
    cache = AnswerCache(store, 3600, 10**6, 60, clock)
    await cache.store("k", cache.remember("k", ANSWER))
    clock.now_s += 61
    assert cache.recall("k") is None
    assert (await cache.find("k")).answer == ANSWER
    clock.now_s += 3600 * 1.1
    assert cache.recall("k") is None
    assert await cache.find("k") is None


async def test_times_to_live_are_spread_by_a_tenth() -> None:
    clock = Clock()
    cache = AnswerCache(None, 1000, 10**9, 10**9, clock)
    ends = [cache.remember(str(number), ANSWER).expires_s - clock.now_s for number in range(200)]
    assert 900 <= min(ends) < 950
    assert 1050 < max(ends) <= 1100


async def test_the_lru_stays_within_its_bytes_and_drops_the_oldest() -> None:
    cache = AnswerCache(None, 3600, 5_000, 60)
    for number in range(10):
        cache.remember(str(number), ANSWER)
    assert cache.recall("0") is None
    assert cache.recall("9") is not None
    assert cache._lru_bytes <= 5_000
    huge = Answer("id", 1, "smol", "x" * 10_000, "stop", Usage())
    cache.remember("huge", huge)
    assert cache.recall("huge") is None
    assert cache.recall("9") is not None


async def test_a_dead_store_costs_hits_and_is_asked_again_after_a_second() -> None:
    clock = Clock()
    store = MemoryCache(clock)
    cache = AnswerCache(store, 3600, 10**6, 60, clock)
    store.available = False
    assert await cache.find("k") is None
    assert cache.available is False
    store.available = True
    await cache.store("k", cache.remember("k", ANSWER))
    assert await store.get("k") is None, "within a second of a failure the store is left alone"
    clock.now_s += 1.1
    await cache.store("k", cache.remember("k", ANSWER))
    assert await store.get("k") is not None
    assert cache.available is True


@pytest.mark.parametrize("stored", [b"", b"not json", b"[]", b'{"v":99}', b'{"v":1,"answer":{"id":1},"expires_s":9e9}'])
async def test_what_this_code_never_wrote_is_a_miss(stored: bytes) -> None:
    store = MemoryCache()
    await store.put("k", stored, 60)
    assert await AnswerCache(store, 3600, 10**6, 60).find("k") is None
