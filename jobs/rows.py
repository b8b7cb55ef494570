"""What travels between the stages of `transcribe`: one row a piece of a recording, columns and units.

    SourceRow --Decode--> PieceRow --Hear--> HeardRow --gather--> Recording --Write--> files

A recording is cut into pieces so that memory stays bounded and one long file keeps every worker busy.
"""

from dataclasses import dataclass
from typing import TypedDict

from models.values import Segment

SAMPLE_RATE_HZ = 16_000  # what Whisper was trained on, and the port Transcriber asks for


class SourceRow(TypedDict):
    """One input file. `path` is bytes: names on disk need not be valid UTF-8, Arrow's strings must be."""

    source: int
    path: bytes


class PieceRow(TypedDict):
    """Some minutes of one file (`stages.decode.PIECE_S`).

    `audio` float32 (samples,) as bytes, mono, 16_000 Hz, in [-1, 1]; `start_s` from the start of the file; pieces count
    from 0 and `last` ends the file. `sha256` hex of the whole file. `failure`: why there is no audio (then this is the
    file's only row); `warning`: why there is less than the file promises (on its last row). Both are sentences or "".
    """

    source: int
    piece: int
    last: bool
    start_s: float
    audio: bytes
    sha256: str
    failure: str
    warning: str


class HeardRow(TypedDict):
    """One piece, heard. `transcript` is `jobs.gather.pack`ed, times from the start of the file; b"" on failure.

    `duration_s` is sound, `worked_s` how long hearing it took.
    """

    source: int
    piece: int
    last: bool
    duration_s: float
    worked_s: float
    transcript: bytes
    sha256: str
    failure: str
    warning: str


@dataclass(frozen=True, slots=True)
class HeardLanguage:
    """The language of one stretch of a recording, with the model's probability of it. Times in seconds."""

    start_s: float
    end_s: float
    language: str
    probability: float


@dataclass(frozen=True, slots=True)
class Recording:
    """One file, transcribed. `file` is its name relative to the input folder; times in seconds from its start.

    `language` is the one of most of the speech; `languages` tells it for each stretch. `warning`: why the transcript
    holds less than the file promised, a sentence or "".
    """

    file: str
    sha256: str
    duration_s: float
    model: str
    language: str
    language_probability: float
    languages: tuple[HeardLanguage, ...]
    segments: tuple[Segment, ...]
    warning: str = ""
