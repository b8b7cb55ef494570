"""The vendors that have a key: one engine each, for all their models. Knows dialects and where keys come from."""

from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import SecretStr

from deployments.settings import VendorSettings
from models.engines.anthropic import AnthropicMessages
from models.engines.http_generator import HttpGenerator, Timeouts
from models.engines.openai import OpenAIShaped

Dialect = Callable[[str, SecretStr, Timeouts], HttpGenerator]
DIALECTS: Mapping[str, Dialect] = {"openai": OpenAIShaped, "anthropic": AnthropicMessages, "mistral": OpenAIShaped}
"""By the catalog's `where`."""


def connect_vendors(
    settings: VendorSettings, timeouts: Timeouts
) -> tuple[Mapping[str, HttpGenerator], Mapping[str, str]]:
    """Vendor -> engine where there is a key, and vendor -> why not where there is none. Nothing is called yet."""
    engines: dict[str, HttpGenerator] = {}
    missing: dict[str, str] = {}
    for vendor, dialect in DIALECTS.items():
        given: SecretStr | None = getattr(settings, f"{vendor}_api_key")
        file: Path | None = getattr(settings, f"{vendor}_api_key_file")
        variable = f"{vendor.upper()}_API_KEY"
        try:
            key = given or (SecretStr(file.read_text().strip()) if file is not None else None)
        except OSError as error:
            missing[vendor] = f"{variable}_FILE cannot be read: {error.strerror}"
            continue
        if key is None or not key.get_secret_value():
            missing[vendor] = f"no key: set {variable} or {variable}_FILE"
        else:
            engines[vendor] = dialect(getattr(settings, f"{vendor}_base_url"), key, timeouts)
    return engines, missing
