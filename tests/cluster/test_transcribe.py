"""Real speech through the real job on a real cluster: Ray Jobs, Ray Data, Whisper. Kills on the way."""

import json
import os
import shutil
import sys
import time
from pathlib import Path

import psutil
import pytest
from tests_audio import cut, librivox, word_error_rate, write

from cluster.laptop import ray_head
from jobs import start
from jobs.errors import JobsUnreachable, UnknownJob
from jobs.progress import FAILED, OK, QUARANTINED, REFUSED, Outcome, Progress
from jobs.start import JobServer
from models.errors import InvalidRequest

pytestmark = pytest.mark.cluster

TINY = {"model": "whisper-tiny.en"}
WAIT_S = 180.0


@pytest.fixture(scope="module")
def server(cluster) -> JobServer:
    url = ray_head.dashboard_url(ray_head.PortPlan(cluster.home.load().port_block))
    token = cluster.home.secret(cluster.home.token_path.name)
    return JobServer(url, {"Authorization": f"Bearer {token}"}, python=sys.executable)


def followed(server: JobServer, job_id: str) -> tuple[list[Progress], Outcome]:
    *updates, ended = start.follow(server, job_id)
    assert isinstance(ended, Outcome)
    return [update for update in updates if isinstance(update, Progress)], ended


def done(server: JobServer, inputs: Path, output: Path, **options: str) -> Outcome:
    return followed(server, start.submit(server, "transcribe", [inputs], output, TINY | options))[1]


