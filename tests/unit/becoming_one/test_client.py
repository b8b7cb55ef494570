import json
import pickle
import subprocess
import sys
import threading

import httpx
import numpy as np
import pytest

from becoming_one import errors, operations
from becoming_one.client import AsyncClient, Client
from becoming_one.operations import Retries


@pytest.fixture
def client(server):
    with Client(server.url, "bo-key") as client:
        client._retries = Retries(3, draw=lambda: 0.0)  # tests wait for nothing
        yield client


@pytest.fixture
async def async_client(server):
    async with AsyncClient(server.url, "bo-key") as client:
        client._retries = Retries(3, draw=lambda: 0.0)
        yield client


def test_an_answer_tells_where_it_came_from(client, server) -> None:
    answer = client.ask("say it again", model="bulk")

    assert answer.text == "say it again"
    assert (answer.model, answer.cache, answer.request_id, answer.plan) == (
        "tiny-instruct",
        "coalesced",
        "req_7",
        "first",
    )
    assert answer.usage == type(answer.usage)(input_tokens=3, output_tokens=3, cached_input_tokens=1)
    assert (answer.finish_reason, answer.cost_usd) == ("stop", None)
    request = server.received[0]
    assert request.headers["authorization"] == "Bearer bo-key"
    assert request.body == {"model": "bulk", "messages": [{"role": "user", "content": "say it again"}]}


def test_options_travel_in_the_vendors_fields_and_the_houses_headers(client, server) -> None:
    client.ask(
        [{"role": "user", "content": "hi"}],
        system="Be brief.",
        max_tokens=5,
        temperature=0.0,
        top_p=0.5,
        seed=0,
        stop=["\n"],
        user="u1",
        schema={"type": "object"},
        data_class="private",
        fresh=True,
    )

    request = server.received[0]
    assert request.headers["x-data-class"] == "private"
    assert request.headers["cache-control"] == "no-cache"
    assert request.body == {
        "model": "realtime",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}],
        "max_tokens": 5,
        "temperature": 0.0,
        "top_p": 0.5,
        "seed": 0,
        "stop": ["\n"],
        "user": "u1",
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": {"type": "object"}, "strict": True},
        },
    }


def test_a_stream_gives_the_pieces_as_they_come_and_the_whole_at_the_end(client, server) -> None:
    stream = client.stream("one two three")

    assert next(stream) == "one "
    with pytest.raises(RuntimeError, match="read to its end"):
        _ = stream.answer
    assert list(stream) == ["two ", "three"]
    assert stream.answer.text == "one two three"
    assert stream.answer.usage.output_tokens == 3
    assert stream.answer.model == "tiny-instruct"


@pytest.mark.parametrize(
    "text", ["line\u2028separator", "next\x85line", "Bücher 本 🜁", 'quote " and \\ slash', "a\r\nb"]
)
def test_a_stream_carries_every_character(client, text) -> None:
    assert "".join(client.stream(text)) == text


def test_a_stream_may_be_cut_anywhere_between_bytes(client, server) -> None:
    with httpx.Client() as http:
        body = {"model": "m", "messages": [{"role": "user", "content": "ä 本 b"}], "stream": True}
        whole = http.post(server.url + "/v1/chat/completions", json=body).content
    server.then_sends(body=[whole[n : n + 1] for n in range(len(whole))])

    assert "".join(client.stream("anything")) == "ä 本 b"


def test_a_stream_that_breaks_off_is_not_taken_for_a_whole_answer(client, server) -> None:
    event = b'data: {"choices":[{"index":0,"delta":{"content":"half an"}}]}\n\n'
    server.then_sends(body=[event], cut=True, x_request_id="req_1")
    stream = client.stream("hi")

    with pytest.raises(errors.Interrupted, match=r"broke off after [07] characters") as caught:
        list(stream)
    assert caught.value.request_id == "req_1"
    assert len(server.received) == 1


def test_a_stream_that_ends_without_its_last_event_is_not_taken_for_a_whole_answer(client, server) -> None:
    server.then_sends(body=[b'data: {"choices":[{"index":0,"delta":{"content":"half"}}]}\n\n'])

    with pytest.raises(errors.Interrupted, match="after 4 characters"):
        list(client.stream("hi"))


def test_an_error_within_a_stream_is_raised_with_its_sentence(client, server) -> None:
    failed = json.dumps({"error": {"message": "The model died.", "type": "server_error", "code": "model_error"}})
    server.then_sends(body=[f"data: {failed}\n\n".encode()])

    with pytest.raises(errors.ServerFailed, match=r"^The model died\.$") as caught:
        list(client.stream("hi"))
    assert caught.value.code == "model_error"


