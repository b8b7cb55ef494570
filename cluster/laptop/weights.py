"""Fetches the weights of the models that serve_config.yaml deploys, before their replicas would have to."""

from collections.abc import Mapping
from typing import Any, Protocol

from cluster.laptop.applications import words
from models import catalog, weights
from models.settings import ModelSettings

STEP = "weights"


class Teller(Protocol):
    """Is told how far a step is."""

    def tell(self, name: str, detail: str = "", done_bytes: int = 0, total_bytes: int = 0) -> None:
        """A step goes on."""
        ...


def needed(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Rows of weights.lock that the applications load: their arguments name models of the catalog."""
    named = set(words(config))
    if not named:
        return ()
    by_model = {spec.id: spec.weights for spec in catalog.load().specs if spec.weights is not None}
    return tuple(sorted({by_model[word] for word in named & by_model.keys()}))


def fetch_weights(config: Mapping[str, Any], steps: Any) -> None:
    """Have them in the cache. Raises WeightsMismatch, ModelUnavailable."""
    names = needed(config)
    if not names:
        return
    with steps.step(STEP) as ended:
        weights.fetch_all(names, ModelSettings(), _Told(steps))
        ended(", ".join(names))


class _Told:
    """models.weights_progress.Progress that adds the models up into one step."""

    def __init__(self, steps: Teller) -> None:
        self._steps = steps
        self._total: dict[str, int] = {}
        self._done: dict[str, int] = {}

    def began(self, model: str, total_bytes: int) -> None:
        self._total[model] = total_bytes
        self._tell(f"fetching {model}")

    def moved(self, model: str, done_bytes: int) -> None:
        self._done[model] = done_bytes
        self._tell(f"fetching {', '.join(self._total)}")

    def stored(self, model: str, path: str, file_bytes: int, source: str) -> None:
        self._tell(f"{model}/{path} verified, {file_bytes / 1e6:.0f} MB from {source}")

    def noted(self, model: str, sentence: str) -> None:
        self._tell(f"{model}: {sentence}")

    def ended(self, model: str) -> None:
        """The step's own end says it."""

    def _tell(self, detail: str) -> None:
        self._steps.tell(STEP, detail, sum(self._done.values()), sum(self._total.values()))
