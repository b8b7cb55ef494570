"""The catalog: what a wrong row says, what a right one means."""

import warnings
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from models import catalog
from models.catalog import CatalogError, RetiringSoon, price_of
from models.errors import UnknownModel
from models.values import Role

TODAY = date(2026, 11, 23)
ROW = "  - {id: small, kind: chat, engine: openai, where: openai, context_tokens: 10, max_output_tokens: 5"


def written(tmp_path: Path, rows: str, roles: str = "{bulk: [small]}") -> Path:
    path = tmp_path / "catalog.yaml"
    path.write_text(f"roles: {roles}\nmodels:\n{rows}\n")
    return path


def test_the_shipped_catalog_loads_without_a_warning_and_fills_every_role() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shipped = catalog.load(today=TODAY)
    for role in Role:
        assert shipped.for_role(role), role
    assert all(spec.where == "cluster" for spec in shipped.for_role(Role.PRIVATE))
    assert shipped.for_role(Role.SYNTHESIS)[0].id == "claude-opus-5-5"


def test_vendors_prices_come_dated_from_the_package_and_local_ones_are_nothing() -> None:
    shipped = catalog.load(today=TODAY)
    opus = price_of(shipped.spec("claude-opus-5-5"))
    assert (opus.input_usd, opus.output_usd, opus.cached_input_usd) == (Decimal(4), Decimal(20), Decimal("0.2"))
    local = price_of(shipped.spec("smollm2-135m-instruct"))
    assert local.output_usd == 0
    assert "2026-11-23" in local.source
    assert all(price_of(spec) is not None for spec in shipped.specs)


def test_a_row_overrides_a_price_only_with_a_dated_reason(tmp_path: Path) -> None:
    priced = ROW + ", price: {input_usd: 1, output_usd: 2, reason: contract, date: 2026-01-01}}"
    assert price_of(catalog.load(written(tmp_path, priced)).spec("small")).source == "contract (2026-01-01)"
    with pytest.raises(CatalogError, match="reason"):
        catalog.load(written(tmp_path, ROW + ", price: {input_usd: 1, output_usd: 2}}"))


def test_a_retired_row_is_refused_with_its_replacement(tmp_path: Path) -> None:
    path = written(tmp_path, ROW + ", retires_on: 2026-11-23, replaced_by: larger}")
    with pytest.raises(CatalogError, match=r"small was retired on 2026-11-23; use larger"):
        catalog.load(path, TODAY)


def test_a_row_that_retires_within_sixty_days_warns(tmp_path: Path) -> None:
    path = written(tmp_path, ROW + ", retires_on: 2027-01-22, replaced_by: larger}")
    with pytest.warns(RetiringSoon, match="use larger"):
        catalog.load(path, TODAY)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        catalog.load(path, date(2026, 11, 1))


@pytest.mark.parametrize(
    ("rows", "roles", "says"),
    [
        (ROW + ", colour: red}", "{bulk: [small]}", "models.0.colour"),
        (ROW.replace("chat", "song") + "}", "{}", "models.0.kind"),
        (ROW.replace("context_tokens: 10", "context_tokens: -1") + "}", "{}", "models.0.context_tokens"),
        (ROW + "}\n" + ROW + "}", "{}", "twice"),
        (ROW + "}", "{bulk: [large]}", "large"),
        (ROW + "}", "{chief: [small]}", "roles"),
        ("  - {id: e, kind: embedding, engine: openai, where: openai}", "{}", "id"),
        ("  - {id: em, kind: embedding, engine: openai, where: openai}", "{}", "dim"),
        (ROW.replace("openai", "llama_cpp", 1).replace("openai", "cluster") + "}", "{}", "weights"),
        ("  - [", "{}", "not YAML"),
    ],
)  # fmt: skip
def test_a_wrong_file_names_row_and_field(tmp_path: Path, rows: str, roles: str, says: str) -> None:
    with pytest.raises(CatalogError, match=says):
        catalog.load(written(tmp_path, rows, roles))


def test_an_unknown_id_names_the_known_ones() -> None:
    with pytest.raises(UnknownModel, match="smollm2"):
        catalog.load(today=TODAY).spec("gpt-2")


def test_any_change_of_the_file_is_another_revision(tmp_path: Path) -> None:
    first = catalog.load(written(tmp_path, ROW + "}")).revision
    assert catalog.load(written(tmp_path, ROW + "}")).revision == first
    assert catalog.load(written(tmp_path, ROW + ", roles: []}".replace(", roles: []", " "))).revision != first
