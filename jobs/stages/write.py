"""Recording -> JSON, SRT, VTT and TXT beside each other, whole or not at all; a bad input -> its note in quarantine."""

from pathlib import Path

import orjson

from jobs import files, formats
from jobs.files import Source
from jobs.rows import Recording

ENDINGS = (".txt", ".srt", ".vtt", ".json")  # the JSON comes last and vouches for the others


class Write:
    """Writes what a job has to say about each input, below `output`. Raises OSError when the disk is full."""

    def __init__(self, output: Path, model: str, asked_language: str | None) -> None:
        self._output = output
        self._model = model
        self._asked_language = asked_language

    def __call__(self, source: Source, recording: Recording) -> None:
        """The four files; a recording with a warning has a note in quarantine too, any other loses an old one."""
        contents = (
            formats.to_text(recording),
            formats.to_srt(recording),
            formats.to_vtt(recording),
            formats.to_json(recording, self._asked_language),
        )
        note = self._note(source)
        if recording.warning:
            self.quarantine(source, recording.warning, recording.sha256)
        files.write(dict(zip(self._paths(source), contents, strict=True)))
        if not recording.warning:
            note.unlink(missing_ok=True)

    def quarantine(self, source: Source, reason: str, sha256: str) -> None:
        """Note that an input is bad, with the sentence that says why."""
        note = {"file": source.name, "sha256": sha256 or None, "bytes": source.size_bytes, "reason": reason}
        content = orjson.dumps(note, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        files.write({self._note(source): content})

    def finished(self, source: Source) -> str | None:
        """The warning ("" for none) of an earlier run's output that this run would make again, else None.

        Reads the input whole, but only where there is such an output.
        """
        *others, voucher = self._paths(source)
        document = _read(voucher)
        made = {"version": formats.JSON_VERSION, "model": self._model, "asked_language": self._asked_language}
        if any(document.get(name, made) != value for name, value in made.items()):
            return None
        if not all(path.is_file() for path in others):
            return None
        try:
            unchanged = document.get("sha256") == files.digest(source.path)
        except OSError:
            return None  # decoding it will say why it cannot be read
        return str(document.get("warning") or "") if unchanged else None

    def _paths(self, source: Source) -> list[Path]:
        return [self._output / f"{source.output}{ending}" for ending in ENDINGS]

    def _note(self, source: Source) -> Path:
        return self._output / f"{source.note}.json"


def made_from(output: Path) -> str | None:
    """The name of the input that an existing output (without its ending) was made from; None where there is none."""
    file = _read(output.with_name(f"{output.name}.json")).get("file")
    return file if isinstance(file, str) else None


def _read(path: Path) -> dict[str, object]:
    """A JSON object of ours, {} where there is none."""
    try:
        document = orjson.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}
