"""How far a job is: what its driver prints, one line of JSON each, and `jobs.start.follow` reads back."""

from dataclasses import asdict, dataclass
from typing import Any

import orjson

PREFIX = "becoming-one-job "  # no other line of a job's log starts so
OK, FAILED, REFUSED, QUARANTINED = 0, 1, 2, 3  # exit codes: refused = the command was wrong and nothing ran


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the job stands. `audio_s` is sound heard so far, `speed` that per second of hearing; None = not known yet.

    `elapsed_s` counts from the start, with the seconds that Ray and the models need; `eta_s` is a guess at the rest.
    """

    files_total: int
    files_done: int
    files_skipped: int
    files_quarantined: int
    audio_s: float
    elapsed_s: float
    speed: float | None
    eta_s: float | None

    @property
    def share(self) -> float:
        """Of the files, how many are dealt with, 0 to 1."""
        return (self.files_done + self.files_skipped + self.files_quarantined) / max(1, self.files_total)


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A file that is in quarantine, and the sentence that says why."""

    file: str
    reason: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the job ended, its last line. `message` is for a person; the counts are zero where nothing ran.

    `exit_code`: OK, FAILED, REFUSED or QUARANTINED. `files_done` counts the files transcribed in this run, those with a
    warning among them; `files_quarantined` all inputs with a note in quarantine, `quarantined` the first of them;
    `files_lost` those without an outcome because a worker failed.
    """

    exit_code: int
    message: str
    files_total: int = 0
    files_done: int = 0
    files_skipped: int = 0
    files_ignored: int = 0
    files_quarantined: int = 0
    files_lost: int = 0
    audio_s: float = 0.0
    elapsed_s: float = 0.0
    speed: float | None = None
    quarantined: tuple[Quarantined, ...] = ()


Update = Progress | Outcome


def to_line(update: Update) -> str:
    """The update as one line for the log, without its end."""
    return PREFIX + orjson.dumps({"kind": type(update).__name__, **asdict(update)}).decode()


def from_line(line: str) -> Update | None:
    """What `to_line` made, None for any other line of the log. Fields of a newer driver are passed over."""
    if not line.startswith(PREFIX):
        return None
    try:
        raw = orjson.loads(line[len(PREFIX) :])
    except ValueError:
        return None
    if raw.pop("kind") == "Progress":
        return Progress(**_known(raw, Progress))
    raw["quarantined"] = tuple(Quarantined(**row) for row in raw["quarantined"])
    return Outcome(**_known(raw, Outcome))


def _known(raw: dict[str, Any], kind: type[Update]) -> dict[str, Any]:
    return {name: value for name, value in raw.items() if name in kind.__dataclass_fields__}


def span(time_s: float) -> str:
    """For a person: 8 s, 3 min 10 s, 1 h 02 min."""
    minutes, seconds = divmod(round(time_s), 60)
    if minutes == 0:
        return f"{seconds} s"
    return f"{minutes} min {seconds:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
