"""Speech to text through faster-whisper (CTranslate2, int8 on CPU, no torch). Knows nothing of files or formats.

Silero's voice-activity model (it ships inside faster-whisper) packs what is spoken into 30 s windows, the windows are
decoded in batches, and the words of a window are cut into lines at the ends of sentences and at pauses.
"""

import json
import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.errors import InvalidRequest, ModelRefused, ModelUnavailable
from models.values import Segment, Transcript, Word

SAMPLE_RATE_HZ = 16_000

# cpu-s per audio-s of whisper-base, 230 s of LibriVox speech, int8, one thread, 2026-11: one window after the other
# with beam 5 (the library's default) 0.155, WER 0.046; windows in batches with beam 1 0.090, WER 0.018; with beam 5
# 0.116, WER 0.014 (and worse than beam 1 on 18 short clips of six languages: CER 0.186 against 0.144).
BEAM_SIZE = 1
# On 10 minutes, batches of 1, 2, 4 and 8 windows: 0.095, 0.081, 0.088, 0.083 cpu-s per audio-s, and 544, 678, 813 and
# 1,305 MB at the peak (the word alignment keeps each window's attention).
BATCH_WINDOWS = 2
# A language is believed at once above this; below it, up to so many windows vote (each costs one more encoding).
LANGUAGE_CERTAIN = 0.5
LANGUAGE_WINDOWS = 4
# Whisper's own rule for windows that hold no speech (Radford et al. 2022, §4.5); the batched path does not apply it.
NO_SPEECH_ABOVE = 0.6
NO_SPEECH_LOG_PROBABILITY = -1.0
PAUSE_S = 0.8  # silence that ends a line; pauses between the sentences of a reader last 0.4-1.2 s
SHORTEST_S = 0.05  # shorter than any syllable; the voice-activity model wants one frame of 32 ms at least

UNKNOWN_LANGUAGE = "und"  # ISO 639-2 for "undetermined": nobody spoke
_SENTENCE_END = re.compile(r"[.!?…。！？｡؟।]['\"”’»)\]]*$")  # noqa: RUF001  full-width marks end Chinese sentences
_ABBREVIATION = re.compile(r"^(?:[A-Z]|Mr|Mrs|Ms|Dr|St|Prof|Sr|Sra|Jr|vs|etc|No|M|Mme)\.$")


class WhisperTranscriber:
    """A Whisper model of one folder in CTranslate2's format. Implements ports.Transcriber.

    Thread-safe: up to `parallel_calls` calls of `hear` run at once, one thread each. Words keep the space before them,
    so joining the words of a segment gives its text in every script. Raises ModelUnavailable where the folder holds no
    model that can be loaded.
    """

    def __init__(self, spec_id: str, folder: Path, parallel_calls: int = 1) -> None:
        # 0.9 s and 90 MB: only the process that hears pays
        from faster_whisper import BatchedInferencePipeline, WhisperModel  # noqa: PLC0415

        self.spec_id = spec_id
        self.languages = languages(folder)
        try:
            self._model = WhisperModel(
                str(folder),
                device="cpu",
                compute_type="int8",
                cpu_threads=1,  # two threads on busy cores ran 3 times slower than one (facts of 2026-11)
                num_workers=parallel_calls,
                local_files_only=True,
            )
        except (RuntimeError, ValueError, OSError) as error:
            raise ModelUnavailable(spec_id, f"{folder} cannot be loaded ({error})") from error
        self._new_pipeline = BatchedInferencePipeline

    def hear(self, audio: npt.NDArray[np.float32], language: str | None = None) -> Transcript:
        """As the port says. Raises InvalidRequest for a language that this model does not know, ModelRefused."""
        check_language(self.spec_id, self.languages, language)
        duration_s = len(audio) / SAMPLE_RATE_HZ
        if duration_s < SHORTEST_S:
            return self._silence(language, duration_s)
        try:
            # A pipeline of its own for each call: it keeps the time of the last word between windows.
            windows, found = self._new_pipeline(model=self._model).transcribe(
                audio,
                language=language,
                beam_size=BEAM_SIZE,
                batch_size=BATCH_WINDOWS,
                word_timestamps=True,  # costs nothing measurable, and gives better lines than timestamp tokens: with
                without_timestamps=True,  # those a window loses what follows its last one (WER 0.018 -> 0.088)
                language_detection_threshold=LANGUAGE_CERTAIN,
                language_detection_segments=LANGUAGE_WINDOWS,
            )
            segments = tuple(_lines(windows, duration_s))
        except (RuntimeError, ValueError) as error:
            raise ModelRefused(self.spec_id, 0, str(error)) from error
        if not segments:
            return self._silence(language, duration_s)
        return Transcript(segments, found.language, float(found.language_probability), duration_s, self.spec_id)

    def _silence(self, language: str | None, duration_s: float) -> Transcript:
        return Transcript((), language or UNKNOWN_LANGUAGE, 1.0 if language else 0.0, duration_s, self.spec_id)


def languages(folder: Path) -> frozenset[str]:
    """The languages (ISO 639-1, some -3) that the model of this folder hears, without loading it.

    Raises ModelUnavailable where the folder holds no Whisper vocabulary.
    """
    try:
        tokens = {
            row["content"]: row["id"] for row in json.loads((folder / "tokenizer.json").read_bytes())["added_tokens"]
        }
        end_of_text = tokens["<|endoftext|>"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelUnavailable(folder.name, f"{folder} has no readable tokenizer.json ({error})") from error
    if end_of_text == 50_256:  # the English-only vocabulary, one token shorter; it lists the languages all the same
        return frozenset({"en"})
    return frozenset(token[2:-2] for token in tokens if re.fullmatch(r"<\|[a-z]{2,3}\|>", token))


def check_language(spec_id: str, known: frozenset[str], language: str | None) -> None:
    """Raise InvalidRequest, with the known ones named, when `language` is given and the model does not hear it."""
    if language is None or language in known:
        return
    which = "only English (en)" if known == {"en"} else f"these: {', '.join(sorted(known))}"
    raise InvalidRequest(f"{spec_id} does not know the language {language!r}; it hears {which}.", "language")


def _lines(windows: Iterable[Any], duration_s: float) -> Iterator[Segment]:
    """faster-whisper's windows as lines: times never run backwards and never leave the recording."""
    cursor_s = 0.0
    for window in windows:
        if window.no_speech_prob > NO_SPEECH_ABOVE and window.avg_logprob < NO_SPEECH_LOG_PROBABILITY:
            continue
        words = []
        for word in window.words or ():
            start_s = min(max(float(word.start), cursor_s), duration_s)
            cursor_s = min(max(float(word.end), start_s), duration_s)
            words.append(Word(word.word, round(start_s, 3), round(cursor_s, 3), round(float(word.probability), 3)))
        for line in _cut(words):
            yield Segment(
                text="".join(word.text for word in line).strip(),
                start_s=line[0].start_s,
                end_s=line[-1].end_s,
                words=line,
                average_log_probability=round(float(window.avg_logprob), 4),
                no_speech_probability=round(float(window.no_speech_prob), 4),
            )


def _cut(words: list[Word]) -> Iterator[tuple[Word, ...]]:
    """Runs of words between ends of sentences and pauses."""
    first = 0
    for index, (word, after) in enumerate(pairwise(words), start=1):
        text = word.text.strip()
        sentence_ends = bool(_SENTENCE_END.search(text)) and not _ABBREVIATION.match(text)
        if sentence_ends or after.start_s - word.end_s >= PAUSE_S:
            yield tuple(words[first:index])
            first = index
    if words[first:]:
        yield tuple(words[first:])
