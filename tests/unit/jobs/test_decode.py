"""Sound files of every format, whole and broken, become pieces of 16 kHz mono."""

import hashlib
import os
import re
import struct
import wave
from pathlib import Path

import numpy as np
import pytest
from tests_audio import CODECS, RATE_HZ, cut, encode, silence, tone, write

from jobs.rows import PieceRow
from jobs.stages import decode
from jobs.stages.decode import Decode
from jobs.stages.worker import ATTEMPTS, Attempts, Workplace

SOUND = np.concatenate([tone(2.0), silence(0.5), tone(1.5, 330.0)])  # 4 s


def pieces(path: Path) -> list[PieceRow]:
    return list(Decode(Workplace(path.parent / "attempts"))({"source": 3, "path": os.fsencode(path)}))


def samples(rows: list[PieceRow]) -> np.ndarray:
    return np.concatenate([np.frombuffer(row["audio"], np.float32) for row in rows])


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    length = min(len(one), len(other))
    return float(np.corrcoef(one[:length], other[:length])[0, 1])


@pytest.mark.parametrize("ending", CODECS)
@pytest.mark.parametrize("layout", ["mono", "stereo"])
def test_every_format_gives_the_sound_that_went_in(tmp_path, ending, layout) -> None:
    path = write(tmp_path / f"a{ending}", SOUND, layout)
    (row,) = pieces(path)
    found = samples([row])
    assert (row["failure"], row["warning"]) == ("", "")
    assert (row["source"], row["piece"], row["last"], row["start_s"]) == (3, 0, True, 0.0)
    assert row["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert len(found) == pytest.approx(len(SOUND), abs=0.1 * RATE_HZ)
    assert np.abs(found).max() <= 1.0
    envelope = [np.abs(part[: 4 * RATE_HZ - 800]).reshape(-1, 800).mean(axis=1) for part in (found, SOUND)]
    assert likeness(*envelope) > 0.95


def test_an_unusual_wav_is_the_sound_that_went_in(tmp_path) -> None:
    path = encode(tmp_path / "a.wav", SOUND, ("pcm_f32le", "wav", 48_000), "stereo")
    (row,) = pieces(path)
    assert likeness(samples([row]), SOUND) > 0.99


def test_infinite_and_absurd_samples_become_sound(tmp_path) -> None:
    values = np.concatenate([SOUND[:1000], np.array([np.nan, np.inf, -np.inf, 1e30, -7.0], np.float32), SOUND[:1000]])
    data = values.astype("<f4").tobytes()
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 3, 1, RATE_HZ, 4 * RATE_HZ, 4, 32)
    path = tmp_path / "a.wav"
    path.write_bytes(
        b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVE" + fmt + b"data" + struct.pack("<I", len(data)) + data
    )
    (row,) = pieces(path)
    assert samples([row])[1000:1005].tolist() == [0.0, 1.0, -1.0, 1.0, -1.0]


def test_a_long_recording_comes_in_pieces_cut_at_quiet_moments(tmp_path) -> None:
    """110 s of hum with a pause of one second in every ten, in pieces of a minute."""
    period = np.concatenate([tone(9.0), silence(1.0)])
    whole = np.tile(period, 11)
    path = tmp_path / "long.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes((whole * 32767).astype("<i2").tobytes())
    rows = list(Decode(Workplace(tmp_path / "attempts"), piece_s=60.0)({"source": 3, "path": os.fsencode(path)}))
    lengths_s = [len(samples([row])) / RATE_HZ for row in rows]
    assert [row["piece"] for row in rows] == [0, 1, 2]
    assert [row["last"] for row in rows] == [False, False, True]
    assert sum(lengths_s) == pytest.approx(110.0)
    assert [row["start_s"] for row in rows] == pytest.approx([0.0, lengths_s[0], lengths_s[0] + lengths_s[1]])
    assert all(60.0 - decode.QUIET_SEARCH_S <= length_s <= 61.0 for length_s in lengths_s[:2])
    assert all(row["start_s"] % 10 > 9 for row in rows[1:])  # inside a pause
    np.testing.assert_allclose(samples(rows), whole, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.mp3", b"", r"The file is empty \(0 bytes\)\."),
        ("text.wav", b"This is a text and not a sound.\n" * 40, "no audio that can be read"),
        ("text.mp3", b"This is a text and not a sound.\n" * 400, "no audio that can be read"),
        ("random.flac", np.random.default_rng(1).bytes(50_000), "no audio that can be read|no sound track"),
        ("header.wav", b"RIFF\x24\x00\x00\x00WAVEfmt ", "no audio that can be read"),
    ],
)
def test_what_is_no_sound_fails_with_a_sentence(tmp_path, name, content, reason) -> None:
    (tmp_path / name).write_bytes(content)
    (row,) = pieces(tmp_path / name)
    assert row["audio"] == b""
    assert row["last"]
    assert re.search(reason, row["failure"])


