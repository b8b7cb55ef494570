"""Generator over a GGUF model in this process: llama.cpp behind `xllamacpp`.

A blocking call a request, in a thread of its own; tokens come back by callback and are handed to the event loop, all
that are there at one wake-up. A callback that returns True stops the generation, so a caller who leaves costs one token
batch. Knows nothing of HTTP: llama.cpp's own server listens where nobody can reach it.

The same seed, or temperature 0, gives the same text whatever else is in flight and whatever was asked before
(tests/contracts/test_generator.py): each request has a window of its own, and CACHE_TYPE makes attention indifferent to
how tokens are batched.
"""

import asyncio
import tempfile
from collections import deque
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from models.catalog import Spec
from models.errors import ContextTooLong, InvalidRequest, ModelRefused, ModelUnavailable
from models.values import Finished, FinishReason, GenerateRequest, Started, StreamEvent, TextDelta, Usage

Chunk = dict[str, Any]

SEEDS = 2**32 - 1  # llama.cpp takes 32 bits and reads the highest value as "choose one"
REASONS: dict[str, FinishReason] = {"stop": "stop", "length": "length"}

BATCH_TOKENS = 64
"""Prompt tokens between two looks at who has left, and the longest that a long prompt holds up others' next token.

CPU a prompt token is flat in it: 15.3 ms at 64, 16.1 at 128, 19.7 at 512 (one thread, 610 tokens, 2026-11-23).
"""


CACHE_TYPE = "GGML_TYPE_Q8_0"
"""How keys and values are kept, read by flash attention.

It decides whether a token's numbers depend on the batch it was computed in, that is, on who else asked. Answers that
came out as another text beside others than alone, 2026-11-23: float16 with flash attention 10 of 40, without 3 of 24,
Q8_0 0 of 32, with equal probabilities too. CPU a token is the same, memory 539 MB instead of 877 for four windows.
"""


class LlamaCpp:
    """One model. `parallel` requests are decoded together, each with a whole window; more wait in line, in order.

    `folder` holds one .gguf file. `chat_template` is a name that llama.cpp knows, None for the file's own. Memory:
    weights and `parallel` windows, all taken at once (SmolLM2: 100 MB + 100 MB per 8192 tokens of window).
    """

    def __init__(
        self, folder: Path, threads: int, parallel: int, context_tokens: int, chat_template: str | None = None
    ) -> None:
        import xllamacpp  # noqa: PLC0415  # 30 MB of native code, only where a model is held

        params = parameters(next(folder.glob("*.gguf")), threads, parallel, context_tokens, chat_template)
        with tempfile.TemporaryDirectory(prefix="llama-") as private:  # mode 700
            params.hostnames = [f"{private}/llama.sock"]  # its own server has no port, and soon no name
            self._server: Any = xllamacpp.Server(params)
        self._threads = ThreadPoolExecutor(parallel, thread_name_prefix="llama")
        self._calls: set[_Call] = set()
        self._closing = False

    @property
    def in_flight(self) -> int:
        """Requests that llama.cpp works on now; those that wait in line are not among them."""
        return sum(call.running for call in tuple(self._calls))

    async def stream(self, spec: Spec, request: GenerateRequest) -> AsyncGenerator[StreamEvent, None]:
        """As the port says; raises InvalidRequest too, for a schema that llama.cpp cannot follow."""
        if self._closing:
            raise ModelUnavailable(spec.id, "this replica is stopping")
        call = _Call(asyncio.get_running_loop(), _body(spec, request))
        self._calls.add(call)
        waiting = self._threads.submit(self._run, call)
        answer = _Answer(spec)
        try:
            while not call.ended:
                for event in answer.read(await call.chunks()):
                    yield event
            yield answer.end(call.failure)
        finally:
            call.abandoned = True
            if waiting.cancel():  # it was still in line
                self._calls.discard(call)

    async def close(self) -> None:
        self._closing = True
        await asyncio.to_thread(self._let_go)

    def _run(self, call: "_Call") -> None:
        """In a thread: until the last token, or until nobody listens."""
        call.running = True
        try:
            if not (self._closing or call.abandoned):
                self._server.handle_chat_completions(call.body, lambda chunk: call.put(chunk) or self._closing)
        except Exception as error:  # noqa: BLE001  # handed to the event loop, which translates it
            call.failure = error
        finally:
            call.running = False
            self._calls.discard(call)
            call.end()

    def _let_go(self) -> None:
        self._threads.shutdown()
        self._server = None


