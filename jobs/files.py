"""Which files a job reads, and under which names it writes. Knows nothing of audio beyond the endings of its names."""

import fcntl
import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath

from models.errors import InvalidRequest

AUDIO_SUFFIXES = frozenset({".wav", ".mp3", ".m4a", ".flac", ".ogg", ".oga", ".opus", ".mp4", ".aac", ".webm"})
QUARANTINE = "quarantine"  # the folder, in the output folder, that holds a note for each bad input
_LONGEST_NAME_BYTES = 200  # file systems allow 255; room for endings


@dataclass(frozen=True, slots=True)
class Source:
    """One input.

    `name` is relative to its input folder, for people. `output` and `note` are relative to the output folder, without
    the ending that a writer adds: RELATIVE/STEM and quarantine/RELATIVE/NAME.
    """

    path: Path
    name: str
    output: str
    note: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Listing:
    """What stands in the inputs. `ignored` counts hidden files and those with endings that are no audio's."""

    sources: tuple[Source, ...]
    ignored: int


def find(inputs: Sequence[Path], output: Path, owner: Callable[[Path], str | None]) -> Listing:
    """List the inputs, sorted by name, each file once; folders are walked, links to folders are not followed.

    A file named itself is taken whatever its ending; in a folder only AUDIO_SUFFIXES are, and nothing of `output` is.
    `owner` tells the `name` of the input that an existing output (without its ending) was made from, or None.
    Raises InvalidRequest with a sentence for a person: nothing there, nothing audio, a folder that cannot be read.
    """
    found: dict[Path, PurePath] = {}
    ignored = 0
    for given in inputs:
        if given.is_dir():
            for path in _walk(given, output):
                if path.name.startswith(".") or path.suffix.lower() not in AUDIO_SUFFIXES or not path.is_file():
                    ignored += 1
                else:
                    found.setdefault(path.resolve(), path.relative_to(given))
        elif given.is_file():
            found.setdefault(given.resolve(), PurePath(given.name))
        else:
            raise InvalidRequest(f"There is no file or folder {display(given)}.", "inputs")
    if not found:
        places = ", ".join(display(given) for given in inputs)
        others = f" ({ignored} files with other endings were ignored)" if ignored else ""
        known = " ".join(sorted(AUDIO_SUFFIXES))
        raise InvalidRequest(f"There is no audio in {places}{others}. Known endings: {known}.", "inputs")
    return Listing(tuple(_named(found, output, owner)), ignored)


@contextmanager
def held(output: Path) -> Iterator[None]:
    """Make the output folder and hold it: one job at a time writes there. Released by any end of the process.

    Raises InvalidRequest where it cannot be made or written to, or another job holds it.
    """
    if output.exists() and not output.is_dir():
        raise InvalidRequest(f"{display(output)} is a file; the output goes into a folder.", "output")
    try:
        output.mkdir(parents=True, exist_ok=True)
        probe = output / ".writable.partial"
        probe.touch()
        probe.unlink()
        folder = os.open(output, os.O_RDONLY)
    except OSError as error:
        raise InvalidRequest(f"{display(output)} cannot be written to: {error.strerror}.", "output") from error
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        message = f"Another job is writing to {display(output)}. Wait for it, or choose another folder."
        raise InvalidRequest(message, "output") from error
    except OSError as error:
        message = f"{display(output)} is on a file system without locks ({error.strerror}); choose another folder."
        raise InvalidRequest(message, "output") from error
    else:
        yield
    finally:
        os.close(folder)


def write(files: Mapping[Path, bytes]) -> None:
    """Write the files so that a kill at any instant leaves each whole or absent, and the last one only when all are.

    The last file vouches for the others: an old one is removed before any other is replaced.
    """
    *_, voucher = files
    partial = {path: path.with_name(f".{_short_hash(path.name)}.partial") for path in files}
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial[path].open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    voucher.unlink(missing_ok=True)
    for path in files:
        partial[path].replace(path)


def digest(path: Path) -> str:
    """sha256 of the file's bytes, hex. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def display(path: PurePath | str) -> str:
    """The path as text that can be printed and stored: bytes that are no UTF-8 show as a backslash, x and hex."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _walk(folder: Path, output: Path) -> Iterator[Path]:
    """Files below `folder`, sorted, outside of `output` unless that is the folder itself."""

    def refuse(error: OSError) -> None:
        raise InvalidRequest(f"{display(error.filename)} cannot be read: {error.strerror}.", "inputs") from error

    apart = output.resolve()
    for root, folders, names in os.walk(folder, onerror=refuse):
        here = Path(root)
        folders[:] = sorted(name for name in folders if not name.startswith(".") and (here / name).resolve() != apart)
        yield from (here / name for name in sorted(names))


def _named(found: Mapping[Path, PurePath], output: Path, owner: Callable[[Path], str | None]) -> Iterator[Source]:
    """Give each file names of its own.

    RELATIVE/STEM where no other file wants it or it is this file's from an earlier run; else RELATIVE/NAME; else, for
    files of one name in several inputs, that with a hash of the path. So adding talk.mp3 beside a finished talk.wav
    moves nothing.
    """
    choices = {path: _choices(path, relative) for path, relative in found.items()}
    level = dict.fromkeys(found, 0)
    while True:
        wanted = defaultdict(list)
        for path in found:
            wanted[choices[path][level[path]]].append(path)
        crowded = {name: paths for name, paths in wanted.items() if len(paths) > 1}
        if not crowded:
            break
        for name, paths in crowded.items():
            made_from = owner(output / name)
            keepers = [path for path in paths if display(found[path]) == made_from and level[path] == 0]
            for path in paths:
                if keepers != [path]:
                    level[path] = min(level[path] + 1, 2)
    for path in sorted(found, key=lambda path: choices[path][level[path]]):
        name = choices[path][level[path]]
        note = name if level[path] == 2 else choices[path][1]
        size_bytes = path.stat().st_size
        yield Source(path, display(found[path]), name, f"{QUARANTINE}/{note}", size_bytes)


def _choices(path: Path, relative: PurePath) -> tuple[str, str, str]:
    folder, *rest = relative.parts
    if rest and folder == QUARANTINE:  # an input folder of that name must not mix with our notes
        relative = PurePath(f"{QUARANTINE}_", *rest)
    name, mark = relative.name, _short_hash(str(path))
    if len(os.fsencode(name)) > _LONGEST_NAME_BYTES:
        name = os.fsdecode(os.fsencode(name)[:_LONGEST_NAME_BYTES]) + "-" + mark
        return (str(relative.with_name(name)),) * 3
    return str(relative.with_name(relative.stem)), str(relative), str(relative.with_name(f"{name}-{mark}"))


def _short_hash(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:12]
