import json

import pytest

from becoming_one.errors import NotConfigured
from becoming_one.settings import debug_wanted, find, nearest_home


@pytest.fixture
def home(tmp_path):
    """What `becoming-one up` leaves behind."""
    folder = tmp_path / ".becoming-one"
    folder.mkdir()
    (folder / "state.json").write_text(json.dumps({"url": "http://127.0.0.1:8123", "ports": {}}))
    (folder / "key").write_text("bo-file\n")
    return folder


def test_the_nearest_cluster_upwards_is_found(home, tmp_path) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)

    found = find(start=deep, environment={})
    assert (found.url, found.api_key) == ("http://127.0.0.1:8123", "bo-file")
    assert nearest_home(deep, {}) == home
    assert "bo-file" not in repr(found)


def test_the_environment_goes_before_the_file_and_what_is_given_before_both(home, tmp_path) -> None:
    environment = {"BECOMING_ONE_URL": "https://cluster.example/v1/", "BECOMING_ONE_API_KEY": "bo-env"}

    assert find(start=tmp_path, environment=environment).url == "https://cluster.example"
    assert find(start=tmp_path, environment=environment).api_key == "bo-env"
    given = find("http://10.0.0.1:80", "bo-given", tmp_path, environment)
    assert (given.url, given.api_key) == ("http://10.0.0.1:80", "bo-given")


def test_a_home_that_is_named_is_the_only_one_looked_at(home, tmp_path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert nearest_home(elsewhere, {"BECOMING_ONE_HOME": str(home)}) == home
    assert nearest_home(tmp_path, {"BECOMING_ONE_HOME": str(elsewhere)}) is None


def test_the_laptops_key_is_sent_to_the_laptop_alone(home, tmp_path) -> None:
    def key_for(url):
        return find(url, start=tmp_path, environment={}).api_key

    assert key_for("https://cluster.example") is None
    assert key_for("http://127.0.0.1:9999") is None
    assert key_for("http://localhost:8123/v1") == "bo-file"
    assert key_for("http://127.0.0.1:8123") == "bo-file"


def test_nothing_known_says_what_to_do(tmp_path) -> None:
    with pytest.raises(NotConfigured, match="becoming-one up"):
        find(start=tmp_path, environment={})


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://x", "http://", "http://a:99999", "http://[::1", ""])
def test_an_address_that_is_none_is_refused(url, tmp_path) -> None:
    with pytest.raises(NotConfigured):
        find(url, "k", tmp_path, {})


@pytest.mark.parametrize("state", [b"", b"[]", b"{}", b'{"url": 8000}', b"\xff"])
def test_a_broken_state_file_is_named_and_does_not_stand_in_anothers_way(home, tmp_path, state) -> None:
    (home / "state.json").write_bytes(state)

    with pytest.raises(NotConfigured, match=r"state\.json"):
        find(start=tmp_path, environment={})
    assert find("http://127.0.0.1:8123", start=tmp_path, environment={}).api_key is None


def test_a_missing_key_file_leaves_the_request_without_one(home, tmp_path) -> None:
    (home / "key").unlink()
    assert find(start=tmp_path, environment={}).api_key is None


@pytest.mark.parametrize("key", ["bo-schlüssel", "bo-1\nx-role: admin"])
def test_a_key_that_no_header_carries_is_refused(key, tmp_path) -> None:
    with pytest.raises(NotConfigured, match="API key"):
        find("http://127.0.0.1:1", key, tmp_path, {})


def test_debugging_is_asked_for_by_any_value_but_0() -> None:
    assert debug_wanted({"BECOMING_ONE_DEBUG": "1"})
    assert not debug_wanted({"BECOMING_ONE_DEBUG": "0"})
    assert not debug_wanted({})