def parameters(path: Path, threads: int, parallel: int, context_tokens: int, chat_template: str | None) -> Any:
    """What llama.cpp is told about a model: xllamacpp's CommonParams, without where its own server listens."""
    import xllamacpp  # noqa: PLC0415  # 30 MB of native code, only where a model is held

    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_parallel = parallel
    params.n_ctx = parallel * context_tokens  # divided among the slots: nobody can starve another of its window
    params.n_batch = params.n_ubatch = BATCH_TOKENS
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.cache_type_k = params.cache_type_v = getattr(xllamacpp.ggml_type, CACHE_TYPE)
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_ENABLED
    params.prefill_assistant = False  # a last message of the assistant is history, as with OpenAI, not a beginning
    params.cache_ram_mib = 0  # prompts are kept in their slot only: memory stays what it was at the start
    params.endpoint_slots = False  # would show other callers' prompts
    params.ui = False
    params.n_threads_http = 1  # nobody calls
    params.verbosity = 0
    if chat_template is not None:
        params.chat_template = chat_template
    return params


class _Call:
    """One request on its way into a thread of llama.cpp, and its chunks on their way out to the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, body: Chunk) -> None:
        self.body = body
        self.running = False  # the thread has begun
        self.abandoned = False  # nobody listens any more
        self.ended = False  # all chunks have been handed out
        self.failure: Exception | None = None
        self._loop = loop
        self._chunks: deque[Chunk] = deque()
        self._arrived = asyncio.Event()
        self._told = False
        self._complete = False

    def put(self, chunk: Chunk) -> bool:
        """From the thread: one chunk. True: stop, nobody listens any more."""
        self._chunks.append(chunk)
        self._tell()
        return self.abandoned

    def end(self) -> None:
        """From the thread: no more chunks."""
        self._complete = True
        self._tell()

    async def chunks(self) -> list[Chunk]:
        """In the loop: what has arrived since the last time, at least one chunk unless `ended`."""
        await self._arrived.wait()
        self._arrived.clear()
        self._told = False  # before looking, so that nothing can arrive unseen
        complete = self._complete
        arrived = [self._chunks.popleft() for _ in range(len(self._chunks))]
        self.ended = complete
        return arrived

    def _tell(self) -> None:
        if self._told:
            return
        self._told = True
        try:
            self._loop.call_soon_threadsafe(self._arrived.set)
        except RuntimeError:  # the loop is closed: whoever asked is gone with it
            self.abandoned = True


class _Answer:
    """Chunks of llama.cpp -> events. Text of one wake-up comes as one delta."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._started = False
        self._reason: FinishReason | None = None
        self._usage = Usage()

    def read(self, chunks: list[Chunk]) -> list[StreamEvent]:
        """Events of the chunks, in order. Raises ContextTooLong, InvalidRequest, ModelRefused."""
        texts: list[str] = []
        for chunk in chunks:
            if "error" in chunk:
                raise _refusal(self._spec, chunk["error"])
            if chunk.get("usage"):
                self._usage = _usage(chunk["usage"])
            for choice in chunk["choices"]:
                self._reason = REASONS.get(choice["finish_reason"] or "", self._reason)
                texts.append(choice["delta"].get("content") or "")
        events: list[StreamEvent] = []
        if chunks and not self._started:
            self._started = True
            events.append(Started(self._spec.id))
        text = "".join(texts)
        if text:
            events.append(TextDelta(text))
        return events

    def end(self, failure: Exception | None) -> Finished:
        """The last event. Raises what the thread met, translated."""
        if isinstance(
            failure, ValueError | TypeError
        ):  # a schema that cannot become a grammar; text that is no Unicode
            raise InvalidRequest(f"The model cannot read the request: {failure}") from failure
        if failure is not None:
            raise ModelRefused(self._spec.id, 500, str(failure)[:500]) from failure
        if self._reason is None:
            raise ModelUnavailable(self._spec.id, "the generation was stopped")
        return Finished(self._reason, self._usage)


def _body(spec: Spec, request: GenerateRequest) -> Chunk:
    sampling = request.sampling
    limit = request.max_output_tokens or spec.max_output_tokens
    options: Chunk = {
        "max_tokens": min(limit, spec.max_output_tokens),  # llama.cpp itself stops where the window ends
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "seed": None if sampling.seed is None else sampling.seed % SEEDS,
        "stop": list(sampling.stop) or None,
        "frequency_penalty": sampling.frequency_penalty,
        "presence_penalty": sampling.presence_penalty,
    }
    body: Chunk = {
        "messages": [{"role": turn.role, "content": turn.text} for turn in request.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_progress": True,  # a callback for each batch of the prompt too: a place to stop
        **{name: value for name, value in options.items() if value is not None},
    }
    if request.answer_schema is not None:
        schema = {"name": request.answer_schema.name, "schema": dict(request.answer_schema.schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body


def _usage(counts: Chunk) -> Usage:
    cached = (counts.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
    return Usage(counts["prompt_tokens"], counts["completion_tokens"], cached)


def _refusal(spec: Spec, found: Chunk) -> Exception:
    if found.get("type") == "exceed_context_size_error":
        return ContextTooLong(spec.id, found["n_prompt_tokens"], found["n_ctx"])
    if found.get("code") == 400:
        return InvalidRequest(f"The model cannot read the request: {found['message']}")
    return ModelRefused(spec.id, int(found.get("code") or 500), str(found.get("message"))[:500])
