"""A BERT sentence encoder as an OpenVINO graph, built from the official safetensors: no torch, no exported file.

input_ids int64 (batch, length), attention_mask float32 (batch, length) -> float32 (batch, hidden), rows of length 1.
Layer by layer as in Devlin et al. 2019 (arXiv 1810.04805); mean pooling over the mask as sentence-transformers does.
"""

from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

MASKED = -10_000.0  # added to a score before softmax: exp of it is 0 in float32, and no row becomes NaN


class BertConfig(BaseModel):
    """What config.json says of the encoder. A kind that this graph does not build is refused, not approximated."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    model_type: Literal["bert"]
    hidden_act: Literal["gelu"]
    position_embedding_type: Literal["absolute"] = "absolute"
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    max_position_embeddings: int
    layer_norm_eps: float


def build(weights: Path, config: BertConfig) -> Any:
    """The graph as an openvino.Model. `weights` is a safetensors file with BertModel's own names."""
    import openvino as ov  # noqa: PLC0415  # 60 MB of native code, only where a model is held
    from safetensors.numpy import load_file  # noqa: PLC0415  # with it

    graph = _Graph(load_file(weights), config)
    ids = graph.op.parameter([-1, -1], np.int64, name="input_ids")
    mask = graph.op.parameter([-1, -1], np.float32, name="attention_mask")
    hidden = graph.embed(ids)
    bias = graph.attention_bias(mask)
    for layer in range(config.num_hidden_layers):
        hidden = graph.layer(f"encoder.layer.{layer}.", hidden, bias)
    return ov.Model([graph.pool(hidden, mask)], [ids, mask], "bert")


class _Graph:
    """Pieces of the encoder. Shapes: b batch, l length, h heads, d hidden / heads."""

    def __init__(self, tensors: dict[str, Any], config: BertConfig) -> None:
        from openvino import opset13  # noqa: PLC0415  # the first set with scaled_dot_product_attention

        self.op: Any = opset13
        self._tensors = tensors
        self._heads, self._hidden = config.num_attention_heads, config.hidden_size
        self._epsilon = config.layer_norm_eps

    def embed(self, ids: Any) -> Any:
        """Word + position + type embeddings, normalised: (b, l) -> (b, l, hidden)."""
        op, tensors = self.op, self._tensors
        words = op.gather(self._weight("embeddings.word_embeddings.weight"), ids, op.constant(0))
        # One text, one type: the row of type 0 is the same for every position.
        table = tensors["embeddings.position_embeddings.weight"] + tensors["embeddings.token_type_embeddings.weight"][0]
        length = op.gather(op.shape_of(ids), self._axes(1), op.constant(0))
        positions = op.slice(
            op.constant(np.ascontiguousarray(table)), self._axes(0), length, self._axes(1), self._axes(0)
        )
        return self._norm(op.add(words, positions), "embeddings.LayerNorm")

    def attention_bias(self, mask: Any) -> Any:
        """(b, l) of 1 and 0 -> (b, 1, 1, l) of 0 and MASKED."""
        op = self.op
        bias = op.multiply(op.subtract(mask, op.constant(np.float32(1))), op.constant(np.float32(-MASKED)))
        return op.unsqueeze(op.unsqueeze(bias, op.constant(1)), op.constant(1))

    def layer(self, name: str, hidden: Any, bias: Any) -> Any:
        """One transformer layer: (b, l, hidden) -> (b, l, hidden)."""
        op = self.op
        query, key, value = (
            self._per_head(self._dense(hidden, f"{name}attention.self.{part}")) for part in ("query", "key", "value")
        )
        scale = op.constant(np.float32((self._hidden // self._heads) ** -0.5))
        attended = op.scaled_dot_product_attention(query, key, value, bias, scale)
        joined = op.reshape(op.transpose(attended, self._axes(0, 2, 1, 3)), self._axes(0, 0, self._hidden), True)
        added = op.add(self._dense(joined, f"{name}attention.output.dense"), hidden)
        hidden = self._norm(added, f"{name}attention.output.LayerNorm")
        wide = op.gelu(self._dense(hidden, f"{name}intermediate.dense"), "erf")
        return self._norm(op.add(self._dense(wide, f"{name}output.dense"), hidden), f"{name}output.LayerNorm")

    def pool(self, hidden: Any, mask: Any) -> Any:
        """Mean over the words that are there, brought to length 1: (b, l, hidden) -> (b, hidden)."""
        op = self.op
        weights = op.unsqueeze(mask, op.constant(-1))
        total = op.reduce_sum(op.multiply(hidden, weights), self._axes(1), False)
        mean = op.divide(total, op.reduce_sum(weights, self._axes(1), False))
        return op.normalize_l2(mean, self._axes(1), 1e-24, "max")

    def _per_head(self, states: Any) -> Any:
        """(b, l, hidden) -> (b, h, l, d)."""
        split = self.op.reshape(states, self._axes(0, 0, self._heads, self._hidden // self._heads), True)
        return self.op.transpose(split, self._axes(0, 2, 1, 3))

    def _dense(self, states: Any, name: str) -> Any:
        product = self.op.matmul(states, self._weight(f"{name}.weight"), False, True)
        return self.op.add(product, self._weight(f"{name}.bias"))

    def _norm(self, states: Any, name: str) -> Any:
        op = self.op
        normal = op.mvn(states, self._axes(-1), True, self._epsilon, "inside_sqrt")
        return op.add(op.multiply(normal, self._weight(f"{name}.weight")), self._weight(f"{name}.bias"))

    def _weight(self, name: str) -> Any:
        return self.op.constant(np.ascontiguousarray(self._tensors[name]))

    def _axes(self, *values: int) -> Any:
        return self.op.constant(np.array(values, np.int64))
