"""Migrations on a real PostgreSQL: once each, in order, all or nothing, and history is not rewritten."""

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from stores.errors import StoreUnavailable
from stores.migrations import MigrationRefused, migrate, migrations

pytestmark = pytest.mark.contract


@pytest.fixture
def url(postgres_server) -> Iterator[SecretStr]:
    """A database of its own for each test."""
    name = f"migrations_{secrets.token_hex(4)}"
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield SecretStr(postgres_server.url.rpartition("/")[0] + f"/{name}")
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    sql = tmp_path / "user"
    sql.mkdir()
    (sql / "001_people.sql").write_text("CREATE TABLE people (id int PRIMARY KEY);\n")
    (sql / "002_names.sql").write_text(
        "ALTER TABLE people ADD COLUMN name text;\nINSERT INTO people VALUES (1, 'a');\n"
    )
    return tmp_path


def rows(url: SecretStr, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url.get_secret_value()) as connection:
        return connection.execute(query).fetchall()


def tables(url: SecretStr) -> set[object]:
    return {name for (name,) in rows(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}


def test_all_files_are_applied_in_order_and_only_once(url, folder) -> None:
    assert migrate(url, "user", folder) == ("001_people.sql", "002_names.sql")
    assert migrate(url, "user", folder) == ()
    assert rows(url, "SELECT id, name FROM people") == [(1, "a")]
    assert rows(url, "SELECT name FROM schema_migrations ORDER BY name") == [("001_people.sql",), ("002_names.sql",)]


def test_a_new_file_is_applied_on_top_of_the_old(url, folder) -> None:
    migrate(url, "user", folder)
    (folder / "user" / "003_more.sql").write_text("INSERT INTO people VALUES (2, 'b');")
    assert migrate(url, "user", folder) == ("003_more.sql",)
    assert rows(url, "SELECT count(*) FROM people") == [(2,)]


def test_an_edited_file_is_refused_and_nothing_changes(url, folder) -> None:
    migrate(url, "user", folder)
    (folder / "user" / "001_people.sql").write_text("CREATE TABLE people (id bigint PRIMARY KEY);\n")
    (folder / "user" / "003_more.sql").write_text("CREATE TABLE more (id int);")
    with pytest.raises(MigrationRefused, match=r"001_people\.sql: it was edited"):
        migrate(url, "user", folder)
    assert tables(url) == {"people", "schema_migrations"}


def test_a_vanished_or_renamed_file_is_refused(url, folder) -> None:
    migrate(url, "user", folder)
    (folder / "user" / "002_names.sql").rename(folder / "user" / "002_other.sql")
    with pytest.raises(MigrationRefused, match=r"002_names\.sql: it was applied"):
        migrate(url, "user", folder)
    (folder / "user" / "002_other.sql").unlink()
    with pytest.raises(MigrationRefused, match=r"002_names\.sql: it was applied"):
        migrate(url, "user", folder)


def test_a_failing_file_leaves_nothing_of_the_whole_run(url, folder) -> None:
    (folder / "user" / "003_wrong.sql").write_text("CREATE TABLE half (id int); SELECT 1 / 0;")
    with pytest.raises(MigrationRefused, match=r"003_wrong\.sql: it failed: division by zero"):
        migrate(url, "user", folder)
    assert tables(url) == set()


def test_runs_at_once_apply_everything_once(url, folder) -> None:
    with ThreadPoolExecutor(8) as pool:
        applied = list(pool.map(lambda _: migrate(url, "user", folder), range(8)))
    assert sorted(map(len, applied)) == [0] * 7 + [2]
    assert rows(url, "SELECT id, name FROM people") == [(1, "a")]


@pytest.mark.parametrize("name", ["3_more.sql", "004_more.sql", "003-more.sql", "003_More.sql", "more.sql"])
def test_a_file_out_of_order_or_with_another_name_is_refused(folder, name: str) -> None:
    (folder / "user" / name).write_text("SELECT 1;")
    with pytest.raises(MigrationRefused, match=r"expected \d{3}_name\.sql here"):
        migrations(folder / "user")


def test_the_schema_of_users_is_what_the_keys_need(url) -> None:
    assert migrate(url, "user")[0] == "001_api_keys.sql"
    row = "('k1', 'a key', sha256('secret'), 'app', 'tenant')"
    columns = "INSERT INTO api_keys (id, name, secret_sha256, role, tenant) VALUES"
    with psycopg.connect(url.get_secret_value(), autocommit=True) as connection:
        connection.execute(f"{columns} {row}")
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute(f"{columns} {row}")
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute(f"{columns} ('k2', 'short', 'digest', 'app', 't')")
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute(f"{columns} ('k3', 'a key', sha256('s'), 'service', 't')")
    assert rows(url, "SELECT revoked_at, created_at IS NULL FROM api_keys") == [(None, False)]


def test_a_server_that_is_not_there_is_said_to_be_unavailable(folder) -> None:
    with pytest.raises(StoreUnavailable, match="PostgreSQL is not available"):
        migrate(SecretStr("postgresql://u:p@127.0.0.1:1/d"), "user", folder)
