"""Ends a laptop's cluster: everything of it and nothing else. Data stays unless wiped."""

import shutil
from dataclasses import replace

from cluster.laptop import postgres, processes, ray_head, valkey
from cluster.laptop.errors import LaptopError
from cluster.laptop.home import Home
from cluster.laptop.settings import LaptopSettings

LOCK_TIMEOUT_S = 120.0  # an `up` that is starting Ray; one that fetches weights may be interrupted by its user
LEFTOVER_GRACE_S = 2.0


def down(settings: LaptopSettings, wipe: bool = False) -> int:
    """End it: Ray first, then the servers, which save. Returns how many processes ended; 0 when nothing ran.

    `wipe` deletes the home afterwards: keys, logs, databases. Raises Busy, or LaptopError naming the processes that
    did not end.
    """
    home = Home(settings.home)
    state = home.load()
    if state is None:
        if wipe and home.folder.exists():
            home.wipe()
        return 0
    with home.locked(LOCK_TIMEOUT_S):
        marks = home.marks(state)
        before = processes.ours(marks)
        ray_head.stop(home, state)
        if state.postgres is not None:
            postgres.stop(home, state.postgres.process)
        if state.valkey is not None:
            valkey.stop(state.valkey.process)
        left = processes.stop(lambda: processes.ours(marks), LEFTOVER_GRACE_S)
        if left:
            named = ", ".join(f"{processes.name_of(pid)} (pid {pid})" for pid in sorted(left))
            raise LaptopError(f"These processes did not end: {named}. Look at them with `ps -fp PID`.")
        shutil.rmtree(state.temp_folder, ignore_errors=True)
        home.save(replace(state, ray=None, valkey=None, postgres=None))
        if wipe:
            home.wipe()
        return len(before)
