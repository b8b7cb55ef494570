"""jobs submit, list, watch, logs, cancel: on the cluster of `up`, through Ray Jobs. jobs/start.py does it."""

import shlex
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from becoming_one.cli.command import Command, group
from becoming_one.cli.laptop import job_server as laptop_job_server
from becoming_one.cli.terminal import as_json, printable, say, table

if TYPE_CHECKING:
    from jobs.progress import Update
    from jobs.start import Job, JobServer


app = group("Work on many files: submit, list, watch, logs, cancel.")
submit = group("Start a job. It runs on the cluster; leaving the command leaves it running.")
app.add_typer(submit, name="submit")

JobId = Annotated[str, typer.Argument(metavar="ID", help="The id that `submit` and `jobs list` show.")]


@submit.command(cls=Command)
def transcribe(
    inputs: Annotated[
        list[Path], typer.Argument(metavar="INPUT", help="Audio files, or folders that are searched for them.")
    ],
    output: Annotated[Path, typer.Option(metavar="OUT", help="Folder of the transcripts; made where it is missing.")],
    model: Annotated[
        str | None, typer.Option(metavar="ID", help="Which model hears; unset, the job's own choice.")
    ] = None,
    language: Annotated[
        str | None, typer.Option(metavar="CODE", help="Spoken language, such as en or de; unset, it is detected.")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Follow the job to its end, or print its id and leave.")
    ] = True,
) -> None:
    """Turn recordings into text: JSON, SRT, VTT and TXT for each file.

    wav, mp3, m4a, flac, ogg, mp4 and others. A file that is finished already is
    not done again; a bad one goes to OUT/quarantine with its reason, and the
    exit code is then 3. Ctrl-C leaves the job running.

    Examples:
      becoming-one jobs submit transcribe recordings/ --output out/
      becoming-one jobs submit transcribe a.mp3 b.wav --output out --language en
      ID=$(becoming-one jobs submit transcribe talks/ --output out --no-wait)
      becoming-one jobs watch $ID
    """
    from jobs import start  # noqa: PLC0415  # loads orjson and the models' values

    server = job_server()
    options = {name: value for name, value in (("model", model), ("language", language)) if value is not None}
    job_id = start.submit(server, "transcribe", inputs, output, options)
    if not wait:
        print(job_id)
        return
    say(f"Job {job_id}")
    with _left_running(job_id):
        _end(start.follow(server, job_id), output)


@app.command("list", cls=Command)
def list_(
    json: Annotated[bool, typer.Option("--json", help="One JSON array.")] = False,
) -> None:
    """List the jobs that the cluster remembers, oldest first.

    Examples:
      becoming-one jobs list
      becoming-one jobs list --json | jq '.[] | select(.status == "RUNNING") | .id'
    """
    from jobs import start  # noqa: PLC0415  # loads orjson and the models' values

    found = start.listed(job_server())
    if json:
        as_json([_row(job) for job in found])
        return
    columns = ("id", "status", "started", "took", "output")
    table("Jobs", columns, [_cells(job) for job in found])


@app.command(cls=Command)
def watch(job_id: JobId) -> None:
    """Follow a job to its end, and say how it ended. The exit code is the job's.

    Example:
      becoming-one jobs watch transcribe-8f3a0c51be72
    """
    from jobs import start  # noqa: PLC0415  # loads orjson and the models' values

    server = job_server()
    with _known(job_id), _left_running(job_id):
        output = next((_output(job) for job in start.listed(server) if job.id == job_id), None)
        _end(start.follow(server, job_id), output)


@app.command(cls=Command)
def logs(
    job_id: JobId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job ends.")] = False,
) -> None:
    """Print what a job's driver has printed.

    Examples:
      becoming-one jobs logs transcribe-8f3a0c51be72
      becoming-one jobs logs -f transcribe-8f3a0c51be72
    """
    from jobs import start  # noqa: PLC0415  # loads orjson and the models' values

    server = job_server()
    with _known(job_id):
        for line in start.tail(server, job_id) if follow else start.log(server, job_id).splitlines():
            if (shown := _readable(line)) is not None:
                print(shown, flush=follow)


