"""The fake generator's own levers; what it shares with real ones is in tests/contracts/test_generator.py."""

import asyncio

import pytest

from models.catalog import Spec
from models.errors import ContextTooLong, ModelUnavailable
from models.fakes import FakeGenerator
from models.values import GenerateRequest, JsonSchema, Message, Started, TextDelta

SPEC = Spec("fake", "chat", "llama_cpp", "cluster", "fake", context_tokens=5)
ASK = GenerateRequest("fake", (Message("user", "one two three"),))


async def said(engine: FakeGenerator, request: GenerateRequest = ASK) -> str:
    return "".join([event.text async for event in engine.stream(SPEC, request) if isinstance(event, TextDelta)])


async def test_it_says_the_last_message_back_and_counts_words() -> None:
    engine = FakeGenerator()
    assert await said(engine) == "one two three"
    assert (engine.calls, engine.open, engine.stopped) == (1, 0, 0)
    assert engine.requests == [ASK]
    with pytest.raises(ContextTooLong, match="at most 5 tokens and the prompt has 6"):
        await said(engine, GenerateRequest("fake", (Message("user", "a b c d e f"),)))


async def test_it_pauses_at_its_gate_and_counts_who_left() -> None:
    gate = asyncio.Event()
    engine = FakeGenerator(gate=gate)
    stream = engine.stream(SPEC, ASK)
    assert [await anext(stream), await anext(stream)] == [Started("fake"), TextDelta("one")]
    paused = asyncio.ensure_future(anext(stream))
    assert not (await asyncio.wait([paused], timeout=0))[0]
    assert engine.open == 1
    gate.set()
    assert await paused == TextDelta(" two")
    await stream.aclose()
    assert (engine.open, engine.stopped) == (0, 1)


async def test_it_fails_as_told_one_request_after_another() -> None:
    engine = FakeGenerator("fine", failures=[ModelUnavailable("fake", "gone")])
    with pytest.raises(ModelUnavailable, match="gone"):
        await said(engine)
    assert await said(engine) == "fine"


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"type": "object"}, "{}"),
        ({"const": 3}, "3"),
        ({"enum": ["a", "b"]}, '"a"'),
        ({"anyOf": [{"type": "boolean"}, {"type": "null"}]}, "true"),
        ({"type": ["number", "null"], "minimum": 2.5}, "2.5"),
        ({"type": "array", "items": {"type": "string", "minLength": 2}, "minItems": 2}, '["xx", "xx"]'),
        (
            {"type": "object", "properties": {"n": {"type": "integer"}, "m": {"type": "null"}}, "required": ["n"]},
            '{"n": 0}',
        ),
    ],
)
async def test_under_a_schema_it_says_the_plainest_value_that_fits(schema, says) -> None:
    assert await said(FakeGenerator(), GenerateRequest("fake", ASK.messages, answer_schema=JsonSchema(schema))) == says
