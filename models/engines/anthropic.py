"""Generator over Anthropic's Messages API."""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr

from models.catalog import Spec
from models.engines.anthropic_wire import Reading, body_of
from models.engines.http_generator import Dialect, HttpGenerator, Timeouts
from models.errors import ContextTooLong, InvalidRequest, ModelOverloaded, ModelRefused, ModelUnavailable

VERSION = "2023-06-01"  # of the API; the only one there is
OVERLOADED = {"overloaded_error": 529, "rate_limit_error": 429, "api_error": 500, "timeout_error": 504}
"""Errors that pass, by type; in the midst of a stream they come without a status."""
TOO_LONG = re.compile(r"(\d+) tokens > (\d+)")  # "prompt is too long: 210000 tokens > 200000 maximum"


def _headers(key: str) -> Mapping[str, str]:
    return {"x-api-key": key, "anthropic-version": VERSION}


def error_of(spec: Spec, status: int, found: Any, retry_after_s: float | None) -> Exception:
    """The server's own error object -> one of ours. Its message may hold anything: only refusals pass it on."""
    fields = found if isinstance(found, dict) else {}
    kind, message = fields.get("type"), str(fields.get("message") or f"HTTP {status}")[:500]
    too_long = TOO_LONG.search(message)
    if too_long is not None:
        return ContextTooLong(spec.id, int(too_long[1]), int(too_long[2]))
    if kind in OVERLOADED or status == 429 or status >= 500:  # Too Many Requests, server errors
        return ModelOverloaded(spec.id, OVERLOADED.get(str(kind), status) if status == 200 else status, retry_after_s)
    if kind == "invalid_request_error" or status == 400:  # Bad Request
        return InvalidRequest(message)
    if status in {401, 403} or kind in {"authentication_error", "permission_error"}:
        return ModelUnavailable(spec.id, "it does not accept our key")
    return ModelRefused(spec.id, status, message)


DIALECT = Dialect("/v1/messages", _headers, body_of, Reading, error_of)


class AnthropicMessages(HttpGenerator):
    """`base_url` ends before `/v1/messages`, as the vendor's SDK wants it too: https://api.anthropic.com."""

    def __init__(self, base_url: str, key: SecretStr | None = None, timeouts: Timeouts | None = None) -> None:
        super().__init__(DIALECT, base_url, key, timeouts)
