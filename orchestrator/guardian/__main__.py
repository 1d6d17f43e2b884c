"""``python -m orchestrator.guardian --folder F --rig NAME=FILE ... -- COMMAND ...``

Guard the daemon that COMMAND starts. It is started again, with ``--paused``, when it died or had to be killed.
With ``--make-safe`` instead of a command: bring to their safe state the rigs that an earlier guardian left unsafe, or
with ``--all`` every rig named, and end. Exit codes are those of the command line.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestrator.clock.virtual_time import run_real
from orchestrator.config import RigConfig, load_rig
from orchestrator.errors import EXIT_FAULT, EXIT_REFUSED, EXIT_TARGET_REACHED, LumiflowError
from orchestrator.guardian.beat import SILENCE_LIMIT_S
from orchestrator.guardian.diary import Diary
from orchestrator.guardian.pulse import RESTARTS, Restarts
from orchestrator.guardian.rescue import Report, Rescued, rescue
from orchestrator.guardian.service import ServiceManager
from orchestrator.guardian.watcher import STOP_WITHIN_S, Guardian, Orders
from orchestrator.rig.build import steel_rig
from orchestrator.rig.tracing import Unrecorded

_log = logging.getLogger("lumiflow.guardian")


def guardian_words(
    folder: Path,
    rigs: Mapping[str, Path],
    command: Sequence[str],
    *,
    silence_s: float = SILENCE_LIMIT_S,
    stop_within_s: float = STOP_WITHIN_S,
    restarts: int = RESTARTS,
) -> list[str]:
    """The arguments of a guardian. ``rigs``: the rig file of every rig that has hardware, by its name.

    ``command``: starts the daemon.
    """
    timing = ["--silence", f"{silence_s:g}", "--stop-within", f"{stop_within_s:g}", "--restarts", str(restarts)]
    return [*_of_rigs(folder, rigs), *timing, "--", *command]


def make_safe_words(folder: Path, rigs: Mapping[str, Path], *, everything: bool = False) -> list[str]:
    """The arguments of a guardian that starts no daemon: what was left unsafe, or ``everything``, is made safe."""
    return [*_of_rigs(folder, rigs), "--make-safe", *(["--all"] if everything else [])]


def guardian_command(words: Sequence[str]) -> list[str]:
    """The command line of a guardian with these arguments."""
    return [sys.executable, "-m", "orchestrator.guardian", *words]


def _of_rigs(folder: Path, rigs: Mapping[str, Path]) -> list[str]:
    return ["--folder", str(folder), *(word for name, path in rigs.items() for word in ("--rig", f"{name}={path}"))]


def main(words: Sequence[str] | None = None) -> int:
    """Parse, load the rig files, guard."""
    options, command = _parsed(list(sys.argv[1:] if words is None else words))
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s guardian %(levelname)s %(message)s")
    try:
        rigs = {name: load_rig(path) for name, path in options.rig}
        return run_real(_guard(options, rigs, command))
    except LumiflowError as error:
        _log.error("%s", error)
        return error.exit_code


async def _guard(options: argparse.Namespace, rigs: Mapping[str, RigConfig], command: Sequence[str]) -> int:
    async def rescuer(name: str, report: Report, hurry: asyncio.Event) -> Rescued:
        return await rescue(steel_rig(rigs[name], Unrecorded()), report, hurry=hurry)

    _load_in_advance()
    restarts = Restarts(options.restarts, options.restarts_within)
    orders = Orders(tuple(rigs), tuple(command), options.silence, options.stop_within, restarts)
    diary = Diary(options.folder)
    guardian = Guardian(orders, rescuer, diary, ServiceManager())
    if not options.make_safe:
        return await guardian.run()
    well = await guardian.make_safe_and_end(everything=options.all)
    return EXIT_FAULT if well is False else EXIT_TARGET_REACHED


def _load_in_advance() -> None:
    """What a rescue needs, while there is time: on a machine in trouble an import may take longer than a fire."""
    import pymodbus.client  # noqa: F401
    import serial  # noqa: F401


def _parsed(words: list[str]) -> tuple[argparse.Namespace, list[str]]:
    own, command = (words[: words.index("--")], words[words.index("--") + 1 :]) if "--" in words else (words, [])
    parser = argparse.ArgumentParser(prog="python -m orchestrator.guardian", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where the guardian keeps its journal")
    parser.add_argument("--rig", action="append", type=_named, required=True, metavar="NAME=FILE")
    parser.add_argument("--silence", type=float, default=SILENCE_LIMIT_S, help="longest silence of a control loop, s")
    parser.add_argument("--stop-within", type=float, default=STOP_WITHIN_S, help="longest polite stop, s")
    parser.add_argument("--restarts", type=int, default=RESTARTS, help="how often the daemon may be started again")
    parser.add_argument("--restarts-within", type=float, default=600.0, help="within so long, s")
    parser.add_argument("--make-safe", action="store_true", help="make safe what was left unsafe, start nothing")
    parser.add_argument("--all", action="store_true", help="with --make-safe: every rig named")
    options = parser.parse_args(own)
    if bool(command) == options.make_safe:
        parser.error("give either a command after --, or --make-safe")
    if options.silence <= 0.0 or options.stop_within <= 0.0:
        parser.exit(EXIT_REFUSED, "--silence and --stop-within must be above 0\n")
    return options, command


def _named(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=FILE")
    return name, Path(path)


if __name__ == "__main__":
    sys.exit(main())
