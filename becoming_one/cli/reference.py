"""docs/cli.md, written from the commands themselves: `python -m becoming_one.cli.reference > docs/cli.md`."""

from collections.abc import Iterator
from typing import Any

import typer
from typer.main import get_command

from becoming_one.cli.command import Group
from becoming_one.cli.main import app

WIDTH_CHARACTERS = 100  # of the help, whatever the terminal that writes the page
OPENING = """# The command

Written by `python -m becoming_one.cli.reference` from the commands' own help; change that, not this page.

Results go to stdout, everything about them to stderr. In a pipe tables are tab-separated lines, and progress is plain
lines. Errors are one sentence that says what to do; `becoming-one --debug ...` or `BECOMING_ONE_DEBUG=1` adds the stack
trace.

| exit code | means |
| --- | --- |
| 0 | done |
| 1 | failed |
| 2 | the command line or the request is wrong |
| 3 | a job is done and left files in quarantine |
| 130 | interrupted with Ctrl-C |
| 141 | the reader of the output went away, as for any program in a pipe |
"""


def main() -> None:
    """Print the page."""
    print(page(), end="")


def page() -> str:
    """The whole page, Markdown: each command's help as `--help` shows it."""
    return "\n".join([OPENING, *_sections(get_command(app), "becoming-one", None)])


def _sections(command: Any, name: str, parent: typer.Context | None) -> Iterator[str]:
    context = typer.Context(
        command, info_name=name, parent=parent, terminal_width=WIDTH_CHARACTERS, **command.context_settings
    )
    yield f"## {context.command_path}\n\n```\n{command.get_help(context)}\n```\n"
    for sub in command.list_commands(context) if isinstance(command, Group) else ():
        yield from _sections(command.get_command(context, sub), sub, context)


if __name__ == "__main__":
    main()
