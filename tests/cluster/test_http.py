"""The running cluster over plain HTTP: caching, streams, health, and everything a careless or hostile caller sends."""

import concurrent.futures
import socket
import time

import httpx
import pytest

pytestmark = pytest.mark.cluster

CHAT = "/v1/chat/completions"


def ask(text: str, **more) -> dict:
    return {
        "model": "realtime",
        "messages": [{"role": "user", "content": text}],
        "temperature": 0,
        "max_tokens": 24,
        **more,
    }


def wait_for(condition, timeout_s: float = 30.0):
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.1)
    raise TimeoutError


def test_nothing_but_health_answers_without_a_key(cluster) -> None:
    for path in ("/healthz", "/readyz", "/v1/embeddings/healthz", "/llm/smollm2-135m-instruct/readyz"):
        assert httpx.get(cluster.url + path).status_code == 200, path
    for path in ("/", CHAT, "/v1/models", "/metrics", "/openapi.json", "/docs", "/nowhere", "/v1/embeddings",
                 "/llm/smollm2-135m-instruct/v1/chat/completions", "/-/routes", "/v1/embeddings/-/routes"):  # fmt: skip
        for method in ("GET", "POST"):
            answer = httpx.request(method, cluster.url + path)
            assert answer.status_code == 401, (method, path, answer.text)
            assert answer.json()["error"]["code"] == "invalid_api_key"


def test_the_replica_s_own_port_asks_for_a_key_too(cluster) -> None:
    ports = [port for port in cluster.listening_ports() if port != cluster.port]
    asked = 0
    for port in ports:
        try:
            answer = httpx.post(f"http://127.0.0.1:{port}{CHAT}", json=ask("hi"), timeout=5)
        except httpx.HTTPError:
            continue
        asked += 1
        assert answer.status_code >= 400, f"port {port} answered without a key: {answer.text[:200]}"
    assert asked > 0


def test_the_second_identical_request_costs_no_model_call(http) -> None:
    first = http.post(CHAT, json=ask("What is the capital of Japan?"))
    assert first.headers["x-cache"] == "miss"
    assert first.headers["x-model"] == "smollm2-135m-instruct"
    assert first.headers["x-plan"]
    if first.json()["choices"][0]["finish_reason"] != "stop":
        pytest.fail("choose a prompt whose answer ends by itself")
    second = wait_for(
        lambda: (r := http.post(CHAT, json=ask("What is the capital of Japan?"))).headers["x-cache"] == "exact" and r
    )
    assert second.json() == first.json()
    assert second.headers["x-request-id"] != first.headers["x-request-id"]
    stream = http.post(CHAT, json=ask("What is the capital of Japan?", stream=True))
    assert stream.headers["x-cache"] == "exact"
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert stream.text.count("data: ") > 2
    for directive in ("no-cache", "no-store"):
        fresh = http.post(CHAT, json=ask("What is the capital of Japan?"), headers={"cache-control": directive})
        assert fresh.headers["x-cache"] == "miss"
    private = http.post(CHAT, json=ask("What is the capital of Japan?"), headers={"x-data-class": "private"})
    assert private.headers["x-cache"] == "miss"


def test_identical_requests_in_flight_share_one_generation(http) -> None:
    body = ask("Write a long story about a lighthouse and the sea.", max_tokens=150)
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: http.post(CHAT, json=body), range(6)))
    assert sorted(answer.headers["x-cache"] for answer in answers) == ["coalesced"] * 5 + ["miss"]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len({answer.json()["choices"][0]["message"]["content"] for answer in answers}) == 1


def test_other_keys_and_users_share_nothing(cluster, http) -> None:
    body = ask("What is the capital of Germany?")
    http.post(CHAT, json=body)
    wait_for(lambda: http.post(CHAT, json=body).headers["x-cache"] == "exact")
    assert http.post(CHAT, json={**body, "user": "someone"}).headers["x-cache"] == "miss"
    other = {"authorization": f"Bearer {cluster.new_key('other')}"}
    assert http.post(CHAT, json=body, headers=other).headers["x-cache"] == "miss"


