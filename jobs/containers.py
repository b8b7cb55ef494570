"""What an audio file says about its own length, and whether its end is there. Knows formats, decodes nothing.

FFmpeg reads a file that was cut off without complaint, and where a header states no length it guesses one from the bit
rate of the first frames. Only what the file itself states counts here.
"""

import os
import struct
from pathlib import Path
from typing import BinaryIO

# Sizes that writers put when they stream and cannot know: none, or the largest number of the field.
_PLAIN_CODECS = frozenset({1, 3, 6, 7, 0xFFFE})  # PCM, float, A-law, µ-law, and PCM with more channels or bits
_UNKNOWN_SIZES = frozenset({0, 0x7FFFFFFF, 0xFFFFFFFF})
# ISO 11172-3 §2.4.2.3 and ISO 13818-3 §2.4.2.3, Layer III.
_MPEG1_KBPS = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MPEG2_KBPS = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_MPEG1_HZ = (44_100, 48_000, 32_000)
_TAIL_BYTES = 1 << 17  # an Ogg page is at most 65,307 bytes
_FIRST_FRAME_BYTES = 4096  # an MP3 frame is at most 1,441 bytes, and the tag stands in the first


def stated_duration_s(path: Path, container: str, measured_s: float | None) -> float | None:
    """The seconds of audio that the file states, None where it states none.

    `container` is FFmpeg's name of the format and `measured_s` the duration FFmpeg reports for the audio stream.
    """
    if container == "wav":
        with path.open("rb") as file:
            return _wav_duration_s(file)
    if container == "mp3":
        with path.open("rb") as file:
            return measured_s if _has_length_tag(file) else None
    if container == "flac" or container.startswith("mov"):
        return measured_s
    return None  # Ogg: FFmpeg reads it off the last page that is there. ADTS and others: guessed


def ends_inside_a_page(path: Path) -> bool:
    """Whether the last Ogg page of the file is incomplete. False for a file without any."""
    size_bytes = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size_bytes - _TAIL_BYTES))
        tail = file.read()
    at = tail.rfind(b"OggS")
    if at < 0:
        return False
    header = tail[at : at + 27]
    if len(header) < 27:
        return True
    lacing = tail[at + 27 : at + 27 + header[26]]
    return len(lacing) < header[26] or len(tail) < at + 27 + header[26] + sum(lacing)


def ends_inside_a_frame(packet: bytes) -> bool:
    """Whether an MP3 packet is shorter than its header says. False for what is no Layer III header."""
    if len(packet) < 4 or packet[0] != 0xFF or packet[1] & 0xE6 != 0xE2:  # sync, and Layer III
        return False
    version, bit_rate_index, rate_index = packet[1] >> 3 & 3, packet[2] >> 4, packet[2] >> 2 & 3
    if version == 1 or bit_rate_index in (0, 15) or rate_index == 3:  # reserved, or free format
        return False
    mpeg1 = version == 3
    bit_rate = (_MPEG1_KBPS if mpeg1 else _MPEG2_KBPS)[bit_rate_index] * 1000
    sample_rate_hz = _MPEG1_HZ[rate_index] >> (0 if mpeg1 else 1 if version == 2 else 2)
    frame_bytes = (144 if mpeg1 else 72) * bit_rate // sample_rate_hz + (packet[2] >> 1 & 1)
    return len(packet) < frame_bytes


def _wav_duration_s(file: BinaryIO) -> float | None:
    """Seconds of the `data` chunk as its header states them; None for codecs whose byte rate is but an average."""
    riff = file.read(12)
    if len(riff) < 12 or riff[:4] != b"RIFF":
        return None
    bytes_per_s = 0
    while len(header := file.read(8)) == 8:
        name, size_bytes = header[:4], struct.unpack("<I", header[4:])[0]
        if name == b"data":
            return size_bytes / bytes_per_s if bytes_per_s and size_bytes not in _UNKNOWN_SIZES else None
        if name == b"fmt ":
            fmt = file.read(size_bytes + size_bytes % 2)
            plain = len(fmt) >= 12 and struct.unpack("<H", fmt[:2])[0] in _PLAIN_CODECS
            bytes_per_s = struct.unpack("<I", fmt[8:12])[0] if plain else 0
        else:
            file.seek(size_bytes + size_bytes % 2, os.SEEK_CUR)  # chunks are padded to even lengths
    return None


def _has_length_tag(file: BinaryIO) -> bool:
    """Whether the first MP3 frame carries a Xing, Info or VBRI tag, which counts the frames."""
    start = 0
    id3 = file.read(10)
    if id3[:3] == b"ID3" and len(id3) == 10:
        size = 0
        for byte in id3[6:10]:
            size = size << 7 | byte & 0x7F  # four bytes of seven bits
        start = 10 + size + (10 if id3[5] & 0x10 else 0)  # flag 0x10: a footer as long as the header
    file.seek(start)
    frame = file.read(_FIRST_FRAME_BYTES)
    return any(tag in frame for tag in (b"Xing", b"Info", b"VBRI"))
