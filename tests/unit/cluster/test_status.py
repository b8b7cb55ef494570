"""What `status` says of homes in which nothing runs."""

import json
from pathlib import Path

from cluster.laptop.down import down
from cluster.laptop.home import Home
from cluster.laptop.settings import LaptopSettings
from cluster.laptop.status import status


def test_an_absent_home_is_a_cluster_that_is_down(tmp_path: Path) -> None:
    settings = LaptopSettings(home=tmp_path / "absent")
    found = status(settings)
    assert (found.condition, found.url, found.processes) == ("down", None, ())
    assert not (tmp_path / "absent").exists()
    assert down(settings) == 0


def test_a_home_in_which_everything_ended_is_down_and_names_its_servers(tmp_path: Path) -> None:
    settings = LaptopSettings(home=tmp_path / "home", redis_url="redis://elsewhere:1/0")
    home = Home(settings.home)
    home.create()
    home.load_or_begin(lambda: 20_000)
    found = status(settings)
    assert found.condition == "down"
    assert [(server.name, server.ours, server.running) for server in found.servers] == [
        ("valkey", False, True),
        ("postgres", True, False),
    ]
    assert down(settings, wipe=True) == 0
    assert not settings.home.exists()


def test_status_is_plain_json(tmp_path: Path) -> None:
    written = json.loads(json.dumps(status(LaptopSettings(home=tmp_path / "absent")).as_json()))
    assert written["condition"] == "down"
    assert written["key_file"] == str(tmp_path / "absent" / "key")
    assert written["pss_bytes"] == 0
