"""The error tree's fourth family (models/errors.py draws the root): a job could not be run or reached.

JobError
├── PipelineFailed    Ray ended the work: the cluster went away, or its workers cannot start
├── JobsUnreachable   nothing answers where the cluster's job server should be, or it refuses us
└── UnknownJob        the cluster has no job of this id
"""

from models.errors import ClusterError


class JobError(ClusterError):
    """A job could not be run or reached; its inputs are not to blame."""

    code = "job_error"


class PipelineFailed(JobError):
    """Ray ended the work. `reason` is Ray's."""

    code = "pipeline_failed"
    retryable = True

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"Ray ended the work: {self.reason}"


class JobsUnreachable(JobError):
    """Nothing answers at the job server's address, or it refuses us."""

    code = "jobs_unreachable"
    retryable = True

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(url, reason)
        self.url, self.reason = url, reason

    def __str__(self) -> str:
        return f"The cluster's job server at {self.url} gives no answer: {self.reason}"


class UnknownJob(JobError):
    """The cluster has no job of this id."""

    code = "job_not_found"

    def __init__(self, job_id: str) -> None:
        super().__init__(job_id)
        self.job_id = job_id

    def __str__(self) -> str:
        return f"There is no job {self.job_id!r} on this cluster; it forgets its jobs when it goes down."
