"""How `up` is shown: a line a step that lives in a terminal, and plain lines of what happened elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

from becoming_one.cli.terminal import say

if TYPE_CHECKING:
    from rich.table import Table

    from cluster.laptop.up import Step

LINE_EVERY_S = 10.0  # how often a step that goes on says so in a log
MARKS = {"running": "...", "done": "ok", "failed": "failed"}


@contextmanager
def shown() -> Iterator[Callable[["Step"], None]]:
    """Show steps on stderr while the block runs; the function given takes each, from any thread, one at a time."""
    if not sys.stderr.isatty():
        yield Lines().show
        return
    from rich.console import Console  # noqa: PLC0415  # 0.15 s, in a terminal only
    from rich.live import Live  # noqa: PLC0415

    steps = _Drawing()
    with Live(console=Console(stderr=True), get_renderable=steps.drawn, refresh_per_second=8):
        yield steps.keep


def line(step: "Step") -> str:
    """A step as one plain line."""
    return ": ".join(part for part in (step.name, _how(step)) if part) + f" ({step.elapsed_s:.1f} s)"


class Lines:
    """Plain lines: each beginning, each end, and now and then how a long step goes on."""

    def __init__(self) -> None:
        self._said_s: dict[str, float] = {}

    def show(self, step: "Step") -> None:
        """Say the step, unless it was said within the last LINE_EVERY_S seconds of it."""
        last_s = self._said_s.get(step.name)
        if step.state != "running" or last_s is None or step.elapsed_s - last_s >= LINE_EVERY_S:
            self._said_s[step.name] = step.elapsed_s
            say(line(step))


def _how(step: "Step") -> str:
    detail = step.detail or MARKS[step.state]
    if step.state == "failed":
        detail = f"{MARKS['failed']} {step.detail}".strip()
    if step.state == "running" and step.total_bytes:
        detail += f", {step.done_bytes / 1e6:,.0f} of {step.total_bytes / 1e6:,.0f} MB"
    return detail


class _Drawing:
    """The latest word of each step, and the table they make."""

    def __init__(self) -> None:
        from rich.spinner import Spinner  # noqa: PLC0415  # rich is loaded by now

        self._latest: dict[str, tuple[Step, float]] = {}
        self._spinner = Spinner("dots")

    def keep(self, step: "Step") -> None:
        self._latest[step.name] = step, monotonic()

    def drawn(self) -> "Table":
        from rich.table import Table  # noqa: PLC0415  # rich is loaded by now
        from rich.text import Text  # noqa: PLC0415

        table = Table.grid(padding=(0, 2))
        for step, told_s in [*self._latest.values()]:  # a copy: steps come from other threads
            running = step.state == "running"
            elapsed_s = step.elapsed_s + (monotonic() - told_s if running else 0.0)
            mark = self._spinner if running else Text(MARKS[step.state])
            table.add_row(mark, Text(step.name), Text(_how(step)), Text(f"{elapsed_s:.1f} s", justify="right"))
        return table
