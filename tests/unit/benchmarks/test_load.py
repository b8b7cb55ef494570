import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from benchmarks import client, load
from benchmarks.client import Load, TableFailed
from benchmarks.serving import serving

SENT = Load("http://127.0.0.1:9", "/v1/chat/completions", [b"{}"], 1, {"authorization": 'Bearer "x"\\'})


@contextmanager
def upstream(body: bytes = b'{"messages":[{"content":"hello"}]}', path: str = "/v1") -> Iterator[Load]:
    with serving("mock_upstream") as server:
        yield Load(server.url, path, [body], 2)


def test_what_wrk_counted_is_read() -> None:
    printed = (
        'Running 1s test\nRESULT {"requests": 90, "seconds": 1.5, "failed": 0, "status": 0, "p50_ms": 2, "p99_ms": 9}'
    )
    found = load.outcome(printed, SENT)
    assert (found.requests, found.seconds, found.p50_ms, found.p99_ms) == (90, 1.5, 2, 9)


@pytest.mark.parametrize("errors", ['"failed": 0, "status": 3', '"failed": 2, "status": 0'])
def test_one_bad_answer_fails_the_table(errors) -> None:
    printed = f'RESULT {{"requests": 90, "seconds": 1.5, {errors}, "p50_ms": 2, "p99_ms": 9}}'
    with pytest.raises(TableFailed, match="of 90 answers"):
        load.outcome(printed, SENT)


def test_a_wrk_that_failed_itself_is_quoted() -> None:
    with pytest.raises(TableFailed, match="unable to connect"):
        load.outcome("unable to connect to 127.0.0.1:9", SENT)


def test_a_header_cannot_leave_its_string() -> None:
    assert r'["authorization"] = "Bearer \"x\"\\"' in load.lua(SENT)


def test_requests_go_round_and_each_has_its_length() -> None:
    sent = Load("http://127.0.0.1:8000", "/x", [b"one", b"three"], 1, {"authorization": "Bearer k"})
    first, second = sent.wire()
    assert first.startswith(b"POST /x HTTP/1.1\r\nhost: 127.0.0.1:8000\r\n")
    assert first.endswith(b"authorization: Bearer k\r\ncontent-length: 3\r\n\r\none")
    assert second.endswith(b"content-length: 5\r\n\r\nthree")


def test_the_client_sends_exactly_so_many_and_reads_streams_to_their_end() -> None:
    bodies: list[bytes] = []
    with upstream(b'{"stream":true,"messages":[{"content":"Say 3 chunks, 1 ms apart. (1)"}]}') as sent:
        found = client.exactly(sent, 5, bodies.append)
    assert found.requests == len(bodies) == 5
    assert all(body.count(b'"content":" spirit"') == 3 and body.endswith(b"data: [DONE]\n\n") for body in bodies)
    assert 0 < found.p50_ms <= found.p99_ms < found.seconds * 1000


@pytest.mark.parametrize("head", [b"connection: close\r\n", b"content-length: 5\r\n"])
def test_the_client_goes_on_where_each_answer_ends_with_its_connection(head) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            for _ in range(3):
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(b"HTTP/1.1 200 OK\r\n" + head + b"\r\nwhole")

        server = threading.Thread(target=answer)
        server.start()
        bodies: list[bytes] = []
        sent = Load(f"http://127.0.0.1:{listener.getsockname()[1]}", "/v1", [b"{}"], 1)
        assert client.exactly(sent, 3, bodies.append).requests == 3
        server.join()
    assert bodies == [b"whole"] * 3


def test_an_answer_that_is_an_error_fails_the_client() -> None:
    with upstream(b"not JSON") as sent, pytest.raises(TableFailed, match="answered 400"):
        client.exactly(sent, 4)


def test_a_server_that_is_not_there_fails_the_client() -> None:
    with pytest.raises(TableFailed, match="cannot be reached"):
        client.exactly(SENT, 1)


@pytest.mark.skipif(shutil.which("wrk") is None, reason="no wrk on PATH")
def test_wrk_sends_bodies_with_headers_and_sees_errors() -> None:
    with upstream() as sent:
        assert load.for_seconds(sent, 1).requests > 10
    with upstream(b"not JSON") as sent, pytest.raises(TableFailed, match="answered 400"):
        load.for_seconds(sent, 1)


def test_a_baseline_ends_with_whoever_started_it() -> None:
    script = (
        "import os\nfrom benchmarks.serving import serving\n"
        "with serving('mock_upstream') as server:\n print(server.url, flush=True)\n os._exit(9)"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    url = ended.stdout.strip()
    assert ended.returncode == 9
    assert url.startswith("http://127.0.0.1:")
    assert _gone(Load(url, "/", [b'{"messages":[{"content":"hello"}]}'], 1))


def _gone(sent: Load) -> bool:
    """Waits for the port to close: the orphan's end is its own affair."""
    import socket

    while True:
        with closing(socket.socket()) as probe:
            if probe.connect_ex(sent.address):
                return True
