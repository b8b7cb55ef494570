"""catalog.yaml, typed: what each model is, which roles it serves, what it costs, when it retires.

A wrong row is refused at load with file, row and field; a retired one with its replacement. Prices come from the
`genai-prices` package (dated there); a row may override them with a dated reason.
"""

import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.errors import UnknownModel
from models.values import Role

FILE = Path(__file__).with_name("catalog.yaml")
RETIREMENT_WARNING = timedelta(days=60)  # the notice that Anthropic gives before it retires a model

EngineName = Literal["llama_cpp", "openai", "anthropic", "vllm", "openvino", "sentence_transformers", "whisper"]
Kind = Literal["chat", "embedding", "transcription"]
Capability = Literal["tools", "json_schema", "vision", "streaming", "logprobs", "effort"]

LACKING: Mapping[str, frozenset[str]] = {
    "anthropic": frozenset({"seed", "frequency_penalty", "presence_penalty"}),
    "openai": frozenset({"top_k"}),
    "mistral": frozenset({"top_k", "seed"}),  # it calls its seed by another name
}
"""What a vendor's API has no word for, whatever the model."""


class CatalogError(ValueError):
    """The catalog file is wrong; the sentence names file, row and field."""


class RetiringSoon(UserWarning):
    """A row retires within RETIREMENT_WARNING."""


@dataclass(frozen=True, slots=True)
class Price:
    """USD per million tokens at the lowest tier. `source` says where from and of which day."""

    input_usd: Decimal
    output_usd: Decimal
    cached_input_usd: Decimal
    source: str


@dataclass(frozen=True, slots=True)
class Spec:
    """One row of the catalog.

    `where` is "cluster" or the vendor's name. `vendor_id` is the model's name on the wire of its engine. `weights`
    names a row of weights.lock for models that run here; `chat_template` a template that llama.cpp knows, None for the
    file's own. Counts are tokens.
    """

    id: str
    kind: Kind
    engine: EngineName
    where: str
    vendor_id: str
    roles: tuple[Role, ...] = ()
    weights: str | None = None
    chat_template: str | None = None
    context_tokens: int = 0
    max_output_tokens: int = 0
    dim: int = 0
    capabilities: frozenset[Capability] = frozenset()
    refused_parameters: frozenset[str] = frozenset()
    released: date | None = None
    retires_on: date | None = None
    replaced_by: str | None = None
    own_price: Price | None = None


@dataclass(frozen=True)
class Catalog:
    """All specs, in the file's order, and which of them serve each role, first choice first."""

    specs: tuple[Spec, ...]
    roles: tuple[tuple[Role, tuple[str, ...]], ...]
    revision: str

    @cached_property
    def _by_id(self) -> dict[str, Spec]:
        return {spec.id: spec for spec in self.specs}

    @cached_property
    def _by_role(self) -> dict[Role, tuple[Spec, ...]]:
        return {role: tuple(self._by_id[id_] for id_ in ids) for role, ids in self.roles}

    @cached_property
    def chat_names(self) -> tuple[str, ...]:
        """What a chat request may name: roles, then chat models."""
        return (*(role.value for role in Role), *(spec.id for spec in self.specs if spec.kind == "chat"))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Roles, then all models."""
        return (*(role.value for role in Role), *self._by_id)

    def find(self, id_: str) -> Spec | None:
        """The spec of that id, if there is one."""
        return self._by_id.get(id_)

    def spec(self, id_: str) -> Spec:
        """The spec of that id. Raises UnknownModel."""
        found = self._by_id.get(id_)
        if found is None:
            raise UnknownModel(id_, tuple(self._by_id))
        return found

    def for_role(self, role: Role) -> tuple[Spec, ...]:
        """Specs of a role, first choice first."""
        return self._by_role.get(role, ())


class PriceRow(BaseModel):
    """A price that overrides the package's."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    input_usd: Decimal = Field(ge=0)
    output_usd: Decimal = Field(ge=0)
    cached_input_usd: Decimal = Field(Decimal(0), ge=0)
    reason: str = Field(min_length=3)
    date: date


