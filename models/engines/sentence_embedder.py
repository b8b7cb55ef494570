"""Sentence embeddings through sentence-transformers: for encoders that bert_graph.py does not build, and for GPUs.

Extra `torch`. Same port and same vectors as openvino_embedder.py; for one sentence of 16 tokens it takes 2.6 times the
CPU (facts of 2026-11-22: 15.9 ms against 6.0 ms on two threads).
"""

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models.engines.token_batches import token_batches
from models.errors import InvalidRequest, ModelUnavailable
from models.values import Vectors


class SentenceEmbedder:
    """An Embedder over one sentence-transformers folder, on `device`: "cpu", "cuda", "cuda:1".

    `threads` is how many cores torch may use, in the whole process; None leaves it as it is. Calls take turns. Raises
    ModelUnavailable for a folder that sentence-transformers cannot load.
    """

    def __init__(self, folder: Path, threads: int | None = None, device: str = "cpu") -> None:
        import torch  # noqa: PLC0415  # seconds and 400 MB, only where a model is held
        from sentence_transformers import SentenceTransformer  # noqa: PLC0415  # with it

        if threads is not None:
            torch.set_num_threads(threads)
        try:
            self._model = SentenceTransformer(str(folder), device=device, local_files_only=True)
        except (OSError, ValueError) as error:
            raise ModelUnavailable(folder.name, f"sentence-transformers cannot load {folder}: {error}") from error
        self.dim = int(self._model.get_embedding_dimension())
        self.max_tokens = int(self._model.max_seq_length)
        self._turn = threading.Lock()  # its tokenizer is set to a padding and a length by each call: no two at once

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        with self._turn:
            return [min(length, self.max_tokens) for length in self._lengths(texts)]

    def encode(self, texts: Sequence[str]) -> Vectors:
        values = np.empty((len(texts), self.dim), np.float32)
        with self._turn:
            whole = self._lengths(texts)
            lengths = [min(length, self.max_tokens) for length in whole]
            for batch in token_batches(lengths):
                values[batch] = self._model.encode(
                    [texts[index] for index in batch],
                    batch_size=len(batch),
                    show_progress_bar=False,
                    normalize_embeddings=True,
                )
        return Vectors(values, np.array(lengths, np.int64), sum(length > self.max_tokens for length in whole))

    def _lengths(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text uncut, special ones included."""
        if not texts:
            return []
        try:
            found = self._model.tokenizer(list(texts), truncation=False, padding=False, verbose=False)
        except TypeError as error:
            raise InvalidRequest("A text has a lone surrogate, half of a character. Send valid Unicode.") from error
        return [len(ids) for ids in found["input_ids"]]
