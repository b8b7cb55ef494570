"""The fake embedder's answers can be asserted."""

import numpy as np

from models.fakes import FakeEmbedder


def test_the_same_text_has_the_same_vector_and_another_text_another() -> None:
    embedder = FakeEmbedder(dim=64)

    one, two, again = embedder.encode(["a b", "a c", "a b"]).values

    assert np.array_equal(one, again)
    assert abs(one @ two) < 0.5
    assert one[:2].round(4).tolist() == FakeEmbedder(dim=64).encode(["a b"]).values[0, :2].round(4).tolist()


def test_it_remembers_what_it_was_asked() -> None:
    embedder = FakeEmbedder()
    embedder.encode(["a", "b"])
    embedder.encode(["c"])

    assert embedder.calls == 2
    assert embedder.batches == [("a", "b"), ("c",)]
