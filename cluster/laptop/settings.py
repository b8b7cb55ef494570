"""What a laptop's cluster may be told from outside. Read once, by whoever calls up, down, status or logs."""

import os
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

PROJECT_ROOT = Path(__file__).resolve().parents[2]


class LaptopSettings(BaseSettings):
    """Where this home is, and what it shall use. Variables: BECOMING_ONE_HOME and so on."""

    model_config = SettingsConfigDict(
        env_prefix="BECOMING_ONE_", frozen=True, extra="ignore", populate_by_name=True, env_ignore_empty=True
    )

    home: Path = Field(Path(".becoming-one"), description="Folder of keys, logs and databases of this cluster.")
    serve_config: Path = Field(PROJECT_ROOT / "serve_config.yaml", description="What runs.")
    http_port: int | None = Field(
        None, ge=1024, le=65535, description="Port of the HTTP API. Unset: 8000, or the next free one."
    )
    front: str = Field(
        "deployments.front:middlewares",
        description="Middleware that every ingress replica gets from Ray Serve, as module:function. Empty: none.",
    )
    python_path: Path = Field(PROJECT_ROOT, description="Where the applications' modules are imported from.")
    readiness_path: str = Field("/readyz", description="Path that answers 200 once requests can be answered.")
    cpus: int | None = Field(
        None, ge=1, description="Slots for Ray's tasks and actors. Unset: the CPUs that this process may use, plus one."
    )
    object_store_bytes: int | None = Field(
        None, ge=80_000_000, description="Shared memory between Ray's workers. Unset: a tenth of memory, at most 1 GiB."
    )
    haproxy_threads: int = Field(1, ge=1, le=64, description="Threads of the HTTP ingress.")
    omp_threads: int = Field(1, ge=1, description="OMP_NUM_THREADS of workers; engines set their own from their args.")
    deploy_timeout_s: float = Field(
        600.0, gt=0, description="Longest wait for all applications. Loading a large model takes minutes."
    )
    redis_url: SecretStr | None = Field(
        None, validation_alias="REDIS_URL", description="A Redis or Valkey to use. Unset: one is started."
    )
    user_database_url: SecretStr | None = Field(
        None,
        validation_alias="USER_DATABASE_URL",
        description="A PostgreSQL database to use for users and keys. Unset: a server is started.",
    )


def inherited_environment() -> dict[str, str]:
    """The environment that our programs inherit, without what would lead Ray or Python elsewhere."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("RAY_", "BECOMING_ONE_CLUSTER")) and name not in ("PYTHONHOME", "PYTHONPATH")
    }


def usable_cpus() -> int:
    """CPUs that this process may use: its affinity, and the quota of its container (cgroup v2)."""
    affinity = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        return affinity
    return affinity if quota == "max" else max(1, min(affinity, round(int(quota) / int(period))))


def memory_bytes() -> int:
    """Memory of this machine, or of its container (cgroup v2)."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return physical
    return physical if limit == "max" else min(physical, int(limit))
