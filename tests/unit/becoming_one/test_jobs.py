"""How jobs are shown, and what is refused before any cluster is asked. Real jobs: tests/cluster."""

import io
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from becoming_one import settings
from becoming_one.cli import job_view, jobs, main
from jobs.progress import Outcome, Progress, Quarantined, to_line
from jobs.start import Job

BEGUN = Progress(40, 0, 4, 0, 0.0, 3.0, None, None)
HALFWAY = Progress(40, 15, 4, 1, 754.0, 90.0, 8.31, 83.0)


@pytest.fixture
def said(tmp_path, monkeypatch, capsys):
    """Run a command line in an empty folder: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    for name in settings.VARIABLES:
        monkeypatch.delenv(name, raising=False)

    def said(*arguments):
        code = main.run(arguments)
        written = capsys.readouterr()
        return code, written.out, written.err

    return said


def test_progress_tells_files_sound_speed_quarantine_and_what_is_left() -> None:
    assert job_view.sentence(BEGUN) == "4/40 files, 0 s of sound, 4 finished before"
    assert job_view.sentence(HALFWAY) == (
        "20/40 files, 12 min 34 s of sound, 8.3 times as fast as it plays, 4 finished before, 1 in quarantine, "
        "about 1 min 23 s left"
    )


def test_a_log_gets_a_line_for_each_tenth_and_each_minute_and_the_end(capsys) -> None:
    lines = job_view.Lines()
    for done in range(101):
        lines.show(Progress(100, done, 0, 0, float(done), done * 1.0, 1.0, 0.0))
    for second in range(100, 200):
        lines.show(Progress(1000, 1001, 0, 0, 1.0, float(second), 1.0, 0.0))

    shown = [line.split(" files")[0] for line in capsys.readouterr().err.splitlines()]
    assert shown == [*(f"{done}/100" for done in range(0, 101, 10)), "1001/1000"]


def test_the_summary_says_where_outputs_lie_and_why_files_are_in_quarantine(capsys, tmp_path) -> None:
    outcome = Outcome(
        3, "Transcribed 38 of 40.", 40, 34, 4, 2, 22, 0, 3605.0, 400.0, 9.01, (Quarantined("a/b.wav", "It is empty."),)
    )
    job_view.summarize(outcome, tmp_path / "out")
    shown = capsys.readouterr()

    lines = shown.out.splitlines()
    assert lines[0] == "what\thow much"
    assert {"files\t40", "transcribed\t34", "finished before\t4", "in quarantine\t22", "ignored\t2"} <= set(lines)
    assert {"sound\t1 h 00 min", "took\t6 min 40 s", "speed\t9.0 times as fast as it plays"} <= set(lines)
    assert f"outputs\t{tmp_path}/out/" in lines
    assert lines[-2:] == ["file\treason", "a/b.wav\tIt is empty."]
    assert shown.err == "... and 21 more, each with a note in the folder `quarantine` of the outputs.\n"


def test_a_job_in_which_nothing_ran_has_only_its_sentence(capsys) -> None:
    job_view.summarize(Outcome(2, "There is no file or folder talks."), Path("out"))
    assert capsys.readouterr() == ("", "There is no file or folder talks.\n")


def test_files_without_an_answer_are_told_in_full(capsys) -> None:
    job_view.summarize(Outcome(1, "1 got no answer: a.wav.", 2, 1, files_lost=1), None)
    shown = capsys.readouterr()
    assert "without an answer\t1" in shown.out
    assert shown.err == "1 got no answer: a.wav.\n"


@pytest.mark.parametrize("code", [0, 1, 3])
def test_the_exit_code_is_the_jobs(code) -> None:
    import typer

    with pytest.raises(typer.Exit) as left:
        jobs._end(iter([BEGUN, HALFWAY, Outcome(code, "Done.", 40)]), Path("out"))
    assert left.value.exit_code == code


def test_a_line_of_the_log_is_shown_as_a_person_reads_it() -> None:
    assert jobs._readable(to_line(HALFWAY)) == job_view.sentence(HALFWAY)
    assert jobs._readable(to_line(Outcome(0, "Done."))) is None  # the driver prints it in words as well
    assert jobs._readable("loading the model") == "loading the model"


def test_a_job_row_tells_where_it_writes() -> None:
    begun = datetime(2026, 11, 23, 10, 0, 0, tzinfo=UTC)
    command = "python -m jobs.transcribe --output '/data/my talks' --model=whisper-base -- /in"
    job = Job("transcribe-1", "SUCCEEDED", command, begun, begun.replace(minute=3, second=10), 0)

    assert jobs._row(job)["output"] == "/data/my talks"
    assert jobs._row(job)["ended_at"] == "2026-11-23T10:03:10+00:00"
    assert jobs._cells(job)[3:] == ("3 min 10 s", "/data/my talks")
    assert jobs._cells(replace(job, status="FAILED", exit_code=3))[1] == "quarantine"
    assert jobs._cells(replace(job, status="FAILED", exit_code=1))[1] == "failed"
    assert jobs._row(Job("x", "PENDING", "sleep 1", None, None, None))["output"] is None


@pytest.mark.parametrize(
    "arguments",
    [
        ["jobs", "list"],
        ["jobs", "watch", "transcribe-1"],
        ["jobs", "cancel", "transcribe-1"],
        ["jobs", "logs", "transcribe-1"],
        ["jobs", "submit", "transcribe", "talks", "--output", "out"],
    ],
)
def test_without_a_cluster_each_command_says_what_to_do(said, arguments) -> None:
    code, answer, complaint = said(*arguments)
    assert (code, answer) == (1, "")
    assert complaint == "becoming-one: No cluster runs here to give a job to. Start one with `becoming-one up`.\n"


@pytest.mark.parametrize(
    "arguments", [["jobs", "submit", "transcribe"], ["jobs", "submit", "transcribe", "a.wav"], ["jobs", "watch"]]
)
def test_a_command_line_that_lacks_something_is_wrong_use(said, arguments) -> None:
    code, _, complaint = said(*arguments)
    assert (code, "Missing" in complaint) == (2, True)


def test_in_a_terminal_a_bar_shows_the_same(monkeypatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    with job_view.shown() as show:
        show(HALFWAY)
    assert "20/40 files 12 min 34 s of sound, 8.3 times as fast as it plays" in screen.getvalue()
