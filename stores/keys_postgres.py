"""Keys on PostgreSQL: the table api_keys of the database `user` (sql/user/)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import class_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from pydantic import SecretStr

from stores.errors import StoreUnavailable
from stores.ports import ApiKey

COLUMNS = "id, name, secret_sha256, role, tenant, created_at, revoked_at"
CONNECT_TIMEOUT_S = 3.0  # a guess: long enough for a laptop under load, short enough for a waiting caller


class PostgresKeys:
    """Keys in one PostgreSQL table. Connects on first use, so an unused one is picklable."""

    def __init__(self, url: SecretStr, max_connections: int = 2) -> None:
        self._url, self._max_connections = url, max_connections
        self._pool: AsyncConnectionPool[psycopg.AsyncConnection[Any]] | None = None

    async def add(self, key: ApiKey) -> None:
        async with self._connection() as connection:
            try:
                await connection.execute(
                    f"INSERT INTO api_keys ({COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s)",  # noqa: S608  # a constant
                    (key.id, key.name, key.secret_sha256, key.role, key.tenant, key.created_at, key.revoked_at),
                )
            except psycopg.errors.UniqueViolation as error:
                raise ValueError(f"there is a key {key.id} already") from error

    async def get(self, key_id: str) -> ApiKey | None:
        async with self._connection() as connection, connection.cursor(row_factory=class_row(ApiKey)) as cursor:
            await cursor.execute(f"SELECT {COLUMNS} FROM api_keys WHERE id = %s", (key_id,))  # noqa: S608
            return await cursor.fetchone()

    async def list(self) -> list[ApiKey]:
        async with self._connection() as connection, connection.cursor(row_factory=class_row(ApiKey)) as cursor:
            await cursor.execute(f"SELECT {COLUMNS} FROM api_keys ORDER BY created_at, id")  # noqa: S608
            return await cursor.fetchall()

    async def revoke(self, key_id: str, at: datetime) -> bool:
        async with self._connection() as connection:
            cursor = await connection.execute(
                "UPDATE api_keys SET revoked_at = %s WHERE id = %s AND revoked_at IS NULL", (at, key_id)
            )
            return cursor.rowcount == 1

    async def ping(self) -> None:
        async with self._connection() as connection:
            await connection.execute("SELECT 1")

    async def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        """A connection from the pool, checked alive; driver errors leave as StoreUnavailable."""
        if self._pool is None:
            self._pool = AsyncConnectionPool(
                self._url.get_secret_value(),
                min_size=0,
                max_size=self._max_connections,
                timeout=CONNECT_TIMEOUT_S,
                kwargs={"autocommit": True, "connect_timeout": int(CONNECT_TIMEOUT_S)},
                check=AsyncConnectionPool.check_connection,
                open=False,
            )
            await self._pool.open()
        try:
            async with self._pool.connection() as connection:
                yield connection
        except (psycopg.OperationalError, PoolTimeout) as error:
            raise StoreUnavailable("PostgreSQL", str(error).strip() or type(error).__name__) from error
