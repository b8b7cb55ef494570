"""The `becoming-one` command. Gathers the groups; errors become one sentence on stderr and an exit code.

Exit codes: 0 done · 1 failed · 2 the command line or the request is wrong · 3 a job left files in quarantine ·
130 interrupted · 141 the reader of the output went away (as for any program in a pipe).

Heavy rooms (ray, numpy, rich, httpx) load inside the commands that need them, so that help is there at once.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from becoming_one import settings
from becoming_one.cli import ask, jobs, keys, laptop
from becoming_one.cli.command import Command, Group, help_alone
from becoming_one.cli.terminal import say
from becoming_one.errors import ClientError, RequestRefused, Unauthenticated
from models.errors import CallerError, ClusterError

FAILED, WRONG_USE, INTERRUPTED, NO_READER = 1, 2, 130, 141

app = typer.Typer(
    cls=Group,
    invoke_without_command=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)


@dataclass
class Session:
    """What the options before the command say."""

    debug: bool


def main() -> None:
    """What the installed command calls."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line; the exit code."""
    session = Session(settings.debug_wanted())
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without the character shows `?` instead of failing
    try:
        code = app(list(arguments), prog_name="becoming-one", standalone_mode=False, obj=session)
        sys.stdout.flush()
    except BrokenPipeError:
        code = NO_READER
    except KeyboardInterrupt:
        code = INTERRUPTED
    except SystemExit as leaving:  # typer's own way out of a broken pipe, and of shell completion
        code = NO_READER if isinstance(leaving.__context__, BrokenPipeError) else leaving.code
    except Exception as error:  # noqa: BLE001  # this is where every error becomes an answer
        if session.debug:
            import traceback  # noqa: PLC0415  # 0.02 s

            traceback.print_exc()
        sentence, code = explain(error)
        say(f"becoming-one: {sentence}")
    if code == NO_READER:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that Python's last flush is quiet too
    return code if isinstance(code, int) else 0


def explain(error: Exception) -> tuple[str, int]:
    """An error -> what to tell, and the exit code."""
    match error:
        case typer.Abort():
            return "Stopped; nothing was changed.", FAILED
        case typer.TyperException():
            return _usage(error), WRONG_USE
        case RequestRefused() | CallerError() if not isinstance(error, Unauthenticated):
            return str(error), WRONG_USE
        case ClientError() | ClusterError():
            return _with_request_id(error), FAILED
        case OSError(filename=str(name)):
            return f"{name}: {error.strerror}.", FAILED
        case _:
            reason = f"{type(error).__name__}: {error}".strip().splitlines()[0]
            return f"This is a fault in becoming-one itself: {reason} (`becoming-one --debug ...` shows where)", FAILED


def _usage(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "becoming-one"
    message = error.format_message().replace("Value error, ", "").removeprefix("Invalid value: ").strip().rstrip(".")
    return f"{message[:1].upper()}{message[1:]}. `{command} --help` shows how."


def _with_request_id(error: ClientError | ClusterError) -> str:
    request_id = getattr(error, "request_id", None)
    return f"{error} (request {request_id})" if request_id else str(error)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415  # 0.05 s

        try:
            print(f"becoming-one {version('becoming-one')}")
        except PackageNotFoundError:  # an image runs the rooms from the source tree
            print("becoming-one, from its source tree")
        raise typer.Exit


@app.callback()
def becoming_one(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show the stack trace of an error.")] = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """The AI of Becoming One, on this machine or on a cluster.

    First steps:
      becoming-one up                               start everything here; prints the URL and a key
      becoming-one ask "What is the fourth way?"    a real answer from a real model
      becoming-one jobs submit transcribe recordings/ --output out/
      becoming-one down                             stop it; the data stays

    `ask`, `embed` and `models` talk to the cluster of `up`, or to BECOMING_ONE_URL with BECOMING_ONE_API_KEY.
    BECOMING_ONE_DEBUG=1 does what --debug does.
    """
    if debug:
        context.obj.debug = True
    help_alone(context)


for command in (laptop.up, laptop.down, laptop.status, laptop.logs, ask.ask, ask.embed, ask.models):
    app.command(cls=Command)(command)
app.add_typer(jobs.app, name="jobs")
app.add_typer(keys.app, name="keys")
