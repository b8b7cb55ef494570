"""catalog.yaml, typed: what each model is. One Spec a row."""

from dataclasses import dataclass
from datetime import date
from typing import Literal

from models.values import Role

EngineName = Literal["llama_cpp", "openai", "anthropic", "vllm", "openvino", "sentence_transformers", "whisper"]
Kind = Literal["chat", "embedding", "transcription"]
Capability = Literal["tools", "json_schema", "vision", "streaming"]


@dataclass(frozen=True, slots=True)
class Spec:
    """One row of the catalog.

    `where` is "cluster" or the vendor's name. `vendor_id` is the model's name on the wire of its engine. `weights`
    names a row of weights.lock for models that run here. Token counts are tokens; prices are USD per million tokens.
    """

    id: str
    kind: Kind
    engine: EngineName
    where: str
    vendor_id: str
    roles: tuple[Role, ...] = ()
    weights: str | None = None
    context_tokens: int = 0
    max_output_tokens: int = 0
    dim: int = 0
    capabilities: frozenset[Capability] = frozenset()
    refused_parameters: frozenset[str] = frozenset()
    released: date | None = None
    retires_on: date | None = None
    replaced_by: str | None = None
