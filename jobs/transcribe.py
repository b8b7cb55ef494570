"""Audio files in -> transcripts out, on Ray Data: list -> decode -> hear -> gather -> write.

`python -m jobs.transcribe INPUT... --output OUT` does it, inside `ray job submit` and on its own. Exit code 0: all is
transcribed; 3: so it is but for what stands in OUT/quarantine; 2: the command was wrong and nothing ran; 1: it failed,
and running it again goes on where it stopped. docs/jobs.md describes what is written.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from jobs import files, progress, settings
from jobs.desk import Desk
from jobs.files import Source
from jobs.progress import Outcome, Progress, Update, span
from jobs.rows import HeardRow
from jobs.stages.hear import WhisperLoader
from jobs.stages.write import Write, made_from
from jobs.tally import Tally, outcome
from models import catalog, weights
from models.engines.whisper import check_language, languages
from models.errors import CallerError, ClusterError, UnknownModel

DEFAULT_MODEL = "whisper-base"
PROGRESS_EVERY_S = 1.0
AGAIN = "What is finished stays; run the job again to go on."

Pipeline = Callable[[Mapping[int, Source]], Iterable[HeardRow]]
"""Sources by number -> their pieces, heard, in any order; a file of which one is missing has no outcome."""


@dataclass(frozen=True, slots=True)
class TranscribeArgs:
    """What to transcribe and how. `language` ISO 639-1, None to detect; the last two are `pipeline.Crew`'s."""

    inputs: tuple[Path, ...]
    output: Path
    model: str = DEFAULT_MODEL
    language: str | None = None
    workers: int | None = None
    cpus_per_worker: float = 0.0


def run(
    args: TranscribeArgs,
    prepare: Callable[[], Pipeline],
    report: Callable[[Update], None],
) -> Outcome:
    """Do the job.

    `prepare` is called once, and only when there is something to hear. `report` gets a Progress about once a second,
    from this thread. Raises CallerError where the arguments are wrong; what fails later leaves every finished output as
    it is.
    """
    started_s = time.monotonic()
    with files.held(args.output):
        listing = files.find(args.inputs, args.output, made_from)
        tally = Tally(len(listing.sources), started_s)
        desk = Desk(Write(args.output, args.model, args.language), tally, listing.sources)
        reported_s = started_s
        report(tally.progress(reported_s))
        if desk.waiting:
            for row in prepare()(dict(desk.waiting)):
                now_s = time.monotonic()
                desk.take(row, now_s)
                if now_s - reported_s >= PROGRESS_EVERY_S:
                    report(tally.progress(now_s))
                    reported_s = now_s
            tally.give_up()
        report(tally.progress(time.monotonic()))
    return outcome(tally, listing, args.output, time.monotonic() - started_s)


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command, do it, print how far it is (see jobs/progress.py) and how it ended."""
    here = settings.read()
    args = _parsed(arguments)
    ended = _attempted(args, here)
    if not sys.stdout.isatty():
        _say(progress.to_line(ended))
    else:
        _say("")  # below the line that changed
    stream = sys.stdout if ended.exit_code in (progress.OK, progress.QUARANTINED) else sys.stderr
    _say(ended.message, stream)
    for row in ended.quarantined:
        _say(f"  {row.file}: {row.reason}", stream)
    return ended.exit_code


def _attempted(args: TranscribeArgs, here: settings.JobSettings) -> Outcome:
    """The run, with every error that has a sentence for its reader turned into an outcome."""

    def prepare() -> Pipeline:
        known = {spec.id: spec for spec in catalog.load().specs if spec.engine == "whisper"}
        if args.model not in known:
            raise UnknownModel(args.model, tuple(known))
        weights_row = known[args.model].weights or args.model
        folder = weights.fetch(weights_row, here.models)
        check_language(args.model, languages(folder), args.language)
        from jobs import pipeline  # noqa: PLC0415  Ray: 1.1 s, and it reads settings.read()'s token as it is imported

        pipeline.join(here.ray_address)
        load = WhisperLoader(args.model, weights_row, here.models)
        crew = pipeline.Crew(args.workers, args.cpus_per_worker)
        return lambda sources: pipeline.heard(sources, load, args.language, crew)

    try:
        return run(args, prepare, _show)
    except CallerError as error:
        return Outcome(progress.REFUSED, str(error))
    except KeyboardInterrupt:
        return Outcome(progress.FAILED, f"Stopped. {AGAIN}")
    except (ClusterError, OSError) as error:
        return Outcome(progress.FAILED, f"The job failed: {str(error).rstrip('.')}. {AGAIN}")


def _show(update: Update) -> None:
    """Progress for whoever reads: a program gets lines, a person one line that changes."""
    if not sys.stdout.isatty():
        _say(progress.to_line(update))
    elif isinstance(update, Progress):
        left = f", about {span(update.eta_s)} left" if update.eta_s else ""
        ended = update.files_done + update.files_skipped + update.files_quarantined
        sys.stdout.write(f"\r{ended} of {update.files_total} files, {span(update.audio_s)} heard{left}\x1b[K")
        sys.stdout.flush()


def _say(line: str, stream: TextIO | None = None) -> None:
    stream = stream or sys.stdout
    stream.write(f"{line}\n")
    stream.flush()


def _parsed(arguments: Sequence[str] | None) -> TranscribeArgs:
    parser = argparse.ArgumentParser(
        prog="python -m jobs.transcribe",
        description="Transcribe audio files and folders of them into JSON, SRT, VTT and TXT.",
    )
    parser.add_argument("inputs", nargs="+", type=Path, metavar="INPUT", help="a file, or a folder that is walked")
    parser.add_argument("--output", required=True, type=Path, help="the folder for the transcripts; made if missing")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="a Whisper model of the catalog (%(default)s)")
    parser.add_argument("--language", type=str.lower, help="of the speech, as in `en`; without it the model detects it")
    parser.add_argument("--workers", type=_at_least_one, help="models at work at once; without it one a CPU")
    parser.add_argument("--cpus-per-worker", type=float, default=0.0, help="CPUs that Ray sets aside for each (0)")
    found = parser.parse_args(arguments)
    return TranscribeArgs(
        inputs=tuple(found.inputs),
        output=found.output,
        model=found.model,
        language=found.language,
        workers=found.workers,
        cpus_per_worker=found.cpus_per_worker,
    )


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
