"""A baseline's server: a process of its own on a free port, for as long as a block runs."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import INTERNAL_SERVER_ERROR

from benchmarks.client import TableFailed
from cluster.laptop.applications import http_status
from cluster.laptop.ports import LOOPBACK
from cluster.laptop.settings import PROJECT_ROOT, inherited_environment

START_TIMEOUT_S = 60.0  # llama.cpp's server reads its weights first: 1-2 s when nothing else runs
STOP_TIMEOUT_S = 5.0
POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Serving:
    """Where it answers, and the process that does."""

    url: str
    pid: int

    def pids(self) -> tuple[int, ...]:
        """Its processes: one."""
        return (self.pid,)


@contextmanager
def serving(
    module: str, arguments: Sequence[str] = (), environment: Mapping[str, str] | None = None, health_path: str = "/"
) -> Iterator[Serving]:
    """Run `python -m benchmarks.MODULE PORT ARGUMENTS...` until the block ends; enter once it answers below 500.

    It also ends when this process does, however that ends: its stdin closes (asgi_server.stop_with_parent).
    """
    port = free_port()
    command = [sys.executable, "-m", f"benchmarks.{module}", str(port), *arguments]
    given = {**inherited_environment(), **(environment or {})}
    # A session of its own: Ctrl-C is for us, who then end it.
    with subprocess.Popen(
        command, cwd=PROJECT_ROOT, env=given, stdin=subprocess.PIPE, start_new_session=True
    ) as process:
        try:
            _wait(module, process, port, health_path)
            yield Serving(f"http://{LOOPBACK}:{port}", process.pid)
        finally:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()


def free_port() -> int:
    """A port of loopback that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _wait(module: str, process: subprocess.Popen[bytes], port: int, path: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise TableFailed(f"{module} ended at once, with {process.returncode}")
        status = http_status(port, path)
        if status is not None and status < INTERNAL_SERVER_ERROR:
            return
        time.sleep(POLL_S)
    raise TableFailed(f"{module} did not answer in {START_TIMEOUT_S:.0f} s")
