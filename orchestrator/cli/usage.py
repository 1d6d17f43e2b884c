"""Options and arguments that a command does not take, as JSON too where that was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperGroup

from orchestrator.console.outlet import print_json
from orchestrator.errors import UsageRefused

_USAGE_ERROR: Any = typer.BadParameter.__mro__[1]
"""The parser's error of usage, of which a bad parameter is one kind; typer names only that one."""
_ASKED = "orchestrator.cli.usage"


class Commands(TyperGroup):
    """The commands. What the parser refuses is told on standard error as ever, and with ``--json`` as a line of JSON.

    Every command below is parsed while this group is invoked, so nothing is missed and nothing is told twice.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read this group's own options."""
        ctx.meta[_ASKED] = "--json" in args
        with _told(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command that is named."""
        with _told(ctx):
            return super().invoke(ctx)


@contextmanager
def _told(ctx: Any) -> Iterator[None]:
    try:
        yield
    except _USAGE_ERROR as error:
        if ctx.meta[_ASKED]:
            print_json({"error": UsageRefused(error.format_message()).as_dict()})
        raise
