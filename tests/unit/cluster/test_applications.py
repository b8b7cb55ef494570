"""serve_config.yaml on its way to Ray Serve's REST API, and what comes back."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from cluster.laptop import applications
from cluster.laptop.applications import Application, Replica, Rest, Wait
from cluster.laptop.errors import DeployFailed

CONFIG = """
proxy_location: EveryNode
http_options: {host: 0.0.0.0, port: 80, keep_alive_timeout_s: 75}
applications:
  - name: gateway
    route_prefix: /
    import_path: a:b
    args: {local_models: [small, large], cache_ttl_s: 60, nested: {deep: [embedder]}}
  - {name: bare, route_prefix: /bare, import_path: c:d}
"""
DEAD_PID = 2**22 + 1


@dataclass
class Dashboard:
    """A peer of Ray's dashboard and of our HTTP port: answers with what a test put there, and keeps what it got."""

    answers: dict[str, tuple[int, str]] = field(default_factory=dict)
    got: list[tuple[str, str | None, str]] = field(default_factory=list)
    port: int = 0

    def say(self, *found: dict[str, Any]) -> None:
        self.answers["GET /api/serve/applications/"] = (
            200,
            json.dumps({"applications": {one["name"]: one for one in found}}),
        )


@pytest.fixture
def dashboard() -> Iterator[Dashboard]:
    peer = Dashboard()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
            peer.got.append((self.command, self.headers.get("authorization"), body))
            status, text = peer.answers.get(f"{self.command} {self.path}", (404, ""))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_PUT = answer  # noqa: N815  # http.server's names

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    peer.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield peer
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def rest(dashboard: Dashboard) -> Rest:
    return Rest(f"http://127.0.0.1:{dashboard.port}", "token")


def found(name: str = "gateway", state: str = "RUNNING", pid: int | None = None, message: str = "") -> dict[str, Any]:
    replica = {"replica_id": "r1", "state": "RUNNING", "pid": pid or os.getpid(), "log_file_path": "/serve/r1.log"}
    deployments = {"d": {"message": "", "replicas": [replica]}}
    return {"name": name, "route_prefix": "/", "status": state, "message": message, "deployments": deployments}


def test_the_config_is_bound_to_this_machine(tmp_path: Path) -> None:
    path = tmp_path / "serve_config.yaml"
    path.write_text(CONFIG)
    config = applications.read_config(path, 8123)
    assert config["http_options"] == {"host": "127.0.0.1", "port": 8123, "keep_alive_timeout_s": 75}
    assert config["proxy_location"] == "HeadOnly"
    assert applications.names(config) == ("gateway", "bare")
    assert config["applications"][0]["args"]["cache_ttl_s"] == 60


def test_every_word_among_the_arguments_is_found(tmp_path: Path) -> None:
    path = tmp_path / "serve_config.yaml"
    path.write_text(CONFIG)
    assert set(applications.words(applications.read_config(path, 1))) == {"small", "large", "embedder"}


@pytest.mark.parametrize("content", ["", "[]", "applications: []", "a: [", "http_options: {}"])
def test_a_config_that_names_nothing_is_refused_by_its_path(tmp_path: Path, content: str) -> None:
    path = tmp_path / "serve_config.yaml"
    path.write_text(content)
    with pytest.raises(DeployFailed, match=r"serve_config\.yaml"):
        applications.read_config(path, 8000)


def test_an_application_is_up_only_while_its_replicas_live() -> None:
    """Serve goes on calling a replica RUNNING for seconds after it was killed."""
    lives = Replica("d", "r1", "RUNNING", os.getpid(), "")
    killed = Replica("d", "r2", "RUNNING", DEAD_PID, "")
    coming = Replica("d", "r3", "STARTING", None, "")
    assert Application("a", "/", "RUNNING", "", (lives,)).is_up
    assert Application("a", "/", "RUNNING", "", (lives, coming)).is_up
    assert not Application("a", "/", "RUNNING", "", (lives, killed)).is_up
    assert not Application("a", "/", "RUNNING", "", ()).is_up
    assert not Application("a", "/", "DEPLOYING", "", (lives,)).is_up


