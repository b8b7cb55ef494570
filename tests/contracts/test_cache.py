"""What every Cache promises: the in-memory peer, and Valkey through RedisCache."""

import asyncio
import pickle
import time

import pytest
from pydantic import SecretStr

from stores.cache_redis import RedisCache
from stores.errors import StoreUnavailable
from stores.memory import MemoryCache

pytestmark = pytest.mark.contract
TIMEOUT_S = 5.0


@pytest.fixture(params=["memory", "valkey"])
async def cache(request):
    if request.param == "memory":
        yield MemoryCache()
        return
    server = request.getfixturevalue("valkey_server")
    cache = RedisCache(SecretStr(server.url), TIMEOUT_S)
    yield cache
    await cache.close()


async def test_what_is_put_is_got_byte_for_byte(cache) -> None:
    value = bytes(range(256)) * 100
    await cache.put("contract:bytes", value, 60)
    assert await cache.get("contract:bytes") == value


async def test_what_was_never_put_is_none(cache) -> None:
    assert await cache.get("contract:never") is None


async def test_a_later_value_replaces_an_earlier_one(cache) -> None:
    await cache.put("contract:twice", b"one", 60)
    await cache.put("contract:twice", b"two", 60)
    assert await cache.get("contract:twice") == b"two"


async def test_an_entry_is_gone_after_its_time_and_not_before(cache) -> None:
    began = time.monotonic()
    await cache.put("contract:short", b"x", 0.3)
    async with asyncio.timeout(10):
        while await cache.get("contract:short") is not None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert time.monotonic() - began >= 0.29


async def test_delete_forgets_and_forgetting_nothing_is_fine(cache) -> None:
    await cache.put("contract:gone", b"x", 60)
    await cache.delete("contract:gone")
    await cache.delete("contract:gone")
    assert await cache.get("contract:gone") is None


async def test_keys_and_values_of_any_kind_are_kept_apart(cache) -> None:
    keys = ["contract:", "contract:é", "contract: ", "contract:\n", "contract:" + "k" * 500]
    for number, key in enumerate(keys):
        await cache.put(key, str(number).encode(), 60)
    assert [await cache.get(key) for key in keys] == [str(number).encode() for number in range(len(keys))]
    await cache.put("contract:empty", b"", 60)
    assert await cache.get("contract:empty") == b""


async def test_many_at_once_do_not_mix(cache) -> None:
    async def one(number: int) -> bool:
        await cache.put(f"contract:{number}", str(number).encode(), 60)
        return await cache.get(f"contract:{number}") == str(number).encode()

    assert all(await asyncio.gather(*(one(number) for number in range(200))))


async def test_a_caller_who_leaves_takes_nothing_from_the_others(cache) -> None:
    await asyncio.gather(*(cache.put(f"contract:stay:{number}", str(number).encode(), 60) for number in range(300)))
    asked = [asyncio.create_task(cache.get(f"contract:stay:{number}")) for number in range(300)]
    await asyncio.sleep(0)
    for leaving in asked[::3]:
        leaving.cancel()
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert found[1::3] == [str(number).encode() for number in range(1, 300, 3)]
    assert await cache.get("contract:stay:0") == b"0"


async def test_ping_and_use_after_close(cache) -> None:
    await cache.ping()
    await cache.close()
    await cache.put("contract:again", b"x", 60)
    assert await cache.get("contract:again") == b"x"


async def test_a_dead_server_is_said_to_be_unavailable_and_is_used_again_when_it_is_back(valkey_server) -> None:
    cache = RedisCache(SecretStr(valkey_server.url), TIMEOUT_S)
    await cache.put("contract:before", b"x", 60)
    valkey_server.kill()
    for operation in (cache.get("k"), cache.put("k", b"v", 1), cache.delete("k"), cache.ping()):
        with pytest.raises(StoreUnavailable):
            await operation
    valkey_server.restart()
    await cache.put("contract:after", b"x", 60)
    assert await cache.get("contract:after") == b"x"
    await cache.close()


async def test_a_server_that_does_not_answer_is_given_up_in_time() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    cache = RedisCache(SecretStr(f"redis://127.0.0.1:{port}"), 0.2)
    with pytest.raises(StoreUnavailable):
        async with asyncio.timeout(TIMEOUT_S):
            await cache.get("k")
    await cache.close()
    server.close()


def test_an_unused_adapter_travels_to_a_replica_and_its_secret_shows_nowhere() -> None:
    cache = pickle.loads(pickle.dumps(RedisCache(SecretStr("redis://:hush@127.0.0.1:1/0"), 1)))  # noqa: S301
    assert "hush" not in repr(vars(cache))
