"""Model weights: from weights.lock to verified files in one cache folder.

    fetch(name, settings) -> the model's folder; every file in it has the pinned size and sha256

weights_lock.py reads what is pinned, weights_sources.py knows how bytes come, weights_cache.py what lies here already,
weights_progress.py how it is shown. `python -m models.weights` is the same from a shell.
"""

import argparse
import hashlib
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.errors import ClusterError, ModelUnavailable, UnknownModel, WeightsMismatch
from models.settings import ModelSettings
from models.weights_cache import WeightsCache, describe
from models.weights_lock import Source, WeightFile, WeightRow, read_lock
from models.weights_progress import Progress, shown_on
from models.weights_sources import Shelf, SourceUnavailable

LOCK = Path(__file__).with_name("weights.lock")


def rows(lock: Path = LOCK) -> tuple[WeightRow, ...]:
    """The models that the lock pins, in its order. Raises ValueError for a lock that does not parse."""
    return read_lock(lock).rows


def fetch(name: str, settings: ModelSettings, progress: Progress | None = None) -> Path:
    """Have a model's files in the cache, and return their folder. What is there already is not fetched again.

    Several processes may ask at once: one fetches, the others wait. Shown on standard error unless `progress` says
    otherwise. Raises UnknownModel when the lock has no such row; WeightsMismatch when a file is not the pinned one;
    ModelUnavailable when a file could be had from none of its sources, with the reason of each.
    """
    return _fetch(_chosen([name], settings)[0], settings, shown_on() if progress is None else progress)


def fetch_all(names: Iterable[str], settings: ModelSettings, progress: Progress | None = None) -> dict[str, Path]:
    """`fetch` of several models, one after the other. Raises the first error; what came before it stays fetched.

    Not at once: the laptop set took 11.4 s in a row, 12.6 s with 2 or 3 at a time (2 cores, 2026-11-23): pip and
    unpacking are CPU-bound.
    """
    shown = shown_on() if progress is None else progress
    return {row.name: _fetch(row, settings, shown) for row in _chosen(names, settings)}


def _chosen(names: Iterable[str], settings: ModelSettings) -> list[WeightRow]:
    known = {row.name: row for row in rows(settings.weights_lock)}
    wanted = list(dict.fromkeys(names))
    for name in wanted:
        if name not in known:
            raise UnknownModel(name, tuple(known))
    return [known[name] for name in wanted]


def _fetch(row: WeightRow, settings: ModelSettings, progress: Progress) -> Path:
    cache = WeightsCache(settings.weights_dir)

    def waiting() -> None:
        progress.noted(row.name, "another process is fetching it; waiting for that one")

    try:
        if not cache.missing(row):
            return cache.folder(row)
        with cache.alone(row, settings.fetch_wait_timeout_s, waiting) as work:
            if missing := cache.missing(row):  # another process may have brought them meanwhile
                meter = _Meter(row.name, sum(file.bytes for file in missing), progress)
                progress.began(row.name, meter.total_bytes)
                try:
                    shelf = Shelf(work, settings, read_lock(settings.weights_lock).packages, meter.downloaded)
                    for file in missing:
                        _bring(row, file, cache, shelf, meter)
                finally:
                    progress.ended(row.name)
    except OSError as error:
        reason = f"the cache {settings.weights_dir} cannot be used: {error}. BECOMING_ONE_WEIGHTS_DIR names another."
        raise ModelUnavailable(row.name, reason) from error
    return cache.folder(row)


@dataclass(slots=True)
class _Meter:
    """Bytes of one fetch as one number that only grows: what came over the wire, then what was written of it."""

    model: str
    total_bytes: int
    progress: Progress
    kept_bytes: int = 0
    shown_bytes: int = 0

    def downloaded(self, wire_bytes: int) -> None:
        """A wheel is about as large as its weights, which hardly compress: its bytes stand for theirs."""
        self._show(wire_bytes)

    def written(self, file_bytes: int) -> None:
        """So much of the current file has been written."""
        self._show(self.kept_bytes + file_bytes)

    def _show(self, done_bytes: int) -> None:
        done_bytes = min(done_bytes, self.total_bytes)
        if done_bytes > self.shown_bytes:
            self.shown_bytes = done_bytes
            self.progress.moved(self.model, done_bytes)