def test_a_client_that_hangs_up_stops_the_generation(cluster, http) -> None:
    body = ask("Write a very long story about the sea.", max_tokens=2000, stream=True)
    with http.stream("POST", CHAT, json=body, headers={"cache-control": "no-store"}) as answer:
        next(answer.iter_bytes())
    wait_for(lambda: cluster.cpu_share("ray::ServeReplica:smollm2-135m-instruct:llm") < 0.3)
    assert http.post(CHAT, json=ask("Say hi.", max_tokens=4)).status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "invalid_json"),
        (b"\xff\xfe", 400, "invalid_json"),
        (b'{"model":"realtime","messages":[{"role":"user","content":"\\ud800"}]}', 400, "invalid_json"),
        (b'{"model":"realtime","messages":[{"role":"user","content":"a\\u0000b"}]}', 400, "invalid_value"),
        (b"[" * 100_000 + b"]" * 100_000, 400, "invalid_json"),
        (b'{"x":' + b"[" * 900 + b"]" * 900 + b"}", 400, "invalid_request"),
        (b'{"model":"realtime","messages":"' + b"x" * 10_000_000 + b'"}', 413, "request_too_large"),
        (b'{"model":7,"messages":[]}', 400, "invalid_value"),
        (b'{"model":"realtime","messages":[]}', 400, "invalid_value"),
        (b'{"model":"realtime","messages":[{"role":"user","content":"x"}],"max_tokens":0}', 400, "invalid_value"),
        (b'{"model":"realtime","messages":[{"role":"user","content":"x"}],"max_tokens":-5}', 400, "invalid_value"),
        (b'{"model":"realtime","messages":[{"role":"user","content":"x"}],"max_tokens":1e30}', 400, "invalid_value"),
        (b'{"model":"nobody","messages":[{"role":"user","content":"x"}]}', 404, "model_not_found"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", [CHAT])
def test_bad_bodies_get_a_status_a_code_and_a_sentence(http, path: str, body: bytes, status: int, code: str) -> None:
    answer = http.post(path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error["code"] == code
    assert len(error["message"]) > 20
    assert "Traceback" not in answer.text
    assert "x-request-id" in answer.headers


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"model": "all-minilm-l6-v2"}, 400, "input"),
        ({"model": "all-minilm-l6-v2", "input": ""}, 400, "input"),
        ({"model": "all-minilm-l6-v2", "input": []}, 400, "input"),
        ({"model": "all-minilm-l6-v2", "input": [1, 2]}, 400, "input"),
        ({"model": "all-minilm-l6-v2", "input": "x", "dimensions": 0}, 400, "dimensions"),
        ({"model": "all-minilm-l6-v2", "input": "x", "dimensions": 9999}, 400, "dimensions"),
        ({"model": "nobody", "input": "x"}, 404, "model"),
        ({"model": "all-minilm-l6-v2", "input": ["x"] * 5000}, 413, None),
    ],
)
def test_bad_embedding_requests_are_named(http, body: dict, status: int, param: str | None) -> None:
    answer = http.post("/v1/embeddings", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param), answer.text


def test_wrong_paths_and_methods_are_told(http) -> None:
    assert http.get("/v1/nowhere").json()["error"]["code"] == "not_found"
    wrong = http.get(CHAT)
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")


def test_a_revoked_key_stops_within_two_seconds(cluster, http) -> None:
    token = cluster.new_key("short-lived")
    headers = {"authorization": f"Bearer {token}"}
    assert http.get("/v1/models", headers=headers).status_code == 200
    cluster.revoke(token)
    refused = wait_for(lambda: (answer := http.get("/v1/models", headers=headers)).status_code == 401 and answer, 5)
    assert "revoked" in refused.json()["error"]["message"]


def test_only_our_applications_may_call_a_model_s_own_application(http) -> None:
    answer = http.post("/llm/smollm2-135m-instruct/v1/chat/completions", json=ask("hi", model="smollm2-135m-instruct"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "permission_denied")


def test_half_a_request_harms_nobody(cluster, http) -> None:
    with socket.create_connection(("127.0.0.1", cluster.port)) as raw:
        raw.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    assert http.get("/v1/models").status_code == 200


def test_metrics_documents_and_page_are_there(http) -> None:
    http.post(CHAT, json=ask("Say hi.", max_tokens=4))
    wait_for(lambda: "becoming_one_requests_total{" in http.get("/metrics").text, 60)
    document = http.get("/openapi.json").json()
    assert CHAT in document["paths"]
    page = http.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert CHAT in page.text
    assert "http://" not in page.text, "the page loads nothing from elsewhere"
    assert "https://" not in page.text, "the page loads nothing from elsewhere"
