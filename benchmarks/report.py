"""Tables as aligned Markdown: the same text on the terminal and on the page."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

HEAD = """# Benchmarks

Written by `make bench` (`python -m benchmarks`); do not edit. Each section names the machine, the day and n.

CPU figures are user + system time of **all** processes of the cluster (`/proc/PID/stat`), divided by the answers: the
replica, HAProxy and whatever else Ray runs, idle work included. The load generator is not counted, but it shares the
cores. A cell shows the median of the rounds and, in parentheses, the lowest and highest. Ours and the baseline run in
turn, round by round.
"""
START, END = "<!-- begin {} -->", "<!-- end {} -->"


@dataclass(frozen=True, slots=True)
class Table:
    """One table of the page. `about` says what was compared with what; `notes` follow it, one bullet each."""

    title: str
    about: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = field(default=())


def markdown(table: Table) -> str:
    """The table with its heading, columns padded so that it also reads as plain text."""
    lines = [table.columns, *table.rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(table.columns))]
    drawn = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
             for line in lines]  # fmt: skip
    drawn.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    notes = [f"- {note}" for note in table.notes]
    blocks = [f"### {table.title}", table.about, "\n".join(drawn), "\n".join(notes)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def section(heading: str, circumstances: str, tables: Sequence[Table]) -> str:
    """What one file of this folder measured."""
    return f"## {heading}\n\n{circumstances}\n\n" + "\n".join(markdown(table) for table in tables)


def write(page: Path, sections: dict[str, str], order: Sequence[str]) -> None:
    """Put the sections on the page; those of other names stay as they were measured."""
    kept = read(page.read_text()) if page.exists() else {}
    found = {**kept, **sections}
    names = [name for name in order if name in found]
    bodies = [f"{START.format(name)}\n{found[name].strip()}\n{END.format(name)}\n" for name in names]
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("\n".join([HEAD, *bodies]))


def read(text: str) -> dict[str, str]:
    """The sections of a page, by name."""
    pattern = re.compile(r"<!-- begin (\w+) -->\n(.*?)\n<!-- end \1 -->", re.DOTALL)
    return dict(pattern.findall(text))
