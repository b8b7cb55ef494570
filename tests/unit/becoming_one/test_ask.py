"""ask, embed and models as a person runs them: a process of their own, a real server."""

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from becoming_one.cli import main

BROKEN_OFF = b'data: {"choices":[{"index":0,"delta":{"content":"half an"}}]}\n\n'


@pytest.fixture
def run(server, tmp_path):
    """Run `becoming-one ARGUMENTS` to its end."""

    def run(*arguments, stdin=b"", **environment):
        return subprocess.run(
            [sys.executable, "-m", "becoming_one.cli", *arguments],
            input=stdin,
            capture_output=True,
            env=os.environ | {"BECOMING_ONE_URL": server.url, "BECOMING_ONE_API_KEY": "bo-key"} | environment,
            timeout=60,
            check=False,
        )

    return run


def test_an_answer_goes_to_stdout_alone(run, server) -> None:
    done = run("ask", "say it again")

    assert (done.returncode, done.stdout, done.stderr) == (0, b"say it again\n", b"")
    assert server.received[0].body["stream"] is True
    assert server.received[0].body["model"] == "realtime"


def test_options_reach_the_server(run, server) -> None:
    run("ask", "--no-stream", "--system", "Be brief.", "--max-tokens", "7", "--role", "private", "hi")
    run("ask", "--no-stream", "--model", "tiny-instruct", "hi")

    private, by_id = server.received
    assert private.body == {
        "model": "private",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}],
        "max_tokens": 7,
    }
    assert private.headers["x-data-class"] == "private"
    assert by_id.body["model"] == "tiny-instruct"
    assert "x-data-class" not in by_id.headers


def test_a_dash_reads_the_question_from_stdin(run) -> None:
    assert run("ask", "-", stdin="Bücher\n本".encode()).stdout.decode() == "Bücher\n本\n"


def test_json_tells_everything_about_an_answer(run) -> None:
    answer = json.loads(run("ask", "--json", "two words").stdout)

    assert answer["text"] == "two words"
    assert answer["usage"] == {"input_tokens": 2, "output_tokens": 2, "cached_input_tokens": 1}
    assert (answer["model"], answer["cache"], answer["request_id"]) == ("tiny-instruct", "coalesced", "req_7")


@pytest.fixture
def said(server, monkeypatch, capsys):
    """Run a command line in this process: (exit code, stdout, stderr)."""
    monkeypatch.setenv("BECOMING_ONE_URL", server.url)
    monkeypatch.setenv("BECOMING_ONE_API_KEY", "bo-key")

    def said(*arguments):
        code = main.run(arguments)
        written = capsys.readouterr()
        return code, written.out, written.err

    return said


def test_a_refusal_is_one_sentence_and_2(said, server) -> None:
    server.then_refuses(404, "There is no role or model 'gpt' here. Use one of: realtime, bulk.", "model_not_found")

    sentence = "becoming-one: There is no role or model 'gpt' here. Use one of: realtime, bulk.\n"
    assert said("ask", "--model", "gpt", "hi") == (2, "", sentence)


@pytest.mark.parametrize(
    ("status", "code", "exit_code"), [(401, "invalid_api_key", 1), (500, "internal_error", 1), (413, "too_large", 2)]
)
def test_exit_codes_tell_wrong_use_from_failure(said, server, status, code, exit_code) -> None:
    server.then_refuses(status, "No.", code)
    assert said("ask", "hi")[0] == exit_code


def test_a_failure_names_the_request_that_its_operator_can_look_up(said, server) -> None:
    server.then_refuses(500, "The server failed.", "internal_error")
    assert said("ask", "hi") == (1, "", "becoming-one: The server failed. (request req_9)\n")


def test_a_stream_that_breaks_off_is_a_failure(run, server) -> None:
    server.then_sends(body=[BROKEN_OFF], cut=True)
    done = run("ask", "hi")

    assert done.returncode == 1
    assert done.stdout == b"half an"
    assert b"broke off after 7 characters" in done.stderr


def test_a_cut_answer_says_so(run, server) -> None:
    body = {"model": "m", "choices": [{"message": {"content": "and then"}, "finish_reason": "length"}]}
    server.then_sends(body=json.dumps(body).encode())
    done = run("ask", "--no-stream", "hi")

    assert (done.returncode, done.stdout) == (0, b"and then\n")
    assert b"--max-tokens" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["ask"],
        ["ask", "--role", "oracle", "hi"],
        ["ask", "--max-tokens", "0", "hi"],
        ["ask", "--max-tokens", "many", "hi"],
        ["ask", "--colour", "hi"],
        ["embed", "--output", "/nonexistent/folder/x.npy", "hi"],
        ["sing"],
    ],
)
def test_a_wrong_command_line_is_one_sentence_and_2(said, arguments) -> None:
    code, answer, complaint = said(*arguments)

    assert (code, answer) == (2, "")
    assert len(complaint.splitlines()) == 1
    assert "--help` shows how" in complaint


