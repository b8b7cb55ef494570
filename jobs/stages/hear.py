"""Audio -> transcript, with one Transcriber an actor, loaded once."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jobs.gather import pack, shift
from jobs.rows import SAMPLE_RATE_HZ, HeardRow, PieceRow
from jobs.stages.worker import ATTEMPTS, Workplace
from models import weights
from models.engines.whisper import WhisperTranscriber
from models.errors import ModelError
from models.ports import Transcriber
from models.settings import ModelSettings


@dataclass(frozen=True, slots=True)
class WhisperLoader:
    """Loads a Whisper model where it is called: in an actor, which fetches the weights if its machine has none."""

    spec_id: str
    weights: str
    settings: ModelSettings

    def __call__(self) -> Transcriber:
        return WhisperTranscriber(self.spec_id, weights.fetch(self.weights, self.settings))


class Hear:
    """Transcribe each piece: in PieceRow -> out HeardRow, one for one.

    A piece that failed before passes through. A model that refuses a piece, or a process that dies of it, gives a row
    with `failure`.
    """

    def __init__(self, load: Callable[[], Transcriber], language: str | None, place: Workplace) -> None:
        self._attempts = place.enter()
        self._transcriber = load()
        self._language = language

    def __call__(self, row: PieceRow) -> HeardRow:
        began_s = time.monotonic()
        audio = np.frombuffer(row["audio"], dtype=np.float32)
        transcript, failure = (b"", row["failure"]) if row["failure"] else self._heard(row, audio)
        return HeardRow(
            source=row["source"],
            piece=row["piece"],
            last=row["last"],
            duration_s=len(audio) / SAMPLE_RATE_HZ,
            worked_s=time.monotonic() - began_s,
            transcript=transcript,
            sha256=row["sha256"],
            failure=failure,
            warning=row["warning"],
        )

    def _heard(self, row: PieceRow, audio: npt.NDArray[np.float32]) -> tuple[bytes, str]:
        """The packed transcript and "", or nothing and the sentence that says why."""
        key, place = f"hear-{row['source']}-{row['piece']}", f"The sound from {row['start_s']:.0f} s on"
        if not self._attempts.begin(key):
            return (
                b"",
                f"{place} could not be heard: the process died of it {ATTEMPTS} times, perhaps for want of memory.",
            )
        try:
            return pack(shift(self._transcriber.hear(audio, self._language), row["start_s"])), ""
        except ModelError as error:
            return b"", f"{place} could not be heard: {error}."
        finally:
            self._attempts.end(key)
