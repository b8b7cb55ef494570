"""What the cluster answers, as an OpenAPI 3.1 document and as a page. Both come from the wire models and this table."""

from dataclasses import dataclass
from html import escape
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from deployments.surfaces.chat_wire import ChatRequest
from deployments.surfaces.embeddings import EmbeddingRequest

VERSION = "0.1.0"
COMMON_HEADERS = {
    "x-request-id": "Quote it when you report something. A well-formed one of yours is kept.",
    "x-model": "The model that answered.",
}
CHAT_HEADERS = {
    **COMMON_HEADERS,
    "x-cache": "miss, exact (stored answer) or coalesced (an identical request was under way).",
    "x-plan": "Why this model.",
}
ERRORS = {
    "400": "The request is wrong; `param` and the sentence say what to change.",
    "401": "No key, or one that is unknown or revoked.",
    "403": "A good key that may not do this.",
    "404": "Unknown model or path.",
    "413": "Something is over its limit.",
    "502": "The model answered with an error of its own.",
    "503": "Nobody can answer now; Retry-After says when to try again.",
    "504": "The model gave no answer in time.",
}


@dataclass(frozen=True, slots=True)
class Route:
    """One line of the table."""

    method: str
    path: str
    summary: str
    request: type[BaseModel] | None = None
    headers: tuple[tuple[str, str], ...] = tuple(COMMON_HEADERS.items())
    open: bool = False
    content: str = "application/json"


ROUTES = (
    Route(
        "post",
        "/v1/chat/completions",
        "Answer a conversation, whole or as a stream (OpenAI's shape).",
        ChatRequest,
        tuple(CHAT_HEADERS.items()),
    ),
    Route("post", "/v1/embeddings", "Embed texts (OpenAI's shape; float or base64).", EmbeddingRequest),
    Route("get", "/v1/models", "The roles and models of this cluster, and whether each can be asked."),
    Route("get", "/v1/models/{id}", "One role or model."),
    Route("get", "/healthz", "Whether a replica answers at all.", open=True),
    Route("get", "/readyz", "Whether requests can be answered, and how each store and model is.", open=True),
    Route("get", "/metrics", "Prometheus metrics of all replicas.", content="text/plain"),
    Route("get", "/openapi.json", "This document."),
    Route("get", "/docs", "This document as a page.", content="text/html"),
)
REQUEST_HEADERS = (
    ("X-Data-Class", "public, personal (default) or private. Private text is answered in the cluster or not at all."),
    ("Cache-Control", "no-cache: a fresh answer, which is stored. no-store: neither a stored answer nor a stored one."),
    ("X-Request-Id", "Your own id for this request, up to 128 letters, digits, dots, dashes and underscores."),
)


def document() -> dict[str, Any]:
    """The OpenAPI document."""
    models = [route.request for route in ROUTES if route.request is not None]
    _, schemas = models_json_schema(
        [(model, "validation") for model in models], ref_template="#/components/schemas/{model}"
    )
    components = schemas.get("$defs", {})
    components["Error"] = _error_schema()
    paths: dict[str, Any] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Becoming One cluster", "version": VERSION, "description": "Name a role, get an answer."},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "An API key, bo-..."}},
        },
        "security": [{"key": []}],
    }


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": route.summary,
        "operationId": route.method + route.path.replace("/", "_").replace("{", "").replace("}", "").replace(".", "_"),
        "responses": {
            "200": {
                "description": "The answer.",
                "headers": {name: {"description": text, "schema": {"type": "string"}} for name, text in route.headers},
                "content": {route.content: {}},
            }
        },
    }
    if route.open:
        operation["security"] = []
        return operation
    for status, text in ERRORS.items():
        error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
        operation["responses"][status] = {"description": text, "content": error}
    if "{id}" in route.path:
        operation["parameters"] = [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}]
    if route.request is not None:
        schema = {"$ref": f"#/components/schemas/{route.request.__name__}"}
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
        operation["parameters"] = [
            {"name": name, "in": "header", "required": False, "description": text, "schema": {"type": "string"}}
            for name, text in REQUEST_HEADERS
        ]
    return operation


def _error_schema() -> dict[str, Any]:
    fields = {"message": "string", "type": "string", "param": ["string", "null"], "code": "string"}
    error = {
        "type": "object",
        "required": list(fields),
        "properties": {name: {"type": kind} for name, kind in fields.items()},
    }
    return {"type": "object", "required": ["error"], "properties": {"error": error}}


def page() -> str:
    """The same as one HTML page that loads nothing from elsewhere."""
    sections = "".join(_section(route) for route in ROUTES)
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>Becoming One cluster</title><style>{STYLE}</style><body><h1>Becoming One cluster</h1>"
        "<p>Send <code>Authorization: Bearer KEY</code>. The <a href=/openapi.json>OpenAPI document</a> says the same "
        "to programs. Errors have OpenAI's shape, a code and a sentence that says what to do.</p>"
        f"{sections}<h2>Errors</h2>{_table(ERRORS.items())}</body></html>"
    )


def _section(route: Route) -> str:
    parts = [f"<h2><b>{route.method.upper()}</b> <code>{escape(route.path)}</code></h2><p>{escape(route.summary)}"]
    parts.append(" <i>Needs no key.</i></p>" if route.open else "</p>")
    if route.request is not None:
        rows = []
        schema = route.request.model_json_schema()
        for name, field in schema["properties"].items():
            required = " (required)" if name in schema.get("required", ()) else ""
            rows.append((name + required, field.get("description") or kind(field)))
        parts += ["<h3>Body</h3>", _table(rows), "<h3>Request headers</h3>", _table(REQUEST_HEADERS)]
        parts += ["<h3>Response headers</h3>", _table(route.headers)]
    return "".join(parts)


def kind(field: dict[str, Any]) -> str:
    """A field's type and bounds in a few words."""
    options = field.get("anyOf", [field])
    words = []
    for option in options:
        name = option.get("type") or option.get("$ref", "").rsplit("/", 1)[-1] or str(option.get("const", ""))
        bounds = [f"{key} {option[key]}" for key in ("minimum", "maximum", "minLength", "maxLength") if key in option]
        words.append(name + (f" ({', '.join(bounds)})" if bounds else ""))
    return " or ".join(word for word in words if word != "null")


def _table(rows: Any) -> str:
    cells = "".join(f"<tr><td><code>{escape(name)}</code><td>{escape(text)}" for name, text in rows)
    return f"<table>{cells}</table>"


STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "h2{margin-top:2.2rem;border-top:1px solid #ddd;padding-top:1rem}h2 b{color:#567}"
    "table{border-collapse:collapse;width:100%}"
    "td{border-top:1px solid #eee;padding:.3rem .6rem .3rem 0;vertical-align:top}"
    "code{background:#f4f4f6;padding:.1em .3em;border-radius:3px}"
    "@media(prefers-color-scheme:dark){body{background:#16181c;color:#ddd}code{background:#25282e}"
    "td,h2{border-color:#333}a{color:#9bf}}"
)