def test_a_stream_that_is_left_hangs_up_on_the_server(client, server) -> None:
    event = b'data: {"choices":[{"index":0,"delta":{"content":"on and on "}}]}\n\n'
    server.then_sends(body=iter(lambda: event, None))  # without end

    with client.stream("hi") as stream:
        assert next(stream) == "on and on "
    assert server.hung_up.wait(10)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "invalid_value", errors.InvalidRequest),
        (401, "invalid_api_key", errors.Unauthenticated),
        (403, "permission_denied", errors.Forbidden),
        (404, "model_not_found", errors.UnknownModel),
        (404, "not_found", errors.RequestRefused),
        (413, "request_too_large", errors.TooLarge),
        (500, "internal_error", errors.ServerFailed),
        (502, "model_refused", errors.ServerFailed),
        (504, "model_timeout", errors.ServerFailed),
    ],
)
def test_a_refusal_becomes_its_type_and_is_not_sent_again(client, server, status, code, kind) -> None:
    server.then_refuses(status, "Say it otherwise.", code)

    with pytest.raises(errors.ClientError, match=r"^Say it otherwise\.$") as caught:
        client.ask("hi")
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.code, caught.value.request_id) == (status, code, "req_9")
    assert caught.value.param == "model"
    assert len(server.received) == 1


def test_a_page_that_is_not_the_houses_is_named_by_its_status(client, server) -> None:
    server.then_sends(404, b"<html>nginx</html>")

    with pytest.raises(errors.RequestRefused, match="HTTP 404 without saying why; check that the address"):
        client.ask("hi")


@pytest.mark.parametrize("status", [429, 503])
def test_what_may_pass_is_sent_again(client, server, status) -> None:
    server.then_refuses(status)
    server.then_refuses(status)
    server.then_hangs_up()

    assert client.ask("at last").text == "at last"
    assert len(server.received) == 4


def test_a_stream_is_sent_again_while_nothing_of_it_came(client, server) -> None:
    server.then_refuses(503)
    server.then_hangs_up()

    assert "".join(client.stream("at last")) == "at last"


def test_after_the_last_retry_the_failure_is_told(client, server) -> None:
    for _ in range(4):
        server.then_refuses(429, "Slow down.", "rate_limited", retry_after="0")

    with pytest.raises(errors.RateLimited, match="Slow down") as caught:
        client.ask("hi")
    assert caught.value.retry_after_s == 0
    assert len(server.received) == 4


def test_whoever_is_told_to_wait_long_is_told_so_at_once(client, server) -> None:
    server.then_refuses(429, "Tomorrow.", "quota", retry_after="86400")

    with pytest.raises(errors.RateLimited) as caught:
        client.ask("hi")
    assert caught.value.retry_after_s == 86400
    assert len(server.received) == 1


def test_a_wait_that_is_a_date_is_read_against_the_servers_clock() -> None:
    from becoming_one.wire import Reply, retry_after_s

    dates = {"retry-after": "Mon, 23 Nov 2026 10:00:07 GMT", "date": "Mon, 23 Nov 2026 10:00:00 GMT"}
    assert retry_after_s(Reply(503, dates, b"")) == 7.0
    assert retry_after_s(Reply(503, {"retry-after": "soon"}, b"")) is None


@pytest.mark.parametrize(("draw", "pauses"), [(0.0, [2.0, 2.0, 2.0]), (1.0, [2.5, 3.0, 4.0])])
def test_pauses_grow_with_full_jitter_and_never_undercut_the_servers_wait(draw, pauses) -> None:
    call = operations.Call("GET", "/v1/models")
    operation = operations.answered(call, Retries(3, draw=lambda: draw))
    seen = []
    step = operation.send(None)
    for _ in range(3):
        assert step == call
        pause = operation.send(operations.Reply(503, {"retry-after": "2"}, b""))
        seen.append(pause.seconds)
        step = operation.send(None)
    assert seen == pauses


def test_nothing_at_the_address_is_unreachable(nowhere) -> None:
    with Client(nowhere, "bo-key", max_retries=0) as client:
        with pytest.raises(errors.Unreachable, match=f"Nothing answers at {nowhere}") as caught:
            client.ask("hi")
        assert isinstance(caught.value.__cause__, httpx.ConnectError)
        assert client.health().status == "unreachable"


def test_silence_is_a_timeout_and_is_not_sent_again(server) -> None:
    release = threading.Event()
    server.then_sends(body=iter(lambda: release.wait(30) and b"", b""))
    with Client(server.url, "bo-key", timeout_s=0.2) as client:
        with pytest.raises(errors.TimedOut, match=r"no answer in 0\.2 s"):
            client.ask("hi")
        release.set()
    assert len(server.received) == 1


def test_vectors_come_in_the_order_of_their_texts(client, server) -> None:
    texts = [f"text {n}" * (n % 3 + 1) for n in range(300)]
    vectors = client.embed(texts, dimensions=3)

    assert vectors.dtype == np.float32
    assert vectors.shape == (300, 3)
    assert vectors[:, 0].tolist() == [len(text) for text in texts]
    assert [len(request.body["input"]) for request in server.received] == [128, 128, 44]
    assert all(request.body["dimensions"] == 3 for request in server.received)
    assert client.embed(["b"])[0].tolist() == client.embed("b")[0].tolist()


