"""up, down and status as far as they need no Ray: what they print, and what they refuse."""

import io
import json
import re
import shutil
import subprocess
import sys

import pytest

from becoming_one import settings
from becoming_one.cli import laptop, main, up_view
from cluster.laptop.applications import Application
from cluster.laptop.status import ProcessStatus, ServerStatus, Status
from cluster.laptop.up import Step


@pytest.fixture
def ready(server, tmp_path):
    """The status of a cluster that answers at the test's server; the path of its key needs quoting."""
    home = tmp_path / "it's a home" / ".becoming-one"
    home.mkdir(parents=True)
    (home / "key").write_text("bo-from-file\n")
    return Status(
        condition="ready",
        url=server.url,
        dashboard_url="http://127.0.0.1:20001",
        home=home,
        key_file=home / "key",
        applications=(Application("gateway", "/", "RUNNING", "", ()),),
        servers=(ServerStatus("valkey", True, True, 20002, 7), ServerStatus("postgres", False, True)),
        processes=(ProcessStatus(7, "valkey-server", 9_400_000, (20002,)), ProcessStatus(8, "ray::X", None, ())),
    )


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
def test_the_first_curl_works_when_it_is_pasted(ready, server) -> None:
    block = laptop.welcome(ready).split("A first request:")[1].split("The same with")[0]
    done = subprocess.run(["bash", "-c", block], capture_output=True, text=True, check=False)

    assert done.returncode == 0
    assert json.loads(done.stdout)["choices"][0]["message"]["content"] == laptop.QUESTION
    assert server.received[0].headers["authorization"] == "Bearer bo-from-file"


def test_the_sdk_lines_work_when_they_are_pasted(ready, server) -> None:
    block = laptop.welcome(ready).split("openai SDK:")[1].split("`becoming-one status`")[0]
    code = re.sub(r"^  ", "", block, flags=re.MULTILINE)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.stdout.strip(), done.returncode) == (laptop.QUESTION, 0), done.stderr
    assert server.received[0].headers["authorization"] == "Bearer bo-from-file"


def test_status_in_a_pipe_is_lines_of_columns(ready, capsys) -> None:
    laptop._print_status(ready)
    shown = capsys.readouterr()

    lines = shown.out.splitlines()
    assert "gateway\t/\trunning\t" in lines
    assert "valkey\truns\t20002\t7" in lines
    assert "postgres\tyours, named by the environment\t\t" in lines
    assert "7\tvalkey-server\t9 MB\t20002" in lines
    assert "ready: " in shown.err
    assert "9 MB in 2 processes" in shown.err


@pytest.fixture
def said(tmp_path, monkeypatch, capsys):
    """Run a command line in an empty folder: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    for name in settings.VARIABLES:
        monkeypatch.delenv(name, raising=False)

    def said(*arguments):
        code = main.run(arguments)
        written = capsys.readouterr()
        return code, written.out, written.err

    return said


def test_where_nothing_was_started_all_say_so(said, tmp_path) -> None:
    assert said("down") == (0, "", "Nothing was running.\n")
    found = json.loads(said("status", "--json")[1])
    assert (found["condition"], found["url"], found["applications"]) == ("down", None, [])
    assert found["home"] == str(tmp_path / ".becoming-one")
    assert said("status")[0] == 0
    assert "becoming-one up" in said("keys", "list")[2]
    assert not (tmp_path / ".becoming-one").exists()


def test_wiping_must_be_meant(said, tmp_path) -> None:
    home = tmp_path / ".becoming-one"
    home.mkdir()
    (home / "key").write_text("bo-1")

    code, _, complaint = said("down", "--wipe")
    assert (code, "--yes" in complaint) == (2, True)
    assert (home / "key").exists()
    assert said("down", "--wipe", "--yes")[0] == 0
    assert not home.exists()


def test_a_port_for_root_alone_is_refused(said, tmp_path) -> None:
    code, _, complaint = said("up", "--port", "80")
    assert (code, "1024" in complaint) == (2, True)
    assert not (tmp_path / ".becoming-one").exists()


def test_in_a_log_a_step_says_its_beginning_its_end_and_that_it_is_alive(capsys) -> None:
    lines = up_view.Lines()
    for elapsed_s in range(25):
        lines.show(Step("weights", "running", "fetching tiny", float(elapsed_s), elapsed_s * 1_000_000, 50_000_000))
    lines.show(Step("weights", "done", "tiny", 25.0))
    lines.show(Step("ray", "failed", "", 2.0))

    assert capsys.readouterr().err.splitlines() == [
        "weights: fetching tiny, 0 of 50 MB (0.0 s)",
        "weights: fetching tiny, 10 of 50 MB (10.0 s)",
        "weights: fetching tiny, 20 of 50 MB (20.0 s)",
        "weights: tiny (25.0 s)",
        "ray: failed (2.0 s)",
    ]


def test_in_a_terminal_each_step_has_one_line_that_lives() -> None:
    from rich.console import Console

    drawing = up_view._Drawing()
    drawing.keep(Step("valkey", "running"))
    drawing.keep(Step("postgres", "running", "starting", 1.0))
    drawing.keep(Step("valkey", "done", "started on port 20002", 0.31))
    console = Console(width=80)
    with console.capture() as capture:
        console.print(drawing.drawn())

    first, second = capture.get().splitlines()
    assert first.split() == ["ok", "valkey", "started", "on", "port", "20002", "0.3", "s"]
    assert second.split()[1:3] == ["postgres", "starting"]
