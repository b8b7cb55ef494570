"""The pages about the command and the client say what is so: one is generated, the others' code runs."""

import ast
import json
import re
from pathlib import Path

import pytest

from becoming_one.cli.reference import page

ROOT = Path(__file__).resolve().parents[3]
NOTEBOOK = ROOT / "notebooks" / "quickstart.ipynb"


@pytest.fixture
def known_cluster(server, monkeypatch):
    monkeypatch.setenv("BECOMING_ONE_URL", server.url)
    monkeypatch.setenv("BECOMING_ONE_API_KEY", "bo-key")
    return server


def test_the_page_of_the_command_is_what_the_command_says() -> None:
    written = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert written == page(), "run: python -m becoming_one.cli.reference > docs/cli.md"


def test_the_blocks_of_the_clients_page_run(known_cluster, capsys) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "client.md").read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "docs/client.md", "exec"), names)  # noqa: S102  # our own page

    assert len(blocks) == 8
    assert "What is the fourth way?" in capsys.readouterr().out
    assert [answer.text for answer in names["answers"]] == ["Who was Gurdjieff?", "Who was Ouspensky?"]
    names["client"].close()


def test_the_notebook_talks_through_the_client_alone() -> None:
    imported = set()
    for cell in _code():
        for node in ast.walk(ast.parse(cell)):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module)
    assert imported == {"becoming_one.client", "matplotlib.pyplot"}


def test_the_notebook_runs_from_top_to_bottom(known_cluster, capsys, monkeypatch) -> None:
    plot = None
    try:
        import matplotlib as mpl

        mpl.use("agg")
    except ImportError:  # the extra `notebooks` is not installed: all but the plot runs
        plot = next(cell for cell in _code() if "matplotlib" in cell)
    names: dict[str, object] = {}
    for cell in _code():
        if cell != plot:
            exec(compile(cell, str(NOTEBOOK), "exec"), names)  # noqa: S102  # our own notebook

    printed = capsys.readouterr().out
    assert "what is self-observation?" in printed
    assert "Name three practices of attention." in printed
    assert names["cosines"].shape == (6, 6)
    names["client"].close()


def test_the_notebook_is_kept_without_outputs() -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells if cell["cell_type"] == "code")


def _code() -> list[str]:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
