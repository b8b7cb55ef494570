"""The embeddings application: batches, fairness, wire."""

import asyncio
import threading
from base64 import b64decode

import numpy as np
import orjson
import pytest

from deployments.args import EmbeddingArgs
from deployments.embedding import Batcher, Embeddings
from deployments.front import Admitted
from deployments.metrics import Metrics
from models.errors import InvalidRequest, ModelUnavailable, TooLarge, UnknownModel
from models.fakes import FakeEmbedder
from models.values import Caller, Vectors

ARGS = EmbeddingArgs(model="fake", batch_tokens=256, max_inputs=50)


class Gated(FakeEmbedder):
    """Waits in its thread until it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.go = threading.Event(), threading.Event()

    def encode(self, texts) -> Vectors:
        self.entered.set()
        assert self.go.wait(30)
        return super().encode(texts)


async def answered(embedder, body, args=ARGS) -> dict:
    sent: list = []

    async def send(message) -> None:
        sent.append(message)

    handler = Embeddings(embedder, args, Metrics("embedding"))
    await handler.create({}, send, Admitted(Caller("k", "app", "t"), b"r", body))
    await handler.close()
    return orjson.loads(sent[1]["body"])


async def test_vectors_come_in_the_order_of_their_texts() -> None:
    embedder = FakeEmbedder()
    texts = ["a b c d", "a", "a b", "a b c d e f"]
    answer = await answered(embedder, {"model": "fake", "input": texts})
    found = np.array([row["embedding"] for row in answer["data"]], np.float32)
    assert np.allclose(found, FakeEmbedder().encode(texts).values)
    assert answer["usage"] == {"prompt_tokens": 6 + 3 + 4 + 8, "total_tokens": 21}


async def test_base64_is_little_endian_float32_and_dimensions_are_cut_to_length_one() -> None:
    body = {"model": "fake", "input": "peace", "encoding_format": "base64", "dimensions": 10}
    vector = np.frombuffer(b64decode((await answered(FakeEmbedder(), body))["data"][0]["embedding"]), "<f4")
    whole = FakeEmbedder().encode(["peace"]).values[0][:10]
    assert np.allclose(vector, whole / np.linalg.norm(whole), atol=1e-6)


async def test_what_comes_while_the_engine_is_busy_goes_together() -> None:
    embedder = Gated()
    batcher = Batcher(embedder, 10_000)
    first = asyncio.create_task(batcher.encode(["first"]))
    await asyncio.to_thread(embedder.entered.wait, 30)
    others = [asyncio.create_task(batcher.encode([f"other {number}"])) for number in range(20)]
    async with asyncio.timeout(10):
        while len(batcher._requests) < 20:  # noqa: ASYNC110
            await asyncio.sleep(0)
    embedder.go.set()
    await asyncio.gather(first, *others)
    assert [len(batch) for batch in embedder.batches] == [1, 20]
    await batcher.close()


async def test_each_call_of_the_engine_is_counted_with_its_texts() -> None:
    told: list[int] = []
    batcher = Batcher(FakeEmbedder(), 8, told.append)
    await batcher.encode(["a b c", "a b c", "a b c"])
    assert sum(told) == 3
    assert len(told) > 1
    await batcher.close()


async def test_one_sentence_does_not_wait_behind_another_s_thousand() -> None:
    embedder = Gated()
    batcher = Batcher(embedder, 100)
    long = asyncio.create_task(batcher.encode([f"word {number}" for number in range(1000)]))
    await asyncio.to_thread(embedder.entered.wait, 30)
    short = asyncio.create_task(batcher.encode(["me"]))
    async with asyncio.timeout(10):
        while len(batcher._requests) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0)
    embedder.go.set()
    await asyncio.gather(long, short)
    assert any("me" in batch for batch in embedder.batches[:3])
    assert sum(len(batch) for batch in embedder.batches) == 1001
    assert all(sum(embedder.count_tokens(batch)) <= 110 for batch in embedder.batches)
    await batcher.close()


async def test_a_text_larger_than_a_batch_goes_alone() -> None:
    embedder = FakeEmbedder()
    batcher = Batcher(embedder, 4)
    await batcher.encode(["a b c d e f g h", "a"])
    assert len(embedder.batches) == 2
    await batcher.close()


async def test_texts_of_a_caller_who_left_are_not_embedded() -> None:
    embedder = Gated()
    batcher = Batcher(embedder, 10_000)
    first = asyncio.create_task(batcher.encode(["first"]))
    await asyncio.to_thread(embedder.entered.wait, 30)
    gone = asyncio.create_task(batcher.encode(["gone"]))
    async with asyncio.timeout(10):
        while not batcher._requests:  # noqa: ASYNC110
            await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait([gone])
    stays = asyncio.create_task(batcher.encode(["stays"]))
    embedder.go.set()
    await asyncio.gather(first, stays)
    assert embedder.batches == [("first",), ("stays",)]
    await batcher.close()


async def test_an_engine_s_failure_is_everyone_s_answer_and_the_next_batch_goes_on() -> None:
    class Failing(FakeEmbedder):
        failed = False

        def encode(self, texts) -> Vectors:
            if not self.failed:
                self.failed = True
                raise ModelUnavailable("fake", "broke")
            return super().encode(texts)

    batcher = Batcher(Failing(), 10_000)
    with pytest.raises(ModelUnavailable):
        await batcher.encode(["x", "y"])
    assert len((await batcher.encode(["x"]))[0]) == 1
    await batcher.close()


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"input": [""]}, InvalidRequest),
        ({"input": [[1, 2]]}, InvalidRequest),
        ({"input": None}, InvalidRequest),
        ({"dimensions": 385}, InvalidRequest),
        ({"encoding_format": "hex"}, InvalidRequest),
        ({"input": ["x"] * 51}, TooLarge),
        ({"input": "x" * 1_000_001}, TooLarge),
        ({"model": "other"}, UnknownModel),
        ({"input": "half \ud800 a pair"}, InvalidRequest),
    ],
)
async def test_what_is_wrong_is_refused(changes: dict, error: type[Exception]) -> None:
    with pytest.raises(error):
        await answered(FakeEmbedder(), {"model": "fake", "input": "x", **changes})
