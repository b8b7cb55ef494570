"""Write the pages that are made from code: `make docs`. A test says when they are stale."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from becoming_one.cli import reference
from becoming_one.settings import VARIABLES
from cluster.laptop.settings import LaptopSettings
from deployments import openapi
from deployments.args import EmbeddingArgs, GatewayArgs, LlmArgs
from deployments.settings import DeploymentSettings, VendorSettings
from models.settings import ModelSettings
from stores.settings import StoreSettings

HERE = Path(__file__).parent
CONFIGURATION_HEAD = """# Configuration

Two sources, no overlap: `serve_config.yaml` says what runs, the environment says where and with which key.

## serve_config.yaml

One application a model; `args` of each:
"""
HTTP_HEAD = """# HTTP API

Send `Authorization: Bearer KEY`. The running cluster says the same at `/docs` and `/openapi.json`.
"""
NOTICE = "<!-- made by `make docs` from the code; edit the code -->\n\n"


def configuration() -> str:
    """docs/configuration.md."""
    parts = [
        NOTICE,
        CONFIGURATION_HEAD,
    ]
    for title, args in (("gateway", GatewayArgs), ("embedding", EmbeddingArgs), ("llm", LlmArgs)):
        parts += [f"\n### `deployments.app:{title}`\n\n{args.__doc__}\n\n", _table(_fields(args))]
    parts.append("\n## Environment\n\n`becoming-one up` sets what it starts; what you set is used instead.\n")
    for settings in (LaptopSettings, StoreSettings, DeploymentSettings, VendorSettings, ModelSettings):
        parts += [
            f"\n### {settings.__module__}: {settings.__name__}\n\n{settings.__doc__}\n\n",
            _table(_fields(settings)),
        ]
    parts += ["\n### Clients (`becoming-one`, `becoming_one.client`)\n\n", _table(VARIABLES.items())]
    return "".join(parts)


def http_api() -> str:
    """docs/http-api.md."""
    parts = [
        NOTICE,
        HTTP_HEAD,
    ]
    for route in openapi.ROUTES:
        open_ = " Needs no key." if route.open else ""
        parts.append(f"\n## {route.method.upper()} {route.path}\n\n{route.summary}{open_}\n")
        if route.request is not None:
            parts += ["\nBody:\n\n", _table(_fields(route.request)), "\nRequest headers:\n\n"]
            parts += [_table(openapi.REQUEST_HEADERS), "\nResponse headers:\n\n", _table(route.headers)]
    error = '`{"error": {"message": "…", "type": "…", "param": "…", "code": "…"}}`'
    parts += [f"\n## Errors\n\n{error}: OpenAI's shape.\n\n", _table(openapi.ERRORS.items())]
    return "".join(parts)


def _fields(model: type[BaseModel]) -> Iterable[tuple[str, str]]:
    prefix = model.model_config.get("env_prefix", "") if issubclass(model, BaseSettings) else ""
    for name, field in model.model_fields.items():
        shown = (prefix + name).upper() if issubclass(model, BaseSettings) else field.alias or name
        default = "required" if field.default is PydanticUndefined else f"default `{_plain(field.default)}`"
        yield shown, f"{field.description or _kind(model, field.alias or name)} ({default})"


def _kind(model: type[BaseModel], name: str) -> str:
    return openapi.kind(model.model_json_schema()["properties"][name])


def _plain(value: Any) -> str:
    return "unset" if value is None else str(value).replace(f"{HERE.parent}", ".")


def _table(rows: Iterable[tuple[str, str]]) -> str:
    lines = [f"| `{name}` | {text} |" for name, text in rows]
    return "\n".join(("| name | meaning |", "| --- | --- |", *lines)) + "\n"


PAGES = {"configuration.md": configuration, "http-api.md": http_api, "cli.md": reference.page}

if __name__ == "__main__":
    for name, make in PAGES.items():
        (HERE / name).write_text(make(), encoding="utf-8")
