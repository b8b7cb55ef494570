"""One suite for models.ports.Generator: the fake, llama.cpp in this process, and an OpenAI-shaped server over HTTP.

The last two speak with SmolLM2's real weights. The server is llama.cpp's own, so that its dialect is met as it is.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
import pytest

from models import catalog
from models.catalog import Spec
from models.engines.llama_cpp import LlamaCpp, parameters
from models.engines.openai import OpenAIShaped
from models.errors import ContextTooLong, InvalidRequest, ModelUnavailable
from models.fakes import FakeGenerator
from models.ports import Generator
from models.settings import ModelSettings
from models.values import Finished, GenerateRequest, JsonSchema, Message, Sampling, Started, TextDelta
from models.weights import fetch

pytestmark = pytest.mark.contract

WINDOW_TOKENS = 512  # small, so that filling it is quick
PARALLEL = 4
SPEC = replace(catalog.load().spec("smollm2-135m-instruct"), context_tokens=WINDOW_TOKENS)
FRANCE = "The capital of France is Paris."
GREEDY = Sampling(temperature=0.0)
QUESTIONS = (
    "What is the capital of France?",
    "Tell me a story about a cat.",
    "List five animals and say why you like each of them.",
    "Explain gravity to a child in simple words please.",
    "Write a poem about the sea.",
    "How do I bake bread?",
    "What is love?",
    "Why is the sky blue? " * 20,  # in several batches
)
CITY = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 12},
        "kind": {"enum": ["town", "city"]},
        "rivers": {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 2},
        "people": {"type": "integer", "minimum": 1, "maximum": 9},
    },
    "required": ["name", "kind", "rivers", "people"],
    "additionalProperties": False,
}


@dataclass
class House:
    """An engine under test, and how many requests it works on now."""

    engine: Generator
    busy: Callable[[], Awaitable[int]]
    real: bool = True


@pytest.fixture(scope="module")
def folder() -> Path:
    return fetch(str(SPEC.weights), ModelSettings())


@pytest.fixture(scope="module")
def llama(folder):
    """One for all tests; it belongs to no event loop."""
    engine = LlamaCpp(folder, 2, PARALLEL, WINDOW_TOKENS, SPEC.chat_template)
    yield engine
    asyncio.run(engine.close())


@pytest.fixture(scope="module")
def upstream(folder, llama):
    """llama.cpp's own HTTP server with the same parameters: its URL."""
    import xllamacpp

    params = parameters(next(folder.glob("*.gguf")), 2, PARALLEL, WINDOW_TOKENS, SPEC.chat_template)
    params.endpoint_slots, params.n_threads_http = True, 16
    server = xllamacpp.Server(params)
    yield server.listening_address
    del server


@pytest.fixture(params=["fake", "llama_cpp", "openai"])
async def house(request) -> AsyncIterator[House]:
    if request.param == "fake":
        fake = FakeGenerator(FRANCE)

        async def open_streams() -> int:
            return fake.open

        yield House(fake, open_streams, real=False)
    elif request.param == "llama_cpp":
        llama = request.getfixturevalue("llama")

        async def in_flight() -> int:
            return llama.in_flight

        yield House(llama, in_flight)
    else:
        url = request.getfixturevalue("upstream")
        engine = OpenAIShaped(f"{url}/v1")

        async def slots() -> int:
            async with aiohttp.ClientSession() as session, session.get(f"{url}/slots") as answer:
                return sum(slot["is_processing"] for slot in await answer.json())

        yield House(engine, slots)
        await engine.close()


def ask(text: str = QUESTIONS[0], sampling: Sampling = GREEDY, limit: int | None = 24, **more) -> GenerateRequest:
    return GenerateRequest(SPEC.id, (Message("user", text),), limit, sampling, **more)


async def collect(house: House, request: GenerateRequest, spec: Spec = SPEC) -> list:
    return [event async for event in house.engine.stream(spec, request)]


async def text_of(house: House, request: GenerateRequest) -> str:
    return "".join(event.text for event in await collect(house, request) if isinstance(event, TextDelta))


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await condition():  # noqa: ASYNC110  # nothing in llama.cpp calls back when it begins or ends
            await asyncio.sleep(0.005)


async def idle(house: House) -> None:
    async def is_idle() -> bool:
        return await house.busy() == 0

    await until(is_idle)


async def at_work(engine: LlamaCpp, requests: int) -> None:
    async def is_at_work() -> bool:
        return engine.in_flight >= requests

    await until(is_at_work)


async def test_an_answer_is_started_pieces_of_text_finished(house) -> None:
    first, *pieces, last = await collect(house, ask())
    assert first == Started(SPEC.id)
    assert len(pieces) > 1
    assert all(isinstance(piece, TextDelta) and piece.text for piece in pieces)
    assert "".join(piece.text for piece in pieces) == FRANCE
    assert isinstance(last, Finished)
    assert last.reason == "stop"
    assert last.usage.input_tokens >= 6
    assert 6 <= last.usage.output_tokens <= 10
    assert last.usage.cached_input_tokens <= last.usage.input_tokens


async def test_an_answer_ends_at_max_output_tokens_and_says_so(house) -> None:
    *_, last = await collect(house, ask(limit=3))
    assert (last.reason, last.usage.output_tokens) == ("length", 3)


