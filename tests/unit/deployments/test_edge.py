"""Who calls, found out from headers."""

import base64
import dataclasses
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from deployments import keys as api_keys
from deployments.edge import (
    REMEMBERED_KEYS,
    STALE_S,
    VERIFIED_S,
    Edge,
    cache_directives_of,
    data_class_of,
    request_id_of,
)
from models.errors import InvalidRequest, Unauthenticated
from models.values import DataClass
from stores.errors import StoreUnavailable
from stores.memory import MemoryKeys
from stores.ports import ApiKey


def headers(**given: str) -> dict[bytes, bytes]:
    return {name.replace("_", "-").encode(): value.encode() for name, value in given.items()}


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class CountingKeys(MemoryKeys):
    lookups = 0

    async def get(self, key_id: str) -> ApiKey | None:
        self.lookups += 1
        return await super().get(key_id)


@pytest.fixture
async def known() -> tuple[CountingKeys, ApiKey, str]:
    keys = CountingKeys()
    key, token = api_keys.new_key("test", "app", "acme")
    await keys.add(key)
    return keys, key, token


async def test_a_good_key_names_its_caller(known) -> None:
    keys, key, token = known
    caller = await Edge(keys).authenticate(headers(authorization=f"Bearer {token}"), "POST")
    assert (caller.key_id, caller.role, caller.tenant) == (key.id, "app", "acme")


async def test_anthropics_header_carries_a_key_too(known) -> None:
    keys, key, token = known
    assert (await Edge(keys).authenticate(headers(x_api_key=token), "POST")).key_id == key.id


async def test_a_browser_may_send_the_key_as_password_but_only_to_read(known) -> None:
    keys, key, token = known
    basic = "Basic " + base64.b64encode(f"anyone:{token}".encode()).decode()
    assert (await Edge(keys).authenticate(headers(authorization=basic), "GET")).key_id == key.id
    with pytest.raises(Unauthenticated):
        await Edge(keys).authenticate(headers(authorization=basic), "POST")


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Bearer bo-",
        "Bearer bo-000000000000-",
        "Basic !!!",
        "Bearer " + "a" * 10**5,
        "Bearer bo-0000000000ü0-secret",
        "Digest x",
    ],
)
async def test_what_is_no_key_is_refused(known, authorization: str) -> None:
    keys, _, _ = known
    with pytest.raises(Unauthenticated):
        await Edge(keys).authenticate(headers(authorization=authorization), "POST")
    assert keys.lookups <= 1


async def test_a_good_id_with_a_wrong_secret_is_refused(known) -> None:
    keys, key, _ = known
    with pytest.raises(Unauthenticated, match="not known"):
        await Edge(keys).authenticate(headers(authorization=f"Bearer bo-{key.id}-wrong"), "POST")


async def test_a_revoked_key_stops_working_within_the_verified_window(known) -> None:
    keys, key, token = known
    clock = Clock()
    edge = Edge(keys, now=clock)
    await edge.authenticate(headers(authorization=f"Bearer {token}"), "POST")
    await keys.revoke(key.id, datetime.now(UTC))
    clock.now_s += VERIFIED_S
    with pytest.raises(Unauthenticated, match="revoked"):
        await edge.authenticate(headers(authorization=f"Bearer {token}"), "POST")


async def test_a_verified_key_costs_one_lookup_a_second(known) -> None:
    keys, _, token = known
    clock = Clock()
    edge = Edge(keys, now=clock)
    for _ in range(10):
        await edge.authenticate(headers(authorization=f"Bearer {token}"), "POST")
    assert keys.lookups == 1
    clock.now_s += VERIFIED_S
    await edge.authenticate(headers(authorization=f"Bearer {token}"), "POST")
    assert keys.lookups == 2


async def test_while_the_key_store_is_away_known_keys_go_on_for_a_minute_and_unknown_ones_do_not(known) -> None:
    keys, _, token = known
    clock = Clock()
    edge = Edge(keys, now=clock)
    await edge.authenticate(headers(authorization=f"Bearer {token}"), "POST")
    keys.available = False
    clock.now_s += STALE_S - 1
    assert (await edge.authenticate(headers(authorization=f"Bearer {token}"), "POST")).tenant == "acme"
    assert edge.keys_available is False
    with pytest.raises(StoreUnavailable):
        await edge.authenticate(headers(authorization="Bearer bo-000000000000-secret"), "POST")
    clock.now_s += 2
    with pytest.raises(StoreUnavailable):
        await edge.authenticate(headers(authorization=f"Bearer {token}"), "POST")


async def test_the_service_key_is_one_of_our_applications_and_not_in_the_store() -> None:
    edge = Edge(MemoryKeys(), SecretStr("inside"))
    assert (await edge.authenticate(headers(authorization="Bearer inside"), "POST")).role == "service"
    with pytest.raises(Unauthenticated):
        await edge.authenticate(headers(authorization="Bearer outside"), "POST")


async def test_a_flood_of_distinct_keys_keeps_memory_bounded() -> None:
    keys = MemoryKeys()
    edge = Edge(keys)
    template, _ = api_keys.new_key("flood", "app", "acme")
    for number in range(REMEMBERED_KEYS + 5):
        key = dataclasses.replace(template, id=f"{number:012d}", secret_sha256=api_keys.digest("s"))
        await keys.add(key)
        await edge.authenticate(headers(authorization=f"Bearer bo-{key.id}-s"), "POST")
    assert len(edge._verified) == REMEMBERED_KEYS


def test_a_well_formed_request_id_is_kept_and_any_other_replaced() -> None:
    assert request_id_of(headers(x_request_id="trace-1.a_B")) == b"trace-1.a_B"
    for given in ("", "a b", "x" * 129, "a\nb", "é"):
        assert request_id_of(headers(x_request_id=given)).startswith(b"req_")
    assert request_id_of(headers()) != request_id_of(headers())


def test_data_class_is_personal_unless_said_and_never_guessed() -> None:
    assert data_class_of(headers()) is DataClass.PERSONAL
    assert data_class_of(headers(x_data_class="PRIVATE")) is DataClass.PRIVATE
    with pytest.raises(InvalidRequest, match="public, personal or private"):
        data_class_of(headers(x_data_class="secret"))


@pytest.mark.parametrize(
    ("header", "read", "write"),
    [
        ("no-cache", False, True),
        ("no-store", False, False),
        ("max-age=0, No-Cache", False, True),
        ("max-age=9", True, True),
    ],
)
def test_cache_control_says_whether_to_read_and_to_write(header: str, read: bool, write: bool) -> None:
    directives = cache_directives_of(headers(cache_control=header))
    assert (directives.read, directives.write) == (read, write)
