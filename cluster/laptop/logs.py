"""What the programs of a cluster wrote: the applications' own logs, and those of what carries them."""

import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cluster.laptop import applications
from cluster.laptop.errors import LaptopError
from cluster.laptop.home import Home, State
from cluster.laptop.ray_head import RAY_FOLDER, PortPlan, dashboard_url
from cluster.laptop.settings import LaptopSettings

LAST_LINES = 1000  # of each file, to begin with
POLL_S = 0.25
CARRIERS: Mapping[str, tuple[str, ...]] = {
    "serve": ("serve/controller_[0-9]*.log", "serve/proxy_*.log"),
    "ray": ("raylet.*", "gcs_server.*", "dashboard*.log", "dashboard*.err", "runtime_env_agent.*"),
}
"""Logs in Ray's session folder that belong to no application."""
RAY_NOTES = (":job_id:", ":actor_name:", ":task_name:")
"""How lines begin that Ray writes into its workers' output for its own log monitor."""
SERVERS = ("valkey", "postgres")


def logs(settings: LaptopSettings, app: str | None = None, follow: bool = False) -> Iterator[str]:
    """Lines without their ends, each file's last LAST_LINES first; then, if `follow`, what is written from now on.

    `app` is an application of serve_config.yaml, `valkey`, `postgres`, `serve` or `ray`; None means all but `ray`.
    Lines carry their file's name when there are several files. Never ends when following. Raises LaptopError for
    another name, before the first line.
    """
    home = Home(settings.home)
    state = home.load()
    if state is None:
        raise LaptopError(f"Nothing has ever been started in {home.folder}. Start it with `becoming-one up`.")
    known = applications.names(applications.read_config(settings.serve_config, 0))
    if app is not None and app not in (*known, *SERVERS, *CARRIERS):
        raise LaptopError(f"There is no {app!r} here. Ask for one of: {', '.join((*known, *SERVERS, *CARRIERS))}.")
    return _lines(_Sources(home, state, (app,) if app else (*known, *SERVERS, "serve")), follow)


@dataclass(frozen=True, slots=True)
class _Sources:
    """Where the lines of these names are. Asked again and again: a new replica has new files."""

    home: Home
    state: State
    names: tuple[str, ...]

    def files(self) -> list[Path]:
        session = self.state.temp_folder / RAY_FOLDER / "session_latest" / "logs"
        found: list[Path] = []
        for name in self.names:
            if name in SERVERS:
                found.append(self.home.logs / f"{name}.log")
            else:
                found += [path for pattern in self._patterns(name) for path in sorted(session.glob(pattern))]
        return [path for path in found if path.is_file()]

    def _patterns(self, name: str) -> tuple[str, ...]:
        if name in CARRIERS:
            return CARRIERS[name]
        serve = (f"serve/controller_build_{name}_*.log", f"serve/replica_{name}_*.log")
        return (*serve, *(f"worker-*-{pid}.{stream}" for pid in self._pids(name) for stream in ("out", "err")))

    def _pids(self, name: str) -> list[int]:
        """The application's replicas: what they print goes to files named by pid."""
        rest = applications.Rest(
            dashboard_url(PortPlan(self.state.port_block)), self.home.secret(self.home.token_path.name)
        )
        try:
            found = [one for one in rest.applications() if one.name == name]
        except OSError:  # nothing runs: what was printed is then in no file we could name
            return []
        return [replica.pid for one in found for replica in one.replicas if replica.pid is not None]


def _lines(sources: _Sources, follow: bool) -> Iterator[str]:
    read: dict[Path, int] = {}
    files = sources.files()
    for path in files:
        with path.open("rb") as file:
            yield from _shown(path, deque(file, LAST_LINES), len(files))
            read[path] = file.tell()
    while follow:
        time.sleep(POLL_S)
        files = sources.files()
        for path in files:
            yield from _shown(path, _new_lines(path, read), len(files))


def _new_lines(path: Path, read: dict[Path, int]) -> list[bytes]:
    """Whole lines since last time; a file that became shorter was rotated and is read from its beginning."""
    begin = read.get(path, 0)
    if path.stat().st_size < begin:
        begin = 0
    with path.open("rb") as file:
        file.seek(begin)
        lines = file.read().splitlines(keepends=True)
    if lines and not lines[-1].endswith(b"\n"):
        lines.pop()
    read[path] = begin + sum(map(len, lines))
    return lines


def _shown(path: Path, lines: Iterable[bytes], files: int) -> Iterator[str]:
    label = f"pid {path.stem.rpartition('-')[2]} {path.suffix[1:]}" if path.name.startswith("worker-") else path.stem
    for line in lines:
        text = line.decode(errors="replace").rstrip("\r\n")
        if not text.startswith(RAY_NOTES):
            yield f"{label} | {text}" if files > 1 else text
