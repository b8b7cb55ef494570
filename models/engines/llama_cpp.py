"""Generator over a GGUF model in this process: llama.cpp behind `xllamacpp`.

A blocking call a request, in a thread of its own; tokens come back by callback and are handed to the event loop in
batches. A callback that returns True stops the generation after that token: so a caller who leaves costs one token.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from models.catalog import Spec
from models.errors import ContextTooLong, InvalidRequest, ModelRefused, ModelUnavailable
from models.values import Finished, FinishReason, GenerateRequest, Started, StreamEvent, TextDelta, Usage

SEEDS = 2**32 - 1  # llama.cpp takes 32 bits and reads the highest value as "choose one"
REASONS: dict[str, FinishReason] = {"stop": "stop", "length": "length"}


class LlamaCpp:
    """One model. `parallel` requests are decoded together, each with a whole window; more wait in line, first come first.

    `folder` holds one .gguf file. `chat_template` is a name that llama.cpp knows, None for the file's own.
    """

    def __init__(
        self, folder: Path, threads: int, parallel: int, context_tokens: int, chat_template: str | None = None
    ) -> None:
        import xllamacpp  # noqa: PLC0415  # 30 MB of native code, only where a model is held

        params = xllamacpp.CommonParams()
        params.model.path = str(next(folder.glob("*.gguf")))
        params.n_parallel = parallel
        params.n_ctx = (
            parallel * context_tokens
        )  # each slot gets its share: no request can starve another of its window
        params.cpuparams.n_threads = threads
        params.cpuparams_batch.n_threads = threads
        params.verbosity = 0
        params.cache_ram_mib = 0  # prompts of other callers are not kept in memory beyond their slot
        params.endpoint_slots = False  # would show other callers' prompts
        params.api_keys = [
            secrets.token_urlsafe(32)
        ]  # its own loopback port answers nobody: no one has this key
        if chat_template is not None:
            params.chat_template = chat_template
        self._server = xllamacpp.Server(params)
        self._threads = ThreadPoolExecutor(parallel, thread_name_prefix="llama")
        self._closing = False

    async def stream(self, spec: Spec, request: GenerateRequest) -> AsyncGenerator[StreamEvent, None]:
        if self._closing:
            raise ModelUnavailable(spec.id, "this replica is stopping")
        call = _Call(asyncio.get_running_loop())
        body = _body(spec, request)
        running = self._threads.submit(self._run, body, call)
        reason: FinishReason | None = None
        usage = Usage()
        started = False
        try:
            async for chunk in call.chunks():
                if "error" in chunk:
                    raise _error(spec, chunk["error"])
                if not started:
                    started = True
                    yield Started(spec.id)
                if chunk.get("usage"):
                    usage = _usage(chunk["usage"])
                for choice in chunk["choices"]:
                    reason = REASONS.get(choice["finish_reason"] or "", reason)
                    if choice["delta"].get("content"):
                        yield TextDelta(choice["delta"]["content"])
            if reason is None:
                raise ModelUnavailable(spec.id, "the generation was stopped")
            yield Finished(reason, usage)
        finally:
            call.stopped = True
            running.cancel()  # when it still waits in line

    async def close(self) -> None:
        self._closing = True
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)

    def _run(self, body: dict[str, Any], call: "_Call") -> None:
        """In a thread: until the last token, or until nobody listens."""
        try:
            if not call.stopped:
                self._server.handle_chat_completions(body, lambda chunk: call.put(chunk) or self._closing)
        except ValueError as error:  # a schema that cannot become a grammar; found before the first token
            call.put({"error": {"code": 400, "type": "invalid_request_error", "message": str(error)}})
        except RuntimeError as error:
            call.put({"error": {"code": 500, "type": "server_error", "message": str(error)}})
        finally:
            call.end()


class _Call:
    """Chunks on their way from a thread of llama.cpp to the event loop. One wake-up a batch, not a token."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._chunks: deque[dict[str, Any] | None] = deque()
        self._arrived = asyncio.Event()
        self._told = False
        self.stopped = False

    def put(self, chunk: dict[str, Any]) -> bool:
        """From the thread: one chunk. True: nobody listens any more."""
        self._chunks.append(chunk)
        self._tell()
        return self.stopped

    def end(self) -> None:
        """From the thread: no more chunks."""
        self._chunks.append(None)
        self._tell()

    def _tell(self) -> None:
        if not self._told:
            self._told = True
            self._loop.call_soon_threadsafe(self._arrived.set)

    async def chunks(self) -> AsyncGenerator[dict[str, Any], None]:
        """In the loop: the chunks in order."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            self._told = False
            while self._chunks:
                chunk = self._chunks.popleft()
                if chunk is None:
                    return
                yield chunk


def _body(spec: Spec, request: GenerateRequest) -> dict[str, Any]:
    sampling = request.sampling
    limit = request.max_output_tokens or spec.max_output_tokens
    options: dict[str, Any] = {
        "max_tokens": min(limit, spec.max_output_tokens),
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": None if sampling.seed is None else sampling.seed % SEEDS,
        "stop": list(sampling.stop) or None,
        "frequency_penalty": sampling.frequency_penalty,
        "presence_penalty": sampling.presence_penalty,
    }
    body: dict[str, Any] = {
        "messages": [{"role": turn.role, "content": turn.text} for turn in request.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
        **{name: value for name, value in options.items() if value is not None},
    }
    if request.answer_schema is not None:
        schema = {"name": request.answer_schema.name, "schema": dict(request.answer_schema.schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body


def _usage(counts: dict[str, Any]) -> Usage:
    cached = (counts.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
    return Usage(counts["prompt_tokens"], counts["completion_tokens"], cached)


def _error(spec: Spec, found: dict[str, Any]) -> Exception:
    if found.get("type") == "exceed_context_size_error":
        return ContextTooLong(spec.id, found["n_prompt_tokens"], found["n_ctx"])
    if found.get("code") == 400:
        return InvalidRequest(f"The model cannot follow `response_format`: {found['message']}", "response_format")
    return ModelRefused(spec.id, int(found.get("code") or 500), str(found.get("message"))[:500])
