"""The front: what is answered before Serve, and what goes on admitted."""

import orjson
import pytest

from deployments import keys as api_keys
from deployments.answers import Answer, AnswerCache, cache_key
from deployments.edge import Edge
from deployments.front import ADMITTED, Front, FrontMiddleware
from deployments.http import respond
from deployments.metrics import CACHE, REQUESTS, Metrics
from models.values import Caller, DataClass, Usage
from stores.memory import MemoryCache, MemoryKeys

BODY = {"model": "realtime", "messages": [{"role": "user", "content": "hi"}]}
ANSWER = Answer("chatcmpl-1", 7, "smol", "hello there my friend, how are you today", "stop", Usage(3, 9, 0))
LIMIT_BYTES = 5_000


class Inner:
    """The application behind the front; remembers what reached it."""

    def __init__(self) -> None:
        self.reached: list = []
        self.status, self.body, self.content_type = 200, b'{"fresh":true}', b"application/json"

    async def __call__(self, scope, receive, send) -> None:
        self.reached.append(scope.get(ADMITTED))
        self.headers = dict(scope["headers"])
        await respond(send, self.status, self.body, self.content_type)


class Recorded(list):
    """A metrics sink."""

    def add(self, name, description, tags, amount) -> None:
        self.append((name, tags, amount))

    def set(self, *_) -> None: ...

    def observe(self, *_) -> None: ...


class House:
    def __init__(self) -> None:
        self.keys, self.store, self.inner, self.sink = MemoryKeys(), MemoryCache(), Inner(), Recorded()
        self.answers = AnswerCache(self.store, 3600, 10**6, 60)
        self.metrics = Metrics("gateway", self.sink)
        self.ready = (True, {"cache": "ok"})

        async def readiness():
            return self.ready

        self.front = FrontMiddleware(
            self.inner,
            Front(
                "", Edge(self.keys), self.metrics, readiness, LIMIT_BYTES, self.answers, "/v1/chat/completions", "r1"
            ),
        )
        self.key, self.token = api_keys.new_key("t", "app", "acme")
        self.caller = Caller(self.key.id, "app", "acme")

    async def call(self, method="POST", path="/v1/chat/completions", body: object = BODY, **headers: str):
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        given = {"authorization": f"Bearer {self.token}", **headers}
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in given.items()],
        }
        messages = [
            {"type": "http.request", "body": raw[:10], "more_body": True},
            {"type": "http.request", "body": raw[10:]},
        ]
        sent: list = []

        async def receive():
            return messages.pop(0) if messages else {"type": "http.disconnect"}

        async def send(message) -> None:
            sent.append(message)

        await self.front(scope, receive, send)
        if not sent:
            return None
        content = b"".join(message.get("body", b"") for message in sent[1:])
        return sent[0]["status"], dict(sent[0]["headers"]), content


@pytest.fixture
async def house() -> House:
    house = House()
    await house.keys.add(house.key)
    return house


async def test_without_a_key_only_health_answers(house) -> None:
    for path in ("/v1/chat/completions", "/v1/models", "/metrics", "/docs", "/openapi.json", "/nowhere", "/-/routes"):
        for method in ("GET", "POST"):
            status, headers, body = await house.call(method, path, authorization="")
            assert status == 401
            assert orjson.loads(body)["error"]["code"] == "invalid_api_key"
            assert b"www-authenticate" in headers
    assert (await house.call("GET", "/healthz", authorization=""))[0] == 200
    assert (await house.call("GET", "/readyz", authorization=""))[0] == 200
    assert house.inner.reached == []


async def test_readiness_tells_ready_degraded_and_unavailable_apart(house) -> None:
    assert orjson.loads((await house.call("GET", "/readyz"))[2])["status"] == "ready"
    house.ready = (True, {"cache": "unavailable"})
    status, _, body = await house.call("GET", "/readyz")
    assert (status, orjson.loads(body)["status"]) == (200, "degraded")
    house.ready = (False, {"keys": "unavailable"})
    assert (await house.call("GET", "/readyz"))[0] == 503


async def test_a_miss_goes_on_with_caller_body_and_key(house) -> None:
    status, headers, _ = await house.call(x_request_id="mine", x_data_class="public")
    assert status == 200
    assert headers[b"x-request-id"] == b"mine"
    admitted = house.inner.reached[0]
    assert admitted.caller == house.caller
    assert admitted.body == BODY
    assert admitted.cache_key == cache_key(house.caller, DataClass.PUBLIC, "r1", BODY)


async def test_headers_that_steer_serve_itself_do_not_pass(house) -> None:
    await house.call(x_request_disconnect_disabled="?0", x_request_timeout_seconds="0.001", x_request_id="mine")
    assert house.inner.headers[b"x-request-disconnect-disabled"] == b"?1"
    assert b"x-request-timeout-seconds" not in house.inner.headers
    assert house.inner.headers[b"x-request-id"] == b"mine"


