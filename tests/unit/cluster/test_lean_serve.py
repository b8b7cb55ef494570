"""pandas stays out of Ray Serve's processes and nobody else's."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[3]
ASKING = """
try:
    import pandas as pd
except ImportError:
    pd = None
"""
CODE = """
import cluster.laptop.lean_serve
import ray.serve._private.utils as serve
import other
import pandas
print(serve.pd, other.pd.NAME, pandas.NAME)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Modules with the names that matter, without Ray."""
    serve = tmp_path / "ray" / "serve" / "_private"
    serve.mkdir(parents=True)
    for folder in (serve, serve.parent, serve.parent.parent):
        (folder / "__init__.py").touch()
    (serve / "utils.py").write_text(ASKING)
    (tmp_path / "other.py").write_text(ASKING)
    (tmp_path / "pandas.py").write_text("NAME = 'the real one'")
    return tmp_path


def run(path: Path, code: str) -> str:
    environment = {**os.environ, "PYTHONPATH": f"{path}:{PROJECT}"}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_serve_finds_none_and_everybody_else_finds_it(path: Path) -> None:
    assert run(path, CODE) == "None the real one the real one"


def test_it_is_found_whoever_asks_first(path: Path) -> None:
    """A job that imports pandas and then Serve keeps it in both: a module that is loaded is not looked for."""
    assert run(path, "import pandas\n" + CODE) == "<module 'pandas' from '%s'> the real one the real one" % (
        path / "pandas.py"
    )


def test_without_it_serve_would_import_it(path: Path) -> None:
    assert run(path, CODE.replace("import cluster.laptop.lean_serve", "")).startswith("<module 'pandas'")
