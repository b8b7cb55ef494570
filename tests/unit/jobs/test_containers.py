"""What a file says about its own length."""

import struct
from pathlib import Path

import pytest

from jobs.containers import ends_inside_a_frame, ends_inside_a_page, stated_duration_s


def wav(path: Path, data_bytes: int, stated_bytes: int, extra: bytes = b"") -> Path:
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 16_000, 32_000, 2, 16)
    data = b"data" + struct.pack("<I", stated_bytes) + bytes(data_bytes)
    path.write_bytes(b"RIFF" + struct.pack("<I", 0) + b"WAVE" + extra + fmt + data)
    return path


@pytest.mark.parametrize(("stated_bytes", "seconds"), [(64_000, 2.0), (0, None), (0xFFFFFFFF, None)])
def test_a_wav_states_its_data_unless_it_was_streamed(tmp_path, stated_bytes, seconds) -> None:
    assert stated_duration_s(wav(tmp_path / "a.wav", 100, stated_bytes), "wav", 1.0) == seconds


def test_other_chunks_of_a_wav_are_passed_over(tmp_path) -> None:
    path = wav(tmp_path / "a.wav", 10, 32_000, extra=b"LIST" + struct.pack("<I", 3) + b"abc\0")
    assert stated_duration_s(path, "wav", None) == 1.0


@pytest.mark.parametrize(
    "content", [b"", b"RIFF", b"RIFF0000WAVE", b"RIFF0000WAVEfmt \x04\0\0\0abcd", b"other bytes here"]
)
def test_a_broken_wav_states_nothing(tmp_path, content) -> None:
    (tmp_path / "a.wav").write_bytes(content)
    assert stated_duration_s(tmp_path / "a.wav", "wav", 1.0) is None


@pytest.mark.parametrize("tag", [b"Xing", b"Info", b"VBRI"])
def test_an_mp3_states_its_length_in_a_tag_behind_any_id3(tmp_path, tag) -> None:
    id3 = b"ID3\x04\x00\x00\x00\x00\x40\x00" + bytes(0x40 << 7)  # a cover picture of 8 KiB
    (tmp_path / "a.mp3").write_bytes(id3 + b"\xff\xfb\x90\x64" + bytes(32) + tag + bytes(300))
    assert stated_duration_s(tmp_path / "a.mp3", "mp3", 12.0) == 12.0
    (tmp_path / "b.mp3").write_bytes(b"\xff\xfb\x90\x64" + bytes(400))
    assert stated_duration_s(tmp_path / "b.mp3", "mp3", 12.0) is None


@pytest.mark.parametrize(
    ("header", "frame_bytes"),
    [
        (b"\xff\xfb\x90\x64", 417),  # MPEG-1, 128 kbit/s, 44.1 kHz
        (b"\xff\xfb\x92\x64", 418),  # the same, padded
        (b"\xff\xfb\x52\xc4", 209),  # 64 kbit/s
        (b"\xff\xf3\x84\xc4", 192),  # MPEG-2, 64 kbit/s, 24 kHz
    ],
)
def test_an_mp3_frame_states_its_own_length(header, frame_bytes) -> None:
    assert ends_inside_a_frame(header + bytes(frame_bytes - 5))
    assert not ends_inside_a_frame(header + bytes(frame_bytes - 4))


@pytest.mark.parametrize(
    "packet", [b"", b"TAG" + bytes(125), b"\xff\xfb\xf0\x64", b"\xff\xfb\x0c\x64", b"\xff\xfd\x90\x64"]
)
def test_what_is_no_mp3_frame_is_not_called_cut(packet) -> None:
    assert not ends_inside_a_frame(packet)


def test_an_ogg_that_ends_inside_its_last_page_is_cut(tmp_path) -> None:
    page = b"OggS\x00\x00" + bytes(20) + b"\x03" + b"\xff\xff\x10" + bytes(255 + 255 + 16)
    path = tmp_path / "a.ogg"
    for missing, cut in ((0, False), (1, True), (len(page) - 30, True), (len(page) - 20, True)):
        path.write_bytes(page + page[: len(page) - missing])
        assert ends_inside_a_page(path) is cut
    path.write_bytes(b"no page")
    assert not ends_inside_a_page(path)
