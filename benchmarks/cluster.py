"""The cluster under test: ours, brought up as `becoming-one up` does, in a temporary home, gone when the block ends."""

import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.client import Load, TableFailed
from cluster.laptop import processes, valkey
from cluster.laptop.down import down
from cluster.laptop.home import Home
from cluster.laptop.settings import PROJECT_ROOT, LaptopSettings
from cluster.laptop.up import Step, up

CHAT_PATH = "/v1/chat/completions"
LRU_BYTES = 200_000
"""Of the gateway in front of the mock: 60 answers. A walk over more prompts than that finds none of them in the LRU."""


@dataclass(frozen=True)
class Cluster:
    """A running cluster. `redis_url` holds a password."""

    url: str
    key: str
    redis_url: str
    model: str
    home: Home

    def pids(self) -> set[int]:
        """All its processes now: they come and go."""
        state = self.home.load()
        return set() if state is None else processes.ours(self.home.marks(state))

    def chat(self, bodies: list[bytes], connections: int, **headers: str) -> Load:
        """A load of chat requests with the key."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return Load(self.url, CHAT_PATH, bodies, connections, {"authorization": f"Bearer {self.key}", **named})


@contextmanager
def running(config: Mapping[str, Any]) -> Iterator[Cluster]:
    """Bring up what `config` (as in serve_config.yaml) says; take it down whatever happens in the block."""
    folder = Path(tempfile.mkdtemp(prefix="bo-bench-"))
    file = folder / "serve_config.yaml"
    file.write_text(yaml.safe_dump(dict(config)))
    settings = LaptopSettings(home=folder / "home", serve_config=file, redis_url=None, user_database_url=None)
    say(f"starting a cluster in {settings.home}")
    try:
        began = time.monotonic()
        status = up(settings, _tell)
        say(f"it answers at {status.url} after {time.monotonic() - began:.0f} s")
        home = Home(settings.home)
        state = home.load()
        if state is None or state.valkey is None or status.url is None:
            raise TableFailed(f"the cluster in {settings.home} came up without its Valkey or its URL")
        redis_url = valkey.url(state.valkey.port, home.secret("valkey_password"))
        yield Cluster(status.url, home.key_path.read_text().strip(), redis_url, _model(config), home)
    finally:
        with undisturbed():
            say("taking the cluster down")
            down(settings, wipe=True)
            shutil.rmtree(folder, ignore_errors=True)


def house() -> dict[str, Any]:
    """What serve_config.yaml says: everything, with real models."""
    return dict(yaml.safe_load((PROJECT_ROOT / "serve_config.yaml").read_text()))


def front(upstream_url: str) -> dict[str, Any]:
    """The gateway of serve_config.yaml alone, with the models behind it at `upstream_url`."""
    config = deepcopy(house())
    gateway = next(one for one in config["applications"] if one["route_prefix"] == "/")
    gateway["args"] |= {"embedding_models": [], "lru_bytes": LRU_BYTES}
    gateway["runtime_env"] = {"env_vars": {"BECOMING_ONE_INTERNAL_URL": upstream_url}}
    return {**config, "applications": [gateway]}


def say(text: str) -> None:
    """Progress, on stderr: stdout has the tables."""
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def _model(config: Mapping[str, Any]) -> str:
    gateway = next(one for one in config["applications"] if one["route_prefix"] == "/")
    return str(gateway["args"]["local_models"][0])


def _tell(step: Step) -> None:
    if step.state != "running":
        say(f"  {step.name}: {step.state} after {step.elapsed_s:.1f} s {step.detail}".rstrip())


@contextmanager
def undisturbed() -> Iterator[None]:
    """A second Ctrl-C does not stop the clearing up."""
    before = signal.signal(signal.SIGINT, lambda *_: say("still clearing up"))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
