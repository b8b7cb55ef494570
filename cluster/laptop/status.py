"""What runs: read from the home and asked of the running programs. Starts and ends nothing."""

from dataclasses import asdict, dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal

from cluster.laptop import applications, ports, postgres, processes, ray_head, valkey
from cluster.laptop.applications import Application
from cluster.laptop.home import Home, Server, State
from cluster.laptop.settings import LaptopSettings

Condition = Literal["ready", "broken", "down"]


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """A server that applications use. `ours` False: named by the environment, not started here, not probed."""

    name: str
    ours: bool
    running: bool
    port: int | None = None
    pid: int | None = None


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """One process of the cluster. `pss_bytes` is its own memory and its share of what it shares; None: not readable."""

    pid: int
    name: str
    pss_bytes: int | None
    ports: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Status:
    """One laptop's cluster. `ready`: requests are answered; `broken`: something of it is dead, `up` heals it."""

    condition: Condition
    url: str | None
    dashboard_url: str | None
    home: Path
    key_file: Path
    applications: tuple[Application, ...]
    servers: tuple[ServerStatus, ...]
    processes: tuple[ProcessStatus, ...]

    @property
    def pss_bytes(self) -> int:
        """Memory of all processes together."""
        return sum(process.pss_bytes or 0 for process in self.processes)

    def as_json(self) -> dict[str, Any]:
        """For `status --json`: plain values, paths as text, memory in bytes."""
        return {**asdict(self), "home": str(self.home), "key_file": str(self.key_file), "pss_bytes": self.pss_bytes}


def status(settings: LaptopSettings) -> Status:
    """What runs in this home now. An absent home is a cluster that is down."""
    home = Home(settings.home)
    state = home.load()
    if state is None:
        return Status("down", None, None, home.folder, home.key_path, (), (), ())
    found = _processes(home, state)
    whole = ray_head.is_whole(state.ray)
    running = _applications(home, state) if whole else ()
    servers = _servers(settings, home, state)
    condition: Condition = "down" if not found else "broken"
    if whole and running and all(one.is_up for one in running) and all(server.running for server in servers):
        answer = applications.http_status(state.http_port or 0, settings.readiness_path)
        condition = "ready" if answer == HTTPStatus.OK else "broken"
    dashboard = ray_head.dashboard_url(ray_head.PortPlan(state.port_block)) if whole else None
    return Status(condition, state.url, dashboard, home.folder, home.key_path, running, servers, found)


def _applications(home: Home, state: State) -> tuple[Application, ...]:
    plan = ray_head.PortPlan(state.port_block)
    try:
        return applications.Rest(ray_head.dashboard_url(plan), home.secret(home.token_path.name)).applications()
    except OSError:  # Serve's controller is gone or coming back: nothing is known, and that is the answer
        return ()


def _servers(settings: LaptopSettings, home: Home, state: State) -> tuple[ServerStatus, ...]:
    def one(name: str, given: object, server: Server | None, answers: bool) -> ServerStatus:
        if given is not None:
            return ServerStatus(name, ours=False, running=True)
        if server is None:
            return ServerStatus(name, ours=True, running=False)
        return ServerStatus(name, ours=True, running=answers, port=server.port, pid=server.process.pid)

    cache = valkey.answers(state.valkey, home.secret("valkey_password")) if state.valkey else False
    database = postgres.answers(state.postgres, home.secret("postgres_password")) if state.postgres else False
    return (
        one("valkey", settings.redis_url, state.valkey, cache),
        one("postgres", settings.user_database_url, state.postgres, database),
    )


def _processes(home: Home, state: State) -> tuple[ProcessStatus, ...]:
    pids = processes.ours(home.marks(state))
    for server in (state.valkey, state.postgres):
        if server is not None and processes.alive(server.process):
            pids |= {server.process.pid} | processes.descendants({server.process.pid})
    listening = ports.listening_by_pid(pids)
    return tuple(
        ProcessStatus(pid, processes.name_of(pid), processes.pss_bytes(pid), tuple(sorted(listening.get(pid, ()))))
        for pid in sorted(pids)
    )
