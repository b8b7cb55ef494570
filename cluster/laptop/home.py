"""The folder of one laptop's cluster: its lock, its secrets, and what must be remembered between two commands.

.becoming-one/            mode 700
  state.json              ports, programs and their identities; `url` for clients
  key                     the laptop's own API key
  service_key             with which our applications call each other
  ray_auth_token          without which Ray answers nobody
  valkey/ postgres/ logs/
/tmp/bo-XXXXXXXX/         Ray's sockets and logs: the path of a Unix socket has at most 107 bytes, a home may have more
"""

import fcntl
import json
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from cluster.laptop.errors import Busy, LaptopError, Unsupported
from cluster.laptop.processes import Identity, Marks

LOCK_POLL_S = 0.2
TEMP_PARENT = Path("/tmp")  # noqa: S108  # short on purpose; the folder in it is made by mkdtemp, mode 700


@dataclass(frozen=True, slots=True)
class RaySession:
    """A running Ray head. `fingerprint` is of the environment it was started with, `programs` by name."""

    fingerprint: str
    programs: dict[str, Identity]


@dataclass(frozen=True, slots=True)
class Server:
    """A running Valkey or PostgreSQL of ours."""

    port: int
    process: Identity


@dataclass(frozen=True, slots=True)
class State:
    """What must be remembered. `port_block` is the first of the ports that this cluster uses besides the HTTP API's."""

    cluster_id: str
    temp_folder: Path
    port_block: int
    http_port: int | None = None
    url: str | None = None
    valkey: Server | None = None
    postgres: Server | None = None
    ray: RaySession | None = None


@dataclass(frozen=True)
class Home:
    """Paths and files of one home. Nothing here starts or ends a process."""

    folder: Path
    state_path: Path = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", self.folder.absolute())
        object.__setattr__(self, "state_path", self.folder / "state.json")

    @property
    def key_path(self) -> Path:
        return self.folder / "key"

    @property
    def token_path(self) -> Path:
        return self.folder / "ray_auth_token"

    @property
    def valkey_folder(self) -> Path:
        return self.folder / "valkey"

    @property
    def postgres_folder(self) -> Path:
        return self.folder / "postgres"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    def create(self) -> None:
        """Make the folder where it is missing; tighten its mode where it is not. Raises Unsupported."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder.chmod(0o700)
            self.logs.mkdir(mode=0o700, exist_ok=True)
            (self.folder / ".gitignore").write_text("*\n")
        except OSError as error:
            raise Unsupported(
                f"{self.folder} cannot be used: {error}. BECOMING_ONE_HOME names another folder."
            ) from error

    @contextmanager
    def locked(self, wait_s: float, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Hold the home for one `up` or `down`. The kernel lets go when the process ends, however it ends.

        Raises Busy after `wait_s` seconds; calls `waiting` once when it has to wait.
        """
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _lock(descriptor, self.folder, wait_s, waiting)
            yield
        finally:
            os.close(descriptor)

    def secret(self, name: str) -> str:
        """The secret of that name, made on first use: 256 random bits in hex, mode 600."""
        path = self.folder / name
        if not path.exists():
            self.write_secret(path, secrets.token_hex(32))
        path.chmod(0o600)
        return path.read_text().strip()

    @staticmethod
    def write_secret(path: Path, value: str) -> None:
        """Write whole or not at all, readable by nobody else at any moment."""
        part = path.with_name(path.name + ".part")
        part.unlink(missing_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(value)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)

    def load(self) -> State | None:
        """What was remembered; None where nothing was. Raises LaptopError when the file is not ours."""
        try:
            return _state(json.loads(self.state_path.read_bytes()))
        except FileNotFoundError:
            return None
        except ValueError as error:
            reason = str(error).splitlines()[0]
            raise LaptopError(
                f"{self.state_path} is not readable ({reason}). Delete it: data and keys stay."
            ) from error

    def load_or_begin(self, new_block: Callable[[], int]) -> State:
        """What was remembered, with a temp folder that exists; a new cluster's state where nothing was."""
        state = self.load() or State(secrets.token_hex(8), _temp_folder(), new_block())
        if not _is_private(state.temp_folder):
            state = replace(state, temp_folder=_temp_folder())
        self.save(state)
        return state

    def save(self, state: State) -> None:
        """Remember."""
        self.write_secret(self.state_path, json.dumps(asdict(state), default=str, indent=1))

    def marks(self, state: State) -> Marks:
        """How all processes of this cluster are known."""
        server_folders = (self.valkey_folder, self.postgres_folder)
        values = frozenset({state.cluster_id, server_mark(state)})
        return Marks(values, (state.temp_folder, self.logs), server_folders)

    def ray_marks(self, state: State) -> Marks:
        """How Ray's processes are known, without the servers."""
        return Marks(frozenset({state.cluster_id}), (state.temp_folder,), ())

    def wipe(self) -> None:
        """Delete keys, logs and databases. Nothing of this home may run."""
        shutil.rmtree(self.folder)


def server_mark(state: State) -> str:
    """The mark (processes.MARK_VARIABLE) of Valkey and PostgreSQL: a Ray that is ended does not take them along."""
    return f"{state.cluster_id}-server"


def _temp_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="bo-", dir=TEMP_PARENT))


def _is_private(folder: Path) -> bool:
    """Still there and still only ours: /tmp may have been cleaned, and the name taken by somebody else."""
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return False
    return folder.is_dir() and not folder.is_symlink() and found.st_uid == os.geteuid() and not found.st_mode & 0o077


def _lock(descriptor: int, folder: Path, wait_s: float, waiting: Callable[[], None]) -> None:
    deadline, told = time.monotonic() + wait_s, False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise Busy(folder, wait_s) from None
            if not told:
                waiting()
                told = True
            time.sleep(LOCK_POLL_S)
        else:
            return


def _state(raw: object) -> State:
    from pydantic import TypeAdapter  # noqa: PLC0415  # 0.1 s that only readers of a state pay

    return TypeAdapter(State).validate_python(raw)
