"""Clients who hang up: their work ends, the others' does not."""

import asyncio

import pytest

from deployments import hangup
from deployments.asgi import AsgiApplication
from deployments.front import ADMITTED, Admitted
from deployments.hangup import Hangup
from deployments.http import ClientGone, respond
from models.values import Caller


class Client:
    """A connection as an ASGI server shows it: `receive` waits until the client goes or its answer is complete."""

    def __init__(self) -> None:
        self.over = asyncio.Event()
        self.sent: list = []

    async def receive(self):
        await self.over.wait()
        return {"type": "http.disconnect"}

    async def send(self, message) -> None:
        self.sent.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            self.over.set()


@pytest.fixture
def client(monkeypatch) -> Client:
    monkeypatch.setattr(hangup, "QUICK_S", 0.0)
    return Client()


async def ask(client: Client, handler) -> None:
    async def stop() -> None: ...

    application = AsgiApplication({("POST", "/work"): handler}, stop)
    scope = {"type": "http", "method": "POST", "path": "/work", "headers": []}
    scope[ADMITTED] = Admitted(Caller("k", "app", "t"), b"req")
    await application(scope, client.receive, client.send)


async def test_work_ends_when_its_client_goes_and_is_counted_as_499(client) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def handler(*_) -> None:
        try:
            began.set()
            await asyncio.Event().wait()
        finally:
            ended.set()

    task = asyncio.create_task(ask(client, handler))
    await began.wait()
    client.over.set()
    await asyncio.wait_for(task, 10)
    assert ended.is_set()
    assert client.sent[0]["status"] == 499


async def test_a_stream_that_has_begun_ends_without_a_second_status(client) -> None:
    began = asyncio.Event()

    async def handler(_, send, __) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        began.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(ask(client, handler))
    await began.wait()
    client.over.set()
    await asyncio.wait_for(task, 10)
    assert [message["type"] for message in client.sent] == ["http.response.start", "http.response.body"]


async def test_what_is_done_after_a_whole_answer_is_not_taken_for_a_client_who_went(client) -> None:
    tidied = []

    async def handler(_, send, __) -> None:
        await asyncio.sleep(0.01)  # the watch is on
        await respond(send, 200, b"{}")
        await asyncio.sleep(0.01)
        tidied.append(True)

    await asyncio.wait_for(ask(client, handler), 10)
    assert tidied
    assert client.sent[0]["status"] == 200


async def test_a_cancellation_from_elsewhere_stays_one(client) -> None:
    began = asyncio.Event()

    async def work() -> None:
        with Hangup(client.receive):
            began.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_the_task_of_a_client_who_went_is_not_left_cancelled(client) -> None:
    client.over.set()
    with pytest.raises(ClientGone), Hangup(client.receive):
        await asyncio.Event().wait()
    assert asyncio.current_task().cancelling() == 0
    await asyncio.sleep(0)


async def test_work_that_ends_at_once_starts_no_watch(client, monkeypatch) -> None:
    monkeypatch.setattr(hangup, "QUICK_S", 60)

    async def handler(_, send, __) -> None:
        await respond(send, 200, b"{}")

    before = asyncio.all_tasks()
    await ask(client, handler)
    assert asyncio.all_tasks() == before
