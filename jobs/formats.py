"""Recording -> JSON, SRT, WebVTT, TXT. Pure. docs/jobs.md describes the JSON for those who read it."""

import html
import math
import unicodedata
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise

import orjson

from jobs.rows import Recording
from models.values import Segment, Word

JSON_VERSION = 1  # raised when a field changes its meaning; a new field alone does not raise it
# What broadcasters and streaming services agree on: two lines of 42 Latin letters, at most 7 s, at least about 1 s.
LINE_WIDTH = 42
LINES = 2
LONGEST_CUE_S = 7.0
SHORTEST_CUE_S = 1.0
# Weights of breaking a sentence into cues, chosen by eye on read prose: a cue less than full costs the square of what
# is missing, and one that ends at a comma may be this much shorter.
CLAUSE_BONUS = 0.15
_CLAUSE_END = (",", ";", ":", "—", "–", "、", "，", "；", "：")  # noqa: RUF001  full-width marks end Chinese clauses


@dataclass(frozen=True, slots=True)
class Cue:
    """One subtitle: times in seconds, one or two lines."""

    start_s: float
    end_s: float
    lines: tuple[str, ...]


def to_json(recording: Recording, asked_language: str | None) -> bytes:
    """All that is known, indented, UTF-8, one trailing newline."""
    document = {
        "version": JSON_VERSION,
        "file": recording.file,
        "sha256": recording.sha256,
        "duration_s": recording.duration_s,
        "model": recording.model,
        "asked_language": asked_language,
        "language": recording.language,
        "language_probability": recording.language_probability,
        "languages": [asdict(stretch) for stretch in recording.languages],
        "warning": recording.warning or None,
        "text": " ".join(segment.text for segment in recording.segments),
        "segments": [asdict(segment) for segment in recording.segments],
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def to_text(recording: Recording) -> bytes:
    """One line of the transcript a line, UTF-8."""
    return "".join(f"{_plain(segment.text)}\n" for segment in recording.segments).encode()


def to_srt(recording: Recording) -> bytes:
    """SubRip: numbered cues, `HH:MM:SS,mmm`, UTF-8."""
    blocks = (
        f"{number}\n{_clock(cue.start_s, ',')} --> {_clock(cue.end_s, ',')}\n"
        + "\n".join(cue.lines).replace("-->", "->")
        for number, cue in enumerate(cues(recording.segments), start=1)
    )
    return "".join(f"{block}\n\n" for block in blocks).encode()


def to_vtt(recording: Recording) -> bytes:
    """WebVTT: `HH:MM:SS.mmm`, text escaped, UTF-8."""
    blocks = (
        f"{_clock(cue.start_s, '.')} --> {_clock(cue.end_s, '.')}\n" + html.escape("\n".join(cue.lines), quote=False)
        for cue in cues(recording.segments)
    )
    return ("WEBVTT\n\n" + "".join(f"{block}\n\n" for block in blocks)).encode()


def cues(segments: tuple[Segment, ...]) -> list[Cue]:
    """Subtitles that fit on a screen and never overlap, in order."""
    found = [_cue(run) for segment in segments for run in _screens(_blocks(segment))]
    shown = []
    for index, cue in enumerate(found):
        next_s = found[index + 1].start_s if index + 1 < len(found) else math.inf
        end_s = min(max(cue.end_s, cue.start_s + SHORTEST_CUE_S), max(next_s, cue.start_s))
        shown.append(Cue(cue.start_s, end_s, cue.lines))
    return shown


@dataclass(frozen=True, slots=True)
class _Block:
    """A word as it is set: printable text, its columns, and those of the space before it (0 or 1)."""

    text: str
    width: int
    gap: int
    start_s: float
    end_s: float


def _blocks(segment: Segment) -> list[_Block]:
    """The segment's words; where the engine gave none, its text spread evenly over its time."""
    words = segment.words
    if not words:
        texts = segment.text.split()
        step_s = (segment.end_s - segment.start_s) / max(1, len(texts))
        words = tuple(
            Word(f" {text}", segment.start_s + index * step_s, segment.start_s + (index + 1) * step_s, 1.0)
            for index, text in enumerate(texts)
        )
    blocks, gap = [], 0
    for word in words:
        text = _plain(word.text)
        gap = gap or int(word.text[:1].isspace())
        if text:
            blocks.append(_Block(text, _width(text), gap, word.start_s, word.end_s))
            gap = 0
    return blocks


def _screens(blocks: list[_Block]) -> Iterator[list[_Block]]:
    """Break one line of speech into runs that fit on a screen: the cheapest way, by dynamic programming."""
    cost = [0.0] + [math.inf] * len(blocks)
    before = [0] * (len(blocks) + 1)
    for end in range(1, len(blocks) + 1):
        bonus = CLAUSE_BONUS if blocks[end - 1].text.endswith(_CLAUSE_END) else 0.0
        for start in range(end - 1, -1, -1):
            run = blocks[start:end]
            if len(run) > 1 and not _fits(run):
                break
            missing = max(0.0, 1 - _columns(run) / (LINE_WIDTH * LINES))
            through = cost[start] + 1.0 + missing**2 - bonus  # 1.0 a cue: fewer are better
            if through < cost[end]:
                cost[end], before[end] = through, start
    breaks = [len(blocks)]
    while breaks[-1]:
        breaks.append(before[breaks[-1]])
    breaks.reverse()
    for start, end in pairwise(breaks):
        yield blocks[start:end]


def _fits(run: list[_Block]) -> bool:
    if run[-1].end_s - run[0].start_s > LONGEST_CUE_S:
        return False
    return _columns(run) <= LINE_WIDTH or _fold(run) is not None


def _fold(run: list[_Block]) -> int | None:
    """Where to fold a run into two lines that fit, as even as words allow; None where there is no such place."""
    whole, first, best, narrowest = _columns(run), 0, None, LINE_WIDTH + 1
    for at in range(1, len(run)):
        first += run[at - 1].width + (run[at - 1].gap if at > 1 else 0)
        widest = max(first, whole - first - run[at].gap)
        if widest < narrowest:
            best, narrowest = at, widest
    return best


def _cue(run: list[_Block]) -> Cue:
    """A run that fits; one word that is wider than a screen's line is cut into lines."""
    if _columns(run) <= LINE_WIDTH:
        lines = [_set(run)]
    elif (at := _fold(run)) is not None:
        lines = [_set(run[:at]), _set(run[at:])]
    else:
        lines = [""]
        for letter in _set(run):
            if _width(lines[-1] + letter) > LINE_WIDTH:
                lines.append("")
            lines[-1] += letter
    return Cue(run[0].start_s, run[-1].end_s, tuple(lines))


def _columns(run: list[_Block]) -> int:
    return sum(block.width + block.gap for block in run) - run[0].gap


def _set(run: list[_Block]) -> str:
    return "".join(" " * block.gap + block.text for block in run).strip()


def _plain(text: str) -> str:
    """One line: no line ends, no runs of space, no control characters."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _width(text: str) -> int:
    """Columns on a screen: a Chinese or Japanese letter takes two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def _clock(time_s: float, point: str) -> str:
    minutes, milliseconds = divmod(round(time_s * 1000), 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{milliseconds // 1000:02}{point}{milliseconds % 1000:03}"
