"""Counts as a job goes, how long the rest may take, and what to say at the end. Pure: the clock is an argument."""

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jobs.files import QUARANTINE, Listing, Source, display
from jobs.progress import FAILED, OK, QUARANTINED, Outcome, Progress, Quarantined, span

SHOWN = 20  # names at the end of a job; the folder quarantine has them all
# Seconds of sound in a byte, for the time that is left, until a file of the ending has been heard: CD-like rates for
# uncompressed sound, 64-128 kbit/s for compressed, a small picture for video.
_BYTES_PER_S = defaultdict(lambda: 12_000.0, {".wav": 64_000.0, ".flac": 32_000.0, ".mp4": 100_000.0})


@dataclass(slots=True)
class Tally:
    """Counts as the job goes, and how long the rest may take. One per run; `started_s` is from a monotonic clock."""

    files_total: int
    started_s: float
    files_done: int = 0
    files_skipped: int = 0
    audio_s: float = 0.0
    quarantined: list[Quarantined] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    _refused: int = 0
    _hearing_since_s: float = math.inf
    _waiting: dict[int, Source] = field(default_factory=dict)
    _heard_s: dict[int, float] = field(default_factory=lambda: defaultdict(float))
    _known: dict[str, tuple[float, float]] = field(default_factory=dict)

    def skipped(self, file: str, warning: str) -> None:
        """A file was finished by an earlier run; with a warning it is in quarantine still."""
        self.files_skipped += 1
        if warning:
            self.quarantined.append(Quarantined(file, warning))

    def expect(self, sources: Mapping[int, Source]) -> None:
        """These are to be heard."""
        self._waiting.update(sources)

    def heard(self, source: int, audio_s: float, began_s: float) -> None:
        """A piece of a file was heard, from a moment of the clock on."""
        self._hearing_since_s = min(self._hearing_since_s, began_s)
        self.audio_s += audio_s
        self._heard_s[source] += audio_s

    def done(self, source: int, warning: str) -> None:
        """A file is written; with a warning it is in quarantine as well."""
        self.files_done += 1
        file = self._waiting.pop(source)
        suffix, audio_s = file.path.suffix.lower(), self._heard_s.pop(source, 0.0)
        bytes_before, s_before = self._known.get(suffix, (0.0, 0.0))
        self._known[suffix] = (bytes_before + file.size_bytes, s_before + audio_s)
        if warning:
            self.quarantined.append(Quarantined(file.name, warning))

    def refused(self, source: int, reason: str) -> None:
        """A file gave nothing and is in quarantine."""
        self._refused += 1
        self._heard_s.pop(source, None)
        self.quarantined.append(Quarantined(self._waiting.pop(source).name, reason))

    def give_up(self) -> None:
        """No more pieces come: what is still waited for is lost."""
        self.lost += [file.name for file in self._waiting.values()]
        self._waiting.clear()

    def progress(self, now_s: float) -> Progress:
        """Where the job stands at a moment of the same clock."""
        hearing_s = now_s - self._hearing_since_s
        speed = self.audio_s / hearing_s if self.audio_s and hearing_s > 0 else None
        left_s = sum(
            max(0.0, self._length_s(file) - self._heard_s.get(key, 0.0)) for key, file in self._waiting.items()
        )
        return Progress(
            files_total=self.files_total,
            files_done=self.files_done,
            files_skipped=self.files_skipped,
            files_quarantined=self._refused,
            audio_s=round(self.audio_s, 3),
            elapsed_s=round(now_s - self.started_s, 3),
            speed=round(speed, 3) if speed else None,
            eta_s=round(left_s / speed, 1) if speed else None,
        )

    def _length_s(self, file: Source) -> float:
        known_bytes, known_s = self._known.get(file.path.suffix.lower(), (0.0, 0.0))
        bytes_per_s = known_bytes / known_s if known_s else _BYTES_PER_S[file.path.suffix.lower()]
        return file.size_bytes / bytes_per_s


def outcome(tally: Tally, listing: Listing, output: Path, elapsed_s: float) -> Outcome:
    """How a run ended that did not fail as a whole."""
    quarantined = sorted(tally.quarantined, key=lambda row: row.file)
    exit_code = FAILED if tally.lost else QUARANTINED if quarantined else OK
    speed = tally.audio_s / elapsed_s if tally.files_done else None
    lines = [f"Transcribed {tally.files_done} of {tally.files_total} files into {display(output)}"]
    if speed:
        times = f"{span(tally.audio_s)} of sound in {span(elapsed_s)}, {speed:.1f} times as fast as it plays"
        lines[0] += f": {times}"
    lines[0] += "."
    if tally.files_skipped:
        lines.append(f"{tally.files_skipped} had been finished before.")
    if listing.ignored:
        lines.append(f"{listing.ignored} hidden files and files with other endings were ignored.")
    if quarantined:
        lines.append(f"{len(quarantined)} in quarantine, each with a note in {display(output / QUARANTINE)}.")
    if tally.lost:
        names = ", ".join(tally.lost[:SHOWN]) + (" ..." if len(tally.lost) > SHOWN else "")
        lines.append(f"{len(tally.lost)} got no answer, because a worker failed; the log says why: {names}.")
        lines.append("Run the job again: it goes on with what is missing.")
    return Outcome(
        exit_code=exit_code,
        message="\n".join(lines),
        files_total=tally.files_total,
        files_done=tally.files_done,
        files_skipped=tally.files_skipped,
        files_ignored=listing.ignored,
        files_quarantined=len(quarantined),
        files_lost=len(tally.lost),
        audio_s=round(tally.audio_s, 3),
        elapsed_s=round(elapsed_s, 3),
        speed=round(speed, 3) if speed else None,
        quarantined=tuple(quarantined[:SHOWN]),
    )
