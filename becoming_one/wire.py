"""The wire of the server, without a network: values -> requests, answers -> values.

OpenAI's shapes for chat, embeddings and models; `x-` headers tell where an answer came from. Pure functions, and one
small state machine that reads a stream.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from becoming_one.errors import ClientError, Interrupted, InvalidRequest, ServerFailed, from_body

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Prompt = str | Sequence[Mapping[str, str]]
"""One question, or the turns so far as {"role": "system" | "user" | "assistant", "content": text}."""


class AskOptions(TypedDict, total=False):
    """What may be said about an answer. What is left out is the model's own default."""

    system: str
    """How to behave: a system message before the prompt."""
    max_tokens: int
    temperature: float
    top_p: float
    seed: int
    stop: str | Sequence[str]
    schema: Mapping[str, Any]
    """A JSON Schema that the text of the answer satisfies."""
    user: str
    """The person on whose behalf an app asks: personal answers are cached for that person alone."""
    data_class: Literal["public", "personal", "private"]
    """How far the text may travel; `private` never leaves the cluster. Left out it is `personal`."""
    fresh: bool
    """True: no cached answer, this one is made now (and then kept)."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, as counted by the model that answered. `cached_input_tokens` are among `input_tokens`."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said, and where it came from.

    `model` is the row of the catalog that answered, whatever role was asked for. `cache` is "miss", "exact" or
    "coalesced". `finish_reason` is "stop", or "length" when `max_tokens` cut the text. `cost_usd` is None where the
    server does not price the model.
    """

    text: str
    model: str
    usage: Usage
    finish_reason: str
    cache: str
    request_id: str | None
    cost_usd: float | None
    plan: str | None


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request, before it has an address. `streamed`: the body of the answer is read as it comes."""

    method: str
    path: str
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    streamed: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP answer. `headers` names are lower case. `content` is empty for a stream that has yet to be read."""

    status: int
    headers: Mapping[str, str]
    content: bytes


