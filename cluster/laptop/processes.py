"""Which processes are ours, and how they end. Linux only: everything is read from /proc.

A pid alone names nothing: it may be reused. A process is remembered as (pid, start tick, boot), and found again by
the marks that its ancestors gave it. Ray retitles its workers, which destroys their command line and environment, so
three marks are looked at: the environment, the files that stdout and stderr go to, and the parent.
"""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
MARK_VARIABLE = "BECOMING_ONE_CLUSTER"
"""In the environment of everything that `up` starts; the value is one home's random id, with `-server` for servers."""

POLL_S = 0.05
PSS_LINE = "Pss:"


@dataclass(frozen=True, slots=True)
class Identity:
    """One process and no other. `started_ticks` since boot (/proc/PID/stat field 22), `boot` the kernel's boot id."""

    pid: int
    started_ticks: int
    boot: str


@dataclass(frozen=True, slots=True)
class Marks:
    """How processes of this cluster are known: their mark, their folders, and the programs that live in them."""

    values: frozenset[str]
    """Of MARK_VARIABLE."""
    output_folders: tuple[Path, ...]
    """stdout or stderr in one of these: ours (Ray's workers)."""
    server_folders: tuple[Path, ...]
    """Working directory is one of these and the program is one of `servers`: ours (PostgreSQL, Valkey)."""
    servers: frozenset[str] = frozenset({"postgres", "valkey-server"})


def boot_id() -> str:
    """The kernel's id of this boot; pids and ticks of another boot mean nothing."""
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def identify(pid: int) -> Identity | None:
    """The process that has this pid now; None when there is none, or only its zombie."""
    stat = _stat(pid)
    return None if stat is None or stat.state in "ZX" else Identity(pid, stat.started_ticks, boot_id())


def alive(identity: Identity | None) -> bool:
    """Whether that very process still runs; a zombie does not, nor another process with its pid."""
    return identity is not None and identify(identity.pid) == identity


def name_of(pid: int) -> str:
    """What to call a process in a sentence: its title or program, without folders and arguments."""
    try:
        line = (PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
        words = [word.decode(errors="replace") for word in line if word]
        comm = (PROC / str(pid) / "comm").read_text(errors="replace").strip()
    except OSError:
        return "?"
    if not words:
        return comm
    if words[0].startswith(("ray::", "ray-dashboard", "postgres:")):
        return words[0].split(" (")[0]
    program = Path(words[0].split(" ")[0]).name
    script = next((Path(word).name for word in words[1:] if word.endswith(".py")), None)
    return f"{program} {script}" if script and program.startswith("python") else program


def ours(marks: Marks) -> set[int]:
    """Pids of all living processes of the cluster, without this process and its ancestors."""
    stats = _living()
    found = {pid for pid in stats if _marked(pid, marks)}
    return (found | _below(found, stats)) - _self_and_ancestors(stats)


def descendants(pids: set[int]) -> set[int]:
    """Their children, and the children of those, living ones."""
    return _below(pids, _living())


def stop(find: Callable[[], set[int]], grace_s: float, first: signal.Signals = signal.SIGTERM) -> set[int]:
    """End everything that `find` finds: a polite signal, `grace_s` seconds, then SIGKILL until nothing is found.

    Looks again on each round, since dying processes start others. Returns the pids that refused to die (in
    uninterruptible sleep, or another user's).
    """
    seen: set[int] = set()
    deadline = time.monotonic() + grace_s
    while (left := find()) and time.monotonic() < deadline:
        for pid in left - seen:
            _signal(pid, first)
        seen |= left
        time.sleep(POLL_S)
    deadline = time.monotonic() + KILL_GRACE_S
    while left and time.monotonic() < deadline:
        for pid in left:
            _signal(pid, signal.SIGKILL)
        time.sleep(POLL_S)
        left = find()
    return left


KILL_GRACE_S = 10.0  # a killed process frees gigabytes of memory first; a guess that was never reached


def stop_one(identity: Identity, grace_s: float, first: signal.Signals = signal.SIGTERM) -> bool:
    """End one process; True when it is gone."""
    return not stop(lambda: {identity.pid} if alive(identity) else set(), grace_s, first)


def all_pids() -> list[int]:
    """Every process of this machine, zombies too."""
    return [int(entry) for entry in os.listdir(PROC) if entry.isdigit()]  # noqa: PTH208  # 5x iterdir on a full /proc


def pss_bytes(pid: int) -> int | None:
    """Proportional set size: its own memory and its share of what it shares. None when it may not be read."""
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(PSS_LINE)), None)


@dataclass(frozen=True, slots=True)
class _Stat:
    state: str
    parent: int
    started_ticks: int


def _stat(pid: int) -> _Stat | None:
    try:
        text = (PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name before it may hold spaces and parentheses
    if len(fields) < 20:
        return None  # it ended while it was read
    return _Stat(fields[0], int(fields[1]), int(fields[19]))


def _living() -> dict[int, _Stat]:
    return {pid: stat for pid in all_pids() if (stat := _stat(pid)) is not None and stat.state not in "ZX"}


def _below(pids: set[int], stats: dict[int, _Stat]) -> set[int]:
    children: dict[int, list[int]] = {}
    for pid, stat in stats.items():
        children.setdefault(stat.parent, []).append(pid)
    found, waiting = set[int](), list(pids)
    while waiting:
        for child in children.get(waiting.pop(), ()):
            if child not in found:
                found.add(child)
                waiting.append(child)
    return found


def _marked(pid: int, marks: Marks) -> bool:
    folder = PROC / str(pid)
    try:
        if _mark(folder) in marks.values:
            return True
        if any(_inside(folder / "fd" / stream, marks.output_folders) for stream in ("1", "2")):
            return True
        return (folder / "cwd").readlink() in marks.server_folders and (
            (folder / "comm").read_text(errors="replace").strip() in marks.servers
        )
    except OSError:  # gone meanwhile, or another user's
        return False


def _mark(folder: Path) -> str | None:
    """The value of MARK_VARIABLE in a process's environment."""
    name = f"{MARK_VARIABLE}=".encode()
    words = (folder / "environ").read_bytes().split(b"\0")
    return next((word.removeprefix(name).decode(errors="replace") for word in words if word.startswith(name)), None)


def _inside(link: Path, folders: tuple[Path, ...]) -> bool:
    try:
        target = link.readlink()
    except OSError:
        return False
    return any(target.is_relative_to(folder) for folder in folders)


def _self_and_ancestors(stats: dict[int, _Stat]) -> set[int]:
    pid, line = os.getpid(), set[int]()
    while pid and pid not in line:
        line.add(pid)
        pid = stats[pid].parent if pid in stats else 0
    return line


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return
