"""keys create, list and revoke against a real PostgreSQL: they are SQL, and their secret is shown once."""

import asyncio
import json
from collections import namedtuple

import pytest
from pydantic import SecretStr
from tests_support import free_port

from becoming_one.cli import main
from deployments.keys import matches, parse
from stores.keys_postgres import PostgresKeys

Done = namedtuple("Done", ("returncode", "stdout", "stderr"))  # noqa: PYI024  # as subprocess calls them


@pytest.fixture
def run(postgres_server, monkeypatch, capsys):
    """Run `becoming-one keys ARGUMENTS`."""
    monkeypatch.setenv("USER_DATABASE_URL", postgres_server.url)

    def run(*arguments):
        capsys.readouterr()
        code = main.run(["keys", *arguments])
        written = capsys.readouterr()
        return Done(code, written.out, written.err)

    return run


@pytest.fixture
def stored(postgres_server):
    """A key as the cluster finds it, by the key's id."""

    def stored(key_id):
        async def get():
            keys = PostgresKeys(SecretStr(postgres_server.url))
            try:
                return await keys.get(key_id)
            finally:
                await keys.close()

        return asyncio.run(get())

    return stored


def test_a_key_is_made_shown_once_listed_and_revoked(run, stored) -> None:
    made = run("create", "ci runner", "--role", "engineer", "--tenant", "acme")
    token = made.stdout.removesuffix("\n")
    key_id, secret = parse(token)

    key = stored(key_id)
    assert made.returncode == 0
    assert matches(key, secret)
    assert (key.name, key.role, key.tenant, key.revoked_at) == ("ci runner", "engineer", "acme", None)
    assert key_id in made.stderr
    assert secret not in made.stderr

    listed = {row["id"]: row for row in json.loads(run("list", "--json").stdout)}
    assert (listed[key_id]["name"], listed[key_id]["revoked_at"]) == ("ci runner", None)
    assert secret not in run("list").stdout

    assert run("revoke", key_id).returncode == 0
    assert stored(key_id).revoked_at is not None
    again = run("revoke", token)
    assert (again.returncode, "already" in again.stderr) == (0, True)
    assert f"{key_id}\tci runner\tengineer\tacme\t" in run("list").stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("create", "x", "--role", "service"),
        ("create", ""),
        ("create", "two\nlines"),
        ("create", "x", "--tenant", "y" * 101),
        ("revoke", "000000000000"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(run, arguments) -> None:
    before = run("list", "--json").stdout
    done = run(*arguments)

    assert done.returncode == 2
    assert done.stdout == ""
    assert "--help` shows how" in done.stderr
    assert run("list", "--json").stdout == before


def test_a_database_that_is_away_is_one_sentence(run, monkeypatch) -> None:
    url = f"postgresql://nobody:secret-word@127.0.0.1:{free_port()}/x"
    monkeypatch.setenv("USER_DATABASE_URL", url)
    done = run("list")

    assert done.returncode == 1
    assert done.stderr.startswith("becoming-one: PostgreSQL is not available")
    assert "secret-word" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
