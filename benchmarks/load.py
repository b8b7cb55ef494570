"""A load for some seconds, from `wrk` where it is installed (`apt install wrk`), else from client.py.

wrk is compiled and takes a sixth of our client's CPU, so on two cores more is left to who is asked. CPU per answer is
read from the servers' own counters and is much the same under either; answers per second are not. The page says which.
`hey`, the other one in Debian, sends one body over and over, which is no test of a cache. (No registry of Python
packages holds a generator that is compiled and kept up.)
"""

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

from benchmarks import client
from benchmarks.client import Load, Outcome, TableFailed

SCRIPT = """
local path, headers, bodies, at = %(path)s, %(headers)s, {}, 0
function init(args)
  for body in io.lines(args[1]) do bodies[#bodies + 1] = wrk.format("POST", path, headers, body) end
end
function request()
  at = at %% #bodies + 1
  return bodies[at]
end
function done(summary, latency, requests)
  local failed = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  local form = '{"requests": %%d, "seconds": %%f, "failed": %%d, "status": %%d, "p50_ms": %%f, "p99_ms": %%f}'
  io.write(string.format('\\nRESULT ' .. form .. '\\n', summary.requests, summary.duration / 1e6, failed,
    summary.errors.status, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
"""
ANSWER_TIMEOUT = "30s"  # wrk's own 2 s would count a slow stream as an error


def generator() -> str:
    """What sends the load, for the page."""
    if (wrk := shutil.which("wrk")) is None:
        return "load from benchmarks/client.py (no wrk on PATH: answers per second are lower)"
    version = subprocess.run([wrk, "--version"], capture_output=True, text=True, check=False).stdout
    return "load from " + " ".join(version.split()[:2])


def for_seconds(load: Load, seconds: int) -> Outcome:
    """Send it for that long (wrk counts whole seconds). Raises TableFailed when anything but a 2xx came back."""
    if (wrk := shutil.which("wrk")) is None:
        return client.for_seconds(load, seconds)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        script, bodies = Path(folder, "load.lua"), Path(folder, "bodies")
        script.write_text(lua(load))
        bodies.write_bytes(b"\n".join(load.bodies) + b"\n")
        command = [wrk, "-t1", f"-c{load.connections}", f"-d{seconds}s", f"--timeout={ANSWER_TIMEOUT}",
                   f"-s{script}", load.url + load.path, "--", str(bodies)]  # fmt: skip
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    return outcome(ended.stdout + ended.stderr, load)


def lua(load: Load) -> str:
    """The script that makes wrk send it; the bodies, which hold no line breaks, come from a file."""
    if any(b"\n" in body for body in load.bodies):
        raise TableFailed("a body with a line break cannot be told to wrk")
    headers = {"content-type": "application/json", **load.headers}
    pairs = ", ".join(f"[{quoted(name)}] = {quoted(value)}" for name, value in headers.items())
    return SCRIPT % {"path": quoted(load.path), "headers": "{" + pairs + "}"}


def quoted(text: str) -> str:
    """A Lua string of printable ASCII."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def outcome(printed: str, load: Load) -> Outcome:
    """What wrk printed -> what came of the load. Raises TableFailed for errors, and for a wrk that failed itself."""
    line = next((line for line in printed.splitlines() if line.startswith("RESULT ")), None)
    if line is None:
        raise TableFailed(f"wrk gave no result: {printed.strip()[-500:]}")
    found = json.loads(line.removeprefix("RESULT "))
    if found["status"] or found["failed"]:
        raise TableFailed(
            f"{load.url}{load.path}: of {found['requests']} answers {found['status']} were errors, and "
            f"{found['failed']} connections failed. One answer now: {_look(load)}"
        )
    if not found["requests"]:
        raise TableFailed(f"{load.url}{load.path} gave no answer in {found['seconds']:.1f} s")
    return Outcome(found["requests"], found["seconds"], found["p50_ms"], found["p99_ms"])


def _look(load: Load) -> str:
    try:
        return client.one(load)[:300].decode(errors="replace")
    except TableFailed as error:
        return str(error)
