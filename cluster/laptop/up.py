"""Brings a laptop's cluster up, whatever state it is in: absent, running, half-started or half-killed.

Servers, weights and Ray come up side by side; then the applications. What runs and answers is left alone.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from threading import Lock
from time import monotonic
from typing import Any, Literal

from pydantic import SecretStr

from cluster.laptop import applications, ports, postgres, processes, ray_head, valkey
from cluster.laptop.applications import Application, Rest, Wait
from cluster.laptop.errors import HeadDied, PortTaken, StartFailed
from cluster.laptop.home import Home, RaySession, Server, State, server_mark
from cluster.laptop.keys import ensure_key
from cluster.laptop.ray_head import PortPlan
from cluster.laptop.settings import LaptopSettings, inherited_environment
from cluster.laptop.status import Status, status
from cluster.laptop.weights import fetch_weights
from stores.migrations import migrate

LOCK_TIMEOUT_S = 900.0  # another `up` may be fetching weights
HTTP_PORTS = range(8000, 8100)
RAY_ATTEMPTS = 3
"""A raylet gives its agent 15 s, which Ray does not let us change; on 2 cores at a load of 10 that was missed."""


@dataclass(frozen=True, slots=True)
class Step:
    """What `up` is at. Each named step begins once and ends once; `detail` says how it stands or how it ended.

    `done_bytes` of `total_bytes` where bytes are fetched, else 0. `elapsed_s` since the step began.
    """

    name: str
    state: Literal["running", "done", "failed"]
    detail: str = ""
    elapsed_s: float = 0.0
    done_bytes: int = 0
    total_bytes: int = 0


Report = Callable[[Step], None]


def up(settings: LaptopSettings, report: Report) -> Status:
    """Bring everything up and wait until requests are answered. Safe to repeat, and for two at once.

    `report` is called from several threads, one call at a time. Raises LaptopError, StoreUnavailable,
    MigrationRefused or a ModelError of the weights; whatever came up by then stays, and the next `up` goes on from it.
    """
    home = Home(settings.home)
    home.create()
    steps = Steps(report)
    config = applications.read_config(settings.serve_config, HTTP_PORTS.start)
    with home.locked(LOCK_TIMEOUT_S, lambda: steps.tell("lock", "another `up` or `down` is at work; waiting for it")):
        steps.end("lock", "the other one is done")
        try:
            _bring_up(settings, home, steps, config)
        except HeadDied as error:
            steps.tell("ray", f"{', '.join(error.programs)} ended; once more")
            _bring_up(settings, home, steps, config)
        return status(settings)


def _bring_up(settings: LaptopSettings, home: Home, steps: "Steps", config: Mapping[str, Any]) -> None:
    plan = _start(_plan(settings, home, steps), steps, config)
    _deploy(plan, steps, applications.read_config(settings.serve_config, plan.http_port))
    home.save(replace(plan.state, url=f"http://{ports.LOOPBACK}:{plan.http_port}"))


@dataclass
class Steps:
    """Tells the caller about steps, one at a time, whichever thread they happen in."""

    report: Report
    _lock: Lock = field(default_factory=Lock)
    _began: dict[str, float] = field(default_factory=dict)

    def tell(self, name: str, detail: str = "", done_bytes: int = 0, total_bytes: int = 0) -> None:
        """A step goes on."""
        self._say(name, "running", detail, done_bytes, total_bytes)

    def end(self, name: str, detail: str) -> None:
        """A step is over, if it ever began."""
        if name in self._began:
            self._say(name, "done", detail)

    @contextmanager
    def step(self, name: str) -> Iterator[Callable[[str], None]]:
        """A step from its beginning to its end; the function given says how it ended."""
        ended: list[str] = []
        self._say(name, "running", "")
        try:
            yield ended.append
        except BaseException:
            self._say(name, "failed", "")
            raise
        self._say(name, "done", ended[-1] if ended else "")

    def _say(
        self, name: str, state: Literal["running", "done", "failed"], detail: str, done: int = 0, total: int = 0
    ) -> None:
        with self._lock:
            began = self._began.setdefault(name, monotonic())
            self.report(Step(name, state, detail, monotonic() - began, done, total))


@dataclass(frozen=True, slots=True)
class _Plan:
    """Decided before anything starts: ports, addresses, and what Ray's processes shall find in their environment."""

    settings: LaptopSettings
    home: Home
    state: State
    http_port: int
    valkey_port: int
    postgres_port: int
    redis_url: SecretStr
    database_url: SecretStr
    environment: Mapping[str, str]

    @property
    def keeps_ray(self) -> bool:
        return self.state.ray is not None


