"""/v1/embeddings: OpenAI's wire <-> values. Pure."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import orjson
from pydantic import Field, ValidationError

from deployments.surfaces.wire import Wire, invalid
from models.errors import InvalidRequest, TooLarge

MAX_TEXT_CHARACTERS = 1_000_000  # a book chapter; past it the tokenizer alone would hold a core for a second


class EmbeddingRequest(Wire):
    """Body of POST /v1/embeddings. Texts only: token ids would be those of another vendor's tokenizer."""

    model: str = Field(min_length=1, max_length=200)
    input: str | Annotated[tuple[str, ...], Field(min_length=1)]
    encoding_format: Literal["float", "base64"] | None = "float"
    dimensions: int | None = Field(None, ge=1)
    user: str | None = Field(None, max_length=512)

    @property
    def texts(self) -> tuple[str, ...]:
        """The inputs, always as many."""
        return (self.input,) if isinstance(self.input, str) else self.input


def read(body: Any, dim: int, max_inputs: int) -> EmbeddingRequest:
    """Wire -> values. Raises InvalidRequest or TooLarge naming the field."""
    if not isinstance(body, Mapping):
        raise InvalidRequest('The body must be a JSON object like {"model": "...", "input": ["..."]}.')
    if isinstance(body.get("input"), list) and any(isinstance(item, (int, list)) for item in body["input"][:1]):
        raise InvalidRequest(
            "`input` must be text. Token ids belong to another model's tokenizer.", "input", "unsupported_parameter"
        )
    try:
        wire = EmbeddingRequest.model_validate(body)
    except ValidationError as error:
        raise invalid(error) from error
    if len(wire.texts) > max_inputs:
        raise TooLarge("`input`", len(wire.texts), max_inputs, "texts")
    for text in wire.texts:
        if len(text) > MAX_TEXT_CHARACTERS:
            raise TooLarge("A text of `input`", len(text), MAX_TEXT_CHARACTERS, "characters")
        if not text:
            raise InvalidRequest("`input` holds an empty text. Leave it out.", "input", "invalid_value")
    if wire.dimensions is not None and wire.dimensions > dim:
        raise InvalidRequest(
            f"`dimensions` is {wire.dimensions}; {wire.model} has {dim}.", "dimensions", "invalid_value"
        )
    return wire


def write(
    model: str, vectors: Sequence[npt.NDArray[np.float32]], prompt_tokens: int, *, base64: bool, dimensions: int | None
) -> bytes:
    """Values -> one list object. `vectors` float32 (dim,) each, of length 1; cut ones are brought to length 1 again."""
    if dimensions is not None:
        vectors = [shorten(vector, dimensions) for vector in vectors]
    if base64:
        encoded: Sequence[Any] = [b64encode(vector.astype("<f4", copy=False).tobytes()).decode() for vector in vectors]
    else:
        encoded = vectors
    data = [{"object": "embedding", "index": index, "embedding": value} for index, value in enumerate(encoded)]
    usage = {"prompt_tokens": prompt_tokens, "total_tokens": prompt_tokens}
    return orjson.dumps(
        {"object": "list", "data": data, "model": model, "usage": usage}, option=orjson.OPT_SERIALIZE_NUMPY
    )


def shorten(vector: npt.NDArray[np.float32], dimensions: int) -> npt.NDArray[np.float32]:
    """The first `dimensions` of a vector, of length 1 again."""
    cut = vector[:dimensions]
    norm = float(np.linalg.norm(cut))
    return np.ascontiguousarray(cut / norm if norm > 0 else cut, dtype=np.float32)
