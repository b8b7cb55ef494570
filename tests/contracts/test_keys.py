"""What every Keys store promises: the in-memory peer, and PostgreSQL."""

import asyncio
import dataclasses
import pickle
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from deployments.keys import matches, new_key, parse
from stores.errors import StoreUnavailable
from stores.keys_postgres import PostgresKeys
from stores.memory import MemoryKeys

pytestmark = pytest.mark.contract
NOW = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture(params=["memory", "postgres"])
async def keys(request):
    if request.param == "memory":
        yield MemoryKeys()
        return
    server = request.getfixturevalue("postgres_server")
    keys = PostgresKeys(SecretStr(server.url))
    yield keys
    await keys.close()


async def test_a_key_comes_back_as_it_was_stored(keys) -> None:
    key, token = new_key("ann's é key", "researcher", "acme", lambda: NOW)
    await keys.add(key)
    found = await keys.get(key.id)
    assert found == key
    assert matches(found, parse(token)[1])
    assert found.created_at.utcoffset() is not None


async def test_an_unknown_id_is_none(keys) -> None:
    assert await keys.get("000000000000") is None
    assert await keys.get("'; DROP TABLE api_keys; --") is None


async def test_an_id_is_taken_once(keys) -> None:
    key, _ = new_key("one", "app", "acme")
    await keys.add(key)
    with pytest.raises(ValueError, match=key.id):
        await keys.add(dataclasses.replace(key, name="two"))
    assert (await keys.get(key.id)).name == "one"


async def test_the_list_is_oldest_first(keys) -> None:
    made = [new_key(f"k{number}", "app", "order", lambda n=number: NOW - timedelta(days=n))[0] for number in range(3)]
    for key in made:
        await keys.add(key)
    assert [key.name for key in await keys.list() if key.tenant == "order"] == ["k2", "k1", "k0"]


async def test_a_key_is_revoked_once_and_stays_in_the_list(keys) -> None:
    key, _ = new_key("r", "app", "acme")
    await keys.add(key)
    assert await keys.revoke(key.id, NOW) is True
    assert await keys.revoke(key.id, NOW + timedelta(days=1)) is False
    assert await keys.revoke("000000000000", NOW) is False
    assert (await keys.get(key.id)).revoked_at == NOW
    assert key.id in [found.id for found in await keys.list()]


async def test_two_who_revoke_at_once_are_told_apart(keys) -> None:
    key, _ = new_key("race", "app", "acme")
    await keys.add(key)
    outcomes = await asyncio.gather(*(keys.revoke(key.id, NOW) for _ in range(8)))
    assert sum(outcomes) == 1


async def test_a_dead_server_is_said_to_be_unavailable_and_is_used_again_when_it_is_back(postgres_server) -> None:
    keys = PostgresKeys(SecretStr(postgres_server.url))
    key, _ = new_key("survivor", "app", "acme")
    await keys.add(key)
    postgres_server.kill()
    with pytest.raises(StoreUnavailable):
        await keys.get(key.id)
    with pytest.raises(StoreUnavailable):
        await keys.ping()
    postgres_server.restart()
    assert await keys.get(key.id) == key
    await keys.close()


def test_an_unused_adapter_travels_to_a_replica_and_its_secret_shows_nowhere() -> None:
    keys = pickle.loads(pickle.dumps(PostgresKeys(SecretStr("postgresql://u:hush@127.0.0.1:1/d"))))  # noqa: S301
    assert "hush" not in repr(vars(keys))
