"""What the programs of a cluster wrote."""

import threading
from pathlib import Path

import pytest

from cluster.laptop.errors import LaptopError
from cluster.laptop.home import Home
from cluster.laptop.logs import LAST_LINES, logs
from cluster.laptop.settings import LaptopSettings


@pytest.fixture
def settings(tmp_path: Path) -> LaptopSettings:
    config = tmp_path / "serve_config.yaml"
    config.write_text("applications: [{name: gateway, import_path: a:b}, {name: embedding, import_path: a:b}]")
    return LaptopSettings(home=tmp_path / "home", serve_config=config)


@pytest.fixture
def session(settings: LaptopSettings):
    """Ray's folder of logs, with two applications' in it."""
    home = Home(settings.home)
    home.create()
    temp = home.load_or_begin(lambda: 20_000).temp_folder
    serve = temp / "ray" / "session_latest" / "logs" / "serve"
    serve.mkdir(parents=True)
    (serve / "replica_gateway_gateway_ab12.log").write_text("first\nsecond\n")
    (serve / "replica_embedding_embedding_cd34.log").write_text("third\n")
    (serve / "controller_77.log").write_text("fourth\n")
    (serve.parent / "raylet.out").write_text("fifth\n")
    (home.logs / "valkey.log").write_text("sixth\n")
    yield serve
    import shutil

    shutil.rmtree(temp)


def test_an_applications_log_is_its_own(settings, session) -> None:
    assert list(logs(settings, "gateway")) == ["first", "second"]
    assert list(logs(settings, "valkey")) == ["sixth"]
    assert list(logs(settings, "ray")) == ["fifth"]


def test_without_a_name_each_line_says_where_it_is_from(settings, session) -> None:
    assert list(logs(settings)) == [
        "replica_gateway_gateway_ab12 | first",
        "replica_gateway_gateway_ab12 | second",
        "replica_embedding_embedding_cd34 | third",
        "valkey | sixth",
        "controller_77 | fourth",
    ]


def test_only_the_end_of_a_long_file_is_shown(settings, session) -> None:
    (session / "replica_gateway_gateway_ab12.log").write_text("".join(f"{n}\n" for n in range(LAST_LINES + 5)))
    shown = list(logs(settings, "gateway"))
    assert (len(shown), shown[0]) == (LAST_LINES, "5")


def test_following_shows_new_lines_and_new_replicas_once(settings, session) -> None:
    following = logs(settings, "gateway", follow=True)
    assert [next(following), next(following)] == ["first", "second"]

    def write() -> None:
        with (session / "replica_gateway_gateway_ab12.log").open("a") as file:
            file.write("more\nhalf a li")

    threading.Timer(0.3, write).start()
    assert next(following) == "more"
    with (session / "replica_gateway_gateway_ab12.log").open("a") as file:
        file.write("ne\n")
    assert next(following) == "half a line"
    (session / "replica_gateway_gateway_ef56.log").write_text("new replica\n")
    assert next(following) == "replica_gateway_gateway_ef56 | new replica"


def test_a_rotated_file_is_read_from_its_beginning(settings, session) -> None:
    following = logs(settings, "gateway", follow=True)
    assert [next(following), next(following)] == ["first", "second"]
    (session / "replica_gateway_gateway_ab12.log").write_text("anew\n")
    assert next(following) == "anew"


def test_bytes_that_are_no_text_do_not_end_the_reading(settings, session) -> None:
    (session / "replica_gateway_gateway_ab12.log").write_bytes(b"\xff\xfe oops\n")
    assert list(logs(settings, "gateway")) == ["\ufffd\ufffd oops"]


def test_an_unknown_name_is_answered_with_the_known_ones(settings, session) -> None:
    with pytest.raises(LaptopError, match="Ask for one of: gateway, embedding, valkey, postgres, serve, ray"):
        logs(settings, "nope")


def test_where_nothing_was_started_there_are_no_logs(settings) -> None:
    with pytest.raises(LaptopError, match="becoming-one up"):
        logs(settings)
