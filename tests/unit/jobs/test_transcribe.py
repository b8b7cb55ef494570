"""The whole job without Ray: the same stages, one after the other in this process, and a fake model."""

import json
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from tests_audio import cut, silence, tone, write

from jobs import transcribe
from jobs.files import Source
from jobs.progress import FAILED, OK, QUARANTINED, REFUSED, Outcome, Progress, from_line
from jobs.rows import HeardRow
from jobs.stages.decode import Decode
from jobs.stages.hear import Hear
from jobs.stages.worker import Workplace
from jobs.transcribe import TranscribeArgs, run
from models.errors import InvalidRequest
from models.fakes import FakeTranscriber

SOUND = np.concatenate([silence(0.5), tone(1.5), silence(1.0), tone(0.5)])


class Here:
    """The pipeline in this process; `stop_after` pieces it ends as a driver does that is killed."""

    def __init__(self, folder: Path, transcriber: FakeTranscriber, stop_after: int | None = None) -> None:
        self.place = Workplace(folder / "attempts")
        self.transcriber = transcriber
        self.stop_after = stop_after
        self.language = None

    def __call__(self) -> "Here":
        return self

    def hear(self, sources: Mapping[int, Source]) -> Iterator[HeardRow]:
        decode, hear = Decode(self.place), Hear(lambda: self.transcriber, self.language, self.place)
        count = 0
        for key, source in sources.items():
            for piece in decode({"source": key, "path": os.fsencode(source.path)}):
                if count == self.stop_after:
                    raise ConnectionError("killed")
                count += 1
                yield hear(piece)


class Bench:
    """A folder of inputs, one of outputs, and a fake model."""

    def __init__(self, folder: Path) -> None:
        self.inputs, self.output = folder / "in", folder / "out"
        self.transcriber = FakeTranscriber("alpha beta gamma")
        self.updates: list[Progress | Outcome] = []

    def run(self, stop_after: int | None = None, **args) -> Outcome:
        here = Here(self.output.parent, self.transcriber, stop_after)
        job = TranscribeArgs((self.inputs,), self.output, model="fake-transcriber", **args)
        return run(job, lambda: here.hear, self.updates.append)

    def names(self) -> list[str]:
        found = (path for path in self.output.rglob("*") if path.is_file())
        return sorted(str(path.relative_to(self.output)) for path in found)

    def document(self, name: str) -> dict:
        return json.loads((self.output / name).read_bytes())


@pytest.fixture
def bench(tmp_path) -> Bench:
    bench = Bench(tmp_path)
    write(bench.inputs / "a.wav", SOUND)
    write(bench.inputs / "talks" / "b.mp3", SOUND)
    return bench


def test_each_file_gets_four_files_beside_each_other(bench) -> None:
    ended = bench.run()
    assert (ended.exit_code, ended.files_done, ended.files_total, ended.files_ignored) == (OK, 2, 2, 0)
    assert ended.audio_s == pytest.approx(7.0, abs=0.1)
    endings = (".json", ".srt", ".txt", ".vtt")
    assert bench.names() == [f"a{end}" for end in endings] + [f"talks/b{end}" for end in endings]
    document = bench.document("a.json")
    assert [(segment["text"], segment["start_s"]) for segment in document["segments"]] == [
        ("alpha beta gamma", 0.5),
        ("alpha", 3.0),
    ]
    assert (document["file"], document["duration_s"], document["model"]) == ("a.wav", 3.5, "fake-transcriber")
    assert (bench.output / "a.txt").read_text() == "alpha beta gamma\nalpha\n"
    assert (bench.output / "a.srt").read_text().startswith("1\n00:00:00,500 --> 00:00:02,000\nalpha beta gamma\n\n2\n")


def test_a_second_run_hears_nothing_and_prepares_nothing(bench) -> None:
    bench.run()
    calls, before = bench.transcriber.calls, bench.document("a.json")

    def never() -> transcribe.Pipeline:
        raise AssertionError

    job = TranscribeArgs((bench.inputs,), bench.output, model="fake-transcriber")
    ended = run(job, never, bench.updates.append)
    assert (ended.exit_code, ended.files_done, ended.files_skipped) == (OK, 0, 2)
    assert (bench.transcriber.calls, bench.document("a.json")) == (calls, before)


def test_only_what_changed_is_heard_again(bench) -> None:
    bench.run()
    write(bench.inputs / "a.wav", tone(1.0))
    write(bench.inputs / "new.wav", SOUND)
    (bench.output / "talks" / "b.vtt").unlink()
    os.utime(bench.inputs / "talks" / "b.mp3")
    ended = bench.run()
    assert (ended.files_done, ended.files_skipped) == (3, 0)
    assert bench.document("a.json")["duration_s"] == 1.0
    assert bench.run().files_skipped == 3


def test_another_language_or_model_is_heard_anew(bench) -> None:
    bench.run()
    assert bench.run(language="fr").files_done == 2
    assert bench.document("a.json")["asked_language"] == "fr"
    assert bench.run(language="fr").files_skipped == 2
    document = bench.document("a.json") | {"model": "another"}
    (bench.output / "a.json").write_text(json.dumps(document))
    assert bench.run(language="fr").files_done == 1


def test_a_job_that_is_cut_short_goes_on_where_it_stopped(bench) -> None:
    with pytest.raises(ConnectionError):
        bench.run(stop_after=1)
    assert bench.names() == ["a.json", "a.srt", "a.txt", "a.vtt"]
    ended = bench.run()
    assert (ended.exit_code, ended.files_done, ended.files_skipped) == (OK, 1, 1)
    assert bench.transcriber.calls == 2


