"""The commands that speak to the daemon, or are it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.answers import JsonFlag, refuse, say
from orchestrator.errors import LumiflowError, UsageRefused

if TYPE_CHECKING:
    from orchestrator.daemon.client import Client
    from orchestrator.daemon.config import LoadedDaemon

DAEMON_VARIABLE = "LUMIFLOW_DAEMON"

DaemonFile = Annotated[
    Path,
    typer.Option("--daemon", "-d", envvar=DAEMON_VARIABLE, help="The daemon's file (YAML).", show_default=True),
]
RigArgument = Annotated[
    str | None, typer.Argument(help="A rig of the daemon; may be left out where it has only one.", show_default=False)
]
NameOption = Annotated[str, typer.Option("--as", help="Whose token of the token file.")]

DEFAULT_FILE = Path("daemon.yaml")
NAME_LETTERS = 120
"""So long may the name of a submitted file be."""


def add_to(app: typer.Typer) -> None:
    """Give the command line these commands."""
    for command in (serve, submit, pause, resume, hold, stop, abort, queue, clear, refill):
        app.command()(command)


def serve(
    file: Annotated[Path, typer.Argument(help="The daemon's file (YAML).")] = DEFAULT_FILE,
    guardian: Annotated[
        bool, typer.Option("--guardian/--no-guardian", help="Have the guardian start and watch the daemon.")
    ] = True,
    paused: Annotated[bool, typer.Option("--paused", help="Begin nothing until a person says so.")] = False,
) -> None:
    """Run the daemon: rigs held open, campaigns from a queue, HTTP for whoever has a token."""
    from orchestrator.daemon.config import load_daemon

    try:
        loaded = load_daemon(file)
    except LumiflowError as error:
        refuse(error)
    _may_be_left_alone(loaded)
    words = [str(loaded.path), *(["--paused"] if paused else [])]
    if guardian and loaded.steel_paths:
        from orchestrator.guardian.__main__ import guardian_words
        from orchestrator.guardian.__main__ import main as guard
        from orchestrator.guardian.pulse import RESTARTS

        timing = loaded.config.guardian
        guarding = guardian_words(
            loaded.guardian_folder,
            loaded.steel_paths,
            [sys.executable, "-m", "orchestrator.daemon", *words],
            silence_s=timing.silence_s,
            stop_within_s=loaded.config.stop_timeout_s,
            restarts=RESTARTS if timing.restart else 0,
        )
        raise typer.Exit(guard(guarding))
    from orchestrator.daemon.__main__ import main as daemon

    raise typer.Exit(daemon(words))


def _may_be_left_alone(loaded: LoadedDaemon) -> None:
    from orchestrator.rig.unattended import unattended_problems

    for name, path in loaded.steel_paths.items():
        problems = unattended_problems(loaded.rigs[name])
        if problems:
            refuse(UsageRefused(f"{path}: {'; '.join(problems)}"))


def submit(
    campaign: Annotated[Path, typer.Argument(help="A campaign file (YAML).", show_default=False)],
    rig: RigArgument = None,
    seed: Annotated[int | None, typer.Option(help="Use this seed instead of the file's.", min=0)] = None,
    target: Annotated[str | None, typer.Option(help='Aim at this peak instead, e.g. "2.40 eV".')] = None,
    strategy: Annotated[str | None, typer.Option(help="Use this planner instead of the file's.")] = None,
    daemon: DaemonFile = DEFAULT_FILE,
    name: NameOption = "operator",
    as_json: JsonFlag = False,
) -> None:
    """Put a campaign into a rig's queue. It runs on the daemon's rig file, whatever rig the campaign file names.

    The target spectrum and the archives that it names go along; the daemon opens no file for it.
    """
    from orchestrator.campaign.archives import gather_for
    from orchestrator.config.target_file import carried

    client, chosen = _reached(rig, daemon, name, as_json)
    try:
        archives = gather_for(campaign, client.loaded.rig_paths[chosen])
        text = carried(campaign)
    except LumiflowError as error:
        refuse(error, as_json)
    overrides = {"seed": seed, "target": target, "strategy": strategy}
    more: dict[str, Any] = {"campaign": text, "file": _file_name(campaign), "overrides": overrides}
    if archives:
        more["archives"] = [{key: archive[key] for key in archive if key != "rows_sha256"} for archive in archives]
    _ask(client, {"verb": "submit", "rig": chosen, **more}, as_json)


def _file_name(campaign: Path) -> str:
    """A file's name as a command may bear it: whatever it is, it is only said again."""
    printable = "".join(letter if letter.isprintable() and letter not in "/\\" else "_" for letter in campaign.name)
    return printable if len(printable) <= NAME_LETTERS else f"{printable[: NAME_LETTERS - 1]}…"


