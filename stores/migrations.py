"""Applies sql/DATABASE/NNN_name.sql once each, in order, and remembers each file's checksum.

A file that was applied is history: an edited, renamed or vanished one is refused, since the databases that ran it
would differ from those that run it anew. Whatever a run applies, it applies in one transaction under one lock: two
runs at once apply everything once, and a failing file leaves nothing behind.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import psycopg
from pydantic import SecretStr

from models.errors import ClusterError
from stores.errors import StoreUnavailable

FOLDER = Path(__file__).parent / "sql"
FILE_NAME = re.compile(r"(?P<number>\d{3})_[a-z0-9_]+\.sql")
LOCK = int.from_bytes(b"bo-migr", "big")
"""Key of the advisory lock; any number that nobody else in the database uses."""
CONNECT_TIMEOUT_S = 5
BOOKKEEPING = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    name       text PRIMARY KEY,
    sha256     text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


class MigrationRefused(ClusterError):
    """The files and what the database remembers of them do not fit."""

    code = "migration_refused"

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)
        self.name, self.reason = name, reason

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Migration:
    """One file. `sha256` in hex, of its bytes."""

    name: str
    sha256: str
    statements: str


def migrations(folder: Path) -> tuple[Migration, ...]:
    """The files of one database, in order. Raises MigrationRefused where one is not named NNN_name.sql, from 001 on."""
    found = []
    for number, path in enumerate(sorted(folder.glob("*.sql")), start=1):
        match = FILE_NAME.fullmatch(path.name)
        if match is None or int(match["number"]) != number:
            raise MigrationRefused(path.name, f"expected {number:03d}_name.sql here, in small letters, without gaps")
        content = path.read_bytes()
        found.append(Migration(path.name, hashlib.sha256(content).hexdigest(), content.decode()))
    return tuple(found)


def migrate(url: SecretStr, database: str, folder: Path = FOLDER) -> tuple[str, ...]:
    """Bring one database (`user`, …) up to date; the names of the files applied now, in order.

    Raises MigrationRefused for edited, renamed or vanished files and for a file that fails, StoreUnavailable when the
    server is not reachable. Nothing is changed in either case.
    """
    wanted = migrations(folder / database)
    try:
        with psycopg.connect(url.get_secret_value(), connect_timeout=CONNECT_TIMEOUT_S) as connection:
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
            connection.execute(BOOKKEEPING)
            rows = connection.execute("SELECT name, sha256 FROM schema_migrations ORDER BY name").fetchall()
            _check_history(wanted, [(str(name), str(sha256)) for name, sha256 in rows])
            return tuple(_apply(connection, migration) for migration in wanted[len(rows) :])
    except psycopg.OperationalError as error:
        raise StoreUnavailable("PostgreSQL", str(error).strip()) from error


def _check_history(wanted: tuple[Migration, ...], applied: list[tuple[str, str]]) -> None:
    for index, (name, sha256) in enumerate(applied):
        if index >= len(wanted) or wanted[index].name != name:
            raise MigrationRefused(name, "it was applied to this database but is not there any more; put it back")
        if wanted[index].sha256 != sha256:
            raise MigrationRefused(name, "it was edited after it was applied; put it back and add a new file instead")


def _apply(connection: psycopg.Connection[tuple[object, ...]], migration: Migration) -> str:
    try:
        connection.execute(migration.statements.encode())
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        raise MigrationRefused(migration.name, f"it failed: {str(error).strip()}") from error
    connection.execute(
        "INSERT INTO schema_migrations (name, sha256) VALUES (%s, %s)", (migration.name, migration.sha256)
    )
    return migration.name