def test_a_bad_file_is_in_quarantine_with_its_reason_and_the_job_goes_on(bench) -> None:
    (bench.inputs / "empty.mp3").touch()
    (bench.inputs / "talks" / "text.wav").write_text("no sound")
    ended = bench.run()
    assert (ended.exit_code, ended.files_done, ended.files_quarantined) == (QUARANTINED, 2, 2)
    assert bench.document("quarantine/empty.mp3.json") == {
        "file": "empty.mp3",
        "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "bytes": 0,
        "reason": "The file is empty (0 bytes).",
    }
    assert "no audio" in bench.document("quarantine/talks/text.wav.json")["reason"]
    assert not list(bench.output.rglob("empty.json"))
    again = bench.run()
    assert (again.exit_code, again.files_skipped, again.files_quarantined) == (QUARANTINED, 2, 2)


def test_a_mended_file_leaves_quarantine(bench) -> None:
    (bench.inputs / "c.wav").touch()
    assert bench.run().exit_code == QUARANTINED
    write(bench.inputs / "c.wav", SOUND)
    ended = bench.run()
    assert (ended.exit_code, ended.files_done) == (OK, 1)
    assert not (bench.output / "quarantine" / "c.wav.json").exists()
    assert (bench.output / "c.json").exists()


def test_a_truncated_file_keeps_its_transcript_and_is_reported_every_time(bench) -> None:
    cut(write(bench.inputs / "c.mp3", np.tile(SOUND, 3)), 0.5, "cut.mp3")
    (bench.inputs / "c.mp3").unlink()
    ended = bench.run()
    assert (ended.exit_code, ended.files_done, ended.files_quarantined) == (QUARANTINED, 3, 1)
    reason = bench.document("quarantine/cut.mp3.json")["reason"]
    assert "cut off" in reason
    assert bench.document("cut.json")["warning"] == reason
    assert bench.document("cut.json")["segments"]
    again = bench.run()
    assert (again.exit_code, again.files_skipped, again.files_quarantined) == (QUARANTINED, 3, 1)


def test_an_output_that_somebody_broke_is_made_again(bench) -> None:
    bench.run()
    (bench.output / "a.json").write_bytes(b'{"version": 1, "sha256":')
    (bench.output / "talks" / "b.json").write_bytes(b"[]")
    assert bench.run().files_done == 2


def test_a_file_that_gets_no_answer_makes_the_job_fail_but_not_the_others(bench) -> None:
    def lossy(sources: Mapping[int, Source]) -> Iterator[HeardRow]:
        here = Here(bench.output.parent, bench.transcriber)
        return (row for row in here.hear(sources) if row["source"] != 0)

    job = TranscribeArgs((bench.inputs,), bench.output, model="fake-transcriber")
    ended = run(job, lambda: lossy, bench.updates.append)
    assert (ended.exit_code, ended.files_done, ended.files_lost) == (FAILED, 1, 1)
    assert "a.wav" in ended.message
    assert not (bench.output / "quarantine").exists()
    assert bench.run().files_done == 1


def test_progress_ends_with_everything_dealt_with(bench) -> None:
    (bench.inputs / "empty.mp3").touch()
    bench.run()
    first, *_, last = [update for update in bench.updates if isinstance(update, Progress)]
    assert (first.files_total, first.share) == (3, 0.0)
    assert (last.files_done, last.files_quarantined, last.share, last.eta_s) == (2, 1, 1.0, 0.0)


def test_two_runs_into_one_folder_do_not_mix(bench) -> None:
    started, go_on = threading.Event(), threading.Event()

    def slow(sources: Mapping[int, Source]) -> Iterator[HeardRow]:
        started.set()
        go_on.wait(30)
        return Here(bench.output.parent, bench.transcriber).hear(sources)

    job = TranscribeArgs((bench.inputs,), bench.output, model="fake-transcriber")
    other = threading.Thread(target=lambda: run(job, lambda: slow, bench.updates.append))
    other.start()
    assert started.wait(30)
    with pytest.raises(InvalidRequest, match="Another job is writing"):
        bench.run()
    go_on.set()
    other.join(30)
    assert bench.run().files_skipped == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["gone", "--output", "out"], "There is no file or folder gone."),
        (["empty", "--output", "out"], "There is no audio in empty. Known endings:"),
        (["in", "--output", "in/a.wav"], "in/a.wav is a file; the output goes into a folder."),
        (["in", "--output", "out", "--model", "whisper-huge"], "Use one of: whisper-tiny.en, whisper-base."),
        (["in", "--output", "out", "--model", "all-minilm-l6-v2"], "Use one of: whisper-tiny.en, whisper-base."),
    ],
)
def test_a_wrong_command_is_refused_in_one_sentence(tmp_path, monkeypatch, capsys, arguments, sentence) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    write(tmp_path / "in" / "a.wav", SOUND)
    assert transcribe.main(arguments) == REFUSED
    printed = capsys.readouterr()
    assert sentence in printed.err
    assert len(printed.err.splitlines()) == 1
    ended = from_line(printed.out.splitlines()[-1])
    assert isinstance(ended, Outcome)
    assert (ended.exit_code, ended.message) == (REFUSED, printed.err.strip())


@pytest.mark.parametrize("arguments", [[], ["in"], ["in", "--output", "out", "--workers", "0"]])
def test_an_incomplete_command_is_refused_with_its_usage(arguments, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        transcribe.main(arguments)
    assert ended.value.code == REFUSED
    assert "usage: python -m jobs.transcribe" in capsys.readouterr().err
