"""What serve_config.yaml says, brought to a running Ray through Serve's REST API. No Ray import: that takes 2 s."""

import http.client
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from cluster.laptop import ports, processes
from cluster.laptop.errors import DeployFailed, StartFailed

REST_PATH = "/api/serve/applications/"
REST_TIMEOUT_S = 60.0  # the first PUT starts Serve: controller, proxies, HAProxy
CONTROLLER_TIMEOUT_S = 300.0  # 8 s on an idle machine; at a load of 20 on 2 cores it took 110 s
POLL_S = 0.25
FAILED = frozenset({"DEPLOY_FAILED"})


@dataclass(frozen=True, slots=True)
class Replica:
    """One replica of an application's deployment. `pid` None: not started yet."""

    deployment: str
    id: str
    state: str
    pid: int | None
    log: str


@dataclass(frozen=True, slots=True)
class Application:
    """One application as Serve sees it. `state` is Serve's word: DEPLOYING, RUNNING, DEPLOY_FAILED, others."""

    name: str
    route_prefix: str
    state: str
    message: str
    replicas: tuple[Replica, ...]

    @property
    def is_up(self) -> bool:
        """RUNNING, and each replica that Serve counts on is a living process: Serve notices a killed one late."""
        running = [replica for replica in self.replicas if replica.state == "RUNNING"]
        return self.state == "RUNNING" and bool(running) and all(_lives(replica) for replica in running)


class Rest:
    """Serve's REST API on one dashboard."""

    def __init__(self, dashboard_url: str, token: str) -> None:
        self._address, self._token = urlsplit(dashboard_url).netloc, token

    def applications(self) -> tuple[Application, ...]:
        """All applications, by name. Raises OSError when the dashboard or Serve's controller does not answer."""
        details = self._call("GET")
        return tuple(_application(name, found) for name, found in sorted(details.get("applications", {}).items()))

    def deploy(self, config: Mapping[str, Any]) -> None:
        """Make it so; returns before it is. Raises DeployFailed for a config that Serve refuses, OSError as above."""
        self._call("PUT", json.dumps(config))

    def _call(self, method: str, body: str | None = None) -> dict[str, Any]:
        connection = http.client.HTTPConnection(self._address, timeout=REST_TIMEOUT_S)
        headers = {"authorization": f"Bearer {self._token}", "content-type": "application/json"}
        try:
            connection.request(method, REST_PATH, body, headers)
            response = connection.getresponse()
            content = response.read().decode(errors="replace")
        except http.client.HTTPException as error:
            raise OSError(f"Ray's dashboard answered with {error!r}") from error
        finally:
            connection.close()
        if response.status == http.client.BAD_REQUEST:
            raise DeployFailed("configuration", content.strip())
        if response.status != http.client.OK:
            raise OSError(f"Ray's dashboard answered {response.status}: {content.strip()[-500:]}")
        return dict(json.loads(content)) if content.strip() else {}


def read_config(path: Path, http_port: int) -> dict[str, Any]:
    """serve_config.yaml for this machine: on loopback, on our port, on this node."""
    try:
        config = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise DeployFailed("configuration", f"{path} cannot be read: {error}") from error
    if not isinstance(config, dict) or not config.get("applications"):
        raise DeployFailed("configuration", f"{path} names no applications")
    options = {**(config.get("http_options") or {}), "host": ports.LOOPBACK, "port": http_port}
    return {**config, "proxy_location": "HeadOnly", "http_options": options}


def names(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The applications' names, in the file's order."""
    return tuple(str(application["name"]) for application in config["applications"])


def words(config: Mapping[str, Any]) -> Iterator[str]:
    """Every text among the arguments of the applications: the ids of the models they serve are among them."""
    waiting: list[Any] = [application.get("args") for application in config["applications"]]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, Mapping):
            waiting.extend(value.values())
        elif isinstance(value, list | tuple):
            waiting.extend(value)


def deploy(rest: Rest, config: Mapping[str, Any], check: Callable[[], None] = lambda: None) -> None:
    """Hand the config to Serve, waiting for a controller that is just coming back. Raises DeployFailed, StartFailed.

    `check` is called while waiting, and may raise what makes waiting pointless.
    """
    deadline = time.monotonic() + CONTROLLER_TIMEOUT_S
    while True:
        try:
            return rest.deploy(config)
        except OSError as error:
            if time.monotonic() > deadline:
                raise StartFailed("Ray Serve", str(error)) from error
            check()
            time.sleep(POLL_S)


@dataclass(frozen=True, slots=True)
class Wait:
    """What to wait for: all applications of the config up, and `readiness_path` answering 200 on the HTTP port.

    `check` is called while waiting, and may raise what makes waiting pointless.
    """

    names: tuple[str, ...]
    http_port: int
    readiness_path: str
    timeout_s: float
    check: Callable[[], None] = lambda: None


def wait_until_ready(rest: Rest, wait: Wait, told: Callable[[tuple[Application, ...]], None]) -> None:
    """Return when everything answers; tells about the applications on the way.

    Raises DeployFailed with the application's own error, or with what is still missing after `timeout_s` seconds.
    """
    deadline, missing = time.monotonic() + wait.timeout_s, "Ray Serve does not answer"
    before: tuple[Application, ...] = ()
    while time.monotonic() < deadline:
        try:
            found = {one.name: one for one in rest.applications() if one.name in wait.names}
        except OSError as error:
            missing = str(error)
        else:
            if (now := tuple(found.values())) != before:
                told(now)
                before = now
            for one in found.values():
                if one.state in FAILED:
                    raise DeployFailed(one.name, one.message or one.state)
            late = [name for name in wait.names if name not in found or not found[name].is_up]
            missing = f"still not running: {', '.join(late)}"
            if not late:
                not_answering = _not_answering(wait, found)
                if not_answering is None:
                    return
                missing = not_answering
        wait.check()
        time.sleep(POLL_S)
    raise DeployFailed(", ".join(wait.names), f"not ready after {wait.timeout_s:.0f} s ({missing})")


def http_status(port: int, path: str) -> int | None:
    """The status with which our HTTP port answers a GET; None when it does not answer."""
    connection = http.client.HTTPConnection(ports.LOOPBACK, port, timeout=5.0)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _not_answering(wait: Wait, found: Mapping[str, Application]) -> str | None:
    """What does not answer through HAProxy yet; None when all does.

    Any answer of an application's own will do, 401 and 404 too; where HAProxy reaches none it answers 500.
    """
    ready = http_status(wait.http_port, wait.readiness_path)
    if ready != http.client.OK:
        return f"{wait.readiness_path} answers {ready or 'nothing'}"
    for name in wait.names:
        answer = http_status(wait.http_port, found[name].route_prefix)
        if answer is None or answer >= http.client.INTERNAL_SERVER_ERROR:
            return f"{name} is not reached on {found[name].route_prefix}"
    return None


def _lives(replica: Replica) -> bool:
    return replica.pid is not None and processes.identify(replica.pid) is not None


def _application(name: str, found: Mapping[str, Any]) -> Application:
    deployments = found.get("deployments", {})
    replicas = [
        Replica(deployment, one["replica_id"], one["state"], one.get("pid"), one.get("log_file_path") or "")
        for deployment, details in deployments.items()
        for one in details.get("replicas", [])
    ]
    message = found.get("message") or next((one["message"] for one in deployments.values() if one.get("message")), "")
    return Application(name, found.get("route_prefix") or "", found.get("status", ""), message, tuple(replicas))
