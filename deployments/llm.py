"""A local model's application on /llm/MODEL: OpenAI-shaped, called over HTTP by the gateway as any upstream is.

Only our own applications may call it: a caller who did would pass by cache, plan and ledger.
"""

import secrets
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from deployments.chat_endpoint import Reply, respond_chat
from deployments.edge import require
from deployments.front import Admitted
from deployments.http import Scope, Send
from deployments.surfaces import chat
from models.catalog import Spec
from models.errors import UnknownModel
from models.ports import Generator
from models.values import GenerateRequest, StreamEvent


class LocalLlm:
    """Handler of POST /llm/MODEL/v1/chat/completions."""

    def __init__(self, spec: Spec, engine: Generator) -> None:
        self._spec, self._engine = spec, engine

    async def complete(self, _: Scope, send: Send, admitted: Admitted) -> None:
        """Generate and answer, whole or streamed."""
        require(admitted.caller, "service")
        wire, request = chat.read(admitted.body, admitted.data_class)
        if wire.model not in (self._spec.id, self._spec.vendor_id):
            raise UnknownModel(wire.model, (self._spec.id,))
        reply = Reply(send, wire, "chatcmpl-" + secrets.token_hex(14), int(time.time()), ())
        async with aclosing(self._batches(replace(request, model=self._spec.id))) as batches:
            await respond_chat(reply, batches)

    async def _batches(self, request: GenerateRequest) -> AsyncGenerator[list[StreamEvent], None]:
        async with aclosing(self._engine.stream(self._spec, request)) as stream:
            async for event in stream:
                yield [event]