class Row(BaseModel):
    """One row as it stands in the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    id: str = Field(pattern=r"^[a-z0-9][a-z0-9.\-]{1,79}$")
    kind: Kind
    engine: EngineName
    where: str = Field(min_length=2)
    vendor_id: str | None = None
    weights: str | None = None
    chat_template: str | None = None
    context_tokens: int = Field(0, ge=0)
    max_output_tokens: int = Field(0, ge=0)
    dim: int = Field(0, ge=0)
    capabilities: frozenset[Capability] = frozenset()
    refused_parameters: frozenset[str] = frozenset()
    released: date | None = None
    retires_on: date | None = None
    replaced_by: str | None = None
    price: PriceRow | None = None

    @model_validator(mode="after")
    def _complete(self) -> "Row":
        if self.kind == "chat" and not (self.context_tokens and self.max_output_tokens):
            raise ValueError("a chat model needs context_tokens and max_output_tokens")
        if self.kind == "embedding" and not self.dim:
            raise ValueError("an embedding model needs dim")
        if self.where == "cluster" and self.engine in {"llama_cpp", "openvino", "whisper"} and self.weights is None:
            raise ValueError(f"engine {self.engine} needs weights, a row of weights.lock")
        return self


class CatalogFile(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    roles: dict[Role, tuple[str, ...]]
    models: tuple[Row, ...]


def load(path: Path = FILE, today: date | None = None) -> Catalog:
    """Read and check the catalog. Raises CatalogError; warns RetiringSoon."""
    content = path.read_bytes()
    try:
        file = CatalogFile.model_validate(yaml.safe_load(content))
    except (ValidationError, yaml.YAMLError) as error:
        raise CatalogError(f"{path.name}: {_first(error)}") from error
    by_id = {row.id: row for row in file.models}
    if len(by_id) < len(file.models):
        raise CatalogError(f"{path.name}: an id stands twice in models")
    for role, ids in file.roles.items():
        for id_ in ids:
            if id_ not in by_id or by_id[id_].kind != "chat":
                raise CatalogError(f"{path.name}: roles.{role.value} names {id_}, which is no chat model of this file")
    day = today or date.today()  # noqa: DTZ011  # a vendor retires a model on a day, wherever we are
    for row in file.models:
        _check_retirement(path, row, day)
    specs = tuple(_spec(row, file.roles) for row in file.models)
    return Catalog(specs, tuple(file.roles.items()), hashlib.sha256(content).hexdigest()[:16])


def price_of(spec: Spec) -> Price | None:
    """The row's own price, else the package's for the vendor's id, else None: unknown, and refused to capped keys."""
    if spec.own_price is not None or spec.where == "cluster":
        return spec.own_price
    from genai_prices import Usage, calc_price  # noqa: PLC0415  # 1 s CPU and 83 MB, for whoever asks for a price

    def million(**tokens: int) -> Decimal:
        found = calc_price(Usage(**tokens), model_ref=spec.vendor_id, provider_id=spec.where)
        return Decimal(found.total_price) * 1_000_000

    try:
        return Price(
            million(input_tokens=1),
            million(output_tokens=1),
            million(input_tokens=1, cache_read_tokens=1),
            "genai-prices",
        )
    except LookupError:
        return None


def _spec(row: Row, roles: dict[Role, tuple[str, ...]]) -> Spec:
    return Spec(
        id=row.id,
        kind=row.kind,
        engine=row.engine,
        where=row.where,
        vendor_id=row.vendor_id or row.id,
        roles=tuple(role for role, ids in roles.items() if row.id in ids),
        weights=row.weights,
        chat_template=row.chat_template,
        context_tokens=row.context_tokens,
        max_output_tokens=row.max_output_tokens,
        dim=row.dim,
        capabilities=row.capabilities,
        refused_parameters=row.refused_parameters | LACKING.get(row.where, frozenset()),
        released=row.released,
        retires_on=row.retires_on,
        replaced_by=row.replaced_by,
        own_price=_own_price(row),
    )


def _own_price(row: Row) -> Price | None:
    if row.price is None:
        return None
    own = row.price
    return Price(own.input_usd, own.output_usd, own.cached_input_usd, f"{own.reason} ({own.date})")


def _check_retirement(path: Path, row: Row, today: date) -> None:
    if row.retires_on is None:
        return
    instead = f"use {row.replaced_by}" if row.replaced_by else "choose another model"
    if row.retires_on <= today:
        raise CatalogError(f"{path.name}: {row.id} was retired on {row.retires_on}; {instead}")
    if row.retires_on - today <= RETIREMENT_WARNING:
        warnings.warn(f"{row.id} retires on {row.retires_on}; {instead}", RetiringSoon, stacklevel=3)


def _first(error: ValidationError | yaml.YAMLError) -> str:
    if isinstance(error, yaml.YAMLError):
        return f"not YAML: {error}"
    found = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(step) for step in found['loc'])}: {found['msg']}"
