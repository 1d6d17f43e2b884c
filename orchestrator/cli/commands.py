"""The command line. Heavy things are imported by the command that needs them, never by ``--help``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.cli.answers import JsonFlag, answer, refuse, say, say_error
from orchestrator.cli.daemon import DEFAULT_FILE, DaemonFile, NameOption, add_to, daemon_status
from orchestrator.cli.safety import add_to as add_safety_to
from orchestrator.cli.usage import Commands
from orchestrator.errors import (
    EXIT_FAULT,
    EXIT_INTERRUPTED,
    EXIT_REFUSED,
    EXIT_TARGET_REACHED,
    EXIT_WITHOUT_TARGET,
    LumiflowError,
    UsageRefused,
    in_words,
)

app = typer.Typer(
    name="lumiflow",
    cls=Commands,
    help="Closed-loop flow chemistry: the reactor finds its own recipe. On twins, unless told to drive hardware.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

twin = typer.Typer(no_args_is_help=True, help="Digital twins of a rig's devices.")
app.add_typer(twin, name="twin")

CampaignFile = Annotated[Path, typer.Argument(help="A campaign file (YAML).", show_default=False)]
JournalFile = Annotated[Path, typer.Argument(help="A run's journal (.sqlite).", show_default=False)]


@app.command()
def run(
    campaign: CampaignFile,
    hardware: Annotated[bool, typer.Option("--hardware", help="Drive the real devices of the rig file.")] = False,
    rig: Annotated[Path | None, typer.Option(help="Use this rig file instead of the campaign's.")] = None,
    seed: Annotated[int | None, typer.Option(help="Use this seed instead of the file's.", min=0)] = None,
    target: Annotated[str | None, typer.Option(help='Aim at this peak instead, e.g. "2.40 eV" or "517 nm".')] = None,
    strategy: Annotated[str | None, typer.Option(help="Use this planner instead of the file's.")] = None,
    journal: Annotated[Path | None, typer.Option(help="Where to keep the journal.")] = None,
    runs: Annotated[Path, typer.Option(help="Folder of journals and reports.")] = Path("runs"),
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with a run that was interrupted, or ended by its operator or a fault."),
    ] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew beside an interrupted run.")] = False,
    speed: Annotated[
        float | None,
        typer.Option(help="Pace twins: 1 is real time, 60 a minute a second. As fast as possible if not given."),
    ] = None,
    report: Annotated[bool, typer.Option("--report/--no-report", help="Write the HTML report at the end.")] = True,
    as_json: JsonFlag = False,
) -> None:
    """Run a campaign until its target is reached and reproduced, or a stop rule holds."""
    from orchestrator.campaign.header import Overrides
    from orchestrator.sittings.runner import RunOptions, run_campaign
    from orchestrator.sittings.show import Show

    if resume and fresh:
        refuse(UsageRefused("--resume and --fresh contradict each other: give one"), as_json)
    options = RunOptions(
        campaign=campaign,
        hardware=hardware,
        rig=rig,
        overrides=Overrides(seed, target, strategy),
        journal=journal,
        runs=runs,
        resume=True if resume else False if fresh else None,
        speed=speed,
        report=report,
    )
    show = Show(as_json=as_json)
    try:
        result = run_campaign(options, show, ask=None if as_json or not sys.stdin.isatty() else typer.confirm)
    except LumiflowError as error:
        refuse(error, as_json)
    show.finished(result)
    raise typer.Exit(result.exit_code)


@app.command()
def validate(
    path: Annotated[Path, typer.Argument(help="A campaign, rig or pool file.")], as_json: JsonFlag = False
) -> None:
    """Check a file against its rig: units, ranges, reachable flows, pressure, syringes, budget."""
    from orchestrator.preflight.checking import validate_file

    try:
        outcome = validate_file(path)
    except LumiflowError as error:
        refuse(error, as_json)
    answer(outcome, as_json)
    raise typer.Exit(EXIT_TARGET_REACHED if outcome.ok else EXIT_REFUSED)


@app.command()
def explain(
    what: Annotated[Path, typer.Argument(help="A campaign file, or a run's journal (.sqlite).", show_default=False)],
    as_json: JsonFlag = False,
) -> None:
    """Say what a campaign would do: reagents, hours, limits; or of a run, what its data show of each input."""
    from orchestrator.journal.store import is_journal
    from orchestrator.report.explaining import explain_journal

    try:
        if is_journal(what):
            learnt = explain_journal(what)
            answer(learnt, as_json)
            return
        from orchestrator.preflight.checking import explain_file

        outcome = explain_file(what)
    except LumiflowError as error:
        refuse(error, as_json)
    answer(outcome, as_json)


@app.command()
def schema(
    kind: Annotated[str, typer.Argument(help="campaign, rig or pool")] = "campaign", as_json: JsonFlag = False
) -> None:
    """Print the JSON Schema of a file kind, for editors."""
    from orchestrator.config import json_schema, schema_text
    from orchestrator.config.schema import MODELS

    known = next((each for each in MODELS if each == kind), None)
    if known is None:
        refuse(UsageRefused(f'there is no schema of "{kind}": campaign, rig or pool'), as_json)
    if as_json:
        say(json_schema(known))
    else:  # as bytes: the file it is meant for is UTF-8 whatever the terminal is
        typer.echo(schema_text(known).encode(), nl=False)


@app.command()
def status(
    journal: Annotated[
        Path | None, typer.Argument(help="A run's journal (.sqlite); the daemon if not given.", show_default=False)
    ] = None,
    daemon: DaemonFile = DEFAULT_FILE,
    name: NameOption = "operator",
    as_json: JsonFlag = False,
) -> None:
    """Say how far a run has come, from its journal alone; or how the daemon and its rigs stand."""
    from orchestrator.cli.inspecting import journal_status

    if journal is None:
        daemon_status(daemon, name, as_json)
        return

    try:
        outcome = journal_status(journal)
    except LumiflowError as error:
        refuse(error, as_json)
    answer(outcome, as_json)


@app.command()
def replay(
    journal: JournalFile,
    speed: Annotated[float | None, typer.Option(help="Pace: 1 is real time. As fast as possible if not given.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Run a finished campaign again, its devices answering from the record, and compare every decision."""
    from orchestrator.sittings.replay import replay_run
    from orchestrator.sittings.show import Show

    show = Show(as_json=as_json)
    try:
        result = replay_run(journal, show, speed=speed)
    except LumiflowError as error:
        refuse(error, as_json)
    show.replayed(result)
    raise typer.Exit(EXIT_TARGET_REACHED if result.same else EXIT_WITHOUT_TARGET)


