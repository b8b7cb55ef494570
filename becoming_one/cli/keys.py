"""keys create, list, revoke: API keys, straight in the database of the cluster (they are what opens its HTTP)."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import typer

from becoming_one.cli.command import Command, group
from becoming_one.cli.laptop import database_url
from becoming_one.cli.terminal import as_json, say, table

if TYPE_CHECKING:
    from stores.ports import ApiKey, Keys

KeyRole = Literal["app", "engineer", "researcher", "admin"]
MAX_NAME_CHARACTERS = 100  # a name is for lists and audit rows, not a place for notes
T = TypeVar("T")

app = group("API keys: make, list, revoke.")


@app.command(cls=Command)
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose key it is, for lists and logs.")],
    role: Annotated[KeyRole, typer.Option(help="What it may do.")] = "app",
    tenant: Annotated[str, typer.Option(metavar="T", help="Answers are cached and counted per tenant.")] = "default",
) -> None:
    """Make a key. The secret goes to stdout, alone and this once: the cluster keeps only its hash.

    Examples:
      becoming-one keys create website
      becoming-one keys create ci --role engineer > ci.key
      export BECOMING_ONE_API_KEY=$(becoming-one keys create notebook --role researcher)
    """
    from deployments.keys import new_key  # noqa: PLC0415  # loads numpy through models.values, 0.25 s

    key, secret = new_key(_named("NAME", name), role, _named("--tenant", tenant))
    _run(lambda keys: keys.add(key))
    say(f"Key {key.id} for {key.name!r}: role {key.role}, tenant {key.tenant}. The line on stdout is shown this once.")
    print(secret, flush=True)


@app.command("list", cls=Command)
def list_(
    json: Annotated[bool, typer.Option("--json", help="One JSON array.")] = False,
) -> None:
    """List all keys, oldest first, revoked ones too. Secrets are nowhere to be listed from.

    Examples:
      becoming-one keys list
      becoming-one keys list --json | jq '.[] | select(.revoked_at == null) | .id'
    """
    found = _run(lambda keys: keys.list())
    if json:
        as_json([_row(key) for key in found])
        return
    columns = ("id", "name", "role", "tenant", "created", "revoked")
    table("API keys", columns, [tuple(value or "" for value in _row(key).values()) for key in found])


@app.command(cls=Command)
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The id that `keys list` shows, or the key itself.")],
) -> None:
    """Revoke a key: from the next second on it opens nothing.

    Example:
      becoming-one keys revoke 8f3a0c51be72
    """
    from deployments.keys import parse  # noqa: PLC0415  # loads numpy through models.values, 0.25 s

    parsed = parse(key_id)
    public_id = parsed[0] if parsed else key_id
    if _run(lambda keys: keys.revoke(public_id, datetime.now(UTC))):
        say(f"Key {public_id} is revoked.")
        return
    known = _run(lambda keys: keys.get(public_id))
    if known is None:
        raise typer.BadParameter("there is no key of that id; `becoming-one keys list` shows them")
    say(f"Key {public_id} was revoked on {known.revoked_at:%Y-%m-%d %H:%M} already.")


def _run(use: "Callable[[Keys], Awaitable[T]]") -> T:
    """Open the key store, use it, close it."""
    import asyncio  # noqa: PLC0415  # 0.03 s that other commands do not need
    import logging  # noqa: PLC0415  # with it

    from pydantic import SecretStr  # noqa: PLC0415  # 0.15 s

    from stores.keys_postgres import PostgresKeys  # noqa: PLC0415  # psycopg, 0.3 s

    logging.getLogger("psycopg").addHandler(logging.NullHandler())  # what the pool would say, the error says

    async def used() -> T:
        keys = PostgresKeys(SecretStr(database_url()))
        try:
            return await use(keys)
        finally:
            await keys.close()

    return asyncio.run(used())


def _named(what: str, value: str) -> str:
    """The value, when it can stand in a list and a log line."""
    value = value.strip()
    if not value or len(value) > MAX_NAME_CHARACTERS or not value.isprintable():
        raise typer.BadParameter(f"{what} must be 1 to {MAX_NAME_CHARACTERS} printable characters")
    return value


def _row(key: "ApiKey") -> dict[str, str | None]:
    revoked_at = key.revoked_at.isoformat(timespec="seconds") if key.revoked_at else None
    created_at = key.created_at.isoformat(timespec="seconds")
    named = {"id": key.id, "name": key.name, "role": key.role, "tenant": key.tenant}
    return {**named, "created_at": created_at, "revoked_at": revoked_at}
