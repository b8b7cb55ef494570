"""Two changes to typer's commands: help stands as it was written, and they start at once.

Typer (0.29) validates each parameter with pydantic, whose import takes 0.3 s CPU, more than all else that `ask` does
before its request leaves (measured 2026-11: 0.74 s with it, 0.40 without). What needs no conversion is passed on here;
numbers, paths and wrong choices still go typer's way. Should typer lose the hook, commands start slower and do the
same; tests/unit/becoming_one/test_start.py would tell.
"""

import inspect
from collections.abc import Iterable
from textwrap import indent
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


class Command(TyperCommand):
    """Give as `cls` to `app.command`. Its docstring is its help: a sentence, then examples, in lines of 80 at most."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _hurried(super().get_params(ctx))

    def format_help_text(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002  # typer's signature
        formatter.write(_as_written(self.help))

    def get_short_help_str(self, limit: int = 0) -> str:  # noqa: ARG002  # a sentence is not cut in a list
        return _first_sentence(self.help)


class Group(TyperGroup):
    """Give as `cls` to `typer.Typer`; the same for what holds commands."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _hurried(super().get_params(ctx))

    def format_help_text(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002  # typer's signature
        formatter.write(_as_written(self.help))

    def get_short_help_str(self, limit: int = 0) -> str:  # noqa: ARG002  # a sentence is not cut in a list
        return _first_sentence(self.help)


def group(text: str) -> typer.Typer:
    """A group of commands under that help. Without a command it is a question, and answers with its help."""
    return typer.Typer(
        cls=Group,
        help=text,
        callback=help_alone,
        invoke_without_command=True,
        rich_markup_mode=None,  # drawn by rich, help takes twice as long, and a pipe gets boxes
    )


def help_alone(context: typer.Context) -> None:
    """Print the help and leave, where no command was named."""
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit


def _as_written(text: str | None) -> str:
    return "\n" + indent(inspect.cleandoc(text or ""), "  ") + "\n"


def _first_sentence(text: str | None) -> str:
    first, stop, _ = inspect.cleandoc(text or "").partition("\n\n")[0].replace("\n", " ").partition(". ")
    return first + stop.strip()


def _hurried(parameters: Iterable[Any]) -> list[Any]:
    hurried = list(parameters)
    for parameter in hurried:
        typers_own = getattr(parameter, "get_runtime_param", None)
        if typers_own is not None and "get_runtime_param" not in vars(parameter):
            parameter.get_runtime_param = _AsGiven(typers_own).itself
    return hurried


class _AsGiven:
    """Typer's coercion of one parameter, looked up only when there is something to coerce."""

    def __init__(self, typers_own: Any) -> None:
        self._typers_own = typers_own

    def itself(self) -> "_AsGiven":
        return self

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        if self._stands(value, param):
            return list(value) if isinstance(value, tuple) else value
        return self._typers_own().coerce(value, param=param, ctx=ctx)

    def _stands(self, value: Any, param: Any) -> bool:
        """Whether the value is already what the command takes."""
        kind = param.type_descriptor
        if value is None:
            return not (param.multiple or param.nargs == -1)
        if kind.choices is not None:
            return value in kind.choices
        if kind.annotation == list[str]:
            return isinstance(value, tuple | list) and all(isinstance(item, str) for item in value)
        return kind.annotation in (str, bool) and isinstance(value, kind.annotation)
