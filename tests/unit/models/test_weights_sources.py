"""Each kind of address, against pip itself, the hub's client itself and pyarrow itself; servers are on loopback."""

import hashlib
import os
import signal
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from models.errors import ModelUnavailable, WeightsMismatch
from models.weights import fetch
from models.weights_progress import Silence
from models.weights_sources import Address

BYTES = bytes(range(256)) * 4096  # 1 MiB, more than one read of a socket
TIMEOUT_S = 60.0


class Files(ThreadingHTTPServer):
    """Serves `pages` by path. The body of `stalled` stops half-way, sets `reached`, and goes on with `go_on`."""

    daemon_threads = True

    def __init__(self, pages, stalled=""):
        super().__init__(("127.0.0.1", 0), Answer)
        self.pages, self.stalled = pages, stalled
        self.reached, self.go_on = threading.Event(), threading.Event()
        self.asked = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = self.path.partition("?")[0]
        self.server.asked.append((self.command, path))
        body = self.server.pages.get(path)
        if body is None:
            self.send_error(404)
            return
        start, end = 0, len(body)
        if "Range" in self.headers:
            first, _, last = self.headers["Range"].removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last or len(body)) + 1, len(body))
        self.send_response(206 if "Range" in self.headers else 200)
        self.send_header("Content-Length", str(end - start))
        self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(body)}")
        self.send_header("Content-Type", "text/html" if path.endswith("/") else "application/octet-stream")
        self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
        self.send_header("X-Repo-Commit", "c0ffee" * 6 + "c0ff")
        self.end_headers()
        if self.command == "HEAD":
            return
        if path == self.server.stalled:
            self.wfile.write(body[: len(body) // 2])
            self.server.reached.set()
            self.server.go_on.wait(TIMEOUT_S)
            start = len(body) // 2
        try:
            self.wfile.write(body[start:end])
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the test killed the reader

    def do_HEAD(self):
        self.do_GET()

    def log_message(self, *args):
        """Tests print nothing."""


@pytest.fixture
def serve():
    servers = []

    def start(pages, stalled=""):
        server = Files(pages, stalled)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    yield start
    for server in servers:
        server.go_on.set()
        server.shutdown()
        server.server_close()


def index_of(wheel):
    """A package index that holds one wheel: what pip asks of one, PEP 503."""
    project = wheel.name.partition("-")[0].replace("_", "-")
    page = f'<!DOCTYPE html><a href="/files/{wheel.name}">{wheel.name}</a>'.encode()
    return {f"/simple/{project}/": page, f"/files/{wheel.name}": wheel.read_bytes()}


@pytest.mark.parametrize(
    ("text", "scheme", "place", "path"),
    [
        ("package://a-b==1.0.post1/a_b/x.bin", "package", "a-b==1.0.post1", "a_b/x.bin"),
        ("package://a==1.0+local/x", "package", "a==1.0+local", "x"),
        ("hf://owner/repo@c9745ed/1_Pooling/config.json", "hf", "owner/repo@c9745ed", "1_Pooling/config.json"),
        ("file:///mnt/weights/x.bin", "file", "", "mnt/weights/x.bin"),
        ("s3://bucket/some/key?region=us-east-1", "s3", "bucket", "some/key?region=us-east-1"),
    ],
)
def test_an_address_is_read_into_place_and_path(text, scheme, place, path) -> None:
    address = Address.parse(text)

    assert (address.scheme, address.place, address.path) == (scheme, place, path)


@pytest.mark.parametrize(
    "text",
    [
        "package://a==1/../../etc/passwd",
        "package://a==1/b/../../c",
        "package://a==1//etc/passwd",
        "package://a==1/b\\..\\c",
        "package://a==1/./b",
        "hf://owner/repo@main/../../x",
        "file:///tmp/../etc/shadow",
    ],
)
def test_a_path_that_leaves_its_place_is_refused(text) -> None:
    with pytest.raises(ValueError, match="leaves its place"):
        Address.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "https://host/x",
        "package://a/member",
        "package://a>=1/member",
        "package://--index-url=evil==1/x",
        "package://a==1",
        "hf://repo@main/x",
        "hf://owner/repo/x",
        "file://relative/x",
        "s3://bucket",
        "",
    ],
)
def test_an_address_that_names_no_exact_place_is_refused(text) -> None:
    with pytest.raises(ValueError, match=r"source|address"):
        Address.parse(text)


