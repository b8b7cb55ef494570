"""One real cluster on this machine: each kind of its processes is killed, `up` heals it, `down` leaves nothing.

Real Ray, HAProxy, Valkey and PostgreSQL with two applications that hold no model. About 3 minutes on 2 idle cores.
"""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from tests_support import free_port

from cluster.laptop import ports, postgres, processes, ray_head, valkey
from cluster.laptop.down import down
from cluster.laptop.errors import DeployFailed, PortTaken
from cluster.laptop.home import Home
from cluster.laptop.logs import logs
from cluster.laptop.settings import LaptopSettings, inherited_environment
from cluster.laptop.status import Status, status
from cluster.laptop.up import Step, up

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]

PROJECT = Path(__file__).parents[2]
MODULE = """
import os
from ray import serve
from starlette.responses import JSONResponse

class Tiny:
    def __init__(self, name):
        self.name = name
        print(f"{name} is here", flush=True)

    async def __call__(self, request):
        if request.url.path.endswith("/environment"):
            return JSONResponse({name: os.environ.get(name) for name in ("REDIS_URL", "USER_DATABASE_URL")})
        return JSONResponse({"name": self.name, "pid": os.getpid()})

def build(args):
    if args.get("broken"):
        raise RuntimeError("this application was built to fail")
    return serve.deployment(name="tiny", ray_actor_options={"num_cpus": 0.1})(Tiny).bind(args["name"])
"""
APPLICATIONS = [
    {"name": "one", "route_prefix": "/", "import_path": "tiny_laptop:build", "args": {"name": "one"}},
    {"name": "two", "route_prefix": "/v1/two", "import_path": "tiny_laptop:build", "args": {"name": "two"}},
]

LASTING = ("valkey", "postgres", "gcs_server", "raylet", "haproxy", "ray::Serve", "ray::HAProxyManager")


@dataclass(frozen=True)
class Cluster:
    settings: LaptopSettings

    @property
    def home(self) -> Home:
        return Home(self.settings.home)

    def up(self) -> Status:
        steps: list[Step] = []
        try:
            return up(self.settings, steps.append)
        except Exception as error:
            error.add_note("\n".join(f"{step.elapsed_s:6.1f} s {step}" for step in steps if step.state != "running"))
            raise

    def pids(self) -> set[int]:
        return processes.ours(self.home.marks(self.home.load()))

    def lasting(self) -> set[int]:
        """Those that stay as long as the cluster does; Ray's idle workers come and go."""
        names = {pid: processes.name_of(pid) for pid in self.pids()}
        return {pid for pid, name in names.items() if name.startswith(LASTING) and ": " not in name}

    def pid(self, name: str) -> int:
        return min(pid for pid in self.pids() if name in processes.name_of(pid))

    def get(self, path: str) -> dict[str, object]:
        connection = http.client.HTTPConnection("127.0.0.1", self.home.load().http_port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            return json.loads(answer.read())
        finally:
            connection.close()

    def deploy(self, applications: list[dict[str, object]]) -> None:
        self.settings.serve_config.write_text(json.dumps({"applications": applications}))


def made(folder: Path) -> Cluster:
    (folder / "code").mkdir()
    (folder / "code" / "tiny_laptop.py").write_text(MODULE)
    settings = LaptopSettings(
        home=folder / "home",
        serve_config=folder / "serve_config.yaml",
        python_path=folder / "code",
        front="",
        readiness_path="/",
    )
    cluster = Cluster(settings)
    cluster.deploy(APPLICATIONS)
    return cluster


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    one = made(tmp_path_factory.mktemp("laptop"))
    try:
        one.up()
        yield one
    finally:
        down(one.settings, wipe=True)


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[valkey.Server, str]]:
    """Somebody else's Valkey, from the same binary."""
    home = Home(tmp_path_factory.mktemp("foreign"))
    home.create()
    server = valkey.start(home, free_port(), "theirs", inherited_environment())
    yield server, "theirs"
    valkey.stop(server.process)