def pause(
    rig: RigArgument = None, daemon: DaemonFile = DEFAULT_FILE, name: NameOption = "operator", as_json: JsonFlag = False
) -> None:
    """Finish the present experiment, then bring the rig to its safe idle and wait."""
    _command("pause", rig, daemon, name, as_json)


def resume(
    rig: RigArgument = None, daemon: DaemonFile = DEFAULT_FILE, name: NameOption = "operator", as_json: JsonFlag = False
) -> None:
    """Go on: from a pause, a hold, or where the daemon's end has interrupted."""
    _command("resume", rig, daemon, name, as_json)


def hold(
    rig: RigArgument = None,
    keep_temperature: Annotated[bool, typer.Option("--keep-temperature", help="Leave the heater as it is.")] = False,
    daemon: DaemonFile = DEFAULT_FILE,
    name: NameOption = "operator",
    as_json: JsonFlag = False,
) -> None:
    """Stop the pumps now; the present experiment runs again after resume."""
    _command("hold", rig, daemon, name, as_json, {"keep_temperature": keep_temperature})


def stop(
    rig: RigArgument = None, daemon: DaemonFile = DEFAULT_FILE, name: NameOption = "operator", as_json: JsonFlag = False
) -> None:
    """Finish the present experiment, then end the campaign with its safe sequence and a recommendation."""
    _command("stop", rig, daemon, name, as_json)


def abort(
    rig: RigArgument = None,
    give_up: Annotated[
        bool, typer.Option("--give-up", help="One whose journal cannot be read: its syringes then count as empty.")
    ] = False,
    daemon: DaemonFile = DEFAULT_FILE,
    name: NameOption = "operator",
    as_json: JsonFlag = False,
) -> None:
    """End the campaign now: the safe sequence without its flushes."""
    _command("abort", rig, daemon, name, as_json, {"give_up": True} if give_up else None)


def clear(
    rig: RigArgument = None, daemon: DaemonFile = DEFAULT_FILE, name: NameOption = "operator", as_json: JsonFlag = False
) -> None:
    """Unlatch a tripped interlock, once you have looked at the rig."""
    _command("clear", rig, daemon, name, as_json)


def queue(
    rig: RigArgument = None,
    cancel: Annotated[str | None, typer.Option(help="Take this campaign out of the queue.")] = None,
    move: Annotated[str | None, typer.Option(help="Put this campaign at the place that --to says.")] = None,
    to: Annotated[int, typer.Option(help="1 is next.", min=1)] = 1,
    daemon: DaemonFile = DEFAULT_FILE,
    name: NameOption = "operator",
    as_json: JsonFlag = False,
) -> None:
    """Show a rig's queue, or change it."""
    if cancel is not None and move is not None:
        refuse(UsageRefused("--cancel and --move are two things: give one"), as_json)
    if cancel is not None:
        _command("cancel", rig, daemon, name, as_json, {"job": cancel})
        return
    if move is not None:
        _command("move", rig, daemon, name, as_json, {"job": move, "place": to})
        return
    try:
        state = _client(daemon, name).state()
        chosen = state["rigs"][_rig_of(list(state["rigs"]), rig)]
    except LumiflowError as error:
        refuse(error, as_json)
    if as_json:
        say({"job": chosen["job"], "queue": chosen["queue"]})
        return
    if chosen["job"] is not None:
        typer.echo(f"{chosen['state']}: {chosen['job']}")
    for job in chosen["queue"]:
        typer.echo(f"{job['place']}. {job['job']}, submitted {job['submitted_utc']} by {job['by']}")
    if chosen["job"] is None and not chosen["queue"]:
        typer.echo("nothing is queued")


