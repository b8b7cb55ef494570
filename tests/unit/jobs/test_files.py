"""Which files a job reads, and under which names it writes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobs import files
from models.errors import InvalidRequest


def nobody(output: Path) -> None:
    return None


def make(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.fsencode(name))
    return folder


def outputs(*inputs: Path, output: Path, owner=nobody) -> dict[str, str]:
    return {source.name: source.output for source in files.find(inputs, output, owner).sources}


def test_folders_are_walked_and_names_keep_their_folders(tmp_path) -> None:
    make(tmp_path / "in", "b.mp3", "a/deep/talk.WAV", "a/other.flac")
    listing = files.find([tmp_path / "in"], tmp_path / "out", nobody)
    assert [(source.name, source.output, source.size_bytes) for source in listing.sources] == [
        ("a/deep/talk.WAV", "a/deep/talk", 15),
        ("a/other.flac", "a/other", 12),
        ("b.mp3", "b", 5),
    ]


def test_what_is_hidden_or_no_audio_is_ignored_and_counted(tmp_path) -> None:
    make(tmp_path / "in", "a.mp3", ".hidden.mp3", "notes.txt", "cover.jpg", ".git/b.mp3")
    (tmp_path / "in" / "folder.mp3").mkdir()
    os.mkfifo(tmp_path / "in" / "pipe.wav")
    listing = files.find([tmp_path / "in"], tmp_path / "out", nobody)
    assert [source.name for source in listing.sources] == ["a.mp3"]
    assert listing.ignored == 4


def test_a_file_that_is_named_is_taken_whatever_its_ending(tmp_path) -> None:
    make(tmp_path, "lecture.dat", ".hidden.wav")
    assert outputs(tmp_path / "lecture.dat", tmp_path / ".hidden.wav", output=tmp_path / "out") == {
        "lecture.dat": "lecture",
        ".hidden.wav": ".hidden",
    }


def test_a_file_given_twice_is_read_once(tmp_path) -> None:
    make(tmp_path / "in", "a.mp3")
    (tmp_path / "in" / "link.mp3").symlink_to("a.mp3")
    listing = files.find([tmp_path / "in", tmp_path / "in" / "a.mp3"], tmp_path / "out", nobody)
    assert [source.name for source in listing.sources] == ["a.mp3"]


def test_files_with_one_stem_get_outputs_of_their_own(tmp_path) -> None:
    make(tmp_path / "in", "talk.wav", "talk.mp3", "talk.wav.m4a", "else.wav")
    names = outputs(tmp_path / "in", output=tmp_path / "out")
    assert len(set(names.values())) == 4
    assert names["else.wav"] == "else"
    assert names["talk.mp3"] == "talk.mp3"


def test_a_file_that_joins_a_finished_one_of_its_stem_moves_nothing(tmp_path) -> None:
    make(tmp_path / "in", "talk.wav", "talk.mp3")
    owner = {tmp_path / "out" / "talk": "talk.wav"}.get
    assert outputs(tmp_path / "in", output=tmp_path / "out", owner=owner) == {
        "talk.wav": "talk",
        "talk.mp3": "talk.mp3",
    }


def test_files_of_one_name_in_two_inputs_get_outputs_and_notes_of_their_own(tmp_path) -> None:
    make(tmp_path / "one", "talk.wav")
    make(tmp_path / "two", "talk.wav")
    owner = {tmp_path / "out" / "talk": "talk.wav"}.get
    inputs = [tmp_path / "one", tmp_path / "two"]
    sources = files.find(inputs, tmp_path / "out", owner).sources
    assert len({source.output for source in sources}) == len({source.note for source in sources}) == 2
    assert sources == files.find(inputs, tmp_path / "out", owner).sources


def test_an_input_folder_called_quarantine_does_not_mix_with_notes(tmp_path) -> None:
    make(tmp_path / "in", "quarantine/talk.wav.m4a", "talk.wav")
    sources = files.find([tmp_path / "in"], tmp_path / "out", nobody).sources
    assert {source.output for source in sources}.isdisjoint({source.note for source in sources})


def test_the_output_folder_is_not_read_even_inside_an_input(tmp_path) -> None:
    make(tmp_path / "in", "a.mp3", "out/quarantine/b.mp3")
    assert outputs(tmp_path / "in", output=tmp_path / "in" / "out") == {"a.mp3": "a"}


@pytest.mark.parametrize("name", [b"caf\xe9.wav", b"two\nlines.wav", "日本語.wav".encode(), b"x" * 251 + b".wav"])
def test_any_name_that_a_disk_can_hold_can_be_read_shown_and_written(tmp_path, name) -> None:
    make(tmp_path / "in", os.fsdecode(name))
    (source,) = files.find([tmp_path / "in"], tmp_path / "out", nobody).sources
    source.name.encode()
    assert source.path.read_bytes() == name
    files.write({tmp_path / "out" / f"{source.output}.json": b"x", tmp_path / "out" / f"{source.note}.json": b"y"})


@pytest.mark.parametrize(
    ("made", "given", "sentence"),
    [
        ((), "gone", "There is no file or folder .*gone"),
        ((), "", r"There is no audio in .*\. Known endings: .*\.wav"),
        (("a.txt", "b.pdf"), "", r"There is no audio in .* \(2 files with other endings were ignored\)"),
    ],
)
def test_nothing_to_read_is_said_in_a_sentence(tmp_path, made, given, sentence) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    make(folder, *made)
    with pytest.raises(InvalidRequest, match=sentence):
        files.find([folder / given], tmp_path / "out", nobody)


def test_an_output_that_is_a_file_is_refused(tmp_path) -> None:
    make(tmp_path, "out")
    with pytest.raises(InvalidRequest, match="is a file"), files.held(tmp_path / "out"):
        pass


def test_an_output_that_cannot_be_made_is_refused(tmp_path) -> None:
    make(tmp_path, "file")
    with (
        pytest.raises(InvalidRequest, match="cannot be written to: Not a directory"),
        files.held(tmp_path / "file" / "x"),
    ):
        pass


def test_two_jobs_do_not_write_to_one_folder_and_a_killed_one_lets_go(tmp_path) -> None:
    code = (
        f"import pathlib, sys, jobs.files as f\nwith f.held(pathlib.Path({str(tmp_path)!r})): print(); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(files.__file__).parents[1]
    )
    assert other.stdout is not None
    other.stdout.readline()
    with pytest.raises(InvalidRequest, match="Another job is writing"), files.held(tmp_path):
        pass
    other.kill()
    other.wait(10)
    other.stdout.close()
    other.stdin.close()
    with files.held(tmp_path):
        assert list(tmp_path.iterdir()) == []


def test_files_are_replaced_whole_and_leave_nothing_beside_them(tmp_path) -> None:
    first, last = tmp_path / "a" / "x.txt", tmp_path / "a" / "x.json"
    files.write({first: b"one", last: b"two"})
    files.write({first: b"three", last: b"four"})
    assert (first.read_bytes(), last.read_bytes()) == (b"three", b"four")
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["x.json", "x.txt"]


def test_a_write_that_fails_leaves_the_old_files_and_no_new_one(tmp_path) -> None:
    first, last = tmp_path / "x.txt", tmp_path / "sub" / "x.json"
    files.write({first: b"one", last: b"two"})
    (tmp_path / "wall").write_bytes(b"")
    with pytest.raises(OSError, match=r"wall|exists|directory"):
        files.write({first: b"three", tmp_path / "wall" / "y.txt": b"", last: b"four"})
    assert (first.read_bytes(), last.read_bytes()) == (b"one", b"two")
