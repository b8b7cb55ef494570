"""Where the cluster is and with which key: the environment, and what `becoming-one up` left behind.

A plain dataclass: importing pydantic-settings takes 0.45 s, as long as a whole `becoming-one ask` may take to start
(2 cores, Python 3.11, 2026-11).
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from becoming_one.errors import NotConfigured

VARIABLES: Mapping[str, str] = {
    "BECOMING_ONE_URL": "Address of the cluster, with or without /v1. Unset: the one that `becoming-one up` started in "
    "this folder or the nearest above.",
    "BECOMING_ONE_API_KEY": "Key for it. Unset: the key of that cluster, which is sent to no other address.",
    "BECOMING_ONE_HOME": "Folder of a laptop's cluster. Unset: the nearest `.becoming-one/` at or above this folder.",
    "BECOMING_ONE_DEBUG": "Any value but 0: errors of the command come with their stack trace.",
}
"""What the client and the command read, for docs/configuration.md."""

HOME_NAME = ".becoming-one"  # the folder of a laptop's cluster, as cluster/laptop/home.py describes it
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """Address and key of a cluster. `api_key` None: requests go without one and are refused where one is needed."""

    url: str
    api_key: str | None = field(repr=False)


def find(
    url: str | None = None,
    api_key: str | None = None,
    start: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> ClientSettings:
    """What was given, else the environment, else the nearest `.becoming-one/` at or above `start` (or here).

    The environment is VARIABLES. The key file of a laptop's cluster is only ever sent to
    that cluster: for another address the key must be given or stand in the environment. Raises NotConfigured when
    no address is known, or the one that was found is not an http(s) URL.
    """
    environment = os.environ if environment is None else environment
    url = url or environment.get("BECOMING_ONE_URL")
    api_key = api_key or environment.get("BECOMING_ONE_API_KEY")
    home = nearest_home(start, environment)
    if url is None:
        if home is None:
            raise NotConfigured(
                "No cluster is known here. Start one with `becoming-one up`, "
                "or set BECOMING_ONE_URL (and BECOMING_ONE_API_KEY) to one that runs."
            )
        url = _url_in(home)
    address = _clean(url)
    if api_key is None and home is not None and _is_that_of(home, address):
        api_key = _key_in(home)
    api_key = (api_key or "").strip() or None
    if api_key is not None and not (api_key.isascii() and api_key.isprintable()):
        raise NotConfigured("The API key holds characters that no header can carry. Copy it anew.")
    return ClientSettings(address, api_key)


def nearest_home(start: Path | None = None, environment: Mapping[str, str] | None = None) -> Path | None:
    """BECOMING_ONE_HOME, else the nearest `.becoming-one/` at `start` or above it; None where none has a state.json."""
    named = (os.environ if environment is None else environment).get("BECOMING_ONE_HOME")
    here = (start or Path.cwd()).absolute()
    homes = [Path(named)] if named else [folder / HOME_NAME for folder in (here, *here.parents)]
    return next((home for home in homes if (home / "state.json").is_file()), None)


def debug_wanted(environment: Mapping[str, str] | None = None) -> bool:
    """Whether errors come with their stack trace: BECOMING_ONE_DEBUG is set, and not to 0."""
    value = (os.environ if environment is None else environment).get("BECOMING_ONE_DEBUG", "")
    return value not in ("", "0")


def is_loopback(url: str) -> bool:
    """Whether the address is this machine's own."""
    return urlsplit(url).hostname in LOOPBACK


def _is_that_of(home: Path, address: str) -> bool:
    try:
        return _origin(_clean(_url_in(home))) == _origin(address)
    except NotConfigured:  # a broken state.json is no reason to refuse an address that was given
        return False


def _url_in(home: Path) -> str:
    path = home / "state.json"
    try:
        state = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise NotConfigured(f"{path} cannot be read ({error}). `becoming-one up` writes it anew.") from error
    url = state.get("url") if isinstance(state, dict) else None
    if not isinstance(url, str):
        raise NotConfigured(f"{path} names no url yet: the cluster is not up. `becoming-one up` brings it there.")
    return url


def _key_in(home: Path) -> str | None:
    try:
        return (home / "key").read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise NotConfigured(f"{home / 'key'} cannot be read ({error}). Set BECOMING_ONE_API_KEY instead.") from error


def _clean(url: str) -> str:
    """Without a trailing slash or the /v1 that OpenAI's base URLs end in."""
    url = url.strip().rstrip("/").removesuffix("/v1").rstrip("/")
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise NotConfigured(f"{url!r} is not an address. Give one such as http://127.0.0.1:8000.")
    return url


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    host = "loopback" if parts.hostname in LOOPBACK else parts.hostname
    return parts.scheme, host, parts.port