def test_up_brings_up_what_the_config_names(cluster: Cluster, foreign) -> None:
    now = cluster.up()
    assert (now.condition, now.url) == ("ready", f"http://127.0.0.1:{cluster.home.load().http_port}")
    assert [one.name for one in now.applications] == ["one", "two"]
    assert cluster.get("/")["name"] == "one"
    assert cluster.get("/v1/two")["name"] == "two"
    assert now.pss_bytes > 200_000_000


def test_applications_find_the_servers_in_their_environment(cluster: Cluster) -> None:
    found = cluster.get("/environment")
    assert re.fullmatch(r"redis://default:[0-9a-f]{64}@127\.0\.0\.1:\d+/0", str(found["REDIS_URL"]))
    with psycopg.connect(str(found["USER_DATABASE_URL"])) as connection:
        assert connection.execute("SELECT count(*) FROM api_keys").fetchone() == (1,)


def test_a_second_up_starts_nothing_anew_and_is_quick(cluster: Cluster) -> None:
    before, began = cluster.lasting(), time.monotonic()
    assert cluster.up().condition == "ready"
    assert before <= cluster.pids()
    assert time.monotonic() - began < 30


def test_two_ups_at_once_agree(cluster: Cluster) -> None:
    before = cluster.lasting()
    with ThreadPoolExecutor(2) as pool:
        assert {now.condition for now in pool.map(lambda _: cluster.up(), range(2))} == {"ready"}
    assert before <= cluster.pids()


def test_nothing_listens_beyond_loopback_but_what_the_token_guards(cluster: Cluster) -> None:
    """docs/ports.md: replicas' own gRPC port is the one that Ray Serve binds to all interfaces."""
    beyond = [(processes.name_of(pid), port) for pid in cluster.pids() for port in _beyond_loopback(pid)]
    assert all(name.startswith("ray::ServeReplica") for name, _ in beyond), beyond
    for _, port in beyond:
        assert _grpc_refusal(port, "/ray.serve.ASGIService/HandleRequest") == "UNAUTHENTICATED"


@pytest.mark.parametrize("name", ["gcs", "dashboard"])
def test_ray_answers_nobody_without_the_token(cluster: Cluster, name: str) -> None:
    plan = ray_head.PortPlan(cluster.home.load().port_block)
    if name == "gcs":
        assert _grpc_refusal(plan.gcs, "/ray.rpc.NodeInfoGcsService/GetAllNodeInfo") == "UNAUTHENTICATED"
    else:
        connection = http.client.HTTPConnection("127.0.0.1", plan.dashboard, timeout=10)
        connection.request("GET", "/api/serve/applications/")
        assert connection.getresponse().status == 401
        connection.close()


def test_servers_answer_nobody_without_the_password(cluster: Cluster) -> None:
    state = cluster.home.load()
    with socket.create_connection(("127.0.0.1", state.valkey.port), timeout=5) as connection:
        connection.sendall(b"PING\r\n")
        assert connection.recv(100).startswith(b"-NOAUTH")
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(postgres.url(state.postgres.port, "guessed"), connect_timeout=5)


def test_what_replicas_print_is_in_the_logs(cluster: Cluster) -> None:
    assert any("one is here" in line for line in logs(cluster.settings, "one")), [*logs(cluster.settings, "one")]
    assert not any("one is here" in line for line in logs(cluster.settings, "two"))


@pytest.mark.parametrize(
    "name",
    [
        "valkey-server",
        "postgres",
        "haproxy",
        "ray::HAProxyManager",
        "ray::ServeReplica:one",
        "ray::ServeController",
        "gcs_server",
        "ray::DashboardAgent",
    ],
)
def test_up_heals_what_was_killed(cluster: Cluster, foreign, name: str) -> None:
    victim = processes.identify(cluster.pid(name))
    os.kill(victim.pid, signal.SIGKILL)
    assert cluster.up().condition == "ready"
    assert not processes.alive(victim)
    assert cluster.pid(name) != victim.pid
    for path, application in (("/", "one"), ("/v1/two", "two")):
        assert cluster.get(path)["name"] == application
    assert valkey.answers(*foreign)


