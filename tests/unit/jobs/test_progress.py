"""What a job's driver prints, and what is read back."""

from pathlib import Path

import pytest

from jobs.files import Listing, Source
from jobs.progress import FAILED, OK, QUARANTINED, Outcome, Progress, Quarantined, from_line, span, to_line
from jobs.tally import SHOWN, Tally, outcome


def source(name: str, size_bytes: int) -> Source:
    return Source(Path("/in", name), name, name, f"quarantine/{name}", size_bytes)


def test_updates_survive_the_log() -> None:
    progress = Progress(10, 2, 3, 1, 81.5, 9.25, 8.8, None)
    ended = Outcome(QUARANTINED, "two\nlines", files_done=2, quarantined=(Quarantined("é.mp3", "empty"),))
    assert from_line(to_line(progress)) == progress
    assert from_line(to_line(ended)) == ended
    assert "\n" not in to_line(ended)


@pytest.mark.parametrize("line", ["", "anything else", "becoming-one-job {cut", "2026 INFO becoming-one-job {}"])
def test_other_lines_of_the_log_say_nothing(line) -> None:
    assert from_line(line) is None


def test_a_newer_drivers_fields_are_passed_over() -> None:
    line = to_line(Progress(1, 0, 0, 0, 0.0, 0.0, None, None)).replace('"files_total":1', '"files_total":1,"new":[]')
    assert from_line(line) == Progress(1, 0, 0, 0, 0.0, 0.0, None, None)


def test_the_time_left_is_learned_from_files_of_the_same_kind() -> None:
    tally = Tally(files_total=3, started_s=100.0)
    tally.expect({0: source("a.wav", 1000), 1: source("b.wav", 3000), 2: source("c.wav", 1000)})
    assert tally.progress(110.0).eta_s is None
    tally.heard(0, 50.0, 110.0)
    tally.done(0, "")
    found = tally.progress(120.0)
    assert (found.audio_s, found.elapsed_s, found.speed) == (50.0, 20.0, 5.0)
    assert found.eta_s == pytest.approx((150.0 + 50.0) / 5.0)
    tally.heard(1, 100.0, 120.0)
    assert tally.progress(140.0).eta_s == pytest.approx((50.0 + 50.0) / 5.0)
    assert tally.progress(140.0).share == pytest.approx(1 / 3)


def test_a_file_is_counted_once_whatever_became_of_it() -> None:
    tally = Tally(files_total=5, started_s=0.0)
    tally.skipped("old.mp3", "")
    tally.skipped("cut.mp3", "cut off")
    tally.expect({2: source("c.mp3", 10), 3: source("d.mp3", 10), 4: source("e.mp3", 10)})
    tally.heard(2, 5.0, 0.0)
    tally.done(2, "")
    tally.refused(3, "empty")
    tally.heard(4, 5.0, 0.0)
    tally.done(4, "cut off too")
    now = tally.progress(1.0)
    assert (now.files_done, now.files_skipped, now.files_quarantined, now.share) == (2, 2, 1, 1.0)
    ended = outcome(tally, Listing((), 6), Path("out"), 10.0)
    assert (ended.exit_code, ended.files_done, ended.files_skipped, ended.files_quarantined) == (QUARANTINED, 2, 2, 3)
    assert [row.file for row in ended.quarantined] == ["cut.mp3", "d.mp3", "e.mp3"]
    assert ended.speed == 1.0
    assert ended.message.splitlines() == [
        "Transcribed 2 of 5 files into out: 10 s of sound in 10 s, 1.0 times as fast as it plays.",
        "2 had been finished before.",
        "6 hidden files and files with other endings were ignored.",
        "3 in quarantine, each with a note in out/quarantine.",
    ]


def test_a_job_without_trouble_ends_well() -> None:
    tally = Tally(files_total=1, started_s=0.0)
    tally.skipped("old.mp3", "")
    ended = outcome(tally, Listing((), 0), Path("out"), 0.1)
    assert (ended.exit_code, ended.speed) == (OK, None)
    assert ended.message == "Transcribed 0 of 1 files into out.\n1 had been finished before."


def test_files_that_a_worker_lost_make_the_job_fail_and_are_named() -> None:
    tally = Tally(files_total=SHOWN + 1, started_s=0.0)
    tally.expect({key: source(f"f{key}.mp3", 1) for key in range(SHOWN + 1)})
    tally.give_up()
    ended = outcome(tally, Listing((), 0), Path("out"), 1.0)
    assert (ended.exit_code, ended.files_lost, ended.files_quarantined) == (FAILED, SHOWN + 1, 0)
    assert "f0.mp3, f1.mp3" in ended.message
    assert ended.message.endswith("Run the job again: it goes on with what is missing.")


@pytest.mark.parametrize(("time_s", "text"), [(7.6, "8 s"), (190, "3 min 10 s"), (3720, "1 h 02 min")])
def test_times_are_written_for_people(time_s, text) -> None:
    assert span(time_s) == text
