"""Where a job runs: the environment, read once in a job's `main`."""

import os
import secrets
from dataclasses import dataclass, field

from models.settings import ModelSettings


@dataclass(frozen=True, slots=True)
class JobSettings:
    """`ray_address`: the cluster that the driver joins; None starts a Ray of its own that ends with it."""

    ray_address: str | None
    models: ModelSettings = field(default_factory=ModelSettings)


def read() -> JobSettings:
    """From BECOMING_ONE_RAY_ADDRESS, else RAY_ADDRESS, and what models/settings.py reads.

    Ray Jobs sets RAY_ADDRESS for its drivers, to whichever Ray it finds first on the machine; a laptop's cluster
    therefore names itself in the other.

    A Ray of our own gets a token that dies with it (some of its ports listen on all interfaces), and reports nothing
    to anybody unless RAY_USAGE_STATS_ENABLED asks for it.
    """
    address = os.environ.get("BECOMING_ONE_RAY_ADDRESS") or os.environ.get("RAY_ADDRESS") or None
    if address is None and "RAY_AUTH_MODE" not in os.environ:
        os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_worker_register_timeout_seconds", "180")  # 60 otherwise: too short on a loaded laptop
    return JobSettings(address)
