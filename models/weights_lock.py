"""weights.lock, typed: which files a model is made of, by size and digest, and where each may come from."""

import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from models.weights_sources import Address, Package, stays_inside

Source = tuple[Address, ...]
"""One way to the bytes of a file: the addresses whose bytes, joined in order, are the file."""


def _read_source(value: object) -> object:
    """`"package://…"` is one address, `["package://…", "package://…"]` the parts of one file."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"a source is an address or a list of addresses, not {value!r}")
    return tuple(Address.parse(text) for text in texts)


def _inside(path: str) -> str:
    if not stays_inside(path):
        raise ValueError(f"{path!r} leaves its folder: no empty part, `.`, `..`, `:` or backslash")
    return path


def _plain(name: str) -> str:
    if "/" in name or name.startswith("."):
        raise ValueError(f"{name!r} cannot name a folder: no slash, no dot in front")
    return _inside(name)


class WeightFile(BaseModel):
    """One file of a model. `path` is relative to the model's folder; sources are tried in order."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    path: Annotated[str, AfterValidator(_inside)]
    bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    sources: tuple[Annotated[Source, BeforeValidator(_read_source)], ...] = Field(min_length=1)


class WeightRow(BaseModel):
    """One model of the lock. `name` names its folder in the cache, `upstream` its publisher and revision."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, AfterValidator(_plain)]
    licence: str
    upstream: str
    files: tuple[WeightFile, ...] = Field(min_length=1, alias="file")

    @property
    def bytes(self) -> int:
        """Size of the whole model."""
        return sum(file.bytes for file in self.files)


class WeightsLock(BaseModel):
    """The whole lock. `packages` are the wheels that it pins, by requirement."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    packages: dict[str, Package] = Field(default_factory=dict, alias="package")
    rows: tuple[WeightRow, ...] = Field(alias="model")

    @model_validator(mode="after")
    def _each_once(self) -> "WeightsLock":
        for names in ([row.name for row in self.rows], *([file.path for file in row.files] for row in self.rows)):
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"stands there twice: {', '.join(twice)}")
        return self


def read_lock(path: Path) -> WeightsLock:
    """Read a lock. Raises ValueError that names the file and each wrong place."""
    try:
        parsed: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        return WeightsLock.model_validate(parsed)
    except ValidationError as error:
        places = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False))
        raise ValueError(f"{path} is no weights lock: {places}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no TOML: {error}") from error
