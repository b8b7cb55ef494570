"""Who spent what: CPU time and memory of processes, from /proc, under names that a reader knows. Linux only."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cluster.laptop.processes import name_of, pss_bytes

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
"""100 on Linux: 10 ms, which over the 10,000 requests of a short window is 1 µs each."""

NAMES = (
    ("ray::ServeReplica:", "replica "),
    ("ray::HAProxyManager", "HAProxyManager"),
    ("ray::ServeController", "Serve controller"),
    ("haproxy", "HAProxy"),
    ("valkey-server", "Valkey"),
    ("postgres", "PostgreSQL"),
    ("raylet", "Ray: raylet"),
    ("gcs_server", "Ray: GCS"),
    ("python dashboard.py", "Ray: dashboard, agents"),
    ("python default_worker.py", "Ray: other workers"),
    ("python", "upstream"),  # of what is measured here, only our baselines keep this title
    ("ray-dashboard", "Ray: dashboard, agents"),
    ("ray::DashboardAgent", "Ray: dashboard, agents"),
    ("ray::RuntimeEnvAgent", "Ray: dashboard, agents"),
    ("ray::", "Ray: other workers"),
)
"""Beginning of a process's title -> what to call it. Of a replica the name of its application follows."""

Snapshot = dict[int, tuple[str, float]]
"""pid -> (name, CPU seconds since its start, user and system)."""


def snapshot(pids: Iterable[int]) -> Snapshot:
    """What each process has spent so far; those that are gone are left out."""
    found = {}
    for pid in pids:
        seconds = cpu_s(pid)
        if seconds is not None:
            found[pid] = (called(name_of(pid)), seconds)
    return found


def spent_s(before: Snapshot, after: Snapshot) -> dict[str, float]:
    """CPU seconds between two snapshots, by name, most first. One that started in between counts whole."""
    spent: dict[str, float] = {}
    for pid, (name, seconds) in after.items():
        spent[name] = spent.get(name, 0.0) + seconds - before.get(pid, ("", 0.0))[1]
    return dict(sorted(spent.items(), key=lambda row: -row[1]))


def withheld_s(stat: Path = Path("/proc/stat")) -> float:
    """CPU seconds, over all cores since boot, that this machine wanted and its hypervisor gave to others (steal)."""
    return int(stat.read_text().split()[8]) / TICKS_PER_S


@dataclass(frozen=True, slots=True)
class Memory:
    """What the processes of one name hold: PSS, their own memory and their share of what they share."""

    name: str
    processes: int
    bytes: int


def memory(pids: Iterable[int]) -> list[Memory]:
    """By name, most first; processes that may not be looked at are left out."""
    found: dict[str, list[int]] = {}
    for pid in pids:
        size = pss_bytes(pid)
        if size is not None:
            found.setdefault(called(name_of(pid)), []).append(size)
    return sorted((Memory(name, len(sizes), sum(sizes)) for name, sizes in found.items()), key=lambda one: -one.bytes)


def cpu_s(pid: int) -> float | None:
    """User and system time of all threads, living and ended, in seconds; None when there is no such process."""
    try:
        return parse_cpu_s((Path("/proc") / str(pid) / "stat").read_text(errors="replace"))
    except OSError:
        return None


def parse_cpu_s(stat: str) -> float:
    """User and system time of one /proc/PID/stat, in seconds. The name in it may hold spaces and parentheses."""
    fields = stat[stat.rindex(")") + 2 :].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def called(title: str) -> str:
    """The name of a process for a table, from its title."""
    for beginning, name in NAMES:
        if title.startswith(beginning):
            return name + title.removeprefix(beginning).split(":")[0] if name == "replica " else name
    return title