@app.command()
def report(
    journal: JournalFile,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where to write it; beside the journal if not given.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Write a run's self-contained HTML report."""
    from orchestrator.report import write_report

    target = out or journal.with_suffix(".html")
    try:
        write_report(journal, target)
    except LumiflowError as error:
        refuse(error, as_json)
    except OSError as error:
        refuse(UsageRefused(f"{target}: the report cannot be written there: {error.strerror or error}"), as_json)
    say({"report": str(target)} if as_json else str(target))


@app.command()
def devices(
    what: Annotated[
        str | None, typer.Argument(metavar="[RIG|identify]", help="A rig file, or the word identify.")
    ] = None,
    port: Annotated[str | None, typer.Argument(help="What identify is to look at: /dev/ttyUSB0, host:port.")] = None,
    hardware: Annotated[bool, typer.Option("--hardware", help="Look at the real devices, not at twins.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Say what is connected: firmware, state, last reading. Only looks. identify PORT finds what hangs on a port."""
    from orchestrator.rig.looking import identify_port, look_around, look_at

    if port is not None and what != "identify":
        refuse(UsageRefused(f"what is {port}? write: lumiflow devices identify {port}"), as_json)
    try:
        if what is None:
            around = look_around()
            answer(around, as_json)
            return
        if what == "identify":
            if port is None:
                refuse(UsageRefused("identify what? name a port: lumiflow devices identify /dev/ttyUSB0"), as_json)
            outcome = identify_port(port)
            answer(outcome, as_json)
            raise typer.Exit(outcome.exit_code)
        seen = look_at(Path(what), hardware=hardware)
    except LumiflowError as error:
        refuse(error, as_json)
    answer(seen, as_json)
    raise typer.Exit(seen.exit_code)


@twin.command("serve")
def twin_serve(
    rig: Annotated[Path, typer.Argument(help="A rig file (YAML).", show_default=False)],
    campaign: Annotated[
        Path | None, typer.Option(help="Its chemistry and syringes; without one the default chemistry is used.")
    ] = None,
    speed: Annotated[float, typer.Option(help="Pace: 1 is real time.")] = 1.0,
    write_rig: Annotated[
        Path | None, typer.Option("--write-rig", help="Write the rig file with its ports at the served addresses.")
    ] = None,
    state: Annotated[
        Path | None, typer.Option(help="Append the world's true state to this file, a line of JSON a second.")
    ] = None,
    pty: Annotated[bool, typer.Option("--pty/--no-pty", help="Serve serial lines on ptys too.")] = True,
    as_json: JsonFlag = False,
) -> None:
    """Serve every device of a rig on TCP ports and ptys of this computer, until interrupted."""
    from orchestrator.cli.twin_command import ServeOptions, serve_twins, table

    def announce(served: dict[str, Any]) -> None:
        say(served if as_json else table(served))

    options = ServeOptions(rig, campaign, speed, write_rig, state, pty)
    try:
        serve_twins(options, announce)
    except LumiflowError as error:
        refuse(error, as_json)


add_to(app)
add_safety_to(app)


@app.command()
def recover(journal: JournalFile, as_json: JsonFlag = False) -> None:
    """Keep what precedes the damage of a journal; the damaged file stays beside it."""
    from orchestrator.journal.journal import recover as rescue

    try:
        saved = rescue(journal)
    except LumiflowError as error:
        refuse(error, as_json)
    copy = None if saved.damaged_copy is None else str(saved.damaged_copy)
    damage = None if saved.damage is None else saved.damage.found
    words = f"{journal}: sound, {saved.kept} records" if damage is None else f"{damage}\nkept {saved.kept}; see {copy}"
    say({"kept": saved.kept, "damage": damage, "damaged_copy": copy} if as_json else words)


@app.command()
def doctor(
    file: Annotated[
        Path | None, typer.Argument(help="A daemon's or a rig's file; the machine alone if not given.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Look at ports, permissions, disk, clock, versions, secrets and the safe sequence; nothing is sent to a device."""
    from orchestrator.doctor import examine

    try:
        found = examine(file)
    except LumiflowError as error:
        refuse(error, as_json)
    answer(found, as_json)
    raise typer.Exit(EXIT_TARGET_REACHED if found.ok else EXIT_REFUSED)


@app.command()
def pool(
    data: Annotated[Path, typer.Argument(help="A table of past experiments (CSV).", show_default=False)],
    spec: Annotated[Path, typer.Option(help="What the table means (YAML).", show_default=False)],
    arms: Annotated[str | None, typer.Option(help="Planners, with commas between; the file's if not given.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Replays of each; the file's if not given.", min=1)] = None,
    jobs: Annotated[int, typer.Option(help="Processes.", min=1)] = 1,
    results: Annotated[Path | None, typer.Option(help="Where to keep what was replayed, to go on from.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget what the results file holds.")] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Draw a figure here (.html or .svg).")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Replay planners on a table of past experiments: how many would each have needed?"""
    from orchestrator.pool import Outcome, replay_pool

    def heard(count: int, of: int, outcome: Outcome) -> None:
        reached = ", ".join("-" if each is None else str(each) for each in outcome.reached)
        typer.echo(f"{count}/{of} {outcome.arm}, {outcome.goal}, seed {outcome.seed}: {reached}", err=True)

    named = None if arms is None else [arm.strip() for arm in arms.split(",")]
    try:
        outcome = replay_pool(
            data, spec, arms=named, seeds=seeds, jobs=jobs, results=results, fresh=fresh, out=out, heard=heard
        )
    except LumiflowError as error:
        refuse(error, as_json)
    except KeyboardInterrupt:
        typer.echo("interrupted: the same command goes on from the replays that were finished", err=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    answer(outcome, as_json)


def main() -> None:
    """Entry point of the ``lumiflow`` command."""
    from orchestrator.console.signs import write_what_can_be_read
    from orchestrator.origin import check_one_origin

    write_what_can_be_read()
    check_one_origin()
    try:
        app()
    except OSError as error:  # a file, a port or the network failed where no command has words of its own for it
        say_error(LumiflowError(in_words(error)), "--json" in sys.argv)
        sys.exit(EXIT_FAULT)
    except KeyboardInterrupt:  # before a command has begun
        sys.exit(EXIT_INTERRUPTED)
