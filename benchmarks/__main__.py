"""Runs tables, prints them as they are ready, and writes them to a page."""

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from benchmarks.effort import Effort

TABLES = ("cached_chat", "uncached_chat", "streaming", "embeddings", "local_llm", "startup")
"""A module each, with `run(grounds, effort) -> tables`. In this order, so that each ground is made once."""
SECONDS, ROUNDS = (2, 1), (3, 1)  # full and quick

ABOUT = "Measure this cluster beside a baseline and write the tables to a page."
MORE = """tables, in the order they run:
  cached_chat    a cached answer, LRU and Redis, 1/16/64 connections   | a bare uvicorn doing the same work
  uncached_chat  what we add to an upstream that answers at once       | the upstream alone
  streaming      what we add to each streamed chunk                    | the upstream alone
  embeddings     texts per second through /v1/embeddings               | the engine alone, in-process
  local_llm      tokens per second on the local model, 1 and 8 clients | xllamacpp's own HTTP server
  startup        `make up` from nothing and again; idle memory

It starts clusters of its own in temporary homes and takes them down, also on Ctrl-C. Close other programs first:
figures are CPU time, but caches and clock rates are shared. Tables that were not run stay on the page as they were.
The load comes from `wrk` where it is installed (apt install wrk), else from a slower client that is part of this.

  python -m benchmarks                           all, 3 rounds of 2 s each: 10 minutes
  python -m benchmarks --quick --output -        all, roughly, printed only: 3 minutes; installs nothing anew
  python -m benchmarks cached_chat --rounds 7    one table, with more rounds

exit codes: 0 done, 1 a table failed (its section stays as it was), 2 a wrong command line, 130 interrupted"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; the exit code."""
    wanted = _parser().parse_args(arguments)
    effort = Effort(wanted.seconds or SECONDS[wanted.quick], wanted.rounds or ROUNDS[wanted.quick], wanted.quick)
    chosen = [name for name in TABLES if name in wanted.tables] or list(TABLES)
    signal.signal(signal.SIGTERM, _interrupted)
    try:
        return _run(chosen, effort, None if wanted.output == "-" else Path(wanted.output))
    except KeyboardInterrupt:
        print("interrupted; the page is as it was", file=sys.stderr)
        return 130


def _run(chosen: Sequence[str], effort: Effort, page: Path | None) -> int:
    from benchmarks import hardware, report  # noqa: PLC0415  # with all the house behind them
    from benchmarks.client import TableFailed  # noqa: PLC0415
    from benchmarks.cluster import say  # noqa: PLC0415
    from benchmarks.grounds import Grounds  # noqa: PLC0415
    from models.errors import ClusterError  # noqa: PLC0415

    began, sections, grounds = time.monotonic(), {}, Grounds()
    try:
        for name in chosen:
            circumstances = hardware.circumstances(effort, timed_once=name == "startup")
            try:
                tables = import_module(f"benchmarks.{name}").run(grounds, effort)
            except (TableFailed, ClusterError) as error:
                say(f"{name} FAILED: {error}")
                continue
            sections[name] = report.section(name.replace("_", " ").capitalize(), circumstances, tables)
            print(sections[name], flush=True)
    finally:
        grounds.clear()
    if sections and page is not None:
        report.write(page, sections, TABLES)
        say(f"written to {page}")
    say(f"{len(sections)} of {len(chosen)} tables after {time.monotonic() - began:.0f} s")
    return 0 if len(sections) == len(chosen) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=ABOUT,
        epilog=MORE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("tables", nargs="*", metavar="TABLE", type=_table, help="which ones; all, if none is named")
    parser.add_argument("--quick", action="store_true", help="fewer cases, one round of 1 s; no `up` from nothing")
    parser.add_argument("--seconds", type=_positive, metavar="S", help="seconds of a window (default: 2; quick: 1)")
    parser.add_argument("--rounds", type=_positive, metavar="N", help="rounds of each side (default: 3; quick: 1)")
    parser.add_argument(
        "--output",
        default="docs/benchmarks.md",
        metavar="PAGE",
        help="page to write, - for none (default: %(default)s)",
    )
    return parser


def _table(name: str) -> str:
    if name not in TABLES:
        raise argparse.ArgumentTypeError(f"there is no table {name!r}; there are {', '.join(TABLES)}")
    return name


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
