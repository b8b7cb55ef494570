"""An OpenAI-shaped server over HTTP: what it may send, and what becomes of it. A real server that plays scripts."""

import asyncio
import pickle
from collections.abc import AsyncIterator

import orjson
import pytest
from aiohttp import web
from pydantic import SecretStr

from models.catalog import Spec
from models.engines.http_generator import Timeouts
from models.engines.openai import OpenAIShaped
from models.engines.openai_wire import body_of
from models.errors import (
    ContextTooLong,
    InvalidRequest,
    ModelOverloaded,
    ModelRefused,
    ModelTimeout,
    ModelUnavailable,
)
from models.values import DataClass, Finished, GenerateRequest, JsonSchema, Message, Sampling, Started, TextDelta, Usage

SPEC = Spec("local", "chat", "openai", "cluster", "wire-name", max_output_tokens=100)
ASK = GenerateRequest("local", (Message("system", "be kind"), Message("user", "hi", "ann")))


def chunk(text: str | None = None, reason: str | None = None, **more) -> bytes:
    delta = {"content": text} if text is not None else {}
    return (
        b"data: " + orjson.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": reason}], **more}) + b"\n\n"
    )


COUNTS = {"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 3}}
USAGE = b"data: " + orjson.dumps({"choices": [], "usage": COUNTS}) + b"\n\n"
WHOLE = [chunk(""), chunk("Pa"), chunk("ris é"), chunk(reason="stop"), USAGE, b"data: [DONE]\n\n"]
LLAMA_TOO_LONG = orjson.dumps(
    {"error": {"code": 400, "type": "exceed_context_size_error", "message": "m", "n_prompt_tokens": 9, "n_ctx": 5}}
)
VLLM_TOO_LONG = orjson.dumps(
    {
        "error": {
            "code": 400,
            "message": "This model's maximum context length is 5 tokens. However, you requested 9 tokens (7 in the "
            "messages, 2 in the completion).",
        }
    }
)


class Server:
    """Answers with `status`, `headers` and `parts`; between parts it waits for nobody, after them for `hold` if set."""

    def __init__(self) -> None:
        self.status, self.headers, self.parts, self.hold = 200, {"content-type": "text/event-stream"}, list(WHOLE), None
        self.cut = False
        self.hang_up_next = False
        self.seen: list[dict] = []
        self.gone = asyncio.Event()
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        self.seen.append(
            {"headers": dict(request.headers), "body": body, "from": request.transport.get_extra_info("peername")}
        )
        if self.hang_up_next:
            self.hang_up_next = False
            request.transport.abort()
        answer = web.StreamResponse(status=self.status, headers=self.headers)
        await answer.prepare(request)
        try:
            for part in self.parts:
                await answer.write(part)
            if self.hold is not None:
                await self.hold.wait()
            if self.cut:
                request.transport.abort()
        except (asyncio.CancelledError, ConnectionError):
            self.gone.set()
            raise
        return answer


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    played = Server()
    app = web.Application()
    app.router.add_post("/v1/chat/completions", played.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    played.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    yield played
    await runner.cleanup()


@pytest.fixture
async def engine(server: Server) -> AsyncIterator[OpenAIShaped]:
    engine = OpenAIShaped(server.url, SecretStr("hush"), Timeouts(silence_s=5))
    yield engine
    await engine.close()


async def collect(engine: OpenAIShaped, request: GenerateRequest = ASK) -> list:
    return [event async for event in engine.stream(SPEC, request)]


def text_of(events: list) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


async def test_a_stream_becomes_events(server, engine) -> None:
    events = await collect(engine)
    assert events[0] == Started("local")
    assert text_of(events) == "Paris é"
    assert events[-1] == Finished("stop", Usage(5, 2, 3))


async def test_a_character_cut_in_two_reads_is_whole_again(server, engine) -> None:
    whole = b"".join(WHOLE)
    cut = whole.index("é".encode()) + 1
    server.parts = [whole[:cut], whole[cut:]]
    assert text_of(await collect(engine)) == "Paris é"


async def test_what_is_asked_is_sent_and_nothing_else(server, engine) -> None:
    request = GenerateRequest(
        "local", ASK.messages, 9, Sampling(0.5, 0.9, 7, ("x",)), JsonSchema({"type": "object"}), DataClass.PRIVATE
    )
    await collect(engine, request)
    seen = server.seen[0]
    assert seen["headers"]["Authorization"] == "Bearer hush"
    assert seen["headers"]["x-data-class"] == "private"
    assert seen["body"] == {
        "model": "wire-name",
        "messages": [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hi", "name": "ann"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 9,
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 7,
        "stop": ["x"],
        "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}},
    }
    assert set(orjson.loads(body_of(SPEC, ASK))) == {"model", "messages", "stream", "stream_options"}


@pytest.mark.parametrize(
    ("status", "headers", "body", "error", "says"),
    [
        (401, {}, b"{}", ModelUnavailable, "our key"),
        (403, {}, b"nope", ModelUnavailable, "our key"),
        (429, {"retry-after": "7"}, b"{}", ModelOverloaded, "wait 7 s"),
        (500, {}, b"<html>", ModelOverloaded, "500"),
        (503, {}, b"", ModelOverloaded, "503"),
        (404, {}, b'{"error":{"message":"no such model"}}', ModelRefused, "no such model"),
        (400, {}, b'{"error":{"message":"bad seed","param":"seed","code":"x"}}', InvalidRequest, "bad seed"),
        (400, {}, b'{"error":"text"}', InvalidRequest, "HTTP 400"),
        (400, {}, b'{"error":{"code":"context_length_exceeded","message":"m","prompt_tokens":9,"context_tokens":5}}',
         ContextTooLong, "at most 5 tokens and the prompt has 9"),
        (400, {}, b'{"error":{"code":"context_length_exceeded","message":"over by 4"}}', InvalidRequest, "over by 4"),
        (400, {}, LLAMA_TOO_LONG, ContextTooLong, "at most 5 tokens and the prompt has 9"),
        (400, {}, VLLM_TOO_LONG, ContextTooLong, "at most 5 tokens and the prompt has 9"),
    ],
)  # fmt: skip
async def test_a_refusal_becomes_the_error_that_fits(server, engine, status, headers, body, error, says) -> None:
    server.status, server.headers, server.parts = status, headers, [body]
    with pytest.raises(error, match=says):
        await collect(engine)


@pytest.mark.parametrize(
    "broken",
    [
        b"data: not json\n\n",
        b"data: []\n\n",
        b'data: {"choices":[{"delta":null}]}\n\n',
        b'data: {"choices":3}\n\n',
        b"data: 5\n\n",
    ],
)
async def test_a_malformed_chunk_is_a_failure_another_model_may_mend(server, engine, broken: bytes) -> None:
    server.parts = [chunk("Pa"), broken]
    with pytest.raises(ModelUnavailable):
        await collect(engine)


async def test_an_error_in_the_stream_is_an_error(server, engine) -> None:
    server.parts = [chunk("Pa"), b'data: {"error":{"message":"gone","code":"x"}}\n\n']
    with pytest.raises(ModelRefused, match="gone"):
        await collect(engine)


@pytest.mark.parametrize("cut", [True, False], ids=["cut", "ended"])
async def test_an_answer_without_its_end_is_not_whole(server, engine, cut: bool) -> None:
    server.parts, server.cut = [chunk("Pa")], cut
    with pytest.raises(ModelUnavailable, match="broke"):
        await collect(engine)


async def test_a_missing_done_mark_is_forgiven_when_the_reason_came(server, engine) -> None:
    server.parts = [chunk("Pa"), chunk(reason="length")]
    assert (await collect(engine))[-1] == Finished("length", Usage())


async def test_nobody_listening_is_unavailable_and_retryable() -> None:
    engine = OpenAIShaped("http://127.0.0.1:1/v1")
    with pytest.raises(ModelUnavailable, match="no connection") as caught:
        await collect(engine)
    assert caught.value.retryable
    await engine.close()


async def test_calls_one_after_another_share_a_connection(server, engine) -> None:
    for _ in range(3):
        await collect(engine)
    assert len({seen["from"] for seen in server.seen}) == 1


async def test_a_kept_connection_that_the_server_closed_costs_no_call(server, engine) -> None:
    server.hang_up_next = True
    assert text_of(await collect(engine)) == "Paris é"
    assert len(server.seen) == 2


async def test_silence_is_given_up(server) -> None:
    engine = OpenAIShaped(server.url, None, Timeouts(silence_s=0.2))
    server.hold = asyncio.Event()
    server.parts = [chunk("Pa")]
    with pytest.raises(ModelTimeout):
        await collect(engine)
    await engine.close()


async def test_leaving_early_hangs_up_on_the_server(server, engine) -> None:
    server.hold = asyncio.Event()
    server.parts = [chunk("Pa")]
    stream = engine.stream(SPEC, ASK)
    async for event in stream:
        if isinstance(event, TextDelta):
            break
    await stream.aclose()
    async with asyncio.timeout(10):
        await server.gone.wait()


def test_an_unused_engine_travels_and_shows_no_key() -> None:
    engine = pickle.loads(pickle.dumps(OpenAIShaped("http://x/v1", SecretStr("hush"))))  # noqa: S301
    assert "hush" not in repr(vars(engine))