def _bring(row: WeightRow, file: WeightFile, cache: WeightsCache, shelf: Shelf, meter: _Meter) -> None:
    """Put one file into the cache, from the first source that gives the pinned bytes."""
    failures: list[ClusterError] = []
    written = shelf.work / "file"
    for source in file.sources:
        if failures:
            meter.progress.noted(row.name, f"{failures[-1]} -- trying the next source")
        try:
            _write(file, source, written, shelf, meter)
        except (SourceUnavailable, WeightsMismatch) as error:
            failures.append(error)
            continue
        cache.keep(row, file, written)
        meter.kept_bytes += file.bytes
        meter.progress.stored(row.name, file.path, file.bytes, _spelled(source))
        return
    if all(isinstance(failure, WeightsMismatch) for failure in failures):
        raise failures[0]
    reasons = "; ".join(str(failure).rstrip(".") for failure in failures)
    raise ModelUnavailable(row.name, f"{file.path} could be had from no source. {reasons}") from failures[-1]


def _write(file: WeightFile, source: Source, written: Path, shelf: Shelf, meter: _Meter) -> None:
    """Write a source's bytes and flush them to disk. Raises WeightsMismatch when they are not the pinned ones."""
    digest, size_bytes = hashlib.sha256(), 0
    with written.open("wb") as out:
        for address in source:
            for chunk in address.chunks(shelf):
                size_bytes += len(chunk)
                if size_bytes > file.bytes:  # more than pinned cannot be it: stop before it fills the disk
                    break
                digest.update(chunk)
                out.write(chunk)
                meter.written(size_bytes)
        out.flush()
        os.fsync(out.fileno())
    expected = describe(file.bytes, file.sha256)
    if size_bytes > file.bytes:
        raise WeightsMismatch(f"{file.path} from {_spelled(source)}", expected, f"more than {file.bytes} bytes")
    if digest.hexdigest() != file.sha256 or size_bytes != file.bytes:
        found = describe(size_bytes, digest.hexdigest())
        raise WeightsMismatch(f"{file.path} from {_spelled(source)}", expected, found)


def _spelled(source: Source) -> str:
    return " + ".join(address.text for address in source)


# --- from a shell -------------------------------------------------------------------------------------------------

_HELP = """\
Fetch, check and list the weights of the models that run here.

  python -m models.weights list                  what weights.lock pins, and what the cache holds
  python -m models.weights fetch                 fetch everything that is missing
  python -m models.weights fetch whisper-base    fetch one model; prints its folder
  python -m models.weights verify                hash every cached file anew
  python -m models.weights verify --repair       ... and fetch again what is damaged

BECOMING_ONE_WEIGHTS_DIR moves the cache, BECOMING_ONE_PIP_ARGS goes to pip (an index of your own, or
`--no-index --find-links DIR` without a network).
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 0 well, 1 something is missing or wrong, 2 a wrong command line."""
    parser = argparse.ArgumentParser(
        "python -m models.weights", description=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", metavar="list | fetch | verify")
    commands.add_parser("list", help="show each model, its licence, size and state")
    asked = commands.add_parser("fetch", help="fetch what is missing")
    checked = commands.add_parser("verify", help="hash what is cached, whatever its times say")
    checked.add_argument("--repair", action="store_true", help="delete damaged files and fetch them again")
    for command in (asked, checked):
        command.add_argument("names", nargs="*", metavar="NAME", help="models of weights.lock; all when none is named")
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return 2
    settings = ModelSettings()
    try:
        chosen = _chosen(getattr(options, "names", []) or [row.name for row in rows(settings.weights_lock)], settings)
        if options.command == "list":
            return _list(chosen, settings)
        if options.command == "verify":
            return _verify(chosen, settings, repair=options.repair)
        for folder in fetch_all([row.name for row in chosen], settings).values():
            _say(str(folder))
    except (ClusterError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130  # as shells count a process that Ctrl-C ended
    return 0


def _list(chosen: Sequence[WeightRow], settings: ModelSettings) -> int:
    cache = WeightsCache(settings.weights_dir)
    width = max(len(row.name) for row in chosen)
    for row in chosen:
        try:
            missing = cache.missing(row)
            state = "fetched" if not missing else "not fetched" if len(missing) == len(row.files) else "half fetched"
        except WeightsMismatch:
            state = "DAMAGED"
        _say(f"{row.name:{width}}  {row.bytes / 1e6:7.1f} MB  {state:12}  {row.licence}; {row.upstream}")
    _say(f"in {settings.weights_dir}")
    return 0


def _verify(chosen: Sequence[WeightRow], settings: ModelSettings, *, repair: bool) -> int:
    cache, damaged = WeightsCache(settings.weights_dir), False
    for row in chosen:
        for file in row.files:
            try:
                state = "whole" if cache.holds(row, file, rehash=True) else "not fetched"
            except WeightsMismatch as error:
                state, damaged = f"DAMAGED: {error}", True
                if repair:
                    cache.discard(row, file)
            _say(f"{row.name}/{file.path}: {state}")
    if damaged and repair:
        fetch_all([row.name for row in chosen if cache.folder(row).exists()], settings)
    return 1 if damaged and not repair else 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