def test_a_file_that_is_gone_or_a_folder_fails_with_the_systems_reason(tmp_path) -> None:
    assert pieces(tmp_path / "gone.mp3")[0]["failure"] == "The file cannot be read: No such file or directory."
    assert pieces(tmp_path)[0]["failure"] == "The file cannot be read: Is a directory."


def test_a_playlist_cannot_make_the_decoder_open_other_files(tmp_path) -> None:
    write(tmp_path / "secret.aac", SOUND)
    playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nsecret.aac\n#EXT-X-ENDLIST\n"
    concat = "ffconcat version 1.0\nfile secret.aac\n"
    for name, text in (("a.mp3", playlist), ("b.m3u8", playlist), ("c.mp3", concat)):
        (tmp_path / name).write_text(text)
        assert "no audio that can be read" in pieces(tmp_path / name)[0]["failure"]


@pytest.mark.parametrize("ending", [".wav", ".mp3", ".flac", ".ogg"])
@pytest.mark.parametrize("share", [0.95, 0.6, 0.3])
def test_a_file_that_was_cut_off_gives_what_is_there_and_a_warning(tmp_path, ending, share) -> None:
    sound = np.tile(SOUND, 3) + np.random.default_rng(0).normal(0, 0.01, 12 * RATE_HZ).astype(np.float32)
    path = write(tmp_path / f"whole{ending}", sound)
    (row,) = pieces(cut(path, share, f"cut{ending}"))
    assert row["failure"] == ""
    assert "cut off" in row["warning"]
    assert len(samples([row])) / RATE_HZ == pytest.approx(12.0 * share, abs=1.5)


def test_an_mp3_without_a_length_tag_that_was_cut_off_warns_too(tmp_path) -> None:
    path = write(tmp_path / "whole.mp3", np.tile(SOUND, 3), options={"write_xing": "0"})
    assert pieces(path)[0]["warning"] == ""
    (row,) = pieces(cut(path, 0.5, "cut.mp3"))
    assert "cut off" in row["warning"]


def test_an_m4a_cut_before_its_index_fails_and_one_behind_it_warns(tmp_path) -> None:
    tail = write(tmp_path / "tail.m4a", np.tile(SOUND, 3))
    assert "cut off" in pieces(cut(tail, 0.6, "cut_tail.m4a"))[0]["failure"]
    head = write(tmp_path / "head.m4a", np.tile(SOUND, 3), options={"movflags": "+faststart"})
    assert "cut off" in pieces(cut(head, 0.6, "cut_head.m4a"))[0]["warning"]


def test_a_file_with_a_hole_warns(tmp_path) -> None:
    path = write(tmp_path / "a.mp3", np.tile(SOUND, 3))
    content = bytearray(path.read_bytes())
    third = len(content) // 3
    content[third : 2 * third] = bytes(third)
    path.write_bytes(content)
    assert "could be decoded" in pieces(path)[0]["warning"]


def test_an_mp3_of_changing_bit_rate_without_a_tag_is_not_called_cut(tmp_path) -> None:
    """FFmpeg guesses its length from the first frames: silence, which takes the fewest bits."""
    sound = np.concatenate([silence(4.0), np.random.default_rng(0).normal(0, 0.3, 8 * RATE_HZ).astype(np.float32)])
    path = write(tmp_path / "a.mp3", sound, options={"write_xing": "0"})
    assert pieces(path)[0]["warning"] == ""


def test_a_video_without_sound_says_so(tmp_path) -> None:
    import av

    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode(None))
    assert pieces(path)[0]["failure"] == "The file holds no sound track."


def test_a_file_of_which_the_process_died_before_is_given_up(tmp_path) -> None:
    path = write(tmp_path / "a.wav", SOUND)
    attempts = Attempts(tmp_path / "attempts")
    for _ in range(ATTEMPTS):
        attempts.begin("decode-3")
    assert "ended the process 3 times" in pieces(path)[0]["failure"]
