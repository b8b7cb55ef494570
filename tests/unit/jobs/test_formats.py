"""Transcripts as JSON, SRT, WebVTT and TXT."""

import json
import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs import formats
from jobs.rows import HeardLanguage, Recording
from models.values import Segment, Word


def line(text: str, start_s: float, step_s: float = 0.4) -> Segment:
    texts = text.split(" ")
    words = tuple(
        Word(f" {word}", start_s + index * step_s, start_s + (index + 1) * step_s, 0.9)
        for index, word in enumerate(texts)
    )
    return Segment(text, start_s, start_s + len(texts) * step_s, words, -0.25, 0.01)


def recording(*segments: Segment, language: str = "en") -> Recording:
    return Recording(
        file="talks/one.mp3",
        sha256="ab" * 32,
        duration_s=7300.5,
        model="whisper-base",
        language=language,
        language_probability=0.98,
        languages=(HeardLanguage(0.0, 7300.5, language, 0.98),),
        segments=segments,
    )


SPOKEN = recording(line("Hello there.", 1.0), line("Late words <b> & more --> here.", 7290.0))


def test_srt_numbers_its_cues_and_counts_hours() -> None:
    assert formats.to_srt(SPOKEN).decode() == (
        "1\n00:00:01,000 --> 00:00:02,000\nHello there.\n\n"
        "2\n02:01:30,000 --> 02:01:32,800\nLate words <b> & more -> here.\n\n"
    )


def test_vtt_escapes_what_would_be_markup() -> None:
    assert formats.to_vtt(SPOKEN).decode() == (
        "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\nHello there.\n\n"
        "02:01:30.000 --> 02:01:32.800\nLate words &lt;b&gt; &amp; more --&gt; here.\n\n"
    )


def test_text_is_a_line_of_speech_a_line() -> None:
    assert formats.to_text(SPOKEN).decode() == "Hello there.\nLate words <b> & more --> here.\n"


def test_json_holds_all_that_is_known() -> None:
    document = json.loads(formats.to_json(SPOKEN, "en"))
    assert document["file"] == "talks/one.mp3"
    assert document["sha256"] == "ab" * 32
    assert document["duration_s"] == 7300.5
    assert document["model"] == "whisper-base"
    assert (document["asked_language"], document["language"], document["language_probability"]) == ("en", "en", 0.98)
    assert document["languages"] == [{"start_s": 0.0, "end_s": 7300.5, "language": "en", "probability": 0.98}]
    assert document["warning"] is None
    assert document["text"] == "Hello there. Late words <b> & more --> here."
    assert document["segments"][0] == {
        "text": "Hello there.",
        "start_s": 1.0,
        "end_s": 1.8,
        "words": [
            {"text": " Hello", "start_s": 1.0, "end_s": 1.4, "probability": 0.9},
            {"text": " there.", "start_s": 1.4, "end_s": 1.8, "probability": 0.9},
        ],
        "average_log_probability": -0.25,
        "no_speech_probability": 0.01,
    }


def test_silence_makes_files_that_players_accept() -> None:
    silent = recording()
    assert formats.to_srt(silent) == b""
    assert formats.to_vtt(silent) == b"WEBVTT\n\n"
    assert formats.to_text(silent) == b""
    assert json.loads(formats.to_json(silent, None))["segments"] == []


def test_a_long_sentence_is_broken_at_its_comma_into_lines_that_fit() -> None:
    text = (
        "And Mister John Dashwood had then leisure to consider, "
        "how much there might be prudently in his power to do for them."
    )
    cues = formats.cues((line(text, 0.0, 0.2),))
    assert [cue.lines for cue in cues] == [
        ("And Mister John Dashwood had", "then leisure to consider,"),
        ("how much there might be prudently", "in his power to do for them."),
    ]


def test_a_slow_sentence_is_broken_by_time() -> None:
    cues = formats.cues((line("one two three four five six", 0.0, 3.0),))
    assert [(cue.start_s, cue.end_s) for cue in cues] == [(0.0, 6.0), (6.0, 12.0), (12.0, 18.0)]


def test_a_short_cue_stays_a_second_but_never_into_the_next() -> None:
    cues = formats.cues((line("Yes.", 1.0, 0.2), line("No.", 1.5, 0.2), line("Well.", 5.0, 0.2)))
    assert [(cue.start_s, cue.end_s) for cue in cues] == [(1.0, 1.5), (1.5, 2.5), (5.0, 6.0)]


def test_chinese_is_joined_without_spaces_and_counts_double() -> None:
    text = "天地玄黄宇宙洪荒日月盈昃辰宿列张" * 2
    words = tuple(Word(letter, index * 0.2, (index + 1) * 0.2, 1.0) for index, letter in enumerate(text))
    (cue,) = formats.cues((Segment(text, 0.0, 6.4, words),))
    assert "".join(cue.lines) == text
    assert [len(part) for part in cue.lines] == [16, 16]


def test_a_segment_without_words_is_spread_over_its_time() -> None:
    segment = Segment("one two three four five six seven eight nine ten eleven twelve thirteen fourteen", 0.0, 14.0)
    cues = formats.cues((segment,))
    assert cues[0].start_s == 0.0
    assert cues[-1].end_s == pytest.approx(14.0)
    assert len(cues) == 2


def test_a_word_wider_than_a_line_is_cut() -> None:
    (cue,) = formats.cues((line("x" * 60, 0.0, 1.0),))
    assert cue.lines == ("x" * 42, "x" * 18)


WORDS = st.lists(st.text(st.characters(exclude_categories=("Cs",)), max_size=15), max_size=60)


@settings(deadline=None)
@given(st.lists(WORDS, max_size=4), st.floats(0.01, 3.0))
def test_subtitles_of_any_text_parse_fit_and_keep_every_letter(texts, step_s) -> None:
    segments, start_s = [], 0.0
    for words in texts:
        timed = tuple(
            Word(f" {word}", start_s + index * step_s, start_s + (index + 1) * step_s, 1.0)
            for index, word in enumerate(words)
        )
        start_s += len(words) * step_s + 0.5
        segments.append(Segment(" ".join(words), timed[0].start_s if timed else 0.0, start_s, timed))
    cues = formats.cues(tuple(segments))
    assert all(cue.start_s <= cue.end_s for cue in cues)
    assert all(before.end_s <= after.start_s + 1e-9 for before, after in pairwise(cues))
    assert all(0 < len(cue.lines) <= 2 and "\n" not in "".join(cue.lines) for cue in cues)
    assert all(formats._width(part) <= 42 for cue in cues for part in cue.lines)
    letters = [letter for words in texts for word in words for letter in word if letter.isprintable() and letter != " "]
    assert [letter for cue in cues for part in cue.lines for letter in part if letter != " "] == letters
    srt = formats.to_srt(recording(*segments)).decode()
    blocks = [block.split("\n") for block in srt.split("\n\n")[:-1]]
    assert [block[0] for block in blocks] == [str(number) for number in range(1, len(cues) + 1)]
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d,\d{3} --> \d\d:\d\d:\d\d,\d{3}", block[1]) for block in blocks)
