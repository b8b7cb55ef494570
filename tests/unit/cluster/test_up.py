"""What `up` decides before anything starts, and how it tells of it."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.laptop import ports
from cluster.laptop.errors import PortTaken
from cluster.laptop.home import Home, State
from cluster.laptop.settings import LaptopSettings
from cluster.laptop.up import HTTP_PORTS, Step, Steps, _http_port

STATE = State("abc", Path("/tmp/bo-abc"), 21_000)  # noqa: S108


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_a_free_port_that_was_asked_for_is_taken(home: Home, taken: int) -> None:
    free = ports.first_free(range(taken + 1, 65_000))
    assert _http_port(LaptopSettings(home=home.folder, http_port=free), home, STATE) == free


def test_a_taken_port_that_was_asked_for_is_an_error_with_its_holder(home: Home, taken: int) -> None:
    with pytest.raises(PortTaken, match=rf"Port {taken} is held by .*\(pid {os.getpid()}\).* BECOMING_ONE_HTTP_PORT"):
        _http_port(LaptopSettings(home=home.folder, http_port=taken), home, STATE)


def test_a_taken_port_that_nobody_asked_for_is_passed_over(home: Home, taken: int) -> None:
    chosen = _http_port(LaptopSettings(home=home.folder), home, replace(STATE, http_port=taken))
    assert chosen in HTTP_PORTS


def test_a_cluster_keeps_the_port_it_had(home: Home, taken: int) -> None:
    free = ports.first_free(range(taken + 1, 65_000))
    assert _http_port(LaptopSettings(home=home.folder), home, replace(STATE, http_port=free)) == free


def test_steps_begin_and_end_and_say_how() -> None:
    told: list[Step] = []
    steps = Steps(told.append)
    with steps.step("ray") as ended:
        steps.tell("ray", "half way", 1, 2)
        ended("started")
    with pytest.raises(RuntimeError), steps.step("valkey"):
        raise RuntimeError
    assert [(step.name, step.state, step.detail) for step in told] == [
        ("ray", "running", ""),
        ("ray", "running", "half way"),
        ("ray", "done", "started"),
        ("valkey", "running", ""),
        ("valkey", "failed", ""),
    ]
    assert (told[1].done_bytes, told[1].total_bytes) == (1, 2)
    assert told[2].elapsed_s >= told[0].elapsed_s >= 0


def test_a_step_that_never_began_does_not_end() -> None:
    told: list[Step] = []
    Steps(told.append).end("lock", "")
    assert told == []


def test_steps_are_told_one_at_a_time_from_whatever_thread() -> None:
    inside, most = threading.Semaphore(1), []

    def report(step: Step) -> None:
        most.append(inside.acquire(blocking=False))
        inside.release()

    steps = Steps(report)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: steps.tell(f"step {n}"), range(200)))
    assert most == [True] * 200