@pytest.mark.parametrize("shared", [True, False], ids=["from Redis", "from the LRU"])
async def test_a_hit_is_answered_here(house, shared: bool) -> None:
    key = cache_key(house.caller, DataClass.PERSONAL, "r1", BODY)
    other = AnswerCache(house.store, 3600, 10**6, 60) if shared else house.answers
    await other.store(key, other.remember(key, ANSWER))
    for _ in range(2):
        status, headers, body = await house.call()
        assert status == 200
        assert headers[b"x-cache"] == b"exact"
        assert headers[b"x-model"] == b"smol"
        assert orjson.loads(body)["choices"][0]["message"]["content"] == ANSWER.text
    assert house.inner.reached == []
    house.metrics.hand_over()
    assert (CACHE[0], {"application": "gateway", "result": "exact"}, 2) in house.sink
    assert (REQUESTS[0], {"application": "gateway", "route": "/v1/chat/completions", "status": "200"}, 2) in house.sink


async def test_a_hit_on_a_stream_replays_as_a_stream(house) -> None:
    key = cache_key(house.caller, DataClass.PERSONAL, "r1", BODY)
    house.answers.remember(key, ANSWER)
    _, headers, body = await house.call(body={**BODY, "stream": True, "stream_options": {"include_usage": True}})
    assert headers[b"content-type"].startswith(b"text/event-stream")
    chunks = [orjson.loads(line[6:]) for line in body.split(b"\n\n") if line and line != b"data: [DONE]"]
    assert (
        "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk["choices"])
        == ANSWER.text
    )
    assert len(chunks) > 3
    assert chunks[-1]["usage"]["completion_tokens"] == 9
    assert body.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize(
    "headers", [{"cache_control": "no-cache"}, {"cache_control": "no-store"}, {"x_data_class": "private"}]
)
async def test_who_asks_for_no_stored_answer_gets_none(house, headers: dict) -> None:
    key = cache_key(house.caller, DataClass.PERSONAL, "r1", BODY)
    house.answers.remember(key, ANSWER)
    assert b"fresh" in (await house.call(**headers))[2]


async def test_a_dead_store_does_not_stop_answers(house) -> None:
    house.store.available = False
    assert b"fresh" in (await house.call())[2]
    assert house.answers.available is False


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"{", {}, 400, "invalid_json"),
        (b"", {}, 400, "invalid_json"),
        (b'{"a": "\\ud800"}', {}, 400, "invalid_json"),
        (b'{"a": "\xff"}', {}, 400, "invalid_json"),
        (b'{"a": NaN}', {}, 400, "invalid_json"),
        (b'{"a":' + b"[" * 1000 + b"]" * 1000 + b"}", {}, 400, "invalid_request"),
        (b'{"a":' + b"[" * 2000 + b"]" * 2000 + b"}", {}, 400, "invalid_json"),
        (b" " * (LIMIT_BYTES + 1), {}, 413, "request_too_large"),
        (b"{}", {"content_length": "99999999"}, 413, "request_too_large"),
        (b"{}", {"content_length": "-1"}, 400, "invalid_request"),
        (b"{}", {"x_data_class": "top-secret"}, 400, "invalid_request"),
    ],
)
async def test_garbage_is_refused_with_a_code_and_a_sentence(house, body, headers, status, code) -> None:
    found, answer_headers, answer = await house.call(body=body, **headers)
    error = orjson.loads(answer)["error"]
    assert (found, error["code"]) == (status, code)
    assert len(error["message"]) > 20
    assert b"x-request-id" in answer_headers
    assert house.inner.reached == []


async def test_a_caller_who_hangs_up_while_sending_is_only_counted(house) -> None:
    async def receive():
        return {"type": "http.disconnect"}

    sent: list = []

    async def send(message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/chat/completions",
        "headers": [(b"authorization", f"Bearer {house.token}".encode())],
    }
    await house.front(scope, receive, send)
    assert sent == []


async def test_serve_s_own_refusals_take_our_error_shape(house) -> None:
    house.inner.status, house.inner.body, house.inner.content_type = (
        503,
        b"Request dropped due to backpressure",
        b"text/plain",
    )
    status, headers, body = await house.call()
    assert status == 503
    assert orjson.loads(body)["error"]["code"] == "overloaded"
    assert headers[b"content-type"] == b"application/json"
    house.inner.status = 500
    assert orjson.loads((await house.call())[2])["error"]["code"] == "internal_error"


async def test_unknown_paths_are_one_metric_series(house) -> None:
    for number in range(5):
        await house.call("GET", f"/scan/{number}")
    house.metrics.hand_over()
    assert [row for row in house.sink if row[0] == REQUESTS[0]] == [
        (REQUESTS[0], {"application": "gateway", "route": "other", "status": "200"}, 5)
    ]
