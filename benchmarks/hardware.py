"""The circumstances of a measurement, in a sentence."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.effort import Effort
from benchmarks.load import generator
from benchmarks.measure import TRIES, WITHHELD
from cluster.laptop.settings import memory_bytes, usable_cpus

PACKAGES = ("ray", "uvicorn", "xllamacpp", "openvino")


def circumstances(effort: Effort, *, timed_once: bool = False) -> str:
    """Machine, software, day, and how long was measured with what: the line above a table."""
    where = f"{machine()}; {software()}; {now()}."
    rounds = f"{effort.rounds} round{'s' if effort.rounds > 1 else ''}"
    again = f"a round of which the hypervisor withheld over {WITHHELD:.0%} was measured again, {TRIES} times at most"
    return where if timed_once else f"{where} n = {rounds} of {effort.seconds} s a side ({again}); {generator()}."


def machine() -> str:
    """CPU, cores, memory and kernel."""
    cores = usable_cpus()
    return (
        f"{cores} core{'s' if cores > 1 else ''} of {cpu_model(Path('/proc/cpuinfo').read_text())}, "
        f"{memory_bytes() / 2**30:.0f} GiB, no GPU used, Linux {platform.release().split('-')[0]}"
    )


def software() -> str:
    """Python and the packages that figures depend on."""
    return ", ".join([f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in PACKAGES)])


def now() -> str:
    """The minute, in UTC, and how busy the machine was before: a figure taken beside other work says so."""
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, load average before {os.getloadavg()[0]:.1f}"


def cpu_model(cpuinfo: str) -> str:
    """The first processor's name in /proc/cpuinfo; ARM kernels give none."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return " ".join(value.replace("(R)", "").replace("(TM)", "").split())
    return platform.machine()
