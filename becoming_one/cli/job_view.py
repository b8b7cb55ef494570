"""How a job is shown: a bar in a terminal, a plain line now and then elsewhere, and its summary at the end."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from becoming_one.cli.terminal import say, table
from jobs.progress import Outcome, Progress, span

LINE_PARTS = 10  # a plain line for each tenth of the files, so that a log of a long job stays readable
LINE_EVERY_S = 60.0  # and one a minute, so that a reader sees it is alive


@contextmanager
def shown() -> Iterator[Callable[[Progress], None]]:
    """Show a job's progress on stderr while the block runs; the function given takes each Progress."""
    if not sys.stderr.isatty():
        yield Lines().show
        return
    from rich.console import Console  # noqa: PLC0415  # 0.15 s, in a terminal only
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn  # noqa: PLC0415
    from rich.progress import Progress as Bar  # noqa: PLC0415

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("files"), TextColumn("{task.description}"))
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda now: bar.update(task, total=now.files_total, completed=_dealt_with(now), description=_facts(now))


def sentence(now: Progress) -> str:
    """Where a job stands, as a person reads it."""
    return f"{_dealt_with(now)}/{now.files_total} files, {_facts(now)}"


def summarize(outcome: Outcome, output: Path | None) -> None:
    """The end of a job, on stdout: what it did, where it lies, what is in quarantine and why.

    A job in which nothing ran, or not all, has more to say; that goes to stderr.
    """
    if outcome.files_total == 0 or outcome.files_lost:
        say(outcome.message)
    if outcome.files_total == 0:
        return
    speed = "" if outcome.speed is None else f"{outcome.speed:.1f} times as fast as it plays"
    counts = (
        ("files", outcome.files_total),
        ("transcribed", outcome.files_done),
        ("finished before", outcome.files_skipped),
        ("in quarantine", outcome.files_quarantined),
        ("without an answer", outcome.files_lost),
        ("ignored", outcome.files_ignored),
    )
    rows = [(name, f"{count:,}") for name, count in counts if count]
    rows += [("sound", span(outcome.audio_s)), ("took", span(outcome.elapsed_s)), ("speed", speed)]
    if output is not None:
        rows.append(("outputs", f"{output.absolute()}/"))
    table("Summary", ("what", "how much"), [row for row in rows if row[1]])
    if outcome.quarantined:
        print()
        table("In quarantine", ("file", "reason"), [(one.file, one.reason) for one in outcome.quarantined])
        hidden = outcome.files_quarantined - len(outcome.quarantined)
        if hidden > 0:
            say(f"... and {hidden:,} more, each with a note in the folder `quarantine` of the outputs.")


class Lines:
    """Plain lines, so many that a log is neither flooded nor silent."""

    def __init__(self) -> None:
        self._part, self._elapsed_s = -1, 0.0

    def show(self, now: Progress) -> None:
        """Say it, when a tenth of the files or a minute has passed since the last line."""
        part = _dealt_with(now) * LINE_PARTS // max(1, now.files_total)
        if part > self._part or now.elapsed_s - self._elapsed_s >= LINE_EVERY_S:
            self._part, self._elapsed_s = part, now.elapsed_s
            say(sentence(now))


def _facts(now: Progress) -> str:
    """What is known besides the count of files."""
    parts = [f"{span(now.audio_s)} of sound"]
    if now.speed is not None:
        parts.append(f"{now.speed:.1f} times as fast as it plays")
    if now.files_skipped:
        parts.append(f"{now.files_skipped} finished before")
    if now.files_quarantined:
        parts.append(f"{now.files_quarantined} in quarantine")
    if now.eta_s is not None and _dealt_with(now) < now.files_total:
        parts.append(f"about {span(now.eta_s)} left")
    return ", ".join(parts)


def _dealt_with(now: Progress) -> int:
    return now.files_done + now.files_skipped + now.files_quarantined
