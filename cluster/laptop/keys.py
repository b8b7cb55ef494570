"""The laptop's own API key: made once, kept in the home, made anew when the database does not know it (any more)."""

import asyncio

from pydantic import SecretStr

from cluster.laptop.home import Home
from deployments.keys import matches, new_key, parse
from models.values import CallerRole
from stores.keys_postgres import PostgresKeys

NAME = "laptop"
ROLE: CallerRole = "admin"  # whoever may read the file may do everything on this machine's cluster anyway
TENANT = "laptop"


def ensure_key(home: Home, database_url: SecretStr) -> bool:
    """Have a working key in `home.key_path`; True when a new one was made. Raises StoreUnavailable."""
    token = home.key_path.read_text().strip() if home.key_path.exists() else ""
    return asyncio.run(_ensure(home, database_url, token))


async def _ensure(home: Home, database_url: SecretStr, token: str) -> bool:
    keys = PostgresKeys(database_url)
    try:
        if await _works(keys, token):
            return False
        key, token = new_key(NAME, ROLE, TENANT)
        await keys.add(key)
        home.write_secret(home.key_path, token)
        return True
    finally:
        await keys.close()


async def _works(keys: PostgresKeys, token: str) -> bool:
    found = parse(token)
    if found is None:
        return False
    key = await keys.get(found[0])
    return key is not None and key.revoked_at is None and matches(key, found[1])
