"""Where heard pieces become files: in the job's driver, where all of them meet."""

from collections.abc import Sequence

from jobs.files import Source
from jobs.gather import Gather, recording
from jobs.rows import HeardRow
from jobs.stages.write import Write
from jobs.tally import Tally


class Desk:
    """Takes pieces, writes files, keeps count. `waiting` are the sources, by number, that have no outcome yet."""

    def __init__(self, write: Write, tally: Tally, sources: Sequence[Source]) -> None:
        self.waiting: dict[int, Source] = {}
        self._write = write
        self._tally = tally
        self._gather = Gather()
        for key, source in enumerate(sources):
            warning = write.finished(source)
            if warning is None:
                self.waiting[key] = source
            else:
                tally.skipped(source.name, warning)
        tally.expect(self.waiting)

    def take(self, row: HeardRow, now_s: float) -> None:
        """One piece, at a moment of the tally's clock; a file's last to come writes it, or its note in quarantine."""
        key = row["source"]
        self._tally.heard(key, row["duration_s"], now_s - row["worked_s"])
        pieces = self._gather.add(row)
        if pieces is None:
            return
        source = self.waiting.pop(key)
        failures = [piece["failure"] for piece in pieces if piece["failure"]]
        if failures:
            self._refuse(key, source, failures[0], row["sha256"])
        else:
            whole = recording(source.name, pieces)
            self._write(source, whole)
            self._tally.done(key, whole.warning)

    def _refuse(self, key: int, source: Source, reason: str, sha256: str) -> None:
        self._write.quarantine(source, reason, sha256)
        self._tally.refused(key, reason)