def test_a_wheel_of_another_digest_is_refused_by_pip_before_it_is_read(workshop) -> None:
    workshop.wheel("tiny-weights", {"t/model.bin": BYTES})
    workshop.pin("tiny-weights==1.0", "0" * 64)
    workshop.model("m", {"model.bin": (BYTES, ["package://tiny-weights==1.0/t/model.bin"])})

    with pytest.raises(ModelUnavailable, match="DO NOT MATCH THE HASHES"):
        fetch("m", workshop.settings, Silence())


def test_a_wheel_of_the_pinned_digest_is_used(workshop) -> None:
    wheel = workshop.wheel("tiny-weights", {"t/model.bin": BYTES})
    workshop.pin("tiny-weights==1.0", hashlib.sha256(wheel.read_bytes()).hexdigest())
    workshop.model("m", {"model.bin": (BYTES, ["package://tiny-weights==1.0/t/model.bin"])})

    assert (fetch("m", workshop.settings, Silence()) / "model.bin").read_bytes() == BYTES


def test_a_package_that_has_only_source_is_refused_and_its_setup_is_not_run(workshop) -> None:
    marker = workshop.root / "setup-ran"
    source = workshop.root / "tiny_weights-1.0"
    source.mkdir()
    (source / "setup.py").write_text(f"open({str(marker)!r}, 'w'); from setuptools import setup; setup()")
    (source / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n")
    workshop.wheels.mkdir()
    with tarfile.open(workshop.wheels / "tiny_weights-1.0.tar.gz", "w:gz") as archive:
        archive.add(source, source.name)
    workshop.model("m", {"model.bin": (BYTES, ["package://tiny-weights==1.0/t/model.bin"])})

    with pytest.raises(ModelUnavailable, match="No matching distribution"):
        fetch("m", workshop.settings, Silence())
    assert not marker.exists()


def test_a_truncated_wheel_is_refused(workshop) -> None:
    wheel = workshop.wheel("tiny-weights", {"t/model.bin": BYTES})
    wheel.write_bytes(wheel.read_bytes()[:-100])
    workshop.model("m", {"model.bin": (BYTES, ["package://tiny-weights==1.0/t/model.bin"])})

    with pytest.raises(ModelUnavailable, match=r"invalid|damaged"):
        fetch("m", workshop.settings, Silence())


def test_a_wheel_whose_member_is_damaged_is_refused(workshop) -> None:
    wheel = workshop.wheel("tiny-weights", {"t/model.bin": BYTES})
    with zipfile.ZipFile(wheel) as archive:
        place = archive.getinfo("t/model.bin").header_offset + 200
    data = bytearray(wheel.read_bytes())
    data[place] ^= 0xFF
    wheel.write_bytes(data)
    workshop.model("m", {"model.bin": (BYTES, ["package://tiny-weights==1.0/t/model.bin"])})

    with pytest.raises((ModelUnavailable, WeightsMismatch), match=r"damaged|not the pinned file"):
        fetch("m", workshop.settings, Silence())


def test_a_member_that_the_wheel_does_not_have_is_named(workshop) -> None:
    workshop.wheel("tiny-weights", {"t/model.bin": BYTES})
    workshop.model("m", {"model.bin": (BYTES, ["package://tiny-weights==1.0/t/other.bin"])})

    with pytest.raises(ModelUnavailable, match=r"t/other\.bin: the wheel has no such member"):
        fetch("m", workshop.settings, Silence())


def test_a_package_that_failed_is_not_downloaded_anew_for_the_next_file(workshop, serve) -> None:
    server = serve({})
    workshop.pip_args = ("--index-url", f"{server.url}/simple")
    other = workshop.root / "b"
    other.write_bytes(b"b")
    package = "package://tiny-weights==1.0/t"
    workshop.model("m", {name: (b"b", [f"{package}/{name}", f"file://{other}"]) for name in ("one", "two")})

    folder = fetch("m", workshop.settings, Silence())

    assert [(folder / name).read_bytes() for name in ("one", "two")] == [b"b", b"b"]
    assert [path for _, path in server.asked] == ["/simple/tiny-weights/"]


def test_a_download_that_stalls_is_given_up_for_the_next_source(workshop, serve) -> None:
    data = os.urandom(1 << 20)
    wheel = workshop.wheel("tiny-weights", {"t/model.bin": data})
    server = serve(index_of(wheel), stalled=f"/files/{wheel.name}")
    workshop.pip_args = ("--index-url", f"{server.url}/simple")
    workshop.stall_timeout_s = 10.0  # pip itself takes seconds to start on a loaded machine
    other = workshop.root / "other"
    other.write_bytes(data)
    workshop.model("m", {"model.bin": (data, ["package://tiny-weights==1.0/t/model.bin", f"file://{other}"])})

    class Notes(Silence):
        said, done_bytes = "", 0

        def noted(self, model, sentence):
            self.said += sentence
            self.done_bytes_then = self.done_bytes

        def moved(self, model, done_bytes):
            self.done_bytes = done_bytes

    notes = Notes()
    folder = fetch("m", workshop.settings, notes)

    assert server.reached.is_set()
    assert "no byte came for 10 s" in notes.said
    assert 0.3 * len(data) < notes.done_bytes_then < 0.6 * len(data)  # the bar stood where the download stood
    assert (folder / "model.bin").read_bytes() == data


def test_a_process_killed_during_its_download_leaves_nothing_that_looks_finished(workshop, serve) -> None:
    wheel = workshop.wheel("tiny-weights", {"t/model.bin": BYTES})
    server = serve(index_of(wheel), stalled=f"/files/{wheel.name}")
    workshop.pip_args = ("--index-url", f"{server.url}/simple")
    workshop.model("m", {"model.bin": (BYTES, ["package://tiny-weights==1.0/t/model.bin"])})
    killed = workshop.start("fetch", "m")
    assert server.reached.wait(TIMEOUT_S)
    killed.send_signal(signal.SIGKILL)
    server.go_on.set()  # its pip, an orphan now, may come to an end
    killed.communicate(timeout=TIMEOUT_S)
    assert not (workshop.cache / "m" / "model.bin").exists()

    folder = fetch("m", workshop.settings, Silence())

    assert (folder / "model.bin").read_bytes() == BYTES


def test_a_file_of_the_hub_comes_through_the_hubs_own_client(workshop, serve, monkeypatch) -> None:
    server = serve({"/owner/repo/resolve/c0ffee/deep/model.bin": BYTES})
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    workshop.model("m", {"model.bin": (BYTES, ["hf://owner/repo@c0ffee/deep/model.bin"])})

    assert (fetch("m", workshop.settings, Silence()) / "model.bin").read_bytes() == BYTES


def test_the_hub_offline_is_said_in_one_sentence(workshop, monkeypatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    workshop.model("m", {"model.bin": (BYTES, ["hf://owner/repo@c0ffee/model.bin"])})

    with pytest.raises(ModelUnavailable, match=r"@c0ffee/model\.bin: LocalEntryNotFoundError: ") as raised:
        fetch("m", workshop.settings, Silence())
    assert "Traceback" not in str(raised.value)


def test_an_object_of_a_bucket_comes_through_pyarrow(workshop, serve, monkeypatch) -> None:
    server = serve({"/bucket/models/model.bin": BYTES})
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    place = f"endpoint_override={server.url.removeprefix('http://')}&scheme=http&region=us-east-1"
    workshop.model(
        "m",
        {"model.bin": (BYTES, [f"s3://bucket/models/absent.bin?{place}", f"s3://bucket/models/model.bin?{place}"])},
    )

    assert (fetch("m", workshop.settings, Silence()) / "model.bin").read_bytes() == BYTES