def drivers(output: Path) -> list[psutil.Process]:
    """The job's own driver, not the shell that started it."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if str(output) in words and words[1:3] == ["-m", "jobs.transcribe"]:
            found.append(process)
    return found


def workers() -> list[psutil.Process]:
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if "Map(Hear)" in " ".join(process.info["cmdline"] or [])
    ]


def wait_for(condition):
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    raise TimeoutError


def stamps(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*.json")}


@pytest.fixture
def shelf(tmp_path) -> Path:
    """Eight recordings of real speech, 40 s in all, so that a job is still at work when it has finished one."""
    folder = tmp_path / "in"
    folder.mkdir()
    for copy in range(2):
        for number, clip in enumerate(librivox()[:4]):
            shutil.copy(clip.path, folder / f"{copy}-{number}.wav")
    return folder


def test_a_folder_of_good_and_bad_files_is_transcribed_and_told_through_the_command(command, tmp_path) -> None:
    clips = librivox()
    inputs, output = tmp_path / "in", tmp_path / "out"
    write(inputs / "talks" / "first.mp3", clips[0].samples, "stereo")
    write(inputs / "second.m4a", clips[1].samples)
    write(inputs / "second.flac", clips[2].samples)
    cut(write(inputs / "whole.mp3", clips[3].samples), 0.5, "cut.mp3")
    (inputs / "whole.mp3").unlink()
    (inputs / "empty.wav").touch()
    (inputs / "text.wav").write_text("This is a text.")
    (inputs / "notes.txt").write_text("not audio")

    ended = command("jobs", "submit", "transcribe", str(inputs), "--output", str(output), "--model", "whisper-tiny.en")

    assert ended.returncode == QUARANTINED, ended.stderr
    said, heard = "", ""
    for name, clip in (("talks/first", clips[0]), ("second.m4a", clips[1]), ("second.flac", clips[2])):
        document = json.loads((output / f"{name}.json").read_bytes())
        said, heard = f"{said} {clip.text}", f"{heard} {document['text']}"
        assert document["duration_s"] == pytest.approx(len(clip.samples) / 16_000, abs=0.1)
        assert (document["model"], document["language"], document["warning"]) == ("whisper-tiny.en", "en", None)
        assert (output / f"{name}.txt").read_text().split() == document["text"].split()
        assert (output / f"{name}.srt").read_text().startswith("1\n00:00:00,")
        assert (output / f"{name}.vtt").read_text().startswith("WEBVTT\n\n00:00:00.")
    assert word_error_rate(said, heard) <= 0.2  # tiny.en on these clips: 0.1; one odd word of eight is 0.25 alone
    notes = sorted(path.name for path in (output / "quarantine").iterdir())
    assert notes == ["cut.mp3.json", "empty.wav.json", "text.wav.json"]
    assert json.loads((output / "cut.json").read_bytes())["warning"].startswith("The file is cut off")
    assert "The file is empty (0 bytes)" in ended.stdout


def test_progress_comes_while_the_job_runs_and_ends_with_an_outcome(server, shelf, tmp_path) -> None:
    job_id = start.submit(server, "transcribe", [shelf], tmp_path / "out", TINY)
    updates, ended = followed(server, job_id)
    assert (ended.exit_code, ended.files_done, ended.files_total) == (OK, 8, 8)
    assert ended.audio_s == pytest.approx(2 * sum(len(clip.samples) for clip in librivox()[:4]) / 16_000, abs=0.1)
    assert updates[0].files_done == 0
    assert any(0 < update.files_done < 8 and update.eta_s for update in updates)
    assert [update.files_done for update in updates] == sorted(update.files_done for update in updates)
    wait_for(lambda: {job.id: job.status for job in start.listed(server)}[job_id] == "SUCCEEDED")
    assert "Transcribed 8 of 8 files" in start.log(server, job_id)
    assert list(start.tail(server, job_id)) == start.log(server, job_id).splitlines()
    assert followed(server, job_id)[1] == ended  # a job that has ended can still be followed
    assert start.stop(server, job_id) is False


def test_a_killed_driver_is_reported_and_the_next_run_goes_on_where_it_stopped(server, shelf, tmp_path) -> None:
    output = tmp_path / "out"
    job_id = start.submit(server, "transcribe", [shelf], output, TINY | {"workers": "1"})
    wait_for(lambda: list(output.glob("*.json")))
    for driver in drivers(output):
        driver.kill()
    _, ended = followed(server, job_id)
    assert ended.exit_code == FAILED
    assert job_id in ended.message

    finished = stamps(output)
    assert 1 <= len(finished) < 8
    for name in finished:
        json.loads((output / name).read_bytes())
        assert all((output / name).with_suffix(ending).exists() for ending in (".srt", ".vtt", ".txt"))
    again = done(server, shelf, output)
    assert (again.exit_code, again.files_skipped, again.files_done) == (OK, len(finished), 8 - len(finished))
    assert {name: stamp for name, stamp in stamps(output).items() if name in finished} == finished
    assert len(list(output.iterdir())) == 4 * 8  # and nothing half-written beside them


def test_a_killed_worker_costs_no_file(server, shelf, tmp_path) -> None:
    output = tmp_path / "out"
    job_id = start.submit(server, "transcribe", [shelf], output, TINY | {"workers": "1"})
    wait_for(lambda: list(output.glob("*.json")))
    for worker in workers():
        worker.kill()
    _, ended = followed(server, job_id)
    assert (ended.exit_code, ended.files_done, ended.files_lost) == (OK, 8, 0)


def test_a_job_that_is_stopped_says_so_and_keeps_what_it_finished(server, shelf, tmp_path) -> None:
    output = tmp_path / "out"
    job_id = start.submit(server, "transcribe", [shelf], output, TINY | {"workers": "1"})
    wait_for(lambda: list(output.glob("*.json")))
    assert start.stop(server, job_id) is True
    _, ended = followed(server, job_id)
    assert ended.exit_code == FAILED
    assert "was stopped" in ended.message
    wait_for(lambda: not drivers(output))
    assert all((output / name).with_suffix(".srt").exists() for name in stamps(output))
    assert stamps(output)


def test_a_wrong_command_reaches_the_submitter_as_refused(server, tmp_path) -> None:
    ended = done(server, tmp_path / "gone", tmp_path / "out")
    assert (ended.exit_code, ended.message) == (REFUSED, f"There is no file or folder {tmp_path / 'gone'}.")
    shutil.copy(librivox()[1].path, tmp_path / "a.wav")
    ended = done(server, tmp_path / "a.wav", tmp_path / "out", language="fr")
    assert ended.exit_code == REFUSED
    assert "hears only English" in ended.message


def test_what_cannot_be_submitted_or_followed_is_said(server, tmp_path) -> None:
    with pytest.raises(InvalidRequest, match=r"no job 'dance'. Known: transcribe"):
        start.submit(server, "dance", [tmp_path], tmp_path)
    with pytest.raises(UnknownJob, match="no job 'transcribe-none'"):
        list(start.follow(server, "transcribe-none"))
    with pytest.raises(UnknownJob):
        start.stop(server, "transcribe-none")
    with pytest.raises(JobsUnreachable):
        start.listed(JobServer("http://127.0.0.1:9"))
    with pytest.raises(JobsUnreachable):
        start.listed(JobServer(server.url, {"Authorization": "Bearer wrong"}))


def test_the_job_runs_without_a_cluster_as_well(tmp_path) -> None:
    import subprocess

    shutil.copy(librivox()[4].path, tmp_path / "a.wav")
    command = [sys.executable, "-m", "jobs.transcribe", "a.wav", "--output", "out", "--model", "whisper-tiny.en"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment["PYTHONPATH"] = str(Path(start.__file__).parents[1])
    ended = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=WAIT_S, check=False
    )
    assert ended.returncode == OK, ended.stderr
    heard = (tmp_path / "out" / "a.txt").read_text()
    assert word_error_rate(librivox()[4].text, heard) <= 0.25, heard
