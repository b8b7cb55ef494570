"""Generator over any OpenAI-shaped server: our own local LLM applications, vLLM, vendors."""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr

from models.catalog import Spec
from models.engines.http_generator import Dialect, HttpGenerator, Timeouts
from models.engines.openai_wire import Reading, body_of
from models.errors import ContextTooLong, InvalidRequest, ModelOverloaded, ModelRefused, ModelUnavailable

COUNTED = re.compile(r"(\d+) tokens")


def _headers(key: str) -> Mapping[str, str]:
    return {"authorization": f"Bearer {key}"}


def error_of(spec: Spec, status: int, found: Any, retry_after_s: float | None) -> Exception:
    """The server's own error object -> one of ours. Its message may hold anything: only refusals pass it on."""
    fields = found if isinstance(found, dict) else {}
    code, message = fields.get("code"), str(fields.get("message") or f"HTTP {status}")[:500]
    if code == "context_length_exceeded" or (status == 400 and _says_too_long(fields, message)):
        return _too_long(spec, fields, message)
    if status == 400:  # Bad Request
        return InvalidRequest(message, fields.get("param"), str(code or "invalid_request"))
    if status in {401, 403}:
        return ModelUnavailable(spec.id, "it does not accept our key")
    if status == 429 or status >= 500:  # Too Many Requests, server errors
        return ModelOverloaded(spec.id, status, retry_after_s)
    return ModelRefused(spec.id, status, message)


def _says_too_long(fields: dict[str, Any], message: str) -> bool:
    """The dialects without OpenAI's code: llama.cpp names it by type, vLLM only in the sentence."""
    return fields.get("type") == "exceed_context_size_error" or "maximum context length" in message


def _too_long(spec: Spec, fields: dict[str, Any], message: str) -> Exception:
    """With both numbers, from fields (ours, llama.cpp's) or the sentence (OpenAI's, vLLM's); else only the sentence."""
    prompt = fields.get("prompt_tokens", fields.get("n_prompt_tokens"))
    context = fields.get("context_tokens", fields.get("n_ctx"))
    if isinstance(prompt, int) and isinstance(context, int):
        return ContextTooLong(spec.id, prompt, context)
    counts = [int(found) for found in COUNTED.findall(message)]
    if len(counts) > 1:
        return ContextTooLong(spec.id, max(counts), min(counts))  # too long: the window is the smaller one
    return InvalidRequest(message, "messages", "context_length_exceeded")


DIALECT = Dialect("/chat/completions", _headers, body_of, Reading, error_of)


class OpenAIShaped(HttpGenerator):
    """`base_url` ends before `/chat/completions`, as the vendor's SDK wants it too: https://api.openai.com/v1."""

    def __init__(self, base_url: str, key: SecretStr | None = None, timeouts: Timeouts | None = None) -> None:
        super().__init__(DIALECT, base_url, key, timeouts)
