"""Pieces become transcripts, with the times of the whole file."""

import numpy as np
import numpy.typing as npt
from tests_audio import silence, tone

from jobs.gather import unpack
from jobs.rows import PieceRow
from jobs.stages.hear import Hear
from jobs.stages.worker import ATTEMPTS, Attempts, Workplace
from models.errors import ModelRefused
from models.fakes import FakeTranscriber
from models.values import Transcript


def row(audio: np.ndarray, start_s: float = 0.0, failure: str = "") -> PieceRow:
    return PieceRow(
        source=1, piece=2, last=True, start_s=start_s, audio=audio.tobytes(), sha256="ab", failure=failure, warning="w"
    )


def test_a_piece_is_heard_at_its_place_in_the_file(tmp_path) -> None:
    hear = Hear(lambda: FakeTranscriber("alpha beta"), None, Workplace(tmp_path))
    found = hear(row(np.concatenate([silence(1.0), tone(1.0), silence(1.0)]), start_s=600.0))
    (segment,) = unpack(found["transcript"]).segments
    assert (segment.text, segment.start_s, segment.end_s) == ("alpha beta", 601.0, 602.0)
    assert [(word.text, word.start_s) for word in segment.words] == [(" alpha", 601.0), (" beta", 601.5)]
    assert (found["source"], found["piece"], found["last"], found["duration_s"]) == (1, 2, True, 3.0)
    assert (found["sha256"], found["failure"], found["warning"]) == ("ab", "", "w")
    assert list(tmp_path.iterdir()) == []


def test_the_language_that_was_asked_for_reaches_the_model(tmp_path) -> None:
    hear = Hear(FakeTranscriber, "fr", Workplace(tmp_path))
    assert unpack(hear(row(tone(1.0)))["transcript"]).language == "fr"


def test_a_piece_that_failed_before_costs_the_model_nothing(tmp_path) -> None:
    transcriber = FakeTranscriber()
    found = Hear(lambda: transcriber, None, Workplace(tmp_path))(row(silence(0), failure="The file is empty."))
    assert (found["failure"], found["transcript"], transcriber.calls) == ("The file is empty.", b"", 0)


class Refusing(FakeTranscriber):
    """An engine that answers with an error of its own."""

    def hear(self, audio: npt.NDArray[np.float32], language: str | None = None) -> Transcript:
        raise ModelRefused(self.spec_id, 0, "bad audio")


def test_a_piece_that_the_model_refuses_says_where_and_why(tmp_path) -> None:
    found = Hear(Refusing, None, Workplace(tmp_path))(row(tone(1.0), start_s=600.0))
    assert found["failure"] == ("The sound from 600 s on could not be heard: fake-transcriber refused: bad audio.")
    assert found["transcript"] == b""
    assert list(tmp_path.iterdir()) == []


def test_a_piece_of_which_the_process_died_before_is_given_up(tmp_path) -> None:
    attempts = Attempts(tmp_path)
    for _ in range(ATTEMPTS):
        attempts.begin("hear-1-2")
    found = Hear(FakeTranscriber, None, Workplace(tmp_path))(row(tone(1.0)))
    assert "the process died of it 3 times" in found["failure"]
