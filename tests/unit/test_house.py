"""The house itself: what would break every room at once."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("becoming_one", "cluster", "deployments", "jobs", "actors", "stores", "models")


def in_fresh_python(code: str) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout.strip()


@pytest.mark.parametrize("room", ["models", "stores"])
def test_importing_a_whole_room_loads_neither_torch_nor_ray_nor_an_engine(room: str) -> None:
    code = f"""
import importlib, pkgutil, sys, {room}
names = [m.name for m in pkgutil.walk_packages({room}.__path__, "{room}.")]
for name in names:
    importlib.import_module(name)
heavy = sorted({{"torch", "ray", "openvino", "faster_whisper", "xllamacpp", "transformers"}} & sys.modules.keys())
print(len(names), heavy)
"""
    count, heavy = in_fresh_python(code).split(maxsplit=1)
    assert int(count) > 4
    assert heavy == "[]"  # how quick that is: benchmarks/startup.py


def test_no_installed_package_takes_the_name_of_a_room() -> None:
    installed = {
        str(file).split("/")[0].removesuffix(".py")
        for distribution in importlib.metadata.distributions()
        if distribution.metadata["Name"] != "becoming-one"
        for file in distribution.files or ()
        if len(file.parts) > 1 and file.suffix == ".py"
    }
    assert installed.isdisjoint(ROOMS)


def test_ray_s_working_dir_keeps_the_room_models() -> None:
    lines = [line.strip() for line in (ROOT / ".gitignore").read_text().splitlines()]
    assert not {"models", "models/", "/models", "/models/"} & set(lines)


@pytest.mark.parametrize("room", ROOMS)
def test_each_room_s_map_names_its_files(room: str) -> None:
    package = ROOT / room
    text = (package / "__init__.py").read_text()
    files = [path for path in package.glob("*.py") if path.name != "__init__.py"]
    missing = [path.name for path in files if path.name not in text]
    assert not missing, f"{room}/__init__.py is the map of its room and lacks {missing}"


def test_no_secret_and_no_path_of_one_machine_stands_in_the_tree() -> None:
    tracked = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=False, cwd=ROOT).stdout.split()
    marks = ("/ro" + "ot/", "/wo" + "rk/", "sk-" + "ant-", "BEGIN PRI" + "VATE KEY")
    for name in tracked:
        path = ROOT / name
        if path.suffix in {".py", ".md", ".yaml", ".toml", ".sh", ".sql", ".ipynb", ".lock", ""} and path.is_file():
            text = path.read_text(errors="ignore")
            assert not [mark for mark in marks if mark in text], name
