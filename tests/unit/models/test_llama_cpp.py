"""What is told to llama.cpp and what is read from it. The engine itself is met in tests/contracts/test_generator.py."""

import asyncio
import threading

import pytest

from models.catalog import Spec
from models.engines.llama_cpp import SEEDS, _Answer, _body, _Call
from models.errors import ContextTooLong, InvalidRequest, ModelRefused, ModelUnavailable
from models.values import Finished, GenerateRequest, JsonSchema, Message, Sampling, Started, TextDelta, Usage

SPEC = Spec("small", "chat", "llama_cpp", "cluster", "small", context_tokens=100, max_output_tokens=50)
MESSAGES = (Message("system", "be kind"), Message("user", "hi"))


def chunk(text: str | None = None, reason: str | None = None, **more) -> dict:
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": reason}], **more}


USAGE = {
    "choices": [],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 3}},
}


def test_what_is_asked_is_told_and_the_rest_left_to_the_engine() -> None:
    plain = _body(SPEC, GenerateRequest("small", MESSAGES))
    assert plain["messages"] == [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hi"}]
    assert plain["max_tokens"] == 50
    assert not {"temperature", "top_p", "seed", "stop", "response_format"} & set(plain)
    sampling = Sampling(0.0, 0.5, 7, ("x",), 0.1, 0.2, 40)
    full = _body(SPEC, GenerateRequest("small", MESSAGES, 9, sampling, JsonSchema({"type": "object"}, "town")))
    assert (full["max_tokens"], full["temperature"], full["top_p"], full["seed"]) == (9, 0.0, 0.5, 7)
    assert (full["stop"], full["frequency_penalty"], full["presence_penalty"], full["top_k"]) == (["x"], 0.1, 0.2, 40)
    assert full["response_format"]["json_schema"] == {"name": "town", "schema": {"type": "object"}}


def test_more_output_than_the_model_gives_is_cut_to_what_it_gives() -> None:
    assert _body(SPEC, GenerateRequest("small", MESSAGES, 10**9))["max_tokens"] == 50


@pytest.mark.parametrize("seed", [-1, 2**32 - 1, 2**63, 0])
def test_no_seed_means_choose_one(seed: int) -> None:
    told = _body(SPEC, GenerateRequest("small", MESSAGES, sampling=Sampling(seed=seed)))["seed"]
    assert 0 <= told < SEEDS


def test_what_arrives_together_is_one_piece_of_text() -> None:
    answer = _Answer(SPEC)
    assert answer.read([chunk(prompt_progress={"processed": 0})]) == [Started("small")]
    assert answer.read([chunk("Pa"), chunk("ris")]) == [TextDelta("Paris")]
    assert answer.read([chunk(reason="length"), USAGE]) == []
    assert answer.end(None) == Finished("length", Usage(5, 2, 3))


def test_an_error_of_the_engine_is_one_of_ours() -> None:
    too_long = {"type": "exceed_context_size_error", "code": 400, "message": "m", "n_prompt_tokens": 9, "n_ctx": 5}
    with pytest.raises(ContextTooLong, match="at most 5 tokens and the prompt has 9"):
        _Answer(SPEC).read([{"error": too_long}])
    with pytest.raises(InvalidRequest, match="no grammar"):
        _Answer(SPEC).read([{"error": {"code": 400, "message": "no grammar"}}])
    with pytest.raises(ModelRefused, match="decode failed"):
        _Answer(SPEC).read([{"error": {"code": 500, "message": "decode failed"}}])


def test_an_end_without_a_reason_is_no_answer() -> None:
    with pytest.raises(ModelUnavailable, match="stopped"):
        _Answer(SPEC).end(None)
    with pytest.raises(InvalidRequest, match="unrecognized type"):
        _Answer(SPEC).end(ValueError("unrecognized type bogus"))
    with pytest.raises(ModelRefused, match="out of memory"):
        _Answer(SPEC).end(RuntimeError("out of memory"))


async def test_chunks_of_a_thread_arrive_in_order_and_none_is_lost() -> None:
    call = _Call(asyncio.get_running_loop(), {})

    def talk() -> None:
        for number in range(10_000):
            assert call.put({"number": number}) is False
        call.end()

    thread = threading.Thread(target=talk)
    thread.start()
    numbers: list[int] = []
    async with asyncio.timeout(30):
        while not call.ended:
            numbers += [found["number"] for found in await call.chunks()]
    thread.join()
    assert numbers == list(range(10_000))


def test_a_loop_that_is_gone_stops_the_generation() -> None:
    loop = asyncio.new_event_loop()
    call = _Call(loop, {})
    loop.close()
    assert call.put(chunk("a")) is True
