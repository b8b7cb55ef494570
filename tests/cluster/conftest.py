"""One real cluster for the whole session: Valkey, PostgreSQL, Ray, HAProxy, the applications, real models."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx
import psutil
import pytest
from openai import OpenAI
from pydantic import SecretStr
from tests_support import free_port

from cluster.laptop import postgres
from cluster.laptop.down import down
from cluster.laptop.home import Home
from cluster.laptop.settings import LaptopSettings
from cluster.laptop.status import status
from cluster.laptop.up import Step, up
from deployments.keys import new_key, parse
from stores.keys_postgres import PostgresKeys

ANSWER_TIMEOUT_S = 120.0  # two cores may be shared with everything that a test run starts


@dataclass(frozen=True)
class Cluster:
    """What a test may ask of the running cluster."""

    settings: LaptopSettings
    url: str
    key: str

    @property
    def home(self) -> Home:
        return Home(self.settings.home)

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def listening_ports(self) -> set[int]:
        return {port for process in status(self.settings).processes for port in process.ports}

    def new_key(self, name: str, role: str = "app", tenant: str = "tests") -> str:
        key, token = new_key(name, role, tenant)
        self._keys(lambda keys: keys.add(key))
        return token

    def revoke(self, token: str) -> None:
        key_id, _ = parse(token)
        assert self._keys(lambda keys: keys.revoke(key_id, datetime.now(UTC)))

    def cpu_share(self, title: str) -> float:
        """Cores that the processes of that title use now, over half a second."""
        found = [psutil.Process(p.pid) for p in status(self.settings).processes if title in _title(p.pid)]
        assert found, f"no process is called {title}"
        before = sum(sum(process.cpu_times()[:2]) for process in found)
        time.sleep(0.5)
        return (sum(sum(process.cpu_times()[:2]) for process in found) - before) / 0.5

    def _keys(self, use):
        async def run():
            state = self.home.load()
            keys = PostgresKeys(SecretStr(postgres.url(state.postgres.port, self.home.secret("postgres_password"))))
            try:
                return await use(keys)
            finally:
                await keys.close()

        return asyncio.run(run())


def _title(pid: int) -> str:
    try:
        return " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return ""


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of this session's own; while developing, the running one whose home TEST_CLUSTER_HOME names."""
    if given := os.environ.get("TEST_CLUSTER_HOME"):
        settings = LaptopSettings(home=given)
        now = status(settings)
        yield Cluster(settings, now.url, now.key_file.read_text().strip())
        return
    settings = LaptopSettings(home=tmp_path_factory.mktemp("home"), http_port=free_port())
    steps: list[Step] = []
    try:
        now = up(settings, steps.append)
        assert now.condition == "ready", [(step.name, step.state, step.detail) for step in steps]
        yield Cluster(settings, now.url, now.key_file.read_text().strip())
    finally:
        down(settings, wipe=True)


@pytest.fixture(scope="session")
def http(cluster: Cluster) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {cluster.key}"}
    with httpx.Client(base_url=cluster.url, headers=headers, timeout=ANSWER_TIMEOUT_S) as client:
        yield client


@pytest.fixture(scope="session")
def client(cluster: Cluster) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{cluster.url}/v1", api_key=cluster.key, max_retries=0, timeout=ANSWER_TIMEOUT_S) as sdk:
        yield sdk


@pytest.fixture
def command(cluster: Cluster):
    """Run `becoming-one ...` as a user would, against the session's cluster."""

    def run(*words: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
        environment = {"BECOMING_ONE_HOME": str(cluster.settings.home), "BECOMING_ONE_URL": cluster.url}
        environment |= {"BECOMING_ONE_API_KEY": cluster.key, "NO_COLOR": "1"}
        return subprocess.run(
            [sys.executable, "-m", "becoming_one.cli", *words],
            input=given,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            env={**os.environ, **environment},
        )

    return run