def refill(
    pump: Annotated[str, typer.Argument(help="The pump whose syringe was filled.", show_default=False)],
    rig: RigArgument = None,
    volume: Annotated[str | None, typer.Option(help='What it holds now, e.g. "35 ml"; full if not given.')] = None,
    stock: Annotated[str | None, typer.Option(help="Of what, where it holds another stock of the rig now.")] = None,
    daemon: DaemonFile = DEFAULT_FILE,
    name: NameOption = "operator",
    as_json: JsonFlag = False,
) -> None:
    """Say that a syringe has been filled."""
    from orchestrator import units

    more: dict[str, Any] = {"pump": pump, **({} if stock is None else {"stock": stock})}
    if volume is not None:
        try:
            more["volume_ul"] = units.parse_quantity(volume, units.VOLUME)
        except units.QuantityError as error:
            refuse(UsageRefused(f'--volume "{volume}": {error.message} (allowed: {error.allowed})'), as_json)
        if not more["volume_ul"] >= 0.0:
            refuse(UsageRefused(f'--volume "{volume}": a syringe holds 0 ml or more'), as_json)
    _command("refill", rig, daemon, name, as_json, more)


def daemon_status(daemon: Path, name: str, as_json: bool) -> None:
    """Print how the daemon stands."""
    from orchestrator.daemon.client import words_of

    try:
        state = _client(daemon, name).state()
    except LumiflowError as error:
        refuse(error, as_json)
    say(state if as_json else words_of(_staged(state)))


def _staged(state: dict[str, Any]) -> dict[str, Any]:
    """The daemon's state with a word for where each present experiment is.

    The daemon tells the kind of the last event that it has seen of it; after a restart it has seen none yet.
    """
    rigs = {}
    for name, rig in state["rigs"].items():
        present = rig["experiment"]
        broken_off = present is not None and not present["stage"]
        rigs[name] = {**rig, "experiment": {**present, "stage": "interrupted"}} if broken_off else rig
    return {**state, "rigs": rigs}


def _command(
    verb: str, rig: str | None, daemon: Path, name: str, as_json: bool, more: dict[str, Any] | None = None
) -> None:
    client, chosen = _reached(rig, daemon, name, as_json)
    _ask(client, {"verb": verb, "rig": chosen, **(more or {})}, as_json)


def _reached(rig: str | None, daemon: Path, name: str, as_json: bool) -> tuple[Client, str]:
    """The daemon, and its rig that is meant."""
    try:
        client = _client(daemon, name)
        return client, _rig_of(list(client.loaded.rigs), rig)
    except LumiflowError as error:
        refuse(error, as_json)


def _ask(client: Client, command: dict[str, Any], as_json: bool) -> None:
    try:
        outcome = client.command(command)
    except LumiflowError as error:
        refuse(error, as_json)
    say(outcome if as_json else outcome["detail"])


def _client(daemon: Path, name: str) -> Client:
    from orchestrator.daemon.client import client_of

    return client_of(daemon, name)


def _rig_of(rigs: list[str], wanted: str | None) -> str:
    """The rig that is meant. Raises UsageRefused."""
    if wanted is None and len(rigs) == 1:
        return rigs[0]
    if wanted is None or wanted not in rigs:
        words = "which rig?" if wanted is None else f"there is no rig {wanted}:"
        raise UsageRefused(f"{words} the daemon has {', '.join(rigs)}")
    return wanted
