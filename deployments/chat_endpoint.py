"""Events of a generation -> the HTTP answer of a chat completion, whole or streamed. For gateway and local LLMs."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from deployments.errors import body_of, single_cause
from deployments.http import EVENT_STREAM, JSON, Headers, Send, respond
from deployments.surfaces.chat import ChunkWriter, write
from deployments.surfaces.chat_wire import ChatRequest
from models.errors import ClusterError, ModelRefused
from models.outputs import Accumulator
from models.values import Finished, Started, StreamEvent

Batches = AsyncIterator[list[StreamEvent]]
BROKE_OFF = "the answer broke off before its end"
STREAM_HEADERS = ((b"content-type", EVENT_STREAM), (b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))


@dataclass(frozen=True, slots=True)
class Reply:
    """Where an answer goes, and what it is called on the wire."""

    send: Send
    wire: ChatRequest
    id: str
    created_s: int
    headers: Headers


async def respond_chat(reply: Reply, batches: Batches, on_first: Callable[[], None] = lambda: None) -> None:
    """Send the answer. Errors before the first event are raised (they become a status); later ones end the stream.

    `on_first` is called when the model has begun to answer.
    """
    first = await anext(batches)
    on_first()
    spec_id = next((event.spec_id for event in first if isinstance(event, Started)), reply.wire.model)
    if reply.wire.stream:
        await _stream(reply, spec_id, first, batches)
    else:
        await _whole(reply, spec_id, first, batches)


async def _whole(reply: Reply, spec_id: str, batch: list[StreamEvent], batches: Batches) -> None:
    answer = Accumulator(batch)
    while not answer.finished:
        try:
            for event in await anext(batches):
                answer.add(event)
        except StopAsyncIteration:
            raise ModelRefused(spec_id, 0, BROKE_OFF) from None
    body = write(reply.id, reply.created_s, spec_id, answer.output())
    await respond(reply.send, 200, body, JSON, [*reply.headers, (b"x-model", spec_id.encode())])


async def _stream(reply: Reply, spec_id: str, batch: list[StreamEvent], batches: Batches) -> None:
    writer = ChunkWriter(reply.id, reply.created_s, spec_id, include_usage=reply.wire.include_usage)
    headers = [*STREAM_HEADERS, *reply.headers, (b"x-model", spec_id.encode())]
    await reply.send({"type": "http.response.start", "status": 200, "headers": headers})
    opening = writer.first()
    while True:
        out = opening + b"".join(map(writer.event, batch))
        opening, ended = b"", bool(batch) and isinstance(batch[-1], Finished)
        if out:
            await reply.send({"type": "http.response.body", "body": out, "more_body": not ended})
        if ended:
            return
        try:
            batch = await anext(batches)
        except StopAsyncIteration:
            await _break_off(reply.send, ModelRefused(spec_id, 0, BROKE_OFF))
            return
        except ClusterError as error:
            await _break_off(reply.send, error)
            return


async def _break_off(send: Send, error: ClusterError) -> None:
    """After the status is sent, an error is an event: the SDKs raise it. No end mark follows: it was not the end."""
    await send({"type": "http.response.body", "body": b"data: " + body_of(single_cause(error)) + b"\n\n"})