def test_a_batch_is_bounded_by_its_characters_too() -> None:
    texts = ["a" * 300_000, "b" * 200_000, "c", "d" * 600_000, "e"]
    assert [list(map(len, batch)) for batch in operations.batches(texts)] == [[300_000, 200_000], [1], [600_000], [1]]


def test_no_texts_are_no_request(client, server) -> None:
    assert client.embed([]).shape == (0, 0)
    assert client.embed([], dimensions=8).shape == (0, 8)
    assert server.received == []


def test_a_bar_shows_how_many_texts_are_embedded(client, capsys) -> None:
    client.embed(["a"] * 130, progress=True)
    shown = capsys.readouterr()
    assert "130/130" in shown.err
    assert shown.out == ""


def test_vectors_that_are_missing_are_not_made_up(client, server) -> None:
    server.then_sends(body=b'{"data": []}')
    with pytest.raises(errors.ServerFailed, match="does not hold 2 vectors"):
        client.embed(["a", "b"])


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'{"choices": []}', b'{"choices": [{"message": null}]}'])
def test_an_answer_that_cannot_be_read_is_the_servers_failure(client, server, body) -> None:
    server.then_sends(body=body)
    with pytest.raises(errors.ServerFailed, match="cannot be read"):
        client.ask("hi")


@pytest.mark.parametrize("prompt", ["half \ud83d", [{"role": "user", "content": b"bytes"}]])
def test_what_json_cannot_carry_is_refused_before_it_is_sent(client, server, prompt) -> None:
    with pytest.raises(errors.InvalidRequest):
        client.ask(prompt)
    with pytest.raises(errors.InvalidRequest):
        client.ask("hi", temperature=float("nan"))
    with pytest.raises(errors.InvalidRequest, match="Text 1 is a int"):
        client.embed(["a", 1])
    assert server.received == []


def test_models_and_health_are_told_as_the_server_tells_them(client) -> None:
    assert [row["id"] for row in client.models()] == ["realtime", "tiny-instruct", "big"]
    health = client.health()
    assert (health.status, health.ready) == ("degraded", True)
    assert health.checks == {"redis": "refused", "llm": "ok"}


async def test_the_awaited_client_does_what_the_blocking_one_does(async_client, server) -> None:
    server.then_refuses(503)
    server.then_hangs_up()
    assert (await async_client.ask("say it again")).text == "say it again"

    stream = async_client.stream("one two")
    assert [piece async for piece in stream] == ["one ", "two"]
    assert stream.answer.usage.input_tokens == 2

    assert (await async_client.embed(["abc", "d"]))[:, 0].tolist() == [3, 1]
    assert [row["id"] for row in await async_client.models()] == ["realtime", "tiny-instruct", "big"]
    assert (await async_client.health()).status == "degraded"
    server.then_refuses(401, "This request carries no API key.", "invalid_api_key")
    with pytest.raises(errors.Unauthenticated):
        await async_client.ask("hi")


async def test_an_awaited_stream_that_breaks_off_is_not_taken_for_a_whole_answer(async_client, server) -> None:
    event = b'data: {"choices":[{"index":0,"delta":{"content":"half an"}}]}\n\n'
    server.then_sends(body=[event], cut=True)
    with pytest.raises(errors.Interrupted, match="after 7 characters"):
        _ = [piece async for piece in async_client.stream("hi")]


async def test_an_awaited_stream_that_is_left_hangs_up_on_the_server(async_client, server) -> None:
    event = b'data: {"choices":[{"index":0,"delta":{"content":"on and on "}}]}\n\n'
    server.then_sends(body=iter(lambda: event, None))
    async with async_client.stream("hi") as stream:
        assert await anext(stream) == "on and on "
    assert server.hung_up.wait(10)


def test_one_client_serves_many_threads(client) -> None:
    answers: dict[int, str] = {}

    def ask(n: int) -> None:
        answers[n] = client.ask(f"number {n}").text

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {n: f"number {n}" for n in range(16)}


def test_every_error_survives_pickling() -> None:
    error = errors.from_body(429, {"error": {"message": "m", "code": "c", "param": "p"}}, "req_1", 2.0)
    again = pickle.loads(pickle.dumps(error))  # noqa: S301  # our own bytes
    assert type(again) is errors.RateLimited
    assert vars(again) == vars(error)
    assert again.retry_after_s == 2.0


def test_the_client_loads_neither_numpy_nor_another_room() -> None:
    rooms = "('numpy', 'ray', 'torch', 'models', 'stores', 'deployments', 'cluster', 'jobs')"
    code = f"import sys, becoming_one.client; sys.exit(', '.join(m for m in {rooms} if m in sys.modules) or None)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
