"""Sound for tests: real speech with its words, fetched from the package registry as data, and writers of sound files.

Two sources, each pinned by digest and kept beside the weights' cache: a few seconds of several languages (speech.lock),
and five sentences of a LibriVox reader, public domain, which stand in the source package of pocketsphinx.
"""

import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from models import weights
from models.settings import ModelSettings

RATE_HZ = 16_000
LIBRIVOX = "pocketsphinx==5.1.1 --hash=sha256:675778b309a22dfc9b7d37f7621976bba491d2a5f8c59696bd77fd6d07271355"
LIBRIVOX_FOLDER = "test/data/librivox/"
CODECS = {
    ".wav": ("pcm_s16le", "wav", 16_000),
    ".mp3": ("libmp3lame", "mp3", 44_100),
    ".m4a": ("aac", "ipod", 44_100),
    ".aac": ("aac", "adts", 44_100),
    ".flac": ("flac", "flac", 44_100),
    ".ogg": ("libopus", "ogg", 48_000),
    ".opus": ("libopus", "ogg", 48_000),
    ".mp4": ("aac", "mp4", 44_100),
    ".webm": ("libopus", "webm", 48_000),
}


@dataclass(frozen=True)
class Clip:
    """A recording and what is said in it."""

    path: Path
    text: str
    language: str

    @property
    def samples(self) -> np.ndarray:
        return read(self.path)


def librivox() -> list[Clip]:
    """Five sentences of "Sense and Sensibility", 24.7 s, 16 kHz mono PCM, read by a person."""
    folder = ModelSettings().weights_dir.parent / "test-speech" / "pocketsphinx-5.1.1"
    if not folder.is_dir():
        _fetch_librivox(folder)
    return [
        Clip(path, path.with_suffix(".txt").read_text(encoding="utf-8"), "en") for path in sorted(folder.glob("*.wav"))
    ]


def audioeval(name: str) -> Clip:
    """A clip of speech.lock by its name, as in `fr/bonjour_monde`; float32 WAV."""
    settings = ModelSettings(weights_lock=Path(__file__).with_name("speech.lock"))
    path = weights.fetch("audioeval-speech", settings) / f"{name}.wav"
    return Clip(path, path.with_suffix(".txt").read_text(encoding="utf-8"), name[:2])


def _fetch_librivox(folder: Path) -> None:
    """Have pip bring the source package, verify it, and keep the one folder. Whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        requirement = Path(work, "requirements.txt")
        requirement.write_text(LIBRIVOX, encoding="utf-8")
        options = ["--quiet", "--no-deps", "--no-binary", "pocketsphinx", *ModelSettings().pip_args]
        command = [sys.executable, "-m", "pip", "download", *options, "--dest", work, "--requirement", str(requirement)]
        subprocess.run(command, check=True, timeout=300)
        found = Path(work, "found")
        found.mkdir()
        (package,) = Path(work).glob("*.tar.gz")
        with tarfile.open(package) as members:
            for member in members:
                if LIBRIVOX_FOLDER in member.name and member.name.endswith((".wav", "0.txt")):
                    content = members.extractfile(member)
                    assert content is not None
                    (found / Path(member.name).name).write_bytes(content.read())
        if not folder.is_dir():  # another test process may have been faster
            shutil.move(found, folder)


def read(path: Path) -> np.ndarray:
    """float32 mono 16 kHz, by other means than the code under test uses."""
    from faster_whisper.audio import decode_audio

    return decode_audio(str(path))


def tone(duration_s: float, hertz: float = 220.0) -> np.ndarray:
    """A hum that the fake transcriber takes for speech."""
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(round(duration_s * RATE_HZ)) / RATE_HZ)).astype(np.float32)


def silence(duration_s: float) -> np.ndarray:
    return np.zeros(round(duration_s * RATE_HZ), np.float32)


def write(path: Path, samples: np.ndarray, layout: str = "mono", options: dict[str, str] | None = None) -> Path:
    """Encode float32 mono 16 kHz into the format that the file's ending names."""
    codec, container_format, rate_hz = CODECS[path.suffix]
    return encode(path, samples, (codec, container_format, rate_hz), layout, options)


def encode(
    path: Path,
    samples: np.ndarray,
    kind: tuple[str, str, int],
    layout: str = "mono",
    options: dict[str, str] | None = None,
) -> Path:
    """As `write`, with codec, container and rate given."""
    codec, container_format, rate_hz = kind
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format=container_format, options=options or {}) as container:
        stream = container.add_stream(codec, rate=rate_hz, layout=layout)
        sample_format = stream.codec_context.format.name
        whole = av.AudioFrame.from_ndarray(samples[None, :].astype(np.float32), format="flt", layout="mono")
        whole.rate = RATE_HZ
        whole.pts = 0
        resampler = av.AudioResampler(format=sample_format, layout=layout, rate=rate_hz)
        queue = av.AudioFifo()
        for frame in (*resampler.resample(whole), *resampler.resample(None)):
            queue.write(frame)
        size = stream.codec_context.frame_size or 4096
        while (frame := queue.read(size, partial=True)) is not None:
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def cut(path: Path, share: float, name: str) -> Path:
    """The first part of a file, beside it, as a broken upload leaves it."""
    content = path.read_bytes()
    target = path.with_name(name)
    target.write_bytes(content[: int(len(content) * share)])
    return target


def word_error_rate(said: str, heard: str) -> float:
    """Words that must be changed, added or dropped, per word said. Case, accents and punctuation count for nothing."""
    reference, found = _words(said), _words(heard)
    row = list(range(len(found) + 1))
    for position, word in enumerate(reference, start=1):
        diagonal, row[0] = row[0], position
        for column, other in enumerate(found, start=1):
            diagonal, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, diagonal + (word != other))
    return row[-1] / len(reference)


def _words(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", text.lower().replace("mr.", "mister").replace("-", " "))
    return re.findall(r"[a-z0-9']+", "".join(letter for letter in plain if not unicodedata.combining(letter)))
