"""What a stage's process owes the machine it runs on: to step back behind serving, and not to die of one file for ever.

Ray starts a dead worker again and gives it the same task, without end. A file that kills its decoder would hold up the
job for good; its attempts are counted here, and it is given up and named.
"""

import os
from dataclasses import dataclass
from pathlib import Path

ATTEMPTS = 3  # a worker may also die of a lack of memory, or with its machine: once is no proof, three times are enough
NICENESS = 19  # the least urgent: serving replicas, at 0 on a laptop and at Ray's 15 elsewhere, go first on busy cores


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where a stage works: a folder of its machine, one for the run, and how far its process steps back."""

    attempts: Path
    niceness: int = 0

    def enter(self) -> "Attempts":
        """Take the place; called once a process."""
        os.nice(self.niceness)
        return Attempts(self.attempts)


class Attempts:
    """Counts by key, in a folder, how often work was begun and never ended, because the process died of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def begin(self, key: str) -> bool:
        """Count one; False when ATTEMPTS were begun before and none ended."""
        path = self._folder / key
        begun = path.stat().st_size if path.exists() else 0
        if begun >= ATTEMPTS:
            return False
        with path.open("ab") as file:
            file.write(b".")  # a byte an attempt
        return True

    def end(self, key: str) -> None:
        """It ended, well or with an error: the process lives."""
        (self._folder / key).unlink(missing_ok=True)
