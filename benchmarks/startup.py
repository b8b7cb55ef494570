"""How long until the first answer: `make up` from nothing, then once more with everything there. And idle memory.

From nothing: a copy of this tree without its environment, and an empty cache folder, so environment, packages and
weights come over the line again. --quick leaves that out and starts a fresh home in the environment that is there.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.client import Load, TableFailed, one
from benchmarks.cluster import CHAT_PATH, house, say, undisturbed
from benchmarks.effort import Effort
from benchmarks.grounds import Grounds
from benchmarks.processes import Memory, memory
from benchmarks.prompts import chats
from benchmarks.report import Table
from cluster.laptop import processes
from cluster.laptop.down import down
from cluster.laptop.home import Home
from cluster.laptop.settings import PROJECT_ROOT, LaptopSettings, inherited_environment

UP_TIMEOUT_S = 1800.0  # 1.5 GB of packages over a thin line
IDLE_S = 10.0  # until Ray's start-up work has ended, and what it needed is given back


@dataclass(frozen=True)
class Place:
    """Where a cluster is brought up: the tree, the home, and the environment of its commands."""

    tree: Path
    settings: LaptopSettings
    environment: dict[str, str]
    program: str
    arguments: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """What a user types."""
        return f"{Path(self.program).name} up"

    def do(self, name: str) -> float:
        """Run `up` or `down` to its end; the seconds it took. What it prints goes to stderr."""
        say(f"{self.program} {name} in {self.tree}")
        command, began = [self.program, name, *self.arguments], time.monotonic()
        with subprocess.Popen(
            command, cwd=self.tree, env=self.environment, stdout=sys.stderr, start_new_session=True
        ) as process:
            try:
                code = process.wait(UP_TIMEOUT_S)
            except BaseException:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                raise
        if code:
            raise TableFailed(f"`{self.program} {name}` ended with {code}")
        return time.monotonic() - began

    def up(self, number: int) -> tuple[str, str]:
        """Seconds until `up` returns, and of the first answer then."""
        up_s = self.do("up")
        return f"{up_s:.0f}", f"{self.answer(number):.2f}"

    def answer(self, number: int) -> float:
        """Seconds of one chat answer that nobody has asked for before."""
        home = Home(self.settings.home)
        state = home.load()
        if state is None or state.url is None:
            raise TableFailed(f"nothing runs in {home.folder}")
        headers = {"authorization": f"Bearer {home.key_path.read_text().strip()}"}
        body = chats("realtime", number + 1, max_tokens=16)[number]
        began = time.monotonic()
        one(Load(state.url, CHAT_PATH, [body], 1, headers))
        return time.monotonic() - began

    def memory(self) -> list[Memory]:
        """What each kind of process of the cluster holds now."""
        home = Home(self.settings.home)
        state = home.load()
        return [] if state is None else memory(processes.ours(home.marks(state)))


def run(grounds: Grounds, effort: Effort) -> list[Table]:
    """Two tables: times, memory."""
    grounds.clear()
    with _here() if effort.quick else _nowhere() as place:
        what = (
            "a fresh home, environment and weights there" if effort.quick else "nothing: no environment, empty caches"
        )
        rows = [(what, *place.up(0), "" if effort.quick else "≤ 300")]
        time.sleep(IDLE_S)
        held = place.memory()
        place.do("down")
        if not effort.quick:
            rows.append(("`down`, all data there", *place.up(1), "≤ 30"))
            place.do("down")
    about = (
        f"`{place.command}` until it returns, then the first chat answer (16 tokens) through the whole stack. n = 1."
    )
    columns = ("after", "up, s", "then an answer, s", "aim, s")
    return [Table("From `up` to the first answer", about, columns, rows), _memory(held)]


def _memory(held: list[Memory]) -> Table:
    rows = [(one.name, str(one.processes), f"{one.bytes / 1e6:,.0f}") for one in held]
    count, total = sum(one.processes for one in held), sum(one.bytes for one in held)
    applications = ", ".join(str(one["name"]) for one in house()["applications"])
    about = f"PSS, {IDLE_S:.0f} s after the first answer, with the applications {applications}."
    columns = ("what", "processes", "MB")
    return Table("Idle memory", about, columns, [*rows, ("**all**", f"**{count}**", f"**{total / 1e6:,.0f}**")])


@contextmanager
def _here() -> Iterator[Place]:
    """A fresh home for the tree and the environment that are there."""
    command = str(Path(sys.executable).parent / "becoming-one")
    with _temporary() as folder:
        environment = _environment(folder)
        settings = LaptopSettings(home=folder / "home", redis_url=None, user_database_url=None)
        with _ended(settings):
            yield Place(PROJECT_ROOT, settings, environment, command)


@contextmanager
def _nowhere() -> Iterator[Place]:
    """A copy of the tree, without an environment, and with a cache folder that is empty."""
    with _temporary() as folder:
        tree = folder / "tree"
        shutil.copytree(PROJECT_ROOT, tree, ignore=shutil.ignore_patterns(".*", "__pycache__"))
        python = Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
        environment = {**_environment(folder), "XDG_CACHE_HOME": str(folder / "cache")}
        settings = LaptopSettings(home=folder / "home", redis_url=None, user_database_url=None)
        with _ended(settings):
            yield Place(tree, settings, environment, "make", (f"PYTHON={python}",))


@contextmanager
def _temporary() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bo-bench-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@contextmanager
def _ended(settings: LaptopSettings) -> Iterator[None]:
    try:
        yield
    finally:
        with undisturbed():
            down(settings, wipe=True)


def _environment(folder: Path) -> dict[str, str]:
    """What a fresh shell has: nothing of ours, no virtual environment, no server of the user's."""
    left_out = (
        "BECOMING_ONE_",
        "VIRTUAL_ENV",
        "UV_CACHE_DIR",
        "PIP_CACHE_DIR",
        "REDIS_URL",
        "USER_DATABASE_URL",
        "MAKE",
    )
    kept = {name: value for name, value in inherited_environment().items() if not name.startswith(left_out)}
    return {**kept, "BECOMING_ONE_HOME": str(folder / "home")}