def test_what_serve_says_is_read(dashboard: Dashboard, rest: Rest) -> None:
    dashboard.say(found("b", message="why"), found("a"))
    first, second = rest.applications()
    assert (first.name, second.name, second.message) == ("a", "b", "why")
    assert first.replicas == (Replica("d", "r1", "RUNNING", os.getpid(), "/serve/r1.log"),)
    assert dashboard.got == [("GET", "Bearer token", "")]


def test_a_refused_config_fails_with_serves_own_words(dashboard: Dashboard, rest: Rest) -> None:
    dashboard.answers["PUT /api/serve/applications/"] = 400, "1 validation error: num_replicas"
    with pytest.raises(DeployFailed, match="validation error: num_replicas"):
        applications.deploy(rest, {"applications": []})


def test_a_controller_that_comes_back_gets_the_config(dashboard: Dashboard, rest: Rest) -> None:
    path = "PUT /api/serve/applications/"
    dashboard.answers[path] = 500, "the controller died"
    deploying = threading.Thread(target=applications.deploy, args=(rest, {"applications": [1]}))
    deploying.start()
    while not dashboard.got:
        deploying.join(0.01)
    dashboard.answers[path] = 200, ""
    deploying.join(10)
    assert not deploying.is_alive()
    assert json.loads(dashboard.got[-1][2]) == {"applications": [1]}


def wait(dashboard: Dashboard, timeout_s: float = 10.0) -> Wait:
    return Wait(("gateway",), dashboard.port, "/readyz", timeout_s)


def watched(rest: Rest, dashboard: Dashboard, change: Callable[[str], None]) -> list[str]:
    """The states that were told, while `change` answers each of them."""
    told: list[str] = []

    def tell(now: tuple[Application, ...]) -> None:
        told.append(now[0].state)
        change(now[0].state)

    applications.wait_until_ready(rest, wait(dashboard), tell)
    return told


def test_ready_is_running_and_routed_and_answering(dashboard: Dashboard, rest: Rest) -> None:
    dashboard.say(found(state="DEPLOYING"))

    def change(state: str) -> None:
        if state == "DEPLOYING":
            dashboard.say(found(state="RUNNING"))
        dashboard.answers |= {"GET /readyz": (200, "ok"), "GET /": (401, "a key, please")}

    assert watched(rest, dashboard, change) == ["DEPLOYING", "RUNNING"]


def test_a_failed_application_is_named_with_its_own_error(dashboard: Dashboard, rest: Rest) -> None:
    dashboard.say(found(state="DEPLOY_FAILED", message="ModuleNotFoundError: no module named 'nope'"))
    with pytest.raises(DeployFailed, match="gateway did not come up: ModuleNotFoundError"):
        watched(rest, dashboard, lambda _: None)


@pytest.mark.parametrize(
    ("answers", "missing"),
    [
        ({"GET /readyz": (503, "")}, "/readyz answers 503"),
        ({"GET /readyz": (200, ""), "GET /": (500, "")}, "gateway is not reached"),
    ],
)
def test_what_is_missing_is_said_when_time_is_up(dashboard, rest, answers, missing) -> None:
    dashboard.say(found())
    dashboard.answers |= answers
    with pytest.raises(DeployFailed, match=f"not ready after 0 s .*{missing}"):
        applications.wait_until_ready(rest, wait(dashboard, 0.5), lambda _: None)


def test_a_killed_replica_is_waited_for(dashboard: Dashboard, rest: Rest) -> None:
    dashboard.say(found(pid=DEAD_PID))
    dashboard.answers |= {"GET /readyz": (200, ""), "GET /": (200, "")}
    with pytest.raises(DeployFailed, match="still not running: gateway"):
        applications.wait_until_ready(rest, wait(dashboard, 0.5), lambda _: None)


def test_nothing_answers_where_nothing_listens() -> None:
    assert applications.http_status(1, "/") is None
