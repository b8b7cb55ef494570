"""Real servers for the whole session, from packages, on free loopback ports. Nothing is left behind."""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests_support import free_port

from cluster.laptop import postgres, valkey
from cluster.laptop.home import Home
from cluster.laptop.processes import Identity
from cluster.laptop.settings import inherited_environment
from stores.migrations import migrate

# Nobody's account pays for a test: without keys no vendor is asked.
for vendor in ("OPENAI", "ANTHROPIC", "MISTRAL"):
    os.environ.pop(f"{vendor}_API_KEY", None)
    os.environ.pop(f"{vendor}_API_KEY_FILE", None)

# Two clusters on two cores: a machine that is always full (docs/decisions/0007-ray-on-a-laptop.md)
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

RINGS = ("chaos", "cluster")  # each with a cluster of its own

# A shell starts what runs in the background with Ctrl-C ignored, and so would be what these tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """What shares a cluster, a server or a loaded model stays in one worker of `pytest -n`: a ring, else a file."""
    from xdist.scheduler import LoadScopeScheduling

    class ByRing(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.partition("::")[0]
            ring = path.removeprefix("tests/").partition("/")[0]
            return ring if ring in RINGS else path

    return ByRing(config, log)


@dataclass
class Running:
    """A server under test. `kill` ends it as a crash would; `restart` brings it back on the same port and data."""

    url: str
    home: Home
    port: int
    password: str
    kind: str
    process: Identity

    def kill(self) -> None:
        import psutil

        process = psutil.Process(self.process.pid)
        process.kill()
        process.wait(10)

    def restart(self) -> None:
        module = valkey if self.kind == "valkey" else postgres
        self.process = module.start(self.home, self.port, self.password, inherited_environment()).process


def _running(kind: str, folder: Path) -> Iterator[Running]:
    home = Home(folder)
    home.create()
    module = valkey if kind == "valkey" else postgres
    port, password = free_port(), home.secret("password")
    server = module.start(home, port, password, inherited_environment())
    running = Running(module.url(port, password), home, port, password, kind, server.process)
    yield running
    if kind == "valkey":
        valkey.stop(running.process)
    else:
        postgres.stop(home, running.process)


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    yield from _running("valkey", tmp_path_factory.mktemp("valkey"))


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """With the schema of the database `user`."""
    for running in _running("postgres", tmp_path_factory.mktemp("postgres")):
        from pydantic import SecretStr

        migrate(SecretStr(running.url), "user")
        yield running
