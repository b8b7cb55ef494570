"""What a client's call can end in. Each error says, in one sentence, what happened and what to do.

    ClientError
    ├── NotConfigured        no address is known: nothing was sent
    ├── Unreachable          no connection after all retries, or it broke before an answer
    ├── TimedOut             connected, but no answer within `timeout_s`
    ├── Interrupted          a stream broke off before its end: what came is not a whole answer
    ├── RequestRefused       the request is wrong (4xx); sending it again unchanged fails again
    │   ├── InvalidRequest   a field is missing, has the wrong type or an impossible value
    │   ├── UnknownModel     neither a role nor a model there
    │   ├── TooLarge         over a stated limit
    │   ├── Unauthenticated  no key, or one that is unknown, revoked or expired
    │   └── Forbidden        a good key that may not do this
    ├── RateLimited          too many requests (429), after all retries
    └── ServerFailed         the server failed (5xx)
        └── Unavailable      no model or store can answer now (503), after all retries

Instances survive pickling: `args` are exactly the parameters.
"""

from collections.abc import Mapping
from typing import Any


class ClientError(Exception):
    """Root of what the client raises.

    `status` is the HTTP status, 0 where no response came. `code` is the server's machine-readable reason, `param` the
    field it names, `request_id` what to quote when asking its operator, `retry_after_s` how long it asked to wait.
    """

    def __init__(
        self,
        sentence: str,
        status: int = 0,
        code: str = "",
        request_id: str | None = None,
        details: tuple[str | None, float | None] = (None, None),
    ) -> None:
        super().__init__(sentence, status, code, request_id, details)
        self.sentence, self.status, self.code, self.request_id = sentence, status, code, request_id
        self.param, self.retry_after_s = details

    def __str__(self) -> str:
        return self.sentence


class NotConfigured(ClientError):
    """No address is known: nothing was sent."""


class Unreachable(ClientError):
    """No connection after all retries, or it broke before an answer."""


class TimedOut(ClientError):
    """Connected, but no answer within the time given."""


class Interrupted(ClientError):
    """A stream broke off before its end: what came is not a whole answer."""


class RequestRefused(ClientError):
    """The request is wrong; sending it again unchanged fails again."""


class InvalidRequest(RequestRefused):
    """A field is missing, has the wrong type or an impossible value."""


class UnknownModel(RequestRefused):
    """Neither a role nor a model that the server knows; the sentence names those it does."""


class TooLarge(RequestRefused):
    """Over a limit that the sentence states."""


class Unauthenticated(RequestRefused):
    """No key, or one that is unknown, revoked or expired."""


class Forbidden(RequestRefused):
    """A good key that may not do this."""


class RateLimited(ClientError):
    """Too many requests. `retry_after_s` says when the next may succeed, where the server told."""


class ServerFailed(ClientError):
    """The server failed; the same request may succeed later."""


class Unavailable(ServerFailed):
    """No model or store can answer now."""


BY_CODE: Mapping[str, type[ClientError]] = {"model_not_found": UnknownModel, "invalid_api_key": Unauthenticated}
BY_STATUS: Mapping[int, type[ClientError]] = {
    400: InvalidRequest,
    401: Unauthenticated,
    403: Forbidden,
    413: TooLarge,
    422: InvalidRequest,
    429: RateLimited,
    503: Unavailable,
}


def from_body(status: int, body: Any, request_id: str | None, retry_after_s: float | None) -> ClientError:
    """The typed error of an answer that is not a success.

    `body` is the decoded JSON, in OpenAI's shape {"error": {"message", "type", "param", "code"}}; anything else, such
    as a proxy's page, becomes a sentence that names the status.
    """
    error = body.get("error") if isinstance(body, dict) else None
    fields = error if isinstance(error, dict) else {}
    code = str(fields.get("code") or "")
    sentence = fields.get("message") or f"The server answered HTTP {status} without saying why; {_what_to_do(status)}."
    kind = BY_CODE.get(code) or BY_STATUS.get(status) or (ServerFailed if status >= 500 else RequestRefused)
    param = fields.get("param")
    return kind(str(sentence), status, code, request_id, (None if param is None else str(param), retry_after_s))


def _what_to_do(status: int) -> str:
    if status >= 500:
        return "try again, and look at its logs if it stays so"
    if status in (404, 405):
        return "check that the address is Becoming One's"
    return "check the request against /docs"
