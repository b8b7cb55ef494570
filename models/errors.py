"""The error tree. Three families say who can act: the caller, another model, or whoever runs the stores.

    ClusterError
    ├── CallerError            the request is wrong; the sentence says what to change
    │   ├── InvalidRequest     a field is missing, has the wrong type or an impossible value
    │   ├── UnknownModel       neither a role nor a model of the catalog
    │   ├── ContextTooLong     prompt (+ output) over the model's window
    │   ├── TooLarge           body, items or nesting over a limit
    │   ├── Unauthenticated    no key, or one that is unknown, revoked or expired
    │   └── Forbidden          a good key that may not do this
    ├── ModelError             a model failed; `retryable` says whether another candidate may answer
    │   ├── ModelUnavailable   not running, not reachable, or no weights
    │   ├── ModelTimeout       no answer in time
    │   ├── ModelOverloaded    it sheds load or fails for a moment; `retry_after_s` where it says so
    │   ├── ModelRefused       the engine answered with an error of its own
    │   ├── NoCandidate        the plan kept no spec (reasons inside)
    │   ├── AllModelsFailed    every candidate of the plan failed
    │   └── WeightsMismatch    a weights file is not what weights.lock says
    └── StoreError             stores/errors.py

Every class survives pickling (Ray ships errors between processes): its `args` are exactly its parameters.
"""

from typing import ClassVar


class ClusterError(Exception):
    """Root of everything this project raises on purpose."""

    code: str = "internal_error"
    """Machine-readable: the `code` of an HTTP error. A class fact that an instance may narrow."""
    retryable: ClassVar[bool] = False


class CallerError(ClusterError):
    """The request is wrong; sending it again unchanged fails again."""

    code = "invalid_request"


class InvalidRequest(CallerError):
    """A field is missing, has the wrong type or an impossible value. `param` is its path, None for the whole body."""

    def __init__(self, message: str, param: str | None = None, code: str = "invalid_request") -> None:
        super().__init__(message, param, code)
        self.message, self.param = message, param
        self.code = code  # a finer code than the class's, e.g. "unsupported_parameter"

    def __str__(self) -> str:
        return self.message


class UnknownModel(CallerError):
    """Neither a role nor the id of a model that this cluster knows."""

    code = "model_not_found"

    def __init__(self, model: str, known: tuple[str, ...]) -> None:
        super().__init__(model, known)
        self.model, self.known = model, known

    def __str__(self) -> str:
        return f"There is no role or model {self.model!r} here. Use one of: {', '.join(self.known)}."


class ContextTooLong(CallerError):
    """The prompt does not fit the model's window."""

    code = "context_length_exceeded"

    def __init__(self, model_id: str, prompt_tokens: int, context_tokens: int) -> None:
        super().__init__(model_id, prompt_tokens, context_tokens)
        self.model_id, self.prompt_tokens, self.context_tokens = model_id, prompt_tokens, context_tokens

    def __str__(self) -> str:
        return (
            f"{self.model_id} reads at most {self.context_tokens} tokens and the prompt has {self.prompt_tokens}. "
            "Shorten the messages or choose a model with a longer context."
        )


class TooLarge(CallerError):
    """Something is over a stated limit."""

    code = "request_too_large"

    def __init__(self, what: str, found: int, limit: int, unit: str) -> None:
        super().__init__(what, found, limit, unit)
        self.what, self.found, self.limit, self.unit = what, found, limit, unit

    def __str__(self) -> str:
        return f"{self.what} has {self.found} {self.unit}; the limit is {self.limit}. Send less, or split the request."


class Unauthenticated(CallerError):
    """No key, or one that is unknown, revoked or expired."""

    code = "invalid_api_key"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.reason} Send `Authorization: Bearer KEY`; `becoming-one keys create` makes one."


class Forbidden(CallerError):
    """A good key that may not do this."""

    code = "permission_denied"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class ModelError(ClusterError):
    """A model failed. `retryable`: another candidate, or the same one later, may answer."""

    code = "model_error"


