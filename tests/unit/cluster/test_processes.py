"""Which processes are ours, and how they end."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.laptop import processes
from cluster.laptop.processes import MARK_VARIABLE, Marks

SLEEP = "import time; time.sleep(60)"
MARKS = Marks(frozenset({"this-cluster"}), (), ())


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []

    def one(code: str = SLEEP, **more) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([sys.executable, "-c", code], **more))
        return started[-1]

    yield one
    for process in started:
        process.kill()
        process.wait()


def until(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def test_a_process_is_known_as_long_as_it_runs(start) -> None:
    process = start()
    identity = processes.identify(process.pid)
    assert processes.alive(identity)
    process.kill()
    process.wait()
    assert not processes.alive(identity)


def test_another_process_with_the_same_pid_is_not_it(start) -> None:
    identity = processes.identify(start().pid)
    assert not processes.alive(replace(identity, started_ticks=identity.started_ticks - 1))
    assert not processes.alive(replace(identity, boot="an earlier boot"))


def test_a_zombie_is_not_alive(start) -> None:
    process = start("pass")
    stat = Path(f"/proc/{process.pid}/stat")
    until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "Z")
    assert processes.identify(process.pid) is None


def test_processes_are_ours_by_the_mark_in_their_environment(start) -> None:
    mine = start(env={**os.environ, MARK_VARIABLE: "this-cluster"})
    other = start(env={**os.environ, MARK_VARIABLE: "that-cluster"})
    stranger = start()
    until(lambda: mine.pid in processes.ours(MARKS))
    assert processes.ours(MARKS).isdisjoint({other.pid, stranger.pid})


def test_processes_are_ours_by_where_their_output_goes(start, tmp_path: Path) -> None:
    """Ray's workers hide their environment; their output goes to the session's folder all the same."""
    with (tmp_path / "worker.out").open("wb") as output:
        mine = start(stdout=output)
    (tmp_path / "read.log").write_text("a reader of our logs")
    with (tmp_path / "read.log").open("rb") as log:
        reader = start(stdin=log)
    found = processes.ours(Marks(frozenset(), (tmp_path,), ()))
    assert mine.pid in found
    assert reader.pid not in found


def test_a_server_is_ours_by_its_program_and_its_folder(start, tmp_path: Path) -> None:
    program = tmp_path / "valkey-server"
    program.symlink_to("/bin/sleep")
    (tmp_path / "data").mkdir()
    server = subprocess.Popen([program, "60"], cwd=tmp_path / "data")
    elsewhere = subprocess.Popen([program, "60"], cwd=tmp_path)
    shell = start(cwd=tmp_path / "data")
    try:
        marks = Marks(frozenset(), (), (tmp_path / "data",))
        until(lambda: processes.ours(marks) == {server.pid})
        assert {elsewhere.pid, shell.pid}.isdisjoint(processes.ours(marks))
    finally:
        for process in (server, elsewhere):
            process.kill()
            process.wait()


def test_what_ours_start_is_ours_whatever_it_wears(start) -> None:
    parent = start(
        f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {SLEEP!r}], env={{}}); p.wait()",
        env={**os.environ, MARK_VARIABLE: "this-cluster"},
    )
    until(lambda: len(processes.ours(MARKS)) == 2)
    child = (processes.ours(MARKS) - {parent.pid}).pop()
    assert processes.descendants({parent.pid}) == {child}
    assert processes.stop(lambda: processes.ours(MARKS), grace_s=5.0) == set()


def test_who_looks_is_never_found(start) -> None:
    """`becoming-one down`, started from a shell that carries the mark, must not end itself or that shell."""
    looked = subprocess.run(
        [
            sys.executable,
            "-c",
            "from cluster.laptop.processes import Marks, ours; print(ours(Marks(frozenset({'this-cluster'}), (), ())))",
        ],
        env={**os.environ, MARK_VARIABLE: "this-cluster", "PYTHONPATH": str(Path(processes.__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert looked.stdout.strip() == "set()"


def test_a_process_that_ignores_the_polite_signal_is_killed(start, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    code = f"import pathlib, signal; signal.signal(15, signal.SIG_IGN); pathlib.Path({str(ready)!r}).touch(); {SLEEP}"
    process = start(code)
    until(ready.exists)
    assert processes.stop_one(processes.identify(process.pid), grace_s=0.2)
    assert process.wait() == -9


def test_a_process_that_heeds_the_polite_signal_is_not_killed(start) -> None:
    process = start()
    assert processes.stop_one(processes.identify(process.pid), grace_s=10.0)
    assert process.wait() == -15


def test_a_name_says_what_it_is(start, tmp_path: Path) -> None:
    script = tmp_path / "dashboard.py"
    script.write_text(SLEEP)
    process = subprocess.Popen([sys.executable, script])
    try:
        until(lambda: processes.name_of(process.pid).endswith("dashboard.py"))
        assert processes.name_of(process.pid).startswith("python")
    finally:
        process.kill()
        process.wait()
    assert processes.name_of(2**22 + 1) == "?"


def test_memory_is_measured_and_unknown_where_it_may_not_be_read() -> None:
    assert processes.pss_bytes(os.getpid()) > 5_000_000
    assert processes.pss_bytes(2**22 + 1) is None
