"""The cache folder of weights: what lies there, whether it still is what was verified, who may write. Fetches nothing.

ROOT/NAME/...            the files of a model, each renamed into place whole
ROOT/.verified/NAME.json which file had which digest, by size and times: a start compares these instead of hashing
ROOT/.locks/NAME         held by the one process that fetches NAME
ROOT/.partial/NAME/*     what a fetch is writing; left behind only by a process that was killed
"""

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from models.errors import ModelUnavailable, WeightsMismatch
from models.weights_lock import WeightFile, WeightRow

WAIT_POLL_S = 0.2  # between two looks at a lock that another process holds; a fetch takes seconds to minutes
Stamp = tuple[int, int, int, str]
"""Size in bytes, modification and change time in ns, sha256. Both times, because a copy can restore only the first."""


class WeightsCache:
    """One cache folder, shared by any number of processes. Only `alone` and `keep` write models."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def folder(self, row: WeightRow) -> Path:
        """Where the model's files lie, or will."""
        return self._root / row.name

    def missing(self, row: WeightRow) -> tuple[WeightFile, ...]:
        """The files that a fetch has to bring. Raises WeightsMismatch for a file that is there and is damaged."""
        return tuple(file for file in row.files if not self.holds(row, file))

    def holds(self, row: WeightRow, file: WeightFile, *, rehash: bool = False) -> bool:
        """Whether the file is there and is the pinned one; hashed unless it is unchanged since it last was.

        False also for a file that is intact and was pinned by another version of the lock: it may be replaced.
        Raises WeightsMismatch when it is neither: cut short, overwritten or rotten. Nothing is deleted.
        """
        path = self.folder(row) / file.path
        try:
            found = path.stat()
        except FileNotFoundError:
            return False
        stamps = self._stamps(row)
        stamp = stamps.get(file.path)
        times = (found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        if stamp is not None and stamp[:3] == times and not rehash:
            return stamp[3] == file.sha256
        known_sizes = {file.bytes} if stamp is None else {file.bytes, stamp[0]}
        digest = sha256_of(path) if found.st_size in known_sizes else None
        if digest == file.sha256:
            self._save_stamps(row, {**stamps, file.path: (*times, digest)})
            return True
        if stamp is not None and digest == stamp[3]:
            return False
        raise WeightsMismatch(
            str(path),
            describe(file.bytes, file.sha256),
            describe(found.st_size, digest),
            f"Delete it, or run `python -m models.weights verify --repair {row.name}`, and it is fetched again.",
        )

    @contextmanager
    def alone(self, row: WeightRow, timeout_s: float, waiting: Callable[[], None]) -> Iterator[Path]:
        """Be the only process that fetches this model; gives an empty folder on the cache's disk to write in.

        The lock is the kernel's: it ends with its process, however that ends. `waiting` is called once when another
        holds it. Raises ModelUnavailable after `timeout_s`.
        """
        locks, partial = self._root / ".locks", self._root / ".partial" / row.name
        locks.mkdir(parents=True, exist_ok=True)
        with (locks / row.name).open("w") as lock:
            deadline_s = time.monotonic() + timeout_s
            while not _taken(lock.fileno()):
                if time.monotonic() > deadline_s:
                    raise ModelUnavailable(row.name, f"another process has been fetching it for {timeout_s:g} s")
                waiting()
                waiting = _nothing
                time.sleep(WAIT_POLL_S)
            shutil.rmtree(partial, ignore_errors=True)  # of processes that were killed: the lock is ours
            partial.mkdir(parents=True)
            # A new name each time: the pip of a killed process may live a moment longer, and writes into its own.
            work = Path(tempfile.mkdtemp(prefix="fetch-", dir=partial))
            try:
                yield work
            finally:
                shutil.rmtree(partial, ignore_errors=True)

    def keep(self, row: WeightRow, file: WeightFile, written: Path) -> None:
        """Move a verified and flushed file into its place, in one step, also over an older one."""
        path = self.folder(row) / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        written.replace(path)
        _flush_folder(path.parent)
        found = path.stat()
        stamp = (found.st_size, found.st_mtime_ns, found.st_ctime_ns, file.sha256)
        self._save_stamps(row, {**self._stamps(row), file.path: stamp})

    def discard(self, row: WeightRow, file: WeightFile) -> None:
        """Delete a file, so that the next fetch brings it anew."""
        (self.folder(row) / file.path).unlink(missing_ok=True)

    def _stamps(self, row: WeightRow) -> dict[str, Stamp]:
        try:
            read = json.loads((self._root / ".verified" / f"{row.name}.json").read_bytes())
            return {path: (int(size), int(mtime), int(ctime), str(d)) for path, (size, mtime, ctime, d) in read.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}  # a memory of past work: without it the files are hashed

    def _save_stamps(self, row: WeightRow, stamps: dict[str, Stamp]) -> None:
        folder = self._root / ".verified"
        with suppress(OSError):  # a read-only cache is hashed at each start
            folder.mkdir(parents=True, exist_ok=True)
            new = folder / f".{row.name}.{os.getpid()}.{threading.get_ident()}"
            new.write_text(json.dumps(stamps, indent=1))
            new.replace(folder / f"{row.name}.json")


def sha256_of(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def describe(size_bytes: int, sha256: str | None) -> str:
    """Size and digest as errors name them. Without a digest the size alone says that it is another file."""
    return f"{size_bytes} bytes" + (f" with sha256 {sha256}" if sha256 else "")


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _nothing() -> None:
    """Waiting was told once."""


def _flush_folder(folder: Path) -> None:
    """Make a rename outlast a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
