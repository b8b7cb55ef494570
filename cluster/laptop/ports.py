"""Which ports are free, who holds those that are not, and one block of them per cluster."""

import random
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

from cluster.laptop import processes

LOOPBACK = "127.0.0.1"
BLOCK_PORTS = 100
FIRST_BLOCK = 20_000
LAST_BLOCK = 31_900
"""Blocks lie below 32768, where Linux takes the local ends of outgoing connections from, and above 20000, where Ray's
own defaults (6379, 8265, 10001-19999) and most servers' end."""
TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
LISTENING = "0A"


def is_free(port: int) -> bool:
    """Whether we could listen on it now, on loopback and on all interfaces."""
    for host in (LOOPBACK, ""):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                return False
    return True


def first_free(candidates: Iterable[int]) -> int | None:
    """The first free port of these."""
    return next((port for port in candidates if is_free(port)), None)


def free_block(choice: random.Random) -> int:
    """The first port of a block in which nothing listens, chosen at random so that clusters seldom meet.

    Raises OSError when every block holds a listener.
    """
    starts = list(range(FIRST_BLOCK, LAST_BLOCK + 1, BLOCK_PORTS))
    choice.shuffle(starts)
    taken = {port for port, _ in _listeners()}
    for start in starts:
        if taken.isdisjoint(range(start, start + BLOCK_PORTS)):
            return start
    raise OSError(f"something listens in every block of {BLOCK_PORTS} ports from {FIRST_BLOCK} on")


def holders(port: int) -> set[int]:
    """Pids that listen on the port, as far as we may see them."""
    wanted = {f"socket:[{inode}]" for listening, inode in _listeners() if listening == port}
    if not wanted:
        return set()
    return {pid for pid in processes.all_pids() if not wanted.isdisjoint(_descriptors(pid))}


def holder(port: int) -> str:
    """Who listens on the port, for a sentence: `nginx (pid 812)`, or that it cannot be seen."""
    pids = sorted(holders(port))
    if not pids:
        return "a process of another user"
    return ", ".join(f"{processes.name_of(pid)} (pid {pid})" for pid in pids)


def listening_by_pid(pids: Iterable[int]) -> dict[int, set[int]]:
    """The TCP ports on which each of these processes listens."""
    by_socket = {f"socket:[{inode}]": port for port, inode in _listeners()}
    found: dict[int, set[int]] = {}
    for pid in pids:
        for link in _descriptors(pid):
            if link in by_socket:
                found.setdefault(pid, set()).add(by_socket[link])
    return found


def _listeners() -> Iterator[tuple[int, str]]:
    """(port, socket inode) of every listening TCP socket of this network namespace."""
    for table in TABLES:
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:  # no IPv6 in this kernel
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == LISTENING:
                yield int(fields[1].rsplit(":", 1)[1], 16), fields[9]


def _descriptors(pid: int) -> Iterator[str]:
    """What each open descriptor of a process points to; nothing when it is gone or another user's."""
    try:
        for link in (Path("/proc") / str(pid) / "fd").iterdir():
            yield str(link.readlink())
    except OSError:
        return
