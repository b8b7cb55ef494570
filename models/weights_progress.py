"""How a fetch is shown: a bar with bytes on a terminal, one plain line per file elsewhere, or not at all."""

import sys
import threading
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID


class Progress(Protocol):
    """Is told how a fetch goes on. One object may be told of several models at once, from several threads."""

    def began(self, model: str, total_bytes: int) -> None:
        """`total_bytes` of this model are missing and will be fetched."""
        ...

    def moved(self, model: str, done_bytes: int) -> None:
        """So many of them have come; never less than before, never more than the total."""
        ...

    def stored(self, model: str, path: str, file_bytes: int, source: str) -> None:
        """A file is verified and in its place. `source` is where it came from."""
        ...

    def noted(self, model: str, sentence: str) -> None:
        """Something a person may want to know: a source failed and the next is tried, another process is fetching."""
        ...

    def ended(self, model: str) -> None:
        """The fetch of this model is over, well or not. Called once per `began`."""
        ...


class Silence:
    """Shows nothing."""

    def began(self, model: str, total_bytes: int) -> None: ...
    def moved(self, model: str, done_bytes: int) -> None: ...
    def stored(self, model: str, path: str, file_bytes: int, source: str) -> None: ...
    def noted(self, model: str, sentence: str) -> None: ...
    def ended(self, model: str) -> None: ...


class Lines:
    """One plain line per event, for logs and pipes: nothing blinks, nothing is overwritten."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def began(self, model: str, total_bytes: int) -> None:
        self._say(f"{model}: fetching {total_bytes / 1e6:.1f} MB")

    def moved(self, model: str, done_bytes: int) -> None:
        """Not a line: a log wants what happened, not how fast."""

    def stored(self, model: str, path: str, file_bytes: int, source: str) -> None:
        self._say(f"{model}/{path}: {file_bytes / 1e6:.1f} MB, verified, from {source}")

    def noted(self, model: str, sentence: str) -> None:
        self._say(f"{model}: {sentence}")

    def ended(self, model: str) -> None:
        """The line of the last file said it."""

    def _say(self, line: str) -> None:
        self._out.write(line + "\n")
        self._out.flush()


class Bars:
    """A bar per model, with bytes, speed and time left. Notes stay above the bars."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._display: RichProgress | None = None
        self._tasks: dict[str, TaskID] = {}

    def began(self, model: str, total_bytes: int) -> None:
        with self._lock:
            if self._display is None:
                self._display = _bars(self._out)
                self._display.start()
            self._tasks[model] = self._display.add_task(model, total=total_bytes)

    def moved(self, model: str, done_bytes: int) -> None:
        with self._lock:
            if self._display is not None and model in self._tasks:
                self._display.update(self._tasks[model], completed=done_bytes)

    def stored(self, model: str, path: str, file_bytes: int, source: str) -> None:
        """The bar has moved already."""

    def noted(self, model: str, sentence: str) -> None:
        with self._lock:
            if self._display is not None:
                self._display.console.print(f"{model}: {sentence}", markup=False, highlight=False)
            else:
                self._out.write(f"{model}: {sentence}\n")
                self._out.flush()

    def ended(self, model: str) -> None:
        with self._lock:
            self._tasks.pop(model, None)
            if self._display is not None and not self._tasks:
                self._display.stop()
                self._display = None


def _bars(out: TextIO) -> "RichProgress":
    from rich import progress  # noqa: PLC0415  0.1 s, and only a terminal needs it
    from rich.console import Console  # noqa: PLC0415

    return progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
        console=Console(file=out),
    )


def shown_on(out: TextIO | None = None) -> Progress:
    """Bars where somebody watches, lines where something reads. Standard error by default."""
    out = sys.stderr if out is None else out
    return Bars(out) if out.isatty() else Lines(out)
