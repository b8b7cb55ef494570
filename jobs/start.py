"""Jobs on a cluster, from outside: submit through Ray Jobs, follow to the end, stop, list. Knows nothing of audio."""

import asyncio
import shlex
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jobs.errors import JobsUnreachable, UnknownJob
from jobs.progress import FAILED, Outcome, Update, from_line
from models.errors import InvalidRequest

KINDS = {"transcribe": "jobs.transcribe"}  # name -> module that is run
RECONNECTS = 5  # in a row; a dashboard that is gone for longer than these take is gone
LAST_LINES = 15  # of the log, shown when a job ends without a word of its own


@dataclass(frozen=True, slots=True)
class JobServer:
    """A cluster's job server. `url` is its dashboard; `headers` go with each request (`Authorization: Bearer TOKEN`).

    `python` runs the driver there. The project's code is on the PYTHONPATH of a laptop's workers; for another cluster
    `working_dir` names the folder to upload. `environment` is set for the driver and its workers.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    python: str = "python"
    working_dir: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Job:
    """One job of a cluster. `status` is Ray's: PENDING, RUNNING, STOPPED, SUCCEEDED, FAILED. Times in UTC.

    `exit_code` is the driver's own once it has ended: QUARANTINED is finished work, though Ray calls it FAILED.
    """

    id: str
    status: str
    command: str
    started_at: datetime | None
    ended_at: datetime | None
    exit_code: int | None


def submit(
    server: JobServer, kind: str, inputs: Sequence[Path], output: Path, options: Mapping[str, str] | None = None
) -> str:
    """Start a job and return its id. Relative paths are this machine's: they are made absolute.

    `options` are the module's own, without dashes: {"model": "whisper-tiny.en"}. Raises InvalidRequest for an unknown
    kind, JobsUnreachable.
    """
    if kind not in KINDS:
        raise InvalidRequest(f"There is no job {kind!r}. Known: {', '.join(KINDS)}.", "kind")
    words = [server.python, "-m", KINDS[kind], "--output", str(output.absolute())]
    for name, value in (options or {}).items():
        words.append(f"--{name.replace('_', '-')}={value}")
    words += ["--", *(str(path.absolute()) for path in inputs)]
    environment: dict[str, Any] = {"env_vars": dict(server.environment)} if server.environment else {}
    if server.working_dir is not None:
        environment["working_dir"] = str(server.working_dir)
    with _client(server) as client:
        return str(
            client.submit_job(
                entrypoint=shlex.join(words), submission_id=f"{kind}-{uuid.uuid4().hex[:12]}", runtime_env=environment
            )
        )


def follow(server: JobServer, job_id: str) -> Iterator[Update]:
    """Each Progress the job tells, from its first on, and at the end exactly one Outcome. Blocks in between.

    A job that ends without an outcome of its own (stopped, killed, or its driver could not start) gives one with
    exit code FAILED and the end of its log. Leaving the iterator leaves the job running. Raises UnknownJob,
    JobsUnreachable.
    """
    with _client(server, job_id) as client:
        for line in _tailed(client, job_id):
            update = from_line(line)
            if update is not None:
                yield update
            if isinstance(update, Outcome):
                return
        yield _unspoken(client, job_id)


def tail(server: JobServer, job_id: str) -> Iterator[str]:
    """Each line that the job's driver prints, from its first on, until the job ends. Blocks in between.

    Raises UnknownJob, JobsUnreachable.
    """
    with _client(server, job_id) as client:
        yield from _tailed(client, job_id)


def stop(server: JobServer, job_id: str) -> bool:
    """End a job; what it has finished stays. False when it had ended before. Raises UnknownJob, JobsUnreachable."""
    with _client(server, job_id) as client:
        return bool(client.stop_job(job_id))


def log(server: JobServer, job_id: str) -> str:
    """All that the job's driver has printed. Raises UnknownJob, JobsUnreachable."""
    with _client(server, job_id) as client:
        return str(client.get_job_logs(job_id))


def listed(server: JobServer) -> tuple[Job, ...]:
    """The jobs that the cluster remembers, oldest first. Raises JobsUnreachable."""
    with _client(server) as client:
        details = [row for row in client.list_jobs() if row.submission_id]
    jobs = (
        Job(
            row.submission_id,
            row.status.value,
            row.entrypoint,
            _when(row.start_time),
            _when(row.end_time),
            row.driver_exit_code,
        )
        for row in details
    )
    return tuple(sorted(jobs, key=lambda job: job.started_at or datetime.max.replace(tzinfo=UTC)))


@contextmanager
def _client(server: JobServer, job_id: str | None = None) -> Iterator[Any]:
    """Ray's client of this server, its errors translated; with `job_id` only when the server has that job."""
    # 1.1 s: Ray is imported by those who talk to it
    import aiohttp  # noqa: PLC0415
    from ray.exceptions import AuthenticationError  # noqa: PLC0415
    from ray.job_submission import JobSubmissionClient  # noqa: PLC0415

    try:
        client = JobSubmissionClient(server.url, headers=dict(server.headers))
        if client.get_address() != server.url.rstrip("/"):
            raise InvalidRequest(
                f"RAY_ADDRESS or RAY_API_SERVER_ADDRESS is set, and Ray's client would go to {client.get_address()} "
                f"instead of {server.url}. Unset it.",
                "RAY_ADDRESS",
            )
        if job_id is not None:
            _known(client, job_id)
        yield client
    except (OSError, aiohttp.ClientError, AuthenticationError, RuntimeError) as error:  # OSError: requests' errors too
        raise JobsUnreachable(server.url, str(error) or type(error).__name__) from error


def _known(client: Any, job_id: str) -> None:
    try:
        client.get_job_status(job_id)
    except RuntimeError as error:
        if "404" in str(error):
            raise UnknownJob(job_id) from error
        raise


def _tailed(client: Any, job_id: str) -> Iterator[str]:
    """The lines of `_lines`, for callers without an event loop."""
    loop = asyncio.new_event_loop()
    try:
        lines = _lines(client, job_id)
        while (line := loop.run_until_complete(anext(lines, None))) is not None:
            yield line
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def _lines(client: Any, job_id: str) -> AsyncIterator[str]:
    """The log, line by line, until the job ends. A connection that breaks is made again where it broke."""
    import aiohttp  # noqa: PLC0415  with Ray

    seen = failures = 0
    while True:
        position, rest = 0, ""
        try:
            async for chunk in client.tail_job_logs(job_id):
                *lines, rest = (rest + chunk).split("\n")
                for line in lines:
                    position += 1
                    if position > seen:
                        seen, failures = position, 0
                        yield line
        except (aiohttp.ClientError, RuntimeError, OSError):
            failures += 1
            if failures > RECONNECTS:
                raise
            await asyncio.sleep(failures)  # seconds: 1, 2, 3, 4, 5
            continue
        if rest and position >= seen:
            yield rest
        return


def _unspoken(client: Any, job_id: str) -> Outcome:
    """The outcome of a job that told none."""
    details = client.get_job_info(job_id)
    status = details.status.value
    if status == "STOPPED":
        return Outcome(FAILED, f"The job {job_id} was stopped. What is finished stays; submit it again to go on.")
    end = "\n".join(client.get_job_logs(job_id).splitlines()[-LAST_LINES:])
    return Outcome(
        FAILED, f"The job {job_id} ended without an outcome ({status}: {details.message}). Its log ends:\n{end}"
    )


def _when(time_ms: int | None) -> datetime | None:
    return datetime.fromtimestamp(time_ms / 1000, UTC) if time_ms else None
