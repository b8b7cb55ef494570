"""A file's bytes -> pieces of float32 mono 16 kHz audio (PyAV). Knows formats, knows nothing of speech."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from jobs.containers import ends_inside_a_frame, ends_inside_a_page, stated_duration_s
from jobs.files import digest
from jobs.rows import SAMPLE_RATE_HZ, PieceRow, SourceRow
from jobs.stages.worker import ATTEMPTS, Workplace

if TYPE_CHECKING:
    import av

Samples = npt.NDArray[np.float32]

# 10 minutes are 38 MB. Each piece costs half a 30 s window (its last is not full) and, unless the language is given,
# one more encoding to detect it: 4 % of whisper-base's work on 10 minutes, 8 % on 5.
PIECE_S = 600.0
BATCH_S = 4.0  # of sound that is resampled at once
QUIET_SEARCH_S = 30.0  # a piece is cut at the quietest moment of its last 30 s: readers pause every 2-10 s
QUIET_S = 0.3  # as long as a pause between words that is no stop consonant
TOLERANCE_S = 0.25  # encoder delay and padding make up to 0.1 s of difference in files that are whole
# Only formats that hold sound themselves: playlists (HLS, concat) make FFmpeg open other files and addresses.
FORMATS = "wav,w64,mp3,mov,mp4,m4a,flac,ogg,aac,matroska,webm"


class Undecodable(Exception):
    """No sound comes out of the file; the message is the sentence for the quarantine."""


class Decode:
    """Cut each file into pieces: in SourceRow -> out PieceRow, at least one a file, in order.

    Never raises for a bad file: one from which no sound comes, or of which the process died, gives one row with
    `failure`; one that holds less than it states gives what there is, and `warning` on its last row.
    """

    def __init__(self, place: Workplace, piece_s: float = PIECE_S) -> None:
        self._attempts = place.enter()
        self._piece_s = piece_s

    def __call__(self, row: SourceRow) -> Iterator[PieceRow]:
        key = f"decode-{row['source']}"
        if not self._attempts.begin(key):
            yield _failed(row, "", f"Decoding the file ended the process {ATTEMPTS} times: it is damaged, or hostile.")
            return
        yield from self._decoded(row)
        self._attempts.end(key)

    def _decoded(self, row: SourceRow) -> Iterator[PieceRow]:
        path = Path(os.fsdecode(row["path"]))
        sha256 = ""
        try:
            sha256 = digest(path)
            decoding = _Decoding(path)
            start_s = 0.0
            for piece, (audio, last) in enumerate(_with_last(_pieces(decoding.samples(), self._piece_s))):
                yield PieceRow(
                    source=row["source"],
                    piece=piece,
                    last=last,
                    start_s=start_s,
                    audio=audio.tobytes(),
                    sha256=sha256,
                    failure="",
                    warning=decoding.warning() if last else "",
                )
                start_s += len(audio) / SAMPLE_RATE_HZ
        except Undecodable as error:
            yield _failed(row, sha256, str(error))
        except OSError as error:
            yield _failed(row, sha256, f"The file cannot be read: {error.strerror}.")


def _failed(row: SourceRow, sha256: str, reason: str) -> PieceRow:
    source = row["source"]
    return PieceRow(
        source=source, piece=0, last=True, start_s=0.0, audio=b"", sha256=sha256, failure=reason, warning=""
    )


class _Decoding:
    """One file on its way through FFmpeg; afterwards it knows whether all of it came out."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._container = ""
        self._stated_s: float | None = None
        self._decoded = 0
        self._unreadable_s = 0.0
        self._ends_early = False

    def samples(self) -> Iterator[Samples]:
        """Mono 16 kHz as it is decoded, some seconds at a time. Raises Undecodable, OSError."""
        import av  # noqa: PLC0415  0.1 s and 60 MB of shared libraries: only workers decode

        if self._path.stat().st_size == 0:
            raise Undecodable("The file is empty (0 bytes).")
        try:
            container = av.open(str(self._path), options={"format_whitelist": FORMATS}, metadata_errors="ignore")
        except av.FFmpegError as error:
            raise Undecodable(
                f"The file is no audio that can be read ({error.strerror}): it may be of another type, or its index "
                "may be missing because it was cut off."
            ) from error
        with container:
            stream = container.streams.best("audio")
            if stream is None:
                raise Undecodable("The file holds no sound track.")
            self._container = container.format.name
            measured_s = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else None
            self._stated_s = stated_duration_s(self._path, self._container, measured_s)
            for frame in _resampled(self._frames(container, stream)):
                chunk = _clean(frame.to_ndarray()[0])
                self._decoded += len(chunk)
                yield chunk
        if self._decoded == 0:
            raise Undecodable("No sound could be decoded from the file: it is damaged, or not what its name says.")

    def warning(self) -> str:
        """Why there is less sound than there should be, or "". Right once `samples` has ended."""
        decoded_s = self._decoded / SAMPLE_RATE_HZ
        partial = "The transcript holds what was there."
        if self._stated_s is not None and self._stated_s - decoded_s > TOLERANCE_S:
            states = f"it states {self._stated_s:.1f} s and {decoded_s:.1f} s of sound could be decoded"
            return f"The file is cut off or damaged: {states}. {partial}"
        if self._unreadable_s > TOLERANCE_S:
            lost = f"{self._unreadable_s:.1f} s of it could not be decoded beside the {decoded_s:.1f} s that could"
            return f"The file is damaged: {lost}. {partial}"
        if self._ends_early or (self._container == "ogg" and ends_inside_a_page(self._path)):
            return f"The file is cut off: it ends in the middle of a block, after {decoded_s:.1f} s of sound. {partial}"
        return ""

    def _frames(self, container: Any, stream: Any) -> "Iterator[av.AudioFrame]":
        """As they stand in the file. A packet that cannot be decoded is counted and passed over."""
        import av  # noqa: PLC0415  loaded already

        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError:  # the container itself breaks off
                self._ends_early = True
                return
            if packet is None:
                return
            if self._container == "mp3" and packet.size:
                self._ends_early = ends_inside_a_frame(bytes(packet))  # what the last one leaves, counts
            try:
                yield from packet.decode()
            except av.FFmpegError:
                self._unreadable_s += float((packet.duration or 0) * (packet.time_base or 0))


