"""One suite for models.ports.Embedder, over its fake, OpenVINO and sentence-transformers, on real weights.

reference_minilm.json holds what torch says in float32; make_reference.py made it.
"""

import base64
import importlib.util
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from models.errors import InvalidRequest, ModelUnavailable
from models.fakes import FakeEmbedder
from models.settings import ModelSettings
from models.weights import fetch

pytestmark = pytest.mark.contract

COSINE = 0.999
SAME = 0.9995  # the same text twice: another batch adds in another order, which bfloat16 shows in the fourth digit
REFERENCE = json.loads(Path(__file__).with_name("reference_minilm.json").read_text())
TEXTS = REFERENCE["texts"]
VECTORS = np.array([np.frombuffer(base64.b64decode(row), "<f4") for row in REFERENCE["vectors_float32_base64"]])
REAL = ["openvino", pytest.param("sentence_transformers", marks=pytest.mark.torch)]


@pytest.fixture(scope="module")
def weights():
    return fetch("all-MiniLM-L6-v2", ModelSettings())


@pytest.fixture(scope="module")
def make(weights):
    """Engine by name, made once."""
    made = {}

    def one(name):
        if name == "sentence_transformers" and importlib.util.find_spec("sentence_transformers") is None:
            (pytest.fail if os.environ.get("CI") else pytest.skip)("extra torch is not installed")
        if name not in made:
            made[name] = new(name, weights)
        return made[name]

    return one


def new(name, folder):
    if name == "fake":
        return FakeEmbedder()
    if name == "openvino":
        from models.engines.openvino_embedder import OpenVinoEmbedder

        return OpenVinoEmbedder(folder)
    from models.engines.sentence_embedder import SentenceEmbedder

    return SentenceEmbedder(folder, threads=1)


@pytest.fixture(params=["fake", *REAL])
def embedder(request, make):
    return make(request.param)


@pytest.fixture(params=REAL)
def real(request, make):
    return make(request.param)


def cosines(found, expected):
    return np.einsum("nd,nd->n", found, expected)


def test_every_vector_points_where_the_float32_reference_points(real) -> None:
    found = real.encode(TEXTS)

    worst = dict(zip(cosines(found.values, VECTORS).round(6).tolist(), TEXTS, strict=True))
    assert min(worst) >= COSINE, f"{min(worst)} at {worst[min(worst)][:80]!r}"


def test_the_shape_is_a_row_a_text_of_length_one_in_float32(embedder) -> None:
    found = embedder.encode(TEXTS)

    assert found.values.shape == (len(TEXTS), 384) == (len(TEXTS), embedder.dim)
    assert found.values.dtype == np.float32
    assert found.tokens.dtype == np.int64
    assert np.abs(np.linalg.norm(found.values, axis=1) - 1).max() < 1e-5


def test_a_text_has_the_same_vector_alone_and_among_others(embedder) -> None:
    chosen = TEXTS[::5]
    together = embedder.encode(TEXTS).values[::5]

    alone = np.concatenate([embedder.encode([text]).values for text in chosen])

    assert cosines(alone, together).min() > SAME


def test_the_order_of_the_texts_is_kept(embedder) -> None:
    some = TEXTS[::3]
    turned = list(reversed(range(len(some))))

    straight = embedder.encode(some)
    backwards = embedder.encode([some[index] for index in turned])

    assert cosines(straight.values[turned], backwards.values).min() > COSINE
    assert straight.tokens[turned].tolist() == backwards.tokens.tolist()


def test_no_text_gives_no_row(embedder) -> None:
    found = embedder.encode([])

    assert found.values.shape == (0, embedder.dim)
    assert (found.values.dtype, found.tokens.shape, found.truncated) == (np.float32, (0,), 0)
    assert embedder.count_tokens([]) == []


def test_an_empty_text_has_a_vector_too(embedder) -> None:
    found = embedder.encode(["", "hello"])

    assert found.tokens.tolist() == [2, 3]  # its start and its end
    assert np.isfinite(found.values).all()


def test_a_long_text_is_cut_at_what_the_model_reads_and_counted(embedder) -> None:
    assert embedder.max_tokens == 256
    fits, too_long = "word " * 254, "word " * 255

    found = embedder.encode([too_long, "short", fits, "word " * 5000])

    assert found.tokens.tolist() == [256, 3, 256, 256]
    assert found.truncated == 2
    assert cosines(found.values[[0, 3]], found.values[[2, 2]]).min() > SAME  # the same 254 words were read


def test_tokens_are_counted_as_encode_reads_them(embedder) -> None:
    assert embedder.count_tokens(TEXTS) == embedder.encode(TEXTS).tokens.tolist()


def test_several_threads_get_what_one_gets(embedder) -> None:
    lists = [TEXTS[start::16] for start in range(4)] * 2
    expected = [embedder.encode(texts).values for texts in lists]

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(embedder.encode, lists))

    assert min(cosines(got.values, want).min() for got, want in zip(found, expected, strict=True)) > COSINE


def test_half_a_character_is_refused_as_the_callers_mistake(embedder) -> None:
    with pytest.raises(InvalidRequest, match="surrogate"):
        embedder.encode(["good", "\ud800 bad"])
    assert embedder.encode(["good"]).tokens.tolist() == [3]  # and the engine goes on


def test_likeness_is_higher_where_the_meaning_is(real) -> None:
    question, same, other = real.encode(
        ["How do I change my password?", "I want to reset my login credentials.", "The soup needs more salt."]
    ).values

    assert question @ same > 0.5
    assert question @ other < 0.2


def test_bfloat16_points_where_float32_points(weights) -> None:
    from models.engines.openvino_embedder import OpenVinoEmbedder

    embedder = OpenVinoEmbedder(weights, precision="bf16")  # emulated, and slow, where the processor has none
    short = [index for index, text in enumerate(TEXTS) if len(text) < 25]

    found = embedder.encode([TEXTS[index] for index in short]).values

    assert len(short) > 9
    assert cosines(found, VECTORS[short]).min() >= COSINE


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("config.json", '"gelu"', '"relu"'),
        ("config.json", '"bert"', '"roberta"'),
        ("1_Pooling/config.json", '"pooling_mode_mean_tokens": true', '"pooling_mode_mean_tokens": false'),
        ("sentence_bert_config.json", "max_seq_length", "other"),
    ],
)
def test_a_model_that_the_graph_does_not_build_is_refused_not_approximated(
    weights, tmp_path, file, before, after
) -> None:
    from models.engines.openvino_embedder import OpenVinoEmbedder

    for name in ("config.json", "sentence_bert_config.json", "1_Pooling/config.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text((weights / name).read_text())
    (tmp_path / file).write_text((weights / file).read_text().replace(before, after))

    with pytest.raises(ModelUnavailable, match="no BERT sentence encoder"):
        OpenVinoEmbedder(tmp_path)