def test_up_goes_on_from_an_up_that_was_killed_half_way(cluster: Cluster) -> None:
    """The raylet is killed, and so is the `up` that heals it, while it starts Ray."""
    os.kill(cluster.pid("raylet"), signal.SIGKILL)
    code = (
        "import sys; from cluster.laptop.settings import LaptopSettings; from cluster.laptop.up import up\n"
        "up(LaptopSettings.model_validate_json(sys.argv[1]), lambda step: print(step.name, step.state, flush=True))"
    )
    upper = subprocess.Popen(
        [sys.executable, "-c", code, cluster.settings.model_dump_json()],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert any(line == "ray running\n" for line in upper.stdout)
    deadline = time.monotonic() + 60
    while not any("gcs_server" in processes.name_of(pid) for pid in cluster.pids()):
        assert time.monotonic() < deadline, "Ray did not begin to start"
        time.sleep(0.05)
    upper.kill()
    upper.communicate()
    assert cluster.up().condition == "ready"
    assert len([pid for pid in cluster.pids() if processes.name_of(pid) == "gcs_server"]) == 1


def test_a_broken_application_is_named_with_its_own_error_and_a_mended_one_comes_up(cluster: Cluster) -> None:
    broken = {"name": "two", "route_prefix": "/v1/two", "import_path": "tiny_laptop:build", "args": {"broken": True}}
    cluster.deploy([APPLICATIONS[0], broken])
    with pytest.raises(DeployFailed, match=r"(?s)two did not come up: .*this application was built to fail"):
        cluster.up()
    assert cluster.get("/")["name"] == "one"
    cluster.deploy(APPLICATIONS)
    assert cluster.up().condition == "ready"
    assert cluster.get("/v1/two")["name"] == "two"


def test_a_second_cluster_runs_beside_it_and_goes_alone(cluster: Cluster, tmp_path: Path, foreign) -> None:
    before = cluster.lasting()
    assert len(before) >= len(LASTING)
    second = made(tmp_path)
    try:
        now = second.up()
        assert (now.condition, now.url == status(cluster.settings).url) == ("ready", False)
        assert second.get("/")["pid"] != cluster.get("/")["pid"]
        assert second.pids().isdisjoint(cluster.pids())
    finally:
        pids = second.pids()
        down(second.settings, wipe=True)
    assert all(processes.identify(pid) is None for pid in pids)
    assert before <= cluster.pids()
    assert status(cluster.settings).condition == "ready"


def test_a_port_that_was_asked_for_and_is_taken_is_said_with_its_holder(cluster: Cluster) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        asked = cluster.settings.model_copy(update={"http_port": port})
        with pytest.raises(PortTaken, match=rf"Port {port} is held by \S+ .*\(pid {os.getpid()}\)|pid {os.getpid()}"):
            up(asked, lambda _: None)
    assert cluster.up().condition == "ready"


def test_down_leaves_no_process_and_keeps_the_data(cluster: Cluster, foreign) -> None:
    key, state, pids = cluster.home.key_path.read_text(), cluster.home.load(), cluster.pids()
    assert down(cluster.settings) >= 15
    assert all(processes.identify(pid) is None for pid in pids)
    assert cluster.pids() == set()
    assert not state.temp_folder.exists()
    assert all(ports.is_free(port) for port in (state.valkey.port, state.postgres.port))
    assert status(cluster.settings).condition == "down"
    assert cluster.home.key_path.read_text() == key
    assert (cluster.home.postgres_folder / "PG_VERSION").exists()
    assert valkey.answers(*foreign)
    assert down(cluster.settings) == 0


def _beyond_loopback(pid: int) -> list[int]:
    """Ports on which a process listens for other machines too."""
    sockets = {str(link.readlink()) for link in _links(pid)}
    found = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            address, port = fields[1].rsplit(":", 1)
            loopback = address.endswith(("0100007F", "00000000000000000000000001000000"))
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets and not loopback:
                found.append(int(port, 16))
    return found


def _links(pid: int) -> Iterator[Path]:
    try:
        yield from (link for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink())
    except OSError:
        return


def _grpc_refusal(port: int, method: str) -> str:
    """The status with which a gRPC server answers a call without a token."""
    import grpc

    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call: Callable[..., object] = channel.unary_unary(method)
        try:
            call(b"", timeout=20)
        except grpc.RpcError as error:
            return error.code().name
    return "ANSWERED"
