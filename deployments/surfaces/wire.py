"""What every surface's JSON has in common: fields are known or refused, and what is wrong is said with its path."""

from pydantic import BaseModel, ConfigDict, ValidationError

from models.errors import InvalidRequest

TAGS = frozenset({"system", "developer", "user", "assistant", "tool", "text", "image_url"})
"""Values of `role` and `type` by which messages and parts are told apart; pydantic puts them into its paths."""


class Wire(BaseModel):
    """A JSON object with these fields and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def invalid(error: ValidationError) -> InvalidRequest:
    """The first thing wrong with a body, as a sentence with its path."""
    errors = error.errors(include_url=False, include_input=False)
    # Of alternatives (a string or parts) each says what it misses: the one that came furthest is what was meant
    within = _path(errors[0]["loc"])
    there = [one for one in errors if f"{_path(one['loc'])}.".startswith(f"{within}." if within else "")]
    first = max(there, key=lambda one: len(one["loc"]))
    path, kind, context = _path(first["loc"]), first["type"], first.get("ctx") or {}
    if kind.startswith("union_tag_"):
        path = f"{path}.{context['discriminator'].strip(chr(39))}"
    if kind == "extra_forbidden":
        return InvalidRequest(f"`{path}` is not a field of this request. Leave it out.", path, "unknown_parameter")
    if kind in {"missing", "union_tag_not_found"}:
        return InvalidRequest(f"`{path}` is required.", path, "missing_required_parameter")
    if kind == "union_tag_invalid":
        return InvalidRequest(f"`{path}`: must be one of {context['expected_tags']}.", path, "invalid_value")
    says = first["msg"].removeprefix("Value error, ")
    return InvalidRequest(f"`{path or 'body'}`: {says[:1].lower()}{says[1:]}.", path or None, "invalid_value")


def _path(steps: tuple[int | str, ...]) -> str:
    """Where in the body, as a caller knows it: without what pydantic says of unions."""
    kept = [
        str(step)
        for before, step in zip((None, *steps), steps, strict=False)
        if not (isinstance(before, int) and step in TAGS)
        and not str(step).startswith(("tuple[", "str", "function-", "literal["))
    ]
    return ".".join(kept)
