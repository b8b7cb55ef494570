"""What runs: the arguments of each application in serve_config.yaml. The environment says where (settings.py)."""

from pydantic import BaseModel, ConfigDict, Field


class EdgeArgs(BaseModel):
    """What every application's edge takes."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    max_body_bytes: int = Field(8 * 1024 * 1024, ge=1024, description="Largest request body.")


class GatewayArgs(EdgeArgs):
    """Arguments of the gateway application on /."""

    local_models: tuple[str, ...] = Field(
        description="Catalog ids of the chat models that run as applications of their own, at /llm/ID."
    )
    embedding_models: tuple[str, ...] = Field(
        (), description="Catalog ids of the embedding models that run as applications of their own."
    )
    cache_ttl_s: int = Field(3600, ge=0, description="How long an answer is kept, ±10 %; 0 keeps none.")
    lru_bytes: int = Field(64 * 1024 * 1024, ge=0, description="Memory for answers in each replica.")
    lru_ttl_s: int = Field(60, ge=0, description="How long a replica trusts its own memory before asking Redis again.")
    silence_timeout_s: float = Field(
        120.0, gt=0, description="Longest silence of a model, before its first token or between two."
    )


class LlmArgs(EdgeArgs):
    """Arguments of a local model's application on /llm/MODEL."""

    model: str = Field(description="Catalog id of the model this application holds.")
    threads: int = Field(2, ge=1, description="CPU threads of one generation step.")
    parallel: int = Field(
        4, ge=1, le=64, description="Requests decoded together, each with a whole context; more wait in line."
    )


class EmbeddingArgs(EdgeArgs):
    """Arguments of the embeddings application on /v1/embeddings."""

    model: str = Field(description="Catalog id of the embedding model.")
    threads: int = Field(2, ge=1, description="CPU threads of the engine.")
    batch_tokens: int = Field(4096, ge=256, description="Tokens in one batch, of all requests that wait.")
    max_inputs: int = Field(2048, ge=1, description="Most texts in one request (OpenAI's own limit).")
