"""What Valkey and PostgreSQL have in common: programs from packages, each in a folder of its own."""

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from cluster.laptop import processes
from cluster.laptop.errors import StartFailed, Unsupported
from cluster.laptop.processes import Identity, Marks

LEFTOVER_GRACE_S = 20.0  # PostgreSQL's children need their checkpoint, Valkey its snapshot


def package_folder(name: str) -> Path:
    """Where an installed package lies, without running its code. Raises Unsupported."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise Unsupported(f"The package {name} is not installed. `make up` installs it.")
    return Path(spec.origin).parent


def spawn(arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> int:
    """Start a program that outlives us, in a session of its own, its output appended to `log`. Its pid.

    posix_spawn and not subprocess.Popen, which warns when its object goes and the program stays.
    """
    log.touch(mode=0o600)
    appending = os.O_WRONLY | os.O_APPEND
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), appending, 0),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    return os.posix_spawn(
        arguments[0], list(arguments), dict(environment), file_actions=actions, setsid=True, setsigdef=[signal.SIGPIPE]
    )


def wait_until_up(pid: int, reason_against: Callable[[], str | None], timeout_s: float) -> Identity | str:
    """The program's identity once there is no reason against it any more, else the last reason or "" when it ended.

    A program that is not up in time is killed.
    """
    deadline, reason = time.monotonic() + timeout_s, ""
    while time.monotonic() < deadline:
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return ""
        if (found := reason_against()) is None and (identity := processes.identify(pid)):
            return identity
        reason = found or reason
        time.sleep(processes.POLL_S)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return reason


def end_programs_in(folder: Path, program: str, first: signal.Signals) -> None:
    """End every process of that program that works in that folder. Raises StartFailed when one does not end."""
    marks = Marks(frozenset(), (), (folder,), frozenset({program}))
    left = processes.stop(lambda: processes.ours(marks), LEFTOVER_GRACE_S, first)
    if left:
        raise StartFailed(program, f"an older one (pid {min(left)}) does not end")


def last_words(log: Path) -> str:
    """The last line of a log, for a sentence."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return lines[-1].strip().rstrip(".") if lines else "it said nothing"
