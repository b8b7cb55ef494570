"""The stages on Ray Data: the one file of `transcribe` that knows Ray. It is imported when there is something to hear.

rows of sources -> Decode -> Hear -> rows in the driver, as they come
"""

import logging
import math
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import ray
from ray.data import ActorPoolStrategy, DataContext, from_items
from ray.exceptions import RayError

from jobs.errors import PipelineFailed
from jobs.files import Source
from jobs.rows import HeardRow, SourceRow
from jobs.stages.decode import PIECE_S, Decode
from jobs.stages.hear import Hear
from jobs.stages.worker import NICENESS, Workplace
from models.ports import Transcriber

WORKERS_PER_DECODER = 16  # decoding is two orders of magnitude faster than hearing
FEWEST_BYTES_PER_S = 2_000  # 16 kbit/s, as low as speech is coded: bounds the pieces a file can have
OWN_STARTS = 3  # Ray gives a node 30 s to start; a busy machine may need more, and finds its files in memory then
OBJECT_STORE_BYTES = 1 << 30  # of a Ray of our own: 27 pieces of 10 minutes; backpressure holds the rest


@dataclass(frozen=True, slots=True)
class Crew:
    """Who does the work. `workers` None: one a CPU of the cluster.

    `cpus_per_worker` is what Ray sets aside for each: 0 never waits for CPUs that serving holds, 1 lets an autoscaler
    see the need.
    """

    workers: int | None = None
    cpus_per_worker: float = 0.0


def join(address: str | None) -> None:
    """Join the cluster of this address, or start a Ray that ends with this process. Raises PipelineFailed."""
    if ray.is_initialized():
        return
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "WARNING"}
    own: dict[str, Any] = {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
    for starts_left in range(OWN_STARTS - 1, -1, -1):
        try:
            ray.init(address=address or "local", **quiet, **({} if address else own))
        except Exception as error:  # Ray's own word for "slow to start" is a bare Exception
            if address or not starts_left:
                raise PipelineFailed(_last_line(error)) from error
        else:
            return


def heard(
    sources: Mapping[int, Source], load: Callable[[], Transcriber], language: str | None, crew: Crew
) -> Iterator[HeardRow]:
    """The pieces of all sources as they are heard, in any order, in workers of the cluster that was joined.

    `load` makes the Transcriber in each worker. A piece on which our own code fails is missing, and Ray's log says why.
    Raises PipelineFailed when the whole ends before its time.
    """
    logging.getLogger("ray.data").setLevel(logging.ERROR)  # plans and statistics are for those who debug Ray Data
    place = Workplace(Path(tempfile.gettempdir()) / f"becoming-one-attempts-{uuid.uuid4().hex}", NICENESS)
    rows = [SourceRow(source=key, path=os.fsencode(source.path)) for key, source in sources.items()]
    workers = crew.workers or _workers(sources.values())
    try:
        with DataContext.current(_context()):  # what is built here keeps it
            dataset = (
                from_items(rows, override_num_blocks=len(rows))
                .flat_map(
                    Decode,
                    fn_constructor_args=(place,),
                    # Actors, because Ray Data would fuse tasks with Hear: one long file would keep one worker busy and
                    # the others idle.
                    compute=ActorPoolStrategy(size=math.ceil(workers / WORKERS_PER_DECODER)),
                    num_cpus=0,
                )
                .map(
                    Hear,
                    fn_constructor_args=(load, language, place),
                    # One piece at a time: a second would wait at a busy worker while another is idle.
                    compute=ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=1),
                    num_cpus=crew.cpus_per_worker,
                )
            )
        for row in dataset.iter_rows():
            yield cast("HeardRow", row)
    except RayError as error:
        raise PipelineFailed(_last_line(error)) from error
    finally:
        shutil.rmtree(place.attempts, ignore_errors=True)


def _context() -> DataContext:
    """How Ray Data runs here, without changing it for others in this process."""
    context = DataContext.get_current().copy()
    context.enable_progress_bars = False
    context.target_max_block_size = 1  # byte: a block for each row, so that pieces spread over all workers
    context.max_errored_blocks = -1  # an error of ours costs its file, not the job: Tally.lost
    return context


def _workers(sources: Iterable[Source]) -> int:
    """One a core, but never more than there can be pieces."""
    pieces = sum(1 + int(source.size_bytes / (PIECE_S * FEWEST_BYTES_PER_S)) for source in sources)
    cores = int(ray.cluster_resources().get("CPU", 1))
    if len(ray.nodes()) == 1:  # a laptop's cluster counts a CPU more than there are cores, for its replicas
        cores = min(cores, len(os.sched_getaffinity(0)))
    return max(1, min(pieces, cores))


def _last_line(error: Exception) -> str:
    """Ray's errors carry whole tracebacks; what went wrong stands at their end."""
    return next((line for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__).strip()
