"""/v1/models: the catalog and the roles in OpenAI's shape. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from models.catalog import Catalog, Spec
from models.values import Role


def write(catalog: Catalog, unavailable: Mapping[str, str]) -> dict[str, Any]:
    """All roles, then all models. Beyond the vendor's fields: what it is for, whether it can be asked, or why not."""
    return {"object": "list", "data": [*(_role(catalog, role) for role in Role), *_specs(catalog, unavailable)]}


def one(catalog: Catalog, unavailable: Mapping[str, str], id_: str) -> dict[str, Any] | None:
    """One row of the list, None when there is none of that id."""
    return next((row for row in write(catalog, unavailable)["data"] if row["id"] == id_), None)


def _role(catalog: Catalog, role: Role) -> dict[str, Any]:
    return {
        "id": role.value,
        "object": "model",
        "created": 0,
        "owned_by": "becoming-one",
        "kind": "role",
        "models": [spec.id for spec in catalog.for_role(role)],
    }


def _specs(catalog: Catalog, unavailable: Mapping[str, str]) -> list[dict[str, Any]]:
    return [_spec(spec, unavailable.get(spec.id)) for spec in catalog.specs]


def _spec(spec: Spec, reason: str | None) -> dict[str, Any]:
    released = spec.released
    return {
        "id": spec.id,
        "object": "model",
        "created": int(datetime(released.year, released.month, released.day, tzinfo=UTC).timestamp())
        if released
        else 0,
        "owned_by": "becoming-one" if spec.where == "cluster" else spec.where,
        "kind": spec.kind,
        "roles": [role.value for role in spec.roles],
        "where": spec.where,
        "context_tokens": spec.context_tokens,
        "max_output_tokens": spec.max_output_tokens,
        "capabilities": sorted(spec.capabilities),
        "retires_on": spec.retires_on.isoformat() if spec.retires_on else None,
        "available": reason is None,
        "unavailable_because": reason,
    }
