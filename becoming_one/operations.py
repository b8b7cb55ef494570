"""What the client does, without doing it: generators that yield the next step and are sent its outcome.

Client runs them with a socket that blocks, AsyncClient with one that is awaited; neither repeats a rule. A step is a
Call (its outcome: a Reply, or the Unreachable or TimedOut that it ended in) or a Pause (its outcome: None).
"""

import json
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from random import SystemRandom
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from becoming_one.errors import ClientError, InvalidRequest, RateLimited, Unavailable, Unreachable
from becoming_one.wire import Call, Reply, embed_call, failure, read_rows, read_vectors

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

BATCH_TEXTS = 128  # a guess: several batches of the server's own, so that its queue never runs dry
BATCH_CHARACTERS = 500_000  # at 4 bytes a character a quarter of the server's limit of 8 MiB a body
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 8.0  # as the vendors' SDKs; a replica that restarts is back within them
LONGEST_RETRY_AFTER_S = 60.0  # a caller told to wait longer would rather know than hang

PASSING = (Unreachable, RateLimited, Unavailable)
"""What another attempt may heal. Not TimedOut: the model may still be at work on the first."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait so many seconds, then go on."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a passing failure is tried again. `draw` gives a number in [0, 1)."""

    most: int = 3
    draw: Callable[[], float] = field(default=SystemRandom().random, repr=False)

    def pause_s(self, attempt: int, retry_after_s: float | None) -> float:
        """Seconds before attempt + 1: full jitter, after what the server asked for.

        Full jitter (uniform between nothing and the exponential bound) spreads many clients best:
        "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
        """
        bound_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0**attempt)
        return (retry_after_s or 0.0) + self.draw() * bound_s


@dataclass(frozen=True, slots=True)
class Health:
    """How the cluster is. `status` is "ready", "degraded", "unavailable", or "unreachable" where nothing answers.

    `checks` tells of each part why: "ok", or what is wrong with it.
    """

    status: str
    checks: dict[str, str]

    @property
    def ready(self) -> bool:
        """Whether requests are answered, a part that is away or not."""
        return self.status in ("ready", "degraded")


T = TypeVar("T")
Operation: TypeAlias = Generator[Call | Pause, Reply | ClientError | None, T]


def answered(call: Call, retries: Retries) -> Operation[Reply]:
    """Send a call, again while its failure may pass. Raises the typed error of the last attempt."""
    for attempt in count():
        outcome = yield call
        if isinstance(outcome, Reply) and 200 <= outcome.status < 300:
            return outcome
        error = failure(outcome) if isinstance(outcome, Reply) else outcome
        if error is None:
            raise TypeError("a Call has a Reply or an error as its outcome")
        if not isinstance(error, PASSING) or attempt >= retries.most:
            raise error
        if (error.retry_after_s or 0.0) > LONGEST_RETRY_AFTER_S:
            raise error
        yield Pause(retries.pause_s(attempt, error.retry_after_s))
    raise AssertionError("count() has no end")


def embedded(
    texts: Sequence[str], model: str, dimensions: int | None, retries: Retries, on_batch: Callable[[int], None]
) -> "Operation[npt.NDArray[np.float32]]":
    """Embed texts batch by batch, in order. `on_batch` hears how many texts each finished batch had."""
    import numpy as np  # noqa: PLC0415  # 0.25 s that chat does not need

    parts = []
    for batch in batches(texts):
        reply = yield from answered(embed_call(batch, model, dimensions), retries)
        parts.append(read_vectors(reply, len(batch)))
        on_batch(len(batch))
    return np.concatenate(parts) if parts else np.zeros((0, dimensions or 0), dtype=np.float32)


def batches(texts: Sequence[str]) -> Iterator[list[str]]:
    """Texts in order, in lists that one request carries. A text longer than a batch has one of its own."""
    batch: list[str] = []
    characters = 0
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            raise InvalidRequest(f"Text {position} is a {type(text).__name__}. Give strings only.")
        if batch and (len(batch) == BATCH_TEXTS or characters + len(text) > BATCH_CHARACTERS):
            yield batch
            batch, characters = [], 0
        batch.append(text)
        characters += len(text)
    if batch:
        yield batch


def listed(retries: Retries) -> Operation[list[dict[str, Any]]]:
    """Every model of the catalog."""
    return read_rows((yield from answered(Call("GET", "/v1/models"), retries)))


def examined() -> Operation[Health]:
    """Ask once, without retries: how things are now is the answer. Never raises for a server that does not answer."""
    outcome = yield Call("GET", "/readyz")
    if not isinstance(outcome, Reply):
        return Health("unreachable", {})
    try:
        body = json.loads(outcome.content)
        return Health(str(body["status"]), {str(name): str(state) for name, state in body["checks"].items()})
    except (ValueError, KeyError, TypeError, AttributeError):
        return Health("unavailable", {"answer": f"HTTP {outcome.status}, not from Becoming One"})
