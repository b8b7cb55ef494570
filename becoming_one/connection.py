"""What both clients know of the network: the address, the key, and how httpx's outcomes become ours."""

import ssl
from dataclasses import dataclass
from typing import Any

import httpx

from becoming_one import settings
from becoming_one.errors import ClientError, TimedOut, Unreachable
from becoming_one.operations import Retries
from becoming_one.wire import Call, Reply, StreamReader

TIMEOUT_S = 120.0  # between two bytes of an answer: a small CPU model reads a prompt of 2,000 tokens in about 20 s
CONNECT_TIMEOUT_S = 5.0  # a host that is there accepts at once; one that is not should not hold a notebook


class Connection:
    """What both clients know: the address, the key, and how HTTP outcomes become ours."""

    def __init__(self, base_url: str | None, api_key: str | None, timeout_s: float, max_retries: int) -> None:
        found = settings.find(base_url, api_key)
        self.url = found.url
        self._retries = Retries(max_retries)
        self._timeout_s = timeout_s
        headers = {"accept": "application/json", "content-type": "application/json"}
        if found.api_key:
            headers["authorization"] = f"Bearer {found.api_key}"
        # Plain HTTP needs no certificates: reading them costs 38 ms CPU a client (2026-11). Should TLS ever be asked
        # for, this context trusts nobody. A proxy of the environment is for the world, not for this machine.
        self._arguments: dict[str, Any] = {
            "base_url": found.url,
            "headers": headers,
            "timeout": httpx.Timeout(timeout_s, connect=min(timeout_s, CONNECT_TIMEOUT_S)),
            "verify": True if found.url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            "trust_env": not settings.is_loopback(found.url),
        }

    def failed(self, error: httpx.RequestError) -> ClientError:
        """What a call that got no response ends in, with httpx's own error as its cause."""
        failure = self._named(error)
        failure.__cause__ = error
        return failure

    def _named(self, error: httpx.RequestError) -> ClientError:
        if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
            return TimedOut(f"{self.url} gave no answer in {self._timeout_s:g} s. Raise timeout_s, or ask for less.")
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            return Unreachable(f"Nothing answers at {self.url}. `becoming-one up` starts a cluster here.")
        reason = str(error) or type(error).__name__
        return Unreachable(f"The connection to {self.url} broke before an answer ({reason}). Try again.")

    def broken(self, error: httpx.RequestError, reader: StreamReader) -> ClientError:
        """What a stream that fails midway ends in."""
        return self.failed(error) if isinstance(error, httpx.TimeoutException) else reader.interrupted()


@dataclass(frozen=True, slots=True)
class OpenReply(Reply):
    """A Reply whose body is still to come."""

    response: httpx.Response


def whole_reply(response: httpx.Response) -> Reply:
    """A reply whose body was read."""
    return Reply(response.status_code, response.headers, response.content)


def opened(reply: Reply) -> httpx.Response:
    """The response behind a reply whose body is still to come; whoever takes it closes it."""
    if not isinstance(reply, OpenReply):
        raise TypeError("a streamed Call has an open Reply as its outcome")
    return reply.response


def open_reply(response: httpx.Response) -> OpenReply:
    """A reply whose body is still to come."""
    return OpenReply(response.status_code, response.headers, b"", response)


def request(http: httpx.Client | httpx.AsyncClient, call: Call) -> httpx.Request:
    """The request that a call becomes on this connection."""
    return http.build_request(call.method, call.path, content=call.content, headers=call.headers)
