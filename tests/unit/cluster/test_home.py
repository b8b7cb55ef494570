"""The folder of one laptop's cluster."""

import json
import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.laptop.errors import Busy, LaptopError, Unsupported
from cluster.laptop.home import Home, RaySession, Server
from cluster.laptop.processes import Identity

PROJECT = Path(__file__).parents[3]
IDENTITY = Identity(4711, 99, "boot")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    made.create()
    return made


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_nobody_else_may_enter_or_read_a_secret(home: Home) -> None:
    secret = home.secret("service_key")
    assert mode(home.folder) == mode(home.logs) == 0o700
    assert mode(home.folder / "service_key") == 0o600
    assert len(bytes.fromhex(secret)) == 32


def test_a_home_that_was_opened_is_closed_again(home: Home) -> None:
    home.secret("service_key")
    home.folder.chmod(0o755)
    (home.folder / "service_key").chmod(0o644)
    home.create()
    home.secret("service_key")
    assert mode(home.folder) == 0o700
    assert mode(home.folder / "service_key") == 0o600


def test_a_home_that_cannot_be_made_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unsupported, match=r"file/home cannot be used: .*BECOMING_ONE_HOME"):
        Home(tmp_path / "file" / "home").create()


def test_a_secret_is_made_once(home: Home) -> None:
    assert home.secret("service_key") == home.secret("service_key") != home.secret("valkey_password")


def test_git_does_not_see_it(home: Home) -> None:
    assert (home.folder / ".gitignore").read_text() == "*\n"


def test_what_is_remembered_comes_back_the_same(home: Home) -> None:
    begun = home.load_or_begin(lambda: 20_000)
    state = replace(
        begun, valkey=Server(20_015, IDENTITY), ray=RaySession("f", {"raylet": IDENTITY}), http_port=8000, url="u"
    )
    home.save(state)
    assert home.load() == state
    assert json.loads(home.state_path.read_text())["url"] == "u"
    assert mode(home.state_path) == 0o600
    begun.temp_folder.rmdir()


def test_nothing_is_remembered_in_a_new_home(home: Home) -> None:
    assert home.load() is None


def test_a_cluster_keeps_its_id_and_ports(home: Home) -> None:
    first = home.load_or_begin(lambda: 20_000)
    assert home.load_or_begin(lambda: 21_000) == first
    first.temp_folder.rmdir()


@pytest.mark.parametrize("content", ["{", "[]", '{"cluster_id": 1}', '"text"'])
def test_a_state_that_is_not_ours_is_named_with_what_to_do(home: Home, content: str) -> None:
    home.state_path.write_text(content)
    with pytest.raises(LaptopError, match=r"state\.json is not readable .* Delete it"):
        home.load()


def test_a_temp_folder_that_vanished_or_is_open_to_others_is_replaced(home: Home) -> None:
    """The folder /tmp is everybody's: what lies there under our name may be somebody else's by now."""
    first = home.load_or_begin(lambda: 20_000).temp_folder
    assert mode(first) == 0o700
    first.chmod(0o777)
    second = home.load_or_begin(lambda: 20_000).temp_folder
    assert second != first
    second.rmdir()
    third = home.load_or_begin(lambda: 20_000).temp_folder
    assert third != second
    for folder in (first, third):
        folder.rmdir()


def test_sockets_fit_into_the_temp_folder(home: Home) -> None:
    """107 bytes is the longest path of a Unix socket; Ray's longest below its folder has 72, HAProxy's 83."""
    folder = home.load_or_begin(lambda: 20_000).temp_folder
    assert len(str(folder)) + 83 <= 107
    folder.rmdir()


def test_one_works_on_a_home_at_a_time(home: Home) -> None:
    told: list[str] = []
    with (
        home.locked(1.0),
        pytest.raises(Busy, match="Another `up` or `down`"),
        home.locked(0.3, lambda: told.append("")),
    ):
        pytest.fail("two at once")
    assert told == [""]
    with home.locked(0.0):
        pass


def test_a_killed_holder_lets_go(home: Home) -> None:
    code = (
        "import sys, pathlib; from cluster.laptop.home import Home\n"
        "with Home(pathlib.Path(sys.argv[1])).locked(1.0): print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, home.folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(Busy), home.locked(0.0):
        pytest.fail("two at once")
    holder.kill()
    with home.locked(5.0):
        pass
    holder.communicate()


def test_wiping_leaves_nothing(home: Home) -> None:
    home.secret("service_key")
    home.wipe()
    assert not home.folder.exists()