def _plan(settings: LaptopSettings, home: Home, steps: Steps) -> _Plan:
    """Find out what runs, end what is broken, choose ports."""
    state = home.load_or_begin(_new_block)
    plan = _planned(settings, home, state)
    wanted = ray_head.fingerprint(settings, plan.environment, plan.http_port)
    if ray_head.is_whole(state.ray) and state.ray is not None and state.ray.fingerprint == wanted:
        return plan
    if state.ray is not None or processes.ours(home.ray_marks(state)):
        with steps.step("clean") as ended:
            left = ray_head.stop(home, state)
            ended(f"{len(left)} processes would not end: {sorted(left)}" if left else "ended what was left of Ray")
    state = replace(state, ray=None)
    if not all(ports.is_free(port) for port in PortPlan(state.port_block).numbered().values()):
        state = replace(state, port_block=_new_block())
    home.save(state)
    return _planned(settings, home, state)


def _planned(settings: LaptopSettings, home: Home, state: State) -> _Plan:
    http_port = _http_port(settings, home, state)
    block = PortPlan(state.port_block)
    valkey_password, postgres_password = home.secret("valkey_password"), home.secret("postgres_password")
    if not valkey.answers(state.valkey, valkey_password):
        state = replace(state, valkey=None)
    if not postgres.answers(state.postgres, postgres_password):
        state = replace(state, postgres=None)
    valkey_port = state.valkey.port if state.valkey else _free(block.valkey)
    postgres_port = state.postgres.port if state.postgres else _free(block.postgres)
    redis_url = settings.redis_url or SecretStr(valkey.url(valkey_port, valkey_password))
    database_url = settings.user_database_url or SecretStr(postgres.url(postgres_port, postgres_password))
    home.secret(home.token_path.name)
    ours = {
        "REDIS_URL": redis_url.get_secret_value(),
        "USER_DATABASE_URL": database_url.get_secret_value(),
        "BECOMING_ONE_SERVICE_KEY": home.secret("service_key"),
        "BECOMING_ONE_INTERNAL_URL": f"http://{ports.LOOPBACK}:{http_port}",
    }
    environment = ray_head.environment(settings, home, state, {**inherited_environment(), **ours})
    return _Plan(
        settings, home, state, http_port, valkey_port, postgres_port, redis_url, database_url, environment
    )  # fmt: skip


def _http_port(settings: LaptopSettings, home: Home, state: State) -> int:
    """The port that was asked for, else the last one, else the first free of HTTP_PORTS. Raises PortTaken."""
    wanted = settings.http_port or state.http_port or HTTP_PORTS.start
    if ports.is_free(wanted):
        return wanted
    holders = ports.holders(wanted)
    if holders and holders <= processes.ours(home.marks(state)):
        return wanted
    chosen = None if settings.http_port else ports.first_free(HTTP_PORTS)
    if chosen is None:
        raise PortTaken(wanted, ports.holder(wanted), "BECOMING_ONE_HTTP_PORT")
    return chosen


def _start(plan: _Plan, steps: Steps, config: Mapping[str, Any]) -> _Plan:
    """Servers, weights and Ray, side by side. Each result is remembered as soon as it is there."""
    state, guard = replace(plan.state, http_port=plan.http_port), Lock()
    plan.home.save(state)

    def remember(**changes: Any) -> None:
        nonlocal state
        with guard:
            state = replace(state, **changes)
            plan.home.save(state)

    jobs: tuple[Callable[[], None], ...] = (
        lambda: _ensure_valkey(plan, steps, lambda server: remember(valkey=server)),
        lambda: _ensure_postgres(plan, steps, lambda server: remember(postgres=server)),
        lambda: _ensure_ray(plan, steps, lambda session: remember(ray=session)),
        lambda: fetch_weights(config, steps),
    )
    with ThreadPoolExecutor(len(jobs), thread_name_prefix="up") as pool:
        running = [pool.submit(job) for job in jobs]
    for job in running:
        job.result()
    return replace(plan, state=state)