def ask_call(prompt: Prompt, model: str, options: AskOptions, *, streamed: bool) -> Call:
    """Prompt -> POST /v1/chat/completions."""
    messages: list[Mapping[str, str]] = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else [*prompt]
    if "system" in options:
        messages.insert(0, {"role": "system", "content": options["system"]})
    body: dict[str, Any] = {"model": model, "messages": messages}
    for name in ("max_tokens", "temperature", "top_p", "seed", "stop", "user"):
        if options.get(name) is not None:
            body[name] = options[name]
    if "schema" in options:
        schema = {"name": "answer", "schema": options["schema"], "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if streamed:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    headers = {"cache-control": "no-cache"} if options.get("fresh") else {}
    if "data_class" in options:
        headers["x-data-class"] = options["data_class"]
    return Call("POST", "/v1/chat/completions", encode(body), headers, streamed)


def embed_call(texts: Sequence[str], model: str, dimensions: int | None) -> Call:
    """Texts -> POST /v1/embeddings. Vectors travel as base64: half the bytes of decimal digits, no rounding."""
    body: dict[str, Any] = {"model": model, "input": list(texts), "encoding_format": "base64"}
    if dimensions is not None:
        body["dimensions"] = dimensions
    return Call("POST", "/v1/embeddings", encode(body))


def encode(body: Mapping[str, Any]) -> bytes:
    """JSON bytes. Raises InvalidRequest for what JSON or UTF-8 cannot carry: NaN, bytes, half a surrogate pair."""
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except UnicodeEncodeError as error:
        half = ascii(error.object[error.start])
        raise InvalidRequest(f"The text holds half a surrogate pair ({half}), no character. Remove it.") from error
    except (TypeError, ValueError) as error:
        raise InvalidRequest(f"The request cannot be written as JSON: {error}.") from error


def failure(reply: Reply) -> ClientError:
    """The typed error of a reply whose status is not a success."""
    try:
        body = json.loads(reply.content)
    except ValueError:
        body = None
    return from_body(reply.status, body, reply.headers.get("x-request-id"), retry_after_s(reply))


def retry_after_s(reply: Reply) -> float | None:
    """Seconds the server asks to wait, told as a number or as a date against its own clock; None where it does not."""
    value = reply.headers.get("retry-after", "")
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        until, now = (parsedate_to_datetime(text) for text in (value, reply.headers.get("date", "")))
        return max(0.0, (until - now).total_seconds())
    except (ValueError, TypeError):
        return None


def read_answer(reply: Reply) -> Answer:
    """Body of a chat completion -> Answer."""
    body = _object(reply)
    choice = _first(body.get("choices"))
    message = choice.get("message")
    text = message.get("content") if isinstance(message, dict) else None
    if not isinstance(text, str):
        raise _unreadable(reply, "it holds no answer")
    return _answer(reply, text, str(choice.get("finish_reason") or ""), body)


def read_vectors(reply: Reply, count: int) -> "npt.NDArray[np.float32]":
    """Body of an embeddings answer -> float32 (count, dim), in the order of the texts."""
    import numpy as np  # noqa: PLC0415  # 0.25 s that chat does not need

    rows = _object(reply).get("data")
    if not isinstance(rows, list) or len(rows) != count:
        raise _unreadable(reply, f"it does not hold {count} vectors")
    try:
        rows = sorted(rows, key=lambda row: row["index"])
        return np.stack([_vector(row["embedding"]) for row in rows])
    except (KeyError, TypeError, ValueError) as error:
        raise _unreadable(reply, f"a vector is malformed ({error})") from error


def read_rows(reply: Reply) -> list[dict[str, Any]]:
    """Body of GET /v1/models -> one object a model, as the server tells it."""
    rows = _object(reply).get("data")
    if not isinstance(rows, list) or not all(isinstance(row, dict) and "id" in row for row in rows):
        raise _unreadable(reply, "it holds no list of models")
    return rows


class StreamReader:
    """Server-sent events of one chat completion -> pieces of text, and the whole answer at the end."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._unread = b""
        self._pieces: list[str] = []
        self._last: dict[str, Any] = {}
        self._finish_reason = ""
        self.done = False

    def feed(self, chunk: bytes) -> list[str]:
        """The pieces of text that these bytes complete, in order. Raises ServerFailed for an error event."""
        # Lines end in \n alone: json may hold \u2028 and \x85 raw, at which str.splitlines (and httpx) would cut.
        *lines, self._unread = (self._unread + chunk).split(b"\n")
        pieces: list[str] = []
        for line in lines:
            if line.startswith(b"data:") and not self.done:
                pieces += self._event(line[5:].strip())
        self._pieces += pieces
        return pieces

    def answer(self) -> Answer:
        """The whole answer. Raises Interrupted when the stream ended before its last event."""
        if not self.done:
            raise self.interrupted()
        return _answer(self._reply, "".join(self._pieces), self._finish_reason, self._last)

    def interrupted(self) -> Interrupted:
        """The error of a stream that ends here."""
        characters = sum(map(len, self._pieces))
        return Interrupted(
            f"The answer broke off after {characters} characters. Ask again.",
            self._reply.status,
            "stream_interrupted",
            self._reply.headers.get("x-request-id"),
        )

    def _event(self, data: bytes) -> list[str]:
        if data == b"[DONE]":
            self.done = True
            return []
        try:
            event = json.loads(data)
        except ValueError as error:
            raise _unreadable(self._reply, "an event is not JSON") from error
        if not isinstance(event, dict):
            raise _unreadable(self._reply, "an event is not an object")
        if "error" in event:
            failed = from_body(0, event, self._reply.headers.get("x-request-id"), None)
            raise ServerFailed(failed.sentence, self._reply.status, failed.code, failed.request_id)
        self._last |= {name: value for name, value in event.items() if value is not None}
        if not event.get("choices"):  # the last event before [DONE] carries the usage alone
            return []
        choice = _first(event["choices"])
        self._finish_reason = choice.get("finish_reason") or self._finish_reason
        delta = choice.get("delta")
        text = delta.get("content") if isinstance(delta, dict) else None
        return [text] if isinstance(text, str) and text else []


def _answer(reply: Reply, text: str, finish_reason: str, body: Mapping[str, Any]) -> Answer:
    headers = reply.headers
    usage = body.get("usage")
    cost = headers.get("x-cost-usd")
    return Answer(
        text=text,
        model=headers.get("x-model") or str(body.get("model") or ""),
        usage=_usage(usage) if isinstance(usage, dict) else Usage(),
        finish_reason=finish_reason,
        cache=headers.get("x-cache", "miss"),
        request_id=headers.get("x-request-id"),
        cost_usd=float(cost) if cost else None,
        plan=headers.get("x-plan"),
    )


def _usage(usage: Mapping[str, Any]) -> Usage:
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else 0
    return Usage(int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0), int(cached or 0))


def _vector(embedding: Any) -> "npt.NDArray[np.float32]":
    import numpy as np  # noqa: PLC0415  # loaded by read_vectors already

    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4").astype(np.float32)
    return np.asarray(embedding, dtype=np.float32)  # a server that knows no base64 answers with digits


def _object(reply: Reply) -> dict[str, Any]:
    try:
        body = json.loads(reply.content)
    except ValueError as error:
        raise _unreadable(reply, "it is not JSON") from error
    if not isinstance(body, dict):
        raise _unreadable(reply, "it is not an object")
    return body


def _first(choices: Any) -> dict[str, Any]:
    choice = choices[0] if isinstance(choices, list) and choices else {}
    return choice if isinstance(choice, dict) else {}


def _unreadable(reply: Reply, why: str) -> ServerFailed:
    return ServerFailed(
        f"The server's answer cannot be read: {why}. Check that the address is Becoming One's.",
        reply.status,
        "unreadable_answer",
        reply.headers.get("x-request-id"),
    )
