"""The README's blocks, run as they stand against the session's cluster (only its address and home differ)."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def here(block: str, cluster) -> str:
    return block.replace("http://127.0.0.1:8000", cluster.url).replace(
        ".becoming-one/key", str(cluster.settings.home / "key")
    )


@pytest.mark.parametrize("block", [b for b in blocks("bash") if "curl" in b])
def test_the_curl_gets_an_answer(cluster, block: str) -> None:
    done = subprocess.run(
        ["bash", "-ec", here(block, cluster)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert '"chat.completion"' in done.stdout


@pytest.mark.parametrize("block", blocks("python"))
def test_the_python_runs(cluster, tmp_path, block: str) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "BECOMING_ONE_URL": cluster.url,
        "BECOMING_ONE_API_KEY": cluster.key,
    }
    done = subprocess.run(
        [sys.executable, "-c", here(block, cluster)],
        capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