@app.command(cls=Command)
def cancel(job_id: JobId) -> None:
    """End a job. What it has finished stays; submitting it again goes on from there.

    Example:
      becoming-one jobs cancel transcribe-8f3a0c51be72
    """
    from jobs import start  # noqa: PLC0415  # loads orjson and the models' values

    with _known(job_id):
        stopped = start.stop(job_server(), job_id)
    say(f"Job {job_id} is stopped." if stopped else f"Job {job_id} had ended before.")


def job_server() -> "JobServer":
    """The running cluster's. Ray's client would tell of each connection on stderr; what matters becomes an error."""
    import logging  # noqa: PLC0415  # jobs alone need it

    logging.getLogger("ray.dashboard.modules.job.sdk").addFilter(lambda record: record.levelno >= logging.ERROR)
    return laptop_job_server()


def _end(updates: "Iterable[Update]", output: Path | None) -> None:
    """Show a job to its end, sum it up, and leave with its exit code."""
    from becoming_one.cli.job_view import shown, summarize  # noqa: PLC0415  # loads jobs.progress
    from jobs.progress import Outcome  # noqa: PLC0415  # loads orjson

    outcome: Outcome | None = None
    with shown() as show:
        for update in updates:
            if isinstance(update, Outcome):
                outcome = update
            else:
                show(update)
    if outcome is None:
        raise TypeError("a job that was followed to its end has an outcome")
    summarize(outcome, output)
    raise typer.Exit(outcome.exit_code)


@contextmanager
def _left_running(job_id: str) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        say(f"The job goes on. `becoming-one jobs watch {job_id}` shows it again, `jobs cancel {job_id}` ends it.")
        raise


@contextmanager
def _known(job_id: str) -> Iterator[None]:
    """Name an id that the cluster does not know as the wrong word that it is."""
    from jobs.errors import UnknownJob  # noqa: PLC0415  # with jobs.start

    try:
        yield
    except UnknownJob as error:
        message = f"there is no job {job_id} on this cluster; `becoming-one jobs list` shows what it remembers"
        raise typer.BadParameter(message) from error


def _readable(line: str) -> str | None:
    """A line of a job's log; what it says of its progress as a person reads it, None for what it says twice."""
    from becoming_one.cli.job_view import sentence  # noqa: PLC0415  # loads jobs.progress
    from jobs.progress import Outcome, from_line  # noqa: PLC0415  # loads orjson

    update = from_line(line)
    if update is None:
        return printable(line, sys.stdout)
    return None if isinstance(update, Outcome) else sentence(update)


def _row(job: "Job") -> dict[str, str | int | None]:
    output = _output(job)
    return {
        "id": job.id,
        "status": job.status,
        "exit_code": job.exit_code,
        "started_at": job.started_at.isoformat(timespec="seconds") if job.started_at else None,
        "ended_at": job.ended_at.isoformat(timespec="seconds") if job.ended_at else None,
        "output": None if output is None else str(output),
        "command": job.command,
    }


def _cells(job: "Job") -> tuple[str, ...]:
    from jobs.progress import QUARANTINED, span  # noqa: PLC0415  # loads orjson

    status = "quarantine" if job.exit_code == QUARANTINED else job.status.lower()
    started = f"{job.started_at.astimezone():%Y-%m-%d %H:%M:%S}" if job.started_at else ""
    end = job.ended_at or datetime.now(UTC)
    took = span((end - job.started_at).total_seconds()) if job.started_at else ""
    return (job.id, status, started, took, str(_output(job) or ""))


def _output(job: "Job") -> Path | None:
    """Where a job writes, as its command says."""
    words = shlex.split(job.command)
    return next((Path(value) for name, value in pairwise(words) if name == "--output"), None)
