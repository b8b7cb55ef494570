"""Heard pieces, in any order -> whole recordings. Pure; runs in the job's driver, where all pieces meet."""

from collections import defaultdict
from dataclasses import replace

import orjson

from jobs.rows import HeardLanguage, HeardRow, Recording
from models.values import Segment, Transcript, Word


class Gather:
    """Collects the pieces of each file until it is whole."""

    def __init__(self) -> None:
        self._pieces: dict[int, dict[int, HeardRow]] = defaultdict(dict)

    def add(self, row: HeardRow) -> list[HeardRow] | None:
        """Keep a piece; the pieces of its file in order when this was the one that was missing, else None."""
        pieces = self._pieces[row["source"]]
        pieces[row["piece"]] = row
        ends = [piece for piece in pieces.values() if piece["last"]]
        if not ends or len(pieces) != ends[0]["piece"] + 1:
            return None
        del self._pieces[row["source"]]
        return [pieces[index] for index in sorted(pieces)]


def recording(file: str, pieces: list[HeardRow]) -> Recording:
    """One file's pieces, in order and none failed, as a whole. Raises nothing."""
    transcripts = [unpack(piece["transcript"]) for piece in pieces]
    stretches: list[HeardLanguage] = []
    speech_s: dict[str, float] = defaultdict(float)
    belief_s: dict[str, float] = defaultdict(float)
    start_s = 0.0
    for piece, transcript in zip(pieces, transcripts, strict=True):
        end_s = round(start_s + piece["duration_s"], 3)
        spoken_s = sum(segment.end_s - segment.start_s for segment in transcript.segments)
        if transcript.segments:
            speech_s[transcript.language] += spoken_s
            belief_s[transcript.language] += spoken_s * transcript.language_probability
            stretches.append(
                HeardLanguage(start_s, end_s, transcript.language, round(transcript.language_probability, 4))
            )
        start_s = end_s
    language = max(belief_s, key=lambda code: belief_s[code]) if belief_s else transcripts[0].language
    certain = belief_s[language] / speech_s[language] if speech_s.get(language) else transcripts[0].language_probability
    return Recording(
        file=file,
        sha256=pieces[0]["sha256"],
        duration_s=round(start_s, 3),
        model=transcripts[0].model,
        language=language,
        language_probability=round(certain, 4),
        languages=tuple(stretches),
        segments=tuple(segment for transcript in transcripts for segment in transcript.segments),
        warning=pieces[-1]["warning"],
    )


def shift(transcript: Transcript, by_s: float) -> Transcript:
    """The transcript with all times `by_s` later, to a thousandth of a second."""
    segments = tuple(
        replace(
            segment,
            start_s=round(segment.start_s + by_s, 3),
            end_s=round(segment.end_s + by_s, 3),
            words=tuple(
                replace(word, start_s=round(word.start_s + by_s, 3), end_s=round(word.end_s + by_s, 3))
                for word in segment.words
            ),
        )
        for segment in transcript.segments
    )
    return replace(transcript, segments=segments)


def pack(transcript: Transcript) -> bytes:
    """The transcript as bytes, for one cell of a row."""
    return orjson.dumps(transcript)


def unpack(packed: bytes) -> Transcript:
    """What `pack` made."""
    raw = orjson.loads(packed)
    segments = tuple(
        Segment(**{**segment, "words": tuple(Word(**word) for word in segment["words"])}) for segment in raw["segments"]
    )
    return Transcript(**{**raw, "segments": segments})
