"""The error tree -> HTTP: a status, OpenAI's error shape, our code and a sentence that says what to do."""

import math

import orjson

from models.errors import (
    AllModelsFailed,
    CallerError,
    ClusterError,
    ContextTooLong,
    Forbidden,
    ModelError,
    ModelRefused,
    ModelTimeout,
    TooLarge,
    Unauthenticated,
    UnknownModel,
)
from stores.errors import StoreError

STATUS: tuple[tuple[type[ClusterError], int, str], ...] = (
    (Unauthenticated, 401, "authentication_error"),
    (Forbidden, 403, "permission_error"),
    (UnknownModel, 404, "invalid_request_error"),
    (TooLarge, 413, "invalid_request_error"),
    (CallerError, 400, "invalid_request_error"),
    (ModelTimeout, 504, "server_error"),
    (ModelRefused, 502, "server_error"),
    (ModelError, 503, "server_error"),
    (StoreError, 503, "server_error"),
    (ClusterError, 500, "server_error"),
)
"""First match wins: family by family, the exceptions to a family before it. OpenAI's `type` stands third."""

RETRY_AFTER_S = 1.0  # a guess: a replica that restarts is back in a few seconds, and clients back off by themselves


def status_of(error: ClusterError) -> int:
    """HTTP status of an error."""
    return _row(error)[0]


def body_of(error: ClusterError) -> bytes:
    """OpenAI's error shape: {"error": {message, type, param, code}}; for a prompt too long also both token counts."""
    more = {}
    if isinstance(error, ContextTooLong):
        more = {"prompt_tokens": error.prompt_tokens, "context_tokens": error.context_tokens}
    return shape(str(error), _row(error)[1], getattr(error, "param", None) or _param(error), error.code, **more)


def shape(message: str, type_: str, param: str | None, code: str, **more: int) -> bytes:
    """One error object on the wire."""
    safe = message.encode("utf-8", "replace").decode()  # a lone surrogate in a message must not break its answer
    return orjson.dumps({"error": {"message": safe, "type": type_, "param": param, "code": code, **more}})


def retry_after(error: ClusterError) -> bytes | None:
    """Value of Retry-After for errors that pass, in whole seconds; None for those that do not."""
    if not error.retryable and status_of(error) != 503:  # Service Unavailable
        return None
    return str(math.ceil(getattr(error, "retry_after_s", None) or RETRY_AFTER_S)).encode()


def single_cause(error: ClusterError) -> ClusterError:
    """The one failure behind AllModelsFailed when there was one candidate: its own status says more."""
    if isinstance(error, AllModelsFailed) and len(error.failures) == 1:
        return error.failures[0]
    return error


def _row(error: ClusterError) -> tuple[int, str]:
    for kind, status, type_ in STATUS:
        if isinstance(error, kind):
            return status, type_
    return 500, "server_error"


def _param(error: ClusterError) -> str | None:
    if isinstance(error, ContextTooLong):
        return "messages"
    if isinstance(error, UnknownModel):
        return "model"
    return None
