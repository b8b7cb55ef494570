"""What a laptop's cluster may be told from outside."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from cluster.laptop import settings
from cluster.laptop.settings import LaptopSettings


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("BECOMING_ONE_") or name in ("REDIS_URL", "USER_DATABASE_URL"):
            monkeypatch.delenv(name)


def test_the_environment_is_read(monkeypatch) -> None:
    monkeypatch.setenv("BECOMING_ONE_HOME", "/somewhere")
    monkeypatch.setenv("BECOMING_ONE_HTTP_PORT", "9000")
    monkeypatch.setenv("REDIS_URL", "redis://:hush@example:1/0")
    read = LaptopSettings()
    assert (read.home, read.http_port) == (Path("/somewhere"), 9000)
    assert read.redis_url.get_secret_value() == "redis://:hush@example:1/0"
    assert "hush" not in repr(read)


def test_arguments_come_before_the_environment(monkeypatch) -> None:
    monkeypatch.setenv("BECOMING_ONE_HTTP_PORT", "9000")
    assert LaptopSettings(http_port=9001).http_port == 9001


def test_an_empty_variable_is_an_unset_one(monkeypatch) -> None:
    monkeypatch.setenv("REDIS_URL", "")
    monkeypatch.setenv("BECOMING_ONE_HTTP_PORT", "")
    read = LaptopSettings()
    assert read.redis_url is None
    assert read.http_port is None


@pytest.mark.parametrize("port", ["80", "70000", "http"])
def test_an_impossible_port_is_refused(monkeypatch, port: str) -> None:
    monkeypatch.setenv("BECOMING_ONE_HTTP_PORT", port)
    with pytest.raises(ValidationError, match="http_port"):
        LaptopSettings()


def test_somebody_elses_ray_is_not_inherited(monkeypatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "theirs")
    monkeypatch.setenv("PYTHONPATH", "/theirs")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "ours")
    inherited = settings.inherited_environment()
    assert {"RAY_ADDRESS", "RAY_AUTH_TOKEN", "PYTHONPATH"}.isdisjoint(inherited)
    assert inherited["ANTHROPIC_API_KEY"] == "ours"


def test_the_machine_is_measured() -> None:
    assert 1 <= settings.usable_cpus() <= os.cpu_count()
    assert 10**8 < settings.memory_bytes() < 10**14
