"""Pieces, in any order, become whole recordings."""

import itertools

from jobs.gather import Gather, pack, recording, shift, unpack
from jobs.rows import HeardLanguage, HeardRow
from models.values import Segment, Transcript, Word


def transcript(text: str, language: str = "en", probability: float = 0.9, spoken_s: float = 2.0) -> Transcript:
    words = (Word(f" {text}", 0.5, 0.5 + spoken_s, 0.8),)
    return Transcript((Segment(text, 0.5, 0.5 + spoken_s, words, -0.3, 0.1),), language, probability, 10.0, "m")


def piece(number: int, last: bool = False, source: int = 7, said: Transcript | None = None, **more) -> HeardRow:
    return HeardRow(
        source=source,
        piece=number,
        last=last,
        duration_s=10.0,
        worked_s=1.0,
        transcript=pack(shift(said or transcript(f"p{number}"), number * 10.0)),
        sha256="ab",
        failure=more.get("failure", ""),
        warning=more.get("warning", ""),
    )


def test_a_file_is_whole_when_its_last_missing_piece_comes_in_whatever_order() -> None:
    pieces = [piece(0), piece(1), piece(2, last=True)]
    for order in itertools.permutations(pieces):
        gather = Gather()
        assert gather.add(piece(0, source=8)) is None
        assert [gather.add(row) for row in order[:2]] == [None, None]
        assert gather.add(order[2]) == pieces


def test_a_recording_has_the_times_of_the_whole_file() -> None:
    whole = recording("one.mp3", [piece(0), piece(1), piece(2, last=True, warning="cut off")])
    assert [(segment.text, segment.start_s, segment.end_s) for segment in whole.segments] == [
        ("p0", 0.5, 2.5),
        ("p1", 10.5, 12.5),
        ("p2", 20.5, 22.5),
    ]
    assert whole.segments[2].words == (Word(" p2", 20.5, 22.5, 0.8),)
    assert (whole.duration_s, whole.sha256, whole.model, whole.warning) == (30.0, "ab", "m", "cut off")


def test_the_language_is_that_of_most_of_the_speech_and_each_stretch_keeps_its_own() -> None:
    spanish, french = transcript("a", "es", 0.6, 6.0), transcript("b", "fr", 0.9, 1.0)
    silent = Transcript((), "und", 0.0, 10.0, "m")
    whole = recording(
        "one.mp3",
        [piece(0, said=spanish), piece(1, said=silent), piece(2, said=french), piece(3, said=spanish, last=True)],
    )
    assert (whole.language, whole.language_probability) == ("es", 0.6)
    assert whole.languages == (
        HeardLanguage(0.0, 10.0, "es", 0.6),
        HeardLanguage(20.0, 30.0, "fr", 0.9),
        HeardLanguage(30.0, 40.0, "es", 0.6),
    )


def test_a_silent_recording_has_no_language() -> None:
    silent = Transcript((), "und", 0.0, 10.0, "m")
    whole = recording("one.mp3", [piece(0, said=silent, last=True)])
    assert (whole.language, whole.language_probability, whole.languages, whole.segments) == ("und", 0.0, (), ())


def test_a_transcript_survives_packing() -> None:
    said = transcript("été")
    assert unpack(pack(said)) == said
