"""What a command writes: results to stdout, everything about them to stderr, tables for eyes and for pipes.

rich loads in the functions that draw: it takes 0.15 s, and an answer needs none of it.
"""

import json
import sys
from collections.abc import Sequence
from typing import Any, TextIO

KEPT_CONTROLS = "\n\t"
CONTROLS = {code: None for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in KEPT_CONTROLS}


def say(sentence: str) -> None:
    """A sentence to the person, on stderr: stdout holds the result alone and can be piped."""
    print(sentence, file=sys.stderr, flush=True)


def printable(text: str, stream: TextIO) -> str:
    """Text of others as it may be written there: a terminal would obey its control characters, a file keeps them."""
    return text.translate(CONTROLS) if stream.isatty() else text


def as_json(value: Any) -> None:
    """One JSON document on stdout."""
    print(json.dumps(value, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A drawn table in a terminal; in a pipe tab-separated lines under their column names."""
    if not sys.stdout.isatty():
        for row in (columns, *rows):
            print("\t".join(cell.replace("\t", " ").replace("\n", " ") for cell in row))
        return
    from rich import box  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    drawn = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for column in columns:
        drawn.add_column(column, overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(cell.translate(CONTROLS)) for cell in row))
    Console().print(drawn)