def _ensure_valkey(plan: _Plan, steps: Steps, started: Callable[[Server], None]) -> None:
    if plan.settings.redis_url is not None:
        return
    with steps.step("valkey") as ended:
        if plan.state.valkey is not None:
            ended(f"runs on port {plan.state.valkey.port}")
            return
        password = plan.home.secret("valkey_password")
        server = valkey.start(plan.home, plan.valkey_port, password, _for_servers(plan))
        started(server)
        ended(f"started on port {server.port}")


def _ensure_postgres(plan: _Plan, steps: Steps, started: Callable[[Server], None]) -> None:
    if plan.settings.user_database_url is None:
        with steps.step("postgres") as ended:
            if plan.state.postgres is not None:
                ended(f"runs on port {plan.state.postgres.port}")
            else:
                password = plan.home.secret("postgres_password")
                server = postgres.start(plan.home, plan.postgres_port, password, _for_servers(plan))
                started(server)
                ended(f"started on port {server.port}")
    with steps.step("database") as ended:
        applied = migrate(plan.database_url, "user")
        made = ensure_key(plan.home, plan.database_url)
        ended(f"{len(applied)} migrations applied, {'new key in' if made else 'key in'} {plan.home.key_path}")


def _ensure_ray(plan: _Plan, steps: Steps, started: Callable[[RaySession], None]) -> None:
    with steps.step("ray") as ended:
        if plan.keeps_ray:
            ended(f"runs in {plan.state.temp_folder}")
            return
        started(_start_ray(plan, steps))
        ended(f"started in {plan.state.temp_folder}")


def _start_ray(plan: _Plan, steps: Steps) -> RaySession:
    for attempt in range(1, RAY_ATTEMPTS):
        try:
            return ray_head.start(plan.settings, plan.home, plan.state, plan.environment, plan.http_port)
        except StartFailed as error:
            steps.tell("ray", f"attempt {attempt} failed, trying again: {error.reason}")
            ray_head.stop(plan.home, plan.state)
    return ray_head.start(plan.settings, plan.home, plan.state, plan.environment, plan.http_port)


def _deploy(plan: _Plan, steps: Steps, config: Mapping[str, Any]) -> None:
    rest = Rest(ray_head.dashboard_url(PortPlan(plan.state.port_block)), plan.home.secret(plan.home.token_path.name))
    names = applications.names(config)

    def check() -> None:
        if plan.state.ray is not None and (dead := ray_head.dead(plan.state.ray)):
            raise HeadDied(dead)

    with steps.step("applications") as ended:
        applications.deploy(rest, config, check)
        wait = Wait(names, plan.http_port, plan.settings.readiness_path, plan.settings.deploy_timeout_s, check)
        applications.wait_until_ready(rest, wait, lambda found: steps.tell("applications", _summary(found)))
        ended(f"{len(names)} answer on port {plan.http_port}")


def _summary(found: tuple[Application, ...]) -> str:
    return ", ".join(f"{one.name} {one.state.lower()}" for one in found)


def _for_servers(plan: _Plan) -> dict[str, str]:
    """The environment of servers that are not ours to configure by it: marked, otherwise as inherited."""
    return {**inherited_environment(), processes.MARK_VARIABLE: server_mark(plan.state)}


def _free(preferred: int) -> int:
    """A free port, that one if possible, else one above it in the block."""
    chosen = ports.first_free(range(preferred, preferred + BLOCK_TAIL))
    return chosen if chosen is not None else ports.first_free(range(_new_block(), 32_000)) or preferred


BLOCK_TAIL = 4


def _new_block() -> int:
    return ports.free_block(random.SystemRandom())
