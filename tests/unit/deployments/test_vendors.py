"""Which vendors can be asked, and why the others cannot."""

from pathlib import Path

import pytest

from deployments.args import GatewayArgs
from deployments.settings import VendorSettings
from deployments.upstreams import Upstreams
from deployments.vendors import DIALECTS, connect_vendors
from models import catalog
from models.engines.anthropic import AnthropicMessages
from models.engines.http_generator import Timeouts
from models.engines.openai import OpenAIShaped

CATALOG = catalog.load()


def connected(**given: object):
    return connect_vendors(VendorSettings(**given), Timeouts())


@pytest.fixture(autouse=True)
def _no_keys_of_this_machine(monkeypatch) -> None:
    for vendor in DIALECTS:
        monkeypatch.delenv(f"{vendor.upper()}_API_KEY", raising=False)


def test_every_vendor_of_the_catalog_has_a_dialect() -> None:
    assert {spec.where for spec in CATALOG.specs if spec.where != "cluster"} == set(DIALECTS)


def test_without_keys_no_vendor_is_asked_and_the_reason_says_what_to_set() -> None:
    engines, missing = connected()
    assert not engines
    assert "ANTHROPIC_API_KEY" in missing["anthropic"]
    reasons = Upstreams(CATALOG, GatewayArgs(local_models=[], embedding_models=[]), "http://x", missing).unavailable()
    assert "ANTHROPIC_API_KEY" in reasons["claude-opus-5-5"]


def test_a_key_from_the_environment_or_a_file_makes_a_vendor_s_models_available(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key-2")
    (tmp_path / "key").write_text("key-1\n")
    engines, missing = connected(anthropic_api_key_file=tmp_path / "key")
    assert isinstance(engines["openai"], OpenAIShaped)
    assert isinstance(engines["anthropic"], AnthropicMessages)
    assert set(missing) == {"mistral"}
    reasons = Upstreams(CATALOG, GatewayArgs(local_models=[], embedding_models=[]), "http://x", missing).unavailable()
    assert "claude-opus-5-5" not in reasons
    assert "gpt-6.1-terra" not in reasons


def test_a_file_that_cannot_be_read_is_a_reason_and_no_crash(tmp_path: Path) -> None:
    engines, missing = connected(mistral_api_key_file=tmp_path / "absent")
    assert "mistral" not in engines
    assert "MISTRAL_API_KEY_FILE cannot be read" in missing["mistral"]


def test_an_empty_key_is_none() -> None:
    assert "openai" in connected(openai_api_key="")[1]


def test_no_key_shows_in_what_is_printed() -> None:
    settings = VendorSettings(openai_api_key="hush-hush")
    assert "hush-hush" not in repr(settings)
    assert "hush-hush" not in repr(connect_vendors(settings, Timeouts()))
