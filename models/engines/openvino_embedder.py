"""Sentence embeddings on OpenVINO, without torch. The base install's embedder.

Why OpenVINO and not ONNX Runtime, CPU ms a sentence, all-MiniLM-L6-v2 in float32, one thread of an Ice Lake Xeon under
load, both graphs written by hand with fused attention (2026-11-23):

    | tokens x batch | 16 x 1 | 16 x 32 | 64 x 4 | 256 x 1 | 256 x 8 |
    | OpenVINO       |   8.45 |    4.25 |   19.0 |    83.1 |    78.5 |
    | ONNX Runtime   |   7.90 |    4.93 |   22.9 |    95.9 |    98.8 |

and on a processor with bfloat16 OpenVINO takes half to two thirds of its float32 time (measured on another machine,
2026-11-22; the laptop here has none, so only its accuracy is tested, emulated). A second thread buys time with CPU:
16 x 1 takes 11.4 ms of it instead of 7.4, 16 x 32 takes 4.8 instead of 3.9 (same machine, another hour). int8 is no
default: its cosine to the float32 reference was 0.986 to 0.998, by how it is grouped, and 0.999 is asked.

Lengths are not rounded up to few shapes. OpenVINO prepares kernels for each new shape, 7 ms once; a first pass over 200
sentences of mixed lengths took 16.4 ms each, a second 15.5, and with lengths rounded up to 8 the second took 15.3.
"""

import queue
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from models.engines import bert_graph
from models.engines.token_batches import token_batches
from models.errors import InvalidRequest, ModelUnavailable
from models.values import Vectors

REQUESTS = 2  # one computes while the next caller's texts are made into tokens; more would only wait inside OpenVINO


class OpenVinoEmbedder:
    """An Embedder over one sentence-transformers folder: a BERT encoder, mean pooling, rows of length 1.

    `threads` is how many cores one call may use; calls from several Python threads take turns on them. Nothing is
    pinned to cores, so that several replicas share a machine. `precision` "auto" is bfloat16 where the processor
    multiplies it natively (cosine 0.9999 to float32), else float32. Raises ModelUnavailable for a folder that is not
    such a model.
    """

    def __init__(self, folder: Path, threads: int = 1, precision: Literal["auto", "f32", "bf16"] = "auto") -> None:
        import openvino as ov  # noqa: PLC0415  # 60 MB of native code, only where a model is held
        from tokenizers import Tokenizer  # noqa: PLC0415  # with it

        config, self.max_tokens = _read(folder)
        self.dim = config.hidden_size
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(self.max_tokens)
        self._tokenizer.no_padding()
        core = ov.Core()
        if precision == "auto":
            precision = "bf16" if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "f32"
        options = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": precision,
            "ENABLE_CPU_PINNING": False,  # pinned, every replica of a node would sit on the same first core
        }
        compiled = core.compile_model(bert_graph.build(folder / "model.safetensors", config), "CPU", options)
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(REQUESTS):
            self._idle.put(compiled.create_infer_request())

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text) for text in self._tokens(texts)]

    def encode(self, texts: Sequence[str]) -> Vectors:
        tokens = self._tokens(texts)
        lengths = [len(text) for text in tokens]
        values = np.empty((len(texts), self.dim), np.float32)
        with self._request() as request:
            for batch in token_batches(lengths):
                shape = len(batch), lengths[batch[0]]  # the longest stands first
                ids, mask = np.zeros(shape, np.int64), np.zeros(shape, np.float32)
                for row, index in enumerate(batch):
                    ids[row, : lengths[index]], mask[row, : lengths[index]] = tokens[index].ids, 1
                request.infer({0: ids, 1: mask}, share_inputs=True)
                values[batch] = request.get_output_tensor(0).data
        truncated = sum(bool(text.overflowing) for text in tokens)
        return Vectors(values, np.array(lengths, np.int64), truncated)

    def _tokens(self, texts: Sequence[str]) -> list[Any]:
        try:
            return list(self._tokenizer.encode_batch_fast(list(texts)))
        except TypeError as error:
            raise InvalidRequest("A text has a lone surrogate, half of a character. Send valid Unicode.") from error

    @contextmanager
    def _request(self) -> Iterator[Any]:
        request = self._idle.get()
        try:
            yield request
        finally:
            self._idle.put(request)


class _Window(BaseModel):
    """sentence_bert_config.json: how many tokens the model was trained to read."""

    max_seq_length: int


class _Pooling(BaseModel):
    """1_Pooling/config.json; another pooling than the mean would give other vectors without an error."""

    model_config = ConfigDict(extra="ignore")

    pooling_mode_mean_tokens: Literal[True]
    pooling_mode_cls_token: Literal[False] = False
    pooling_mode_max_tokens: Literal[False] = False
    pooling_mode_mean_sqrt_len_tokens: Literal[False] = False


def _read(folder: Path) -> tuple[bert_graph.BertConfig, int]:
    """The encoder and how many tokens it reads."""
    try:
        config = bert_graph.BertConfig.model_validate_json((folder / "config.json").read_bytes())
        window = _Window.model_validate_json((folder / "sentence_bert_config.json").read_bytes())
        _Pooling.model_validate_json((folder / "1_Pooling" / "config.json").read_bytes())
    except (OSError, ValidationError) as error:
        raise ModelUnavailable(
            folder.name, f"{folder} is no BERT sentence encoder with mean pooling: {error}"
        ) from error
    return config, min(window.max_seq_length, config.max_position_embeddings)