async def test_a_stop_sequence_ends_the_answer_and_is_not_part_of_it(house) -> None:
    *pieces, last = await collect(house, ask(sampling=Sampling(temperature=0.0, stop=(" is", "never"))))
    assert "".join(piece.text for piece in pieces[1:]) == "The capital of France"
    assert last.reason == "stop"


async def test_an_answer_under_a_schema_satisfies_it(house) -> None:
    found = json.loads(await text_of(house, ask("Describe a town.", limit=200, answer_schema=JsonSchema(CITY))))
    assert sorted(found) == sorted(CITY["required"])
    assert 1 <= len(found["name"]) <= 12
    assert found["kind"] in ("town", "city")
    assert [type(river) for river in found["rivers"]] == [bool, bool]
    assert 1 <= found["people"] <= 9


async def test_a_prompt_over_the_window_is_refused_with_both_numbers(house) -> None:
    with pytest.raises(ContextTooLong) as caught:
        await collect(house, ask("hi " * 3000))
    assert caught.value.context_tokens == WINDOW_TOKENS
    assert 3000 <= caught.value.prompt_tokens <= 3020


async def test_an_answer_ends_where_the_window_ends(house) -> None:
    if not house.real:
        pytest.skip("the fake's answer ends before")
    *_, last = await collect(house, ask("word " * 460 + "\nTell me a very long story about a cat.", limit=500))
    assert last.usage.input_tokens + last.usage.output_tokens <= WINDOW_TOKENS + 1


@pytest.mark.parametrize("sampling", [GREEDY, Sampling(temperature=0.9, seed=7)], ids=["greedy", "seeded"])
async def test_the_same_seed_gives_the_same_text_whatever_else_is_in_flight(house, sampling) -> None:
    alone = [await text_of(house, ask(question, sampling)) for question in QUESTIONS]
    together = await asyncio.gather(*(text_of(house, ask(question, sampling)) for question in reversed(QUESTIONS)))
    assert together[::-1] == alone
    if house.real:
        assert len(set(alone)) == len(QUESTIONS)


async def test_another_seed_gives_another_text(house) -> None:
    if not house.real:
        pytest.skip("the fake has no dice")
    told = {await text_of(house, ask(QUESTIONS[1], Sampling(temperature=0.9, seed=seed))) for seed in (-1, 7, 2**63)}
    assert len(told) == 3


async def test_a_caller_who_leaves_stops_the_engine(house) -> None:
    stream = house.engine.stream(SPEC, ask("Count from one to one thousand, in words.", limit=400))
    started_s = time.monotonic()
    pieces = 0
    async for event in stream:
        pieces += isinstance(event, TextDelta)
        if pieces == 5:
            break
    spent_s = time.monotonic() - started_s
    await stream.aclose()
    left_s = time.monotonic()
    await idle(house)
    if house.real:  # 100 tokens would take twenty times as long as the first five did
        assert time.monotonic() - left_s < 10 * spent_s


async def test_a_caller_who_leaves_while_the_prompt_is_read_stops_the_engine(house, llama) -> None:
    if house.engine is not llama:
        pytest.skip("an HTTP caller hears nothing before the first token")
    stream = llama.stream(SPEC, ask("lord " * 480))
    assert await anext(stream) == Started(SPEC.id)
    await stream.aclose()
    await idle(house)
    assert await text_of(house, ask()) == FRANCE


async def test_a_caller_who_leaves_the_line_is_never_worked_for(llama) -> None:
    house = House(llama, lambda: None)
    running = [asyncio.ensure_future(collect(house, ask(question, limit=40))) for question in QUESTIONS[:PARALLEL]]
    waiting = asyncio.ensure_future(collect(house, ask("Never asked.")))
    await at_work(llama, PARALLEL)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    assert all(isinstance(events[-1], Finished) for events in await asyncio.gather(*running))
    assert llama.in_flight == 0


@pytest.mark.parametrize(
    "schema", [{"type": "nonsense"}, {"$ref": "#/$defs/nowhere"}], ids=["unknown type", "dangling reference"]
)
async def test_a_schema_that_cannot_be_followed_is_the_caller_s_to_mend(house, schema) -> None:
    if not house.real:
        pytest.skip("the fake checks no schema")
    with pytest.raises(InvalidRequest):
        await collect(house, ask(answer_schema=JsonSchema(schema)))


async def test_text_that_is_no_unicode_is_the_caller_s_to_mend(llama) -> None:
    with pytest.raises(InvalidRequest):
        await collect(House(llama, lambda: None), ask("half a pair: \ud800"))


async def test_closing_ends_open_streams_those_in_line_too_and_takes_no_more(folder) -> None:
    engine = LlamaCpp(folder, 1, 1, 256, SPEC.chat_template)
    house = House(engine, lambda: None)
    streams = [asyncio.ensure_future(collect(house, ask(question, limit=200))) for question in QUESTIONS[1:4]]
    await at_work(engine, 1)
    await engine.close()
    ends = await asyncio.gather(*streams, return_exceptions=True)
    assert [type(end) for end in ends] == [ModelUnavailable] * 3
    with pytest.raises(ModelUnavailable, match="stopping"):
        await collect(house, ask())


def test_llama_cpp_s_own_server_listens_where_nobody_can_call(llama) -> None:
    address = llama._server.listening_address
    assert address.startswith("unix://")
    assert not Path(address.removeprefix("unix://")).exists()
