"""The commands that prove the safety of a rig, and that bring it about."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.answers import JsonFlag, refuse, say
from orchestrator.cli.daemon import DEFAULT_FILE
from orchestrator.console.outlet import standard_output, tell
from orchestrator.errors import LumiflowError, UsageRefused

if TYPE_CHECKING:
    from orchestrator.safety_test import Evidence


def add_to(app: typer.Typer) -> None:
    """Give the command line these commands."""
    app.command("safety-test")(safety_test)
    app.command("make-safe")(make_safe)


def safety_test(
    rig: Annotated[Path, typer.Argument(help="A rig file (YAML).", show_default=False)],
    hardware: Annotated[
        bool, typer.Option("--hardware", help="On the real devices; a person is asked before each drill that heats.")
    ] = False,
    guardian: Annotated[bool, typer.Option("--guardian/--no-guardian", help="The guardian's drills too.")] = True,
    folder: Annotated[Path, typer.Option("--out", help="Folder of the journals of evidence.")] = Path("runs/safety"),
    as_json: JsonFlag = False,
) -> None:
    """Make every interlock and the guardian act, and keep the evidence."""
    from orchestrator.safety_test import as_text, run_safety_test

    def show(evidence: Evidence) -> None:
        if not as_json:
            tell(f"{evidence.drill}: {evidence.outcome}")

    try:
        if hardware and (as_json or not sys.stdin.isatty()):
            raise UsageRefused("--hardware asks a person before it heats: run it at a terminal, without --json")
        test = run_safety_test(rig, folder, show, ask=typer.confirm if hardware else None, guardian=guardian)
    except LumiflowError as error:
        refuse(error, as_json)
    if as_json:
        found = {"passed": test.passed, "journal": str(test.journal), "drills": [asdict(one) for one in test.evidence]}
        say(found)
    else:
        failed = sum(one.outcome == "failed" for one in test.evidence)
        out = standard_output()
        out.write(as_text(test.evidence) + "\n")
        out.write(f"{len(test.evidence)} drills, {failed} failed; the evidence is in {test.journal}\n")
        out.flush()
    raise typer.Exit(test.exit_code)


def make_safe(
    file: Annotated[Path, typer.Argument(help="The daemon's file (YAML).")] = DEFAULT_FILE,
    every: Annotated[bool, typer.Option("--all", help="Every rig on hardware, not only those left unsafe.")] = False,
) -> None:
    """Bring to their safe state the rigs that a daemon and its guardian left unsafe when both were killed.

    For the moment after a crash: it wants the ports for itself, so no daemon may be running.
    """
    from orchestrator.daemon.config import load_daemon
    from orchestrator.guardian.__main__ import main as guard
    from orchestrator.guardian.__main__ import make_safe_words

    try:
        loaded = load_daemon(file)
    except LumiflowError as error:
        refuse(error)
    if not loaded.steel_paths:
        typer.echo(f"{file}: no rig runs on hardware (hardware: true), so none can have been left unsafe")
        raise typer.Exit(0)
    raise typer.Exit(guard(make_safe_words(loaded.guardian_folder, loaded.steel_paths, everything=every)))
