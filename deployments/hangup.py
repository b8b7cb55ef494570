"""A client that hangs up ends the work for it: its task is cancelled, and with it the upstream or the generation.

Serve would do it with two more tasks a request (about 200 µs CPU of 1,200 in the gateway's replica, uncached chat, two
cores, 2026-11-23), so the front tells it not to. Here a request answered within QUICK_S costs a timer, others a task.
"""

import asyncio
from types import TracebackType
from typing import Self

from deployments.http import ClientGone, Receive

QUICK_S = 0.05  # less than a token of the laptop's model takes; nothing worth stopping is missed


class Hangup:
    """`with Hangup(receive): ...` raises ClientGone inside the block once the client has gone.

    `receive` is not to be called by others meanwhile: the body has been read.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._watcher: asyncio.Task[None] | None = None
        self._happened = False

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("a request is answered in a task")
        self._task, self._cancelling = task, task.cancelling()
        self._timer = loop.call_later(QUICK_S, self._begin)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.dismiss()
        if self._happened and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise ClientGone from error

    def dismiss(self) -> None:
        """Watch no more: the answer is complete, and its server says `http.disconnect` of that too."""
        self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()

    def _begin(self) -> None:
        self._watcher = self._task.get_loop().create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._happened = True
        self._task.cancel()