class ModelUnavailable(ModelError):
    """The engine is not running, not reachable, or has no weights."""

    code = "model_unavailable"
    retryable = True

    def __init__(self, model_id: str, reason: str) -> None:
        super().__init__(model_id, reason)
        self.model_id, self.reason = model_id, reason

    def __str__(self) -> str:
        return f"{self.model_id} cannot answer now: {self.reason}"


class ModelTimeout(ModelError):
    """The engine did not answer in time; another candidate may."""

    code = "model_timeout"
    retryable = True

    def __init__(self, model_id: str, waited_s: float) -> None:
        super().__init__(model_id, waited_s)
        self.model_id, self.waited_s = model_id, waited_s

    def __str__(self) -> str:
        return f"{self.model_id} gave no answer in {self.waited_s:.1f} s"


class ModelOverloaded(ModelError):
    """The engine sheds load or fails for a moment: HTTP 429 or 5xx. `retry_after_s` where it says how long."""

    code = "model_overloaded"
    retryable = True

    def __init__(self, model_id: str, status: int, retry_after_s: float | None = None) -> None:
        super().__init__(model_id, status, retry_after_s)
        self.model_id, self.status, self.retry_after_s = model_id, status, retry_after_s

    def __str__(self) -> str:
        wait = f"; it asks to wait {self.retry_after_s:.0f} s" if self.retry_after_s else ""
        return f"{self.model_id} answers {self.status} for now{wait}"


class ModelRefused(ModelError):
    """The engine answered with an error of its own. `status` is its HTTP status, 0 where there was none."""

    code = "model_refused"

    def __init__(self, model_id: str, status: int, message: str) -> None:
        super().__init__(model_id, status, message)
        self.model_id, self.status, self.message = model_id, status, message

    def __str__(self) -> str:
        return f"{self.model_id} refused: {self.message}"


class NoCandidate(ModelError):
    """The plan kept no spec. `reasons` are (spec id, why it was dropped)."""

    code = "no_model_available"

    def __init__(self, model: str, reasons: tuple[tuple[str, str], ...]) -> None:
        super().__init__(model, reasons)
        self.model, self.reasons = model, reasons

    def __str__(self) -> str:
        why = "; ".join(f"{spec_id}: {reason}" for spec_id, reason in self.reasons) or "the catalog has no such row"
        return f"No model can answer for {self.model!r} now ({why})."


class Unfit(InvalidRequest):
    """No spec that the request may use can do what it asks. `reasons` are (spec id, why it was dropped)."""

    def __init__(self, model: str, reasons: tuple[tuple[str, str], ...]) -> None:
        why = "; ".join(f"{spec_id}: {reason}" for spec_id, reason in reasons)
        super().__init__(f"No model of {model!r} can answer this request ({why}). Change it, or ask for another model.",
                         "model", "unsupported_by_model")  # fmt: skip


class AllModelsFailed(ModelError):
    """Every candidate of the plan failed. `failures` are their errors, in the order they were tried."""

    code = "all_models_failed"
    retryable = True

    def __init__(self, model: str, failures: tuple[ModelError, ...]) -> None:
        super().__init__(model, failures)
        self.model, self.failures = model, failures

    def __str__(self) -> str:
        return f"Every model for {self.model!r} failed: " + "; ".join(str(error) for error in self.failures)


class WeightsMismatch(ModelError):
    """A weights file is not what weights.lock says; it is not loaded. `remedy` is a sentence that says what to do.

    `expected` and `found` are sizes in bytes and sha256 digests.
    """

    code = "weights_mismatch"

    def __init__(self, path: str, expected: str, found: str, remedy: str = "") -> None:
        super().__init__(path, expected, found, remedy)
        self.path, self.expected, self.found, self.remedy = path, expected, found, remedy

    def __str__(self) -> str:
        refusal = f"{self.path} is not the pinned file: expected {self.expected}, found {self.found}. It is not loaded."
        return f"{refusal} {self.remedy}".rstrip()
