"""ask, embed, models: through the client, as any caller would."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from becoming_one.cli.terminal import as_json, printable, say, table

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from becoming_one.client import Client
    from becoming_one.wire import AskOptions

RoleName = Literal["synthesis", "realtime", "bulk", "filter", "private"]
"""models.values.Role, spelled out: importing it loads numpy, 0.25 s before the first word."""
SHOWN_NUMBERS = 4  # of a vector, where only its look is wanted


def ask(  # noqa: PLR0913, PLR0917  # one parameter an option
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The question; `-` reads it from stdin.")],
    role: Annotated[RoleName, typer.Option(help="What is wanted of the model.")] = "realtime",
    model: Annotated[
        str | None, typer.Option(metavar="ID", help="One model by its id instead of a role; `models` lists them.")
    ] = None,
    system: Annotated[str | None, typer.Option(metavar="TEXT", help="How the model should behave.")] = None,
    max_tokens: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Longest answer; unset, as long as the model likes.")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="The text must not leave the cluster.")] = False,
    stream: Annotated[bool, typer.Option("--stream/--no-stream", help="Show the answer as it is made.")] = True,
    json: Annotated[
        bool, typer.Option("--json", help="One JSON object: text, model, usage, cache, request_id, ...")
    ] = False,
) -> None:
    """Ask a model; the answer goes to stdout.

    Examples:
      becoming-one ask "What is the fourth way?"
      becoming-one ask --role filter --max-tokens 5 "Is this spam: WIN A CAR"
      becoming-one ask --system "Summarise in one sentence." - < chapter.txt
      becoming-one ask --json "Hello" | jq .usage
    """
    prompt = _stdin_text() if text == "-" else text
    options: AskOptions = {}
    if system is not None:
        options["system"] = system
    if max_tokens is not None:
        options["max_tokens"] = max_tokens
    if private or role == "private":
        options["data_class"] = "private"
    with connected() as client:
        if json:
            as_json(asdict(client.ask(prompt, model or role, **options)))
            return
        if stream:
            answer = _shown(client, prompt, model or role, options)
        else:
            answer = client.ask(prompt, model or role, **options)
            print(printable(answer.text, sys.stdout))
    if answer.finish_reason == "length":
        say("(The answer was cut at its longest; --max-tokens allows more.)")


def embed(
    texts: Annotated[
        list[str] | None, typer.Argument(metavar="TEXT", help="What to embed; none, or `-`: the lines of stdin.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="ID", help="Which model embeds; unset, the cluster's own.")
    ] = None,
    dimensions: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Keep the first N numbers of each vector.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE.npy", help="Write float32 (texts, numbers) for numpy.load.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a text: text, embedding.")] = False,
) -> None:
    """Embed texts: vectors of length 1, so that a dot product says how near two meanings are.

    Examples:
      becoming-one embed "the fourth way" "a path in life"
      becoming-one embed --json "the fourth way" | jq .embedding
      becoming-one embed --output quotes.npy < quotes.txt
    """
    given = _stdin_lines() if not texts or texts == ["-"] else texts
    with connected() as client:
        from becoming_one.operations import BATCH_TEXTS  # noqa: PLC0415  # loaded with the client

        long = sys.stderr.isatty() and len(given) > BATCH_TEXTS
        options: dict[str, Any] = {"model": model} if model else {}
        vectors = client.embed(given, dimensions=dimensions, progress=long, **options)
    if output is not None:
        _save(vectors, output)
        say(f"{output}: {vectors.shape[0]} vectors of {vectors.shape[1]} numbers, float32.")
    elif json:
        for text, vector in zip(given, vectors.tolist(), strict=True):
            as_json({"text": text, "embedding": vector})
    else:
        for text, vector in zip(given, vectors, strict=True):
            shown = " ".join(f"{number:+.4f}" for number in vector[:SHOWN_NUMBERS])
            print(f"{shown} ... ({len(vector)} numbers)  {printable(text, sys.stdout)}")


def models(
    json: Annotated[bool, typer.Option("--json", help="The rows of GET /v1/models.")] = False,
) -> None:
    """List the models that answer here, and which of them each role asks first.

    Examples:
      becoming-one models
      becoming-one models --json | jq '.[] | select(.kind == "chat") | .id'
    """
    with connected() as client:
        rows = client.models()
    if json:
        as_json(rows)
        return
    roles = [row for row in rows if row.get("kind") == "role"]
    columns = ("model", "kind", "where", "roles", "context", "longest answer", "retires", "state")
    table("Models", columns, [_model_cells(row) for row in rows if row.get("kind") != "role"])
    print()
    table("Roles", ("role", "models, first choice first"), [(row["id"], _words(row.get("models"))) for row in roles])


def connected() -> "Client":
    """The client of this command's cluster. Close it."""
    # httpx imports its own command line with it (click, rich, pygments: 0.3 s of 0.5), which nothing here calls.
    # None is Python's mark for a module that cannot be imported, and httpx goes on without.
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
    from becoming_one.client import Client  # noqa: PLC0415  # help needs no HTTP

    return Client()


def _shown(client: "Client", prompt: str, model: str, options: "AskOptions") -> Any:
    """Write the pieces as they come; the whole answer."""
    with client.stream(prompt, model, **options) as pieces:
        last = ""
        for piece in pieces:
            last = printable(piece, sys.stdout) or last
            print(printable(piece, sys.stdout), end="", flush=True)
        print("" if last.endswith("\n") else "\n", end="", flush=True)
        return pieces.answer


def _stdin_text() -> str:
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"stdin is not UTF-8 text (byte {error.start})") from error


def _stdin_lines() -> list[str]:
    lines = [line.rstrip("\r") for line in _stdin_text().split("\n") if line.strip()]
    if not lines:
        raise typer.BadParameter("there is no text to embed, neither as an argument nor on stdin")
    return lines


def _save(vectors: "npt.NDArray[np.float32]", path: Path) -> None:
    """Write whole or not at all: the file appears under its name when it is complete."""
    import numpy as np  # noqa: PLC0415  # loaded with the vectors

    if path.is_dir() or not path.parent.is_dir():
        raise typer.BadParameter(f"{path} cannot be a file: name one in a folder that exists")
    handle, partial = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            np.save(file, vectors)
        Path(partial).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(partial).unlink()
        raise


def _model_cells(row: dict[str, Any]) -> Sequence[str]:
    state = "ready" if row.get("available", True) else str(row.get("unavailable_because") or "not available")
    numbers = (_count(row.get("context_tokens")), _count(row.get("max_output_tokens")))
    named = (str(row["id"]), str(row.get("kind") or ""), str(row.get("where") or ""), _words(row.get("roles")))
    return (*named, *numbers, str(row.get("retires_on") or ""), state)


def _count(tokens: Any) -> str:
    return f"{tokens:,}" if tokens else ""


def _words(values: Any) -> str:
    return ", ".join(map(str, values or ())) or "-"
