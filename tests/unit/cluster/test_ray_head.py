"""What a Ray head of this home is told, and when it must start anew."""

import os
from pathlib import Path

import pytest

from cluster.laptop import ports, processes, ray_head
from cluster.laptop.home import Home, RaySession, State
from cluster.laptop.ray_head import PortPlan
from cluster.laptop.settings import LaptopSettings

STATE = State("abc", Path("/tmp/bo-abc"), 21_000)  # noqa: S108
INHERITED = {"PATH": "/bin", "REDIS_URL": "redis://a", "TERM": "xterm"}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def settings(tmp_path: Path) -> LaptopSettings:
    return LaptopSettings(home=tmp_path)


def test_no_two_things_share_a_port_and_all_lie_in_the_block() -> None:
    plan = PortPlan(21_000)
    used = [*plan.numbered().values(), plan.valkey, plan.postgres, *plan.replica_http, *plan.replica_grpc]
    assert len(set(used)) == len(used)
    assert set(used) <= set(range(21_000, 21_000 + ports.BLOCK_PORTS))
    assert (plan.numbered()["gcs"], plan.numbered()["dashboard"]) == (plan.gcs, plan.dashboard)


def test_token_authentication_is_explicit_and_nothing_leaves_loopback(settings, home) -> None:
    environment = ray_head.environment(settings, home, STATE, INHERITED)
    assert environment["RAY_AUTH_MODE"] == "token"
    assert environment["RAY_AUTH_TOKEN_PATH"] == str(home.token_path)
    parameters = ray_head._parameters(settings, STATE)
    assert {parameters[name] for name in ("node_ip_address", "dashboard_host")} == {"127.0.0.1"}
    assert not {"RAY_AUTH_TOKEN", "RAY_ADDRESS"} & environment.keys()


def test_two_clusters_share_no_path_and_no_port(settings, home) -> None:
    first = ray_head.environment(settings, home, STATE, {})
    second = ray_head.environment(settings, home, State("def", Path("/tmp/bo-def"), 22_000), {})  # noqa: S108
    own = [name for name in first if name.endswith(("_PORT", "_PATH", "_LOC", "_BASE", "_FILE"))]
    shared = {"RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH", "RAY_AUTH_TOKEN_PATH"}  # the token's path is the home's
    assert {name for name in own if first[name] == second[name]} <= shared | {"PATH"}
    assert len(own) > 10


def test_without_a_front_serve_is_told_of_none(home, tmp_path) -> None:
    bare = ray_head.environment(LaptopSettings(home=tmp_path, front=""), home, STATE, {})
    assert "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH" not in bare


@pytest.mark.parametrize(
    ("change", "starts_anew"),
    [
        ({"REDIS_URL": "redis://b"}, True),
        ({"ANTHROPIC_API_KEY": "new"}, True),
        ({"BECOMING_ONE_SERVICE_KEY": "new"}, True),
        ({"TERM": "dumb"}, False),
        ({"COLUMNS": "80"}, False),
    ],
)
def test_a_head_starts_anew_when_what_applications_read_has_changed(settings, home, change, starts_anew) -> None:
    before = ray_head.environment(settings, home, STATE, INHERITED)
    after = ray_head.environment(settings, home, STATE, {**INHERITED, **change})
    same = ray_head.fingerprint(settings, before, 8000) == ray_head.fingerprint(settings, after, 8000)
    assert same is not starts_anew


def test_another_http_port_or_size_means_a_new_head(settings, home, tmp_path) -> None:
    environment = ray_head.environment(settings, home, STATE, INHERITED)
    first = ray_head.fingerprint(settings, environment, 8000)
    assert ray_head.fingerprint(settings, environment, 8001) != first
    assert ray_head.fingerprint(LaptopSettings(home=tmp_path, cpus=7), environment, 8000) != first


@pytest.mark.parametrize("dead", ray_head.PROGRAMS)
def test_a_head_that_lacks_one_program_is_not_whole(dead: str) -> None:
    living = processes.identify(os.getpid())
    gone = processes.Identity(living.pid, living.started_ticks - 1, living.boot)
    whole = dict.fromkeys(ray_head.PROGRAMS, living)
    assert ray_head.is_whole(RaySession("f", whole))
    assert not ray_head.is_whole(RaySession("f", {**whole, dead: gone}))
    assert not ray_head.is_whole(None)


def test_jobs_keep_a_slot_beside_the_replicas(tmp_path) -> None:
    from cluster.laptop.settings import usable_cpus

    assert ray_head._parameters(LaptopSettings(home=tmp_path), STATE)["num_cpus"] == usable_cpus() + 1
    assert ray_head._parameters(LaptopSettings(home=tmp_path, cpus=5), STATE)["num_cpus"] == 5
