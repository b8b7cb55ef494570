"""Work of which a process dies is given up after some attempts."""

import os
import subprocess
import sys
from pathlib import Path

from jobs.stages import worker
from jobs.stages.worker import ATTEMPTS, Workplace


def test_work_that_never_ends_is_given_up(tmp_path) -> None:
    attempts = Workplace(tmp_path / "run").enter()
    assert [attempts.begin("a") for _ in range(ATTEMPTS + 2)] == [True] * ATTEMPTS + [False, False]
    assert attempts.begin("b")


def test_work_that_ends_may_begin_as_often_as_it_likes(tmp_path) -> None:
    attempts = Workplace(tmp_path).enter()
    for _ in range(2 * ATTEMPTS):
        assert attempts.begin("a")
        attempts.end("a")
    assert list(tmp_path.iterdir()) == []


def test_attempts_outlive_the_process_that_dies(tmp_path) -> None:
    code = (
        "import os, pathlib\nfrom jobs.stages.worker import Workplace\n"
        f"Workplace(pathlib.Path({str(tmp_path)!r}), 3).enter().begin('a')\n"
        "print(os.nice(0), flush=True)\nos.abort()"
    )
    root = Path(worker.__file__).parents[2]
    for _ in range(ATTEMPTS):
        died = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
        assert int(died.stdout) == min(os.nice(0) + 3, 19)
    assert not Workplace(tmp_path).enter().begin("a")