def _resampled(frames: "Iterator[av.AudioFrame]") -> "Iterator[av.AudioFrame]":
    """Frames of mono float32 at 16 kHz. A stream may change its rate or channels on the way.

    Frames of a codec hold 20 ms; resampled one by one they cost more than decoding them (MP3, CPU ms per minute of
    sound, 2026-11: decoding 53, with each frame resampled 199, with BATCH_S of them together 81).
    """
    import av  # noqa: PLC0415  loaded already

    queue: av.AudioFifo | None = None
    resampler: av.AudioResampler | None = None
    shape: tuple[str, str, int] | None = None
    for frame in frames:
        found = (frame.format.name, frame.layout.name, frame.sample_rate)
        if queue is None or resampler is None or found != shape:
            if queue is not None and resampler is not None:
                yield from _drained(queue, resampler)
            queue, shape = av.AudioFifo(), found
            resampler = av.AudioResampler(format="fltp", layout="mono", rate=SAMPLE_RATE_HZ)
        frame.pts = None  # sound is laid end to end; gaps that time stamps may tell of are not filled
        queue.write(frame)
        if queue.samples >= BATCH_S * frame.sample_rate and (batch := queue.read()) is not None:
            yield from resampler.resample(batch)
    if queue is not None and resampler is not None:
        yield from _drained(queue, resampler)


def _drained(queue: "av.AudioFifo", resampler: "av.AudioResampler") -> "Iterator[av.AudioFrame]":
    if queue.samples and (batch := queue.read()) is not None:
        yield from resampler.resample(batch)
    yield from resampler.resample(None)


def _clean(samples: Samples) -> Samples:
    """Finite and in [-1, 1]: float files may hold anything."""
    finite: Samples = np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0)
    return finite.clip(-1.0, 1.0)


def _pieces(chunks: Iterator[Samples], piece_s: float) -> Iterator[Samples]:
    """Join chunks into pieces of at most `piece_s` (and one chunk), each cut at a quiet moment."""
    held: list[Samples] = []
    count = 0
    for chunk in chunks:
        held.append(chunk)
        count += len(chunk)
        if count >= piece_s * SAMPLE_RATE_HZ:
            audio = np.concatenate(held)
            cut = _quiet_moment(audio)
            yield audio[:cut]
            held, count = [audio[cut:]], len(audio) - cut
    if count:
        yield np.concatenate(held)


def _quiet_moment(audio: Samples) -> int:
    """Index of the middle of the quietest QUIET_S within the last QUIET_SEARCH_S."""
    window = round(QUIET_S * SAMPLE_RATE_HZ)
    search = audio[-round(QUIET_SEARCH_S * SAMPLE_RATE_HZ) :].astype(np.float64)
    energy = np.concatenate(([0.0], np.cumsum(search**2)))
    quietest = int(np.argmin(energy[window:] - energy[:-window]))
    return len(audio) - len(search) + quietest + window // 2


def _with_last(pieces: Iterator[Samples]) -> Iterator[tuple[Samples, bool]]:
    """Each piece, and whether none follows."""
    held: Samples | None = None
    for piece in pieces:
        if held is not None:
            yield held, False
        held = piece
    if held is not None:
        yield held, True
