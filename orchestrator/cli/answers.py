"""How every command answers: in words, or as one line of JSON.

Errors and JSON go as far as standard output takes them: a reader that has left changes no exit code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, NoReturn, Protocol

import typer

from orchestrator.console.outlet import print_json, tell
from orchestrator.errors import LumiflowError

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one line of JSON on standard output.")]


class Outcome(Protocol):
    """What came of a command, as both kinds of reader want it."""

    def as_dict(self) -> Mapping[str, Any]: ...
    def text(self) -> str: ...


def answer(outcome: Outcome, as_json: bool) -> None:
    """What came of a command."""
    say(outcome.as_dict() if as_json else outcome.text())


def say(what: Mapping[str, Any] | str) -> None:
    """Words as they are; facts as a line of JSON."""
    if isinstance(what, str):
        typer.echo(what)
    else:
        print_json(what)


def refuse(error: LumiflowError, as_json: bool = False) -> NoReturn:
    """Say what is wrong, and end the command with the error's exit code."""
    say_error(error, as_json)
    raise typer.Exit(error.exit_code)


def say_error(error: LumiflowError, as_json: bool) -> None:
    """In words on standard error, and as JSON on standard output when that was asked for."""
    tell(f"lumiflow: {error}")
    if as_json:
        print_json({"error": error.as_dict()})
