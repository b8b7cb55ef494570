"""Which weights `up` fetches, and how it tells of it."""

from cluster.laptop import applications
from cluster.laptop.settings import PROJECT_ROOT
from cluster.laptop.up import Step, Steps
from cluster.laptop.weights import STEP, _Told, fetch_weights, needed
from models import weights
from models.settings import ModelSettings


def test_every_model_that_the_shipped_config_deploys_is_fetched() -> None:
    names = needed(applications.read_config(PROJECT_ROOT / "serve_config.yaml", 8000))
    assert len(names) >= 2
    assert set(names) <= {row.name for row in weights.rows(ModelSettings().weights_lock)}


def test_a_config_without_models_fetches_nothing() -> None:
    told: list[Step] = []
    config = {"applications": [{"name": "a", "args": {"name": "no-such-model", "threads": 2}}, {"name": "b"}]}
    assert needed(config) == ()
    fetch_weights(config, Steps(told.append))
    assert told == []


def test_two_models_at_once_are_one_progress() -> None:
    told: list[Step] = []
    progress = _Told(Steps(told.append))
    progress.began("first", 100)
    progress.began("second", 50)
    progress.moved("first", 40)
    progress.moved("second", 10)
    assert [(step.name, step.done_bytes, step.total_bytes) for step in told[-2:]] == [(STEP, 40, 150), (STEP, 50, 150)]
    progress.stored("first", "model.gguf", 100_000_000, "package://somewhere")
    assert "first/model.gguf verified, 100 MB" in told[-1].detail