def test_no_cluster_is_one_sentence_that_says_what_to_do(run, tmp_path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "becoming_one.cli", "ask", "hi"],
        capture_output=True,
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if not name.startswith("BECOMING_ONE_")}
        | {"PYTHONPATH": str(Path.cwd())},
        check=False,
    )
    assert done.returncode == 1
    assert b"becoming-one up" in done.stderr
    assert b"Traceback" not in done.stderr


def test_debugging_shows_where(said, server, monkeypatch) -> None:
    server.then_refuses(403)
    server.then_refuses(403)
    assert "Traceback" in said("--debug", "ask", "hi")[2]
    monkeypatch.setenv("BECOMING_ONE_DEBUG", "1")
    assert "Traceback" in said("ask", "hi")[2]


def test_bytes_that_are_no_text_are_refused(run, server) -> None:
    assert run("ask", "-", stdin=b"\xff\xfe").returncode == 2
    assert run("embed").returncode == 2
    assert run("ask", os.fsdecode(b"half \xff")).returncode == 2
    assert server.received == []


def test_a_reader_that_goes_away_ends_the_answer_quietly(server) -> None:
    event = b'data: {"choices":[{"index":0,"delta":{"content":"on and on "}}]}\n\n'
    server.then_sends(body=iter(lambda: event, None))
    process = _started(server, "ask", "hi")
    assert process.stdout.read(10) == b"on and on "
    process.stdout.close()

    assert process.wait(30) == 141
    assert process.stderr.read() == b""
    assert server.hung_up.wait(10)
    process.stderr.close()


def test_ctrl_c_ends_with_130_and_without_a_word(server) -> None:
    event = b'data: {"choices":[{"index":0,"delta":{"content":"on and on "}}]}\n\n'
    server.then_sends(body=iter(lambda: event, None))
    process = _started(server, "ask", "hi")
    process.stdout.read(10)
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=30)

    assert process.returncode == 130
    assert complaint == b""
    assert server.hung_up.wait(10)


def test_vectors_are_saved_for_numpy(run, tmp_path) -> None:
    path = tmp_path / "quotes.npy"
    done = run("embed", "--output", str(path), stdin=b"one\n\nthree\r\n")

    assert (done.returncode, done.stdout) == (0, b"")
    vectors = np.load(path)
    assert vectors.dtype == np.float32
    assert vectors[:, 0].tolist() == [3, 5]
    assert [file.name for file in tmp_path.iterdir()] == ["quotes.npy"]


def test_vectors_are_printed_as_json_lines(run) -> None:
    lines = run("embed", "--json", "one", "three").stdout.splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["one", "three"]
    assert [json.loads(line)["embedding"][0] for line in lines] == [3.0, 5.0]


def test_without_a_form_only_the_look_of_a_vector_is_shown(run) -> None:
    assert run("embed", "one").stdout.endswith(b"... (3 numbers)  one\n")


def test_models_in_a_pipe_are_lines_of_columns(run) -> None:
    lines = run("models").stdout.decode().splitlines()

    assert lines[0].split("\t")[:3] == ["model", "kind", "where"]
    assert lines[1].split("\t") == ["tiny-instruct", "chat", "cluster", "realtime, bulk", "8,192", "", "", "ready"]
    assert lines[2].split("\t")[-1] == "no key for the vendor"
    assert lines[-1].split("\t") == ["realtime", "tiny-instruct, big"]
    assert [row["id"] for row in json.loads(run("models", "--json").stdout)] == ["realtime", "tiny-instruct", "big"]


def test_a_terminal_is_spared_the_control_characters_of_a_model() -> None:
    from becoming_one.cli.terminal import printable

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert printable("a\x1b[2Jb\x07\n\tc\x9bd", Terminal()) == "a[2Jb\n\tcd"
    assert printable("a\x1b[2Jb", io.StringIO()) == "a\x1b[2Jb"


def _started(server, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "becoming_one.cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"BECOMING_ONE_URL": server.url, "BECOMING_ONE_API_KEY": "bo-key"},
    )
