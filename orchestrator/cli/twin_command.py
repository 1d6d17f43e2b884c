"""``lumiflow twin serve``: what it serves, what it prints, and how long."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.clock.virtual_time import blocking_clock, run_virtual
from orchestrator.config import load_campaign, load_rig
from orchestrator.console.interrupts import interrupted_by
from orchestrator.console.outlet import tell
from orchestrator.errors import UsageRefused, in_words
from orchestrator.journal.store import is_journal
from orchestrator.yaml_source import MAX_BYTES

if TYPE_CHECKING:
    from orchestrator.twins.serving import ServedRig

_TICK_S = 0.1
"""Wall seconds between two looks at the world, whether anybody talks to it or not."""
_STATE_S = 1.0


@dataclass(frozen=True)
class ServeOptions:
    """What the command line asked for. ``state``: a file for one line of JSON a wall second."""

    rig: Path
    campaign: Path | None = None
    speed: float = 1.0
    write_rig: Path | None = None
    state: Path | None = None
    ptys: bool = True


def serve_twins(options: ServeOptions, announce: Callable[[dict[str, Any]], None]) -> None:
    """Serve until a signal asks for an end. ``announce`` is given what is served, once all ports are open.

    Raises LumiflowError for files that cannot be used.
    """
    if not 0.0 < options.speed <= 1000.0:
        raise UsageRefused(f"--speed {options.speed:g}: from above 0 to 1000 (1 is real time)")
    _refuse_taken(options)
    run_virtual(_serve(options, announce), speed=options.speed)


def _refuse_taken(options: ServeOptions) -> None:
    """What is written takes the place of nothing that was read, of no journal, and not of each other."""
    taken = {"the rig file that is served": options.rig, "the campaign file": options.campaign}
    for option, path in (("--write-rig", options.write_rig), ("--state", options.state)):
        if path is None:
            continue
        whose = next((what for what, other in taken.items() if other is not None and _same(path, other)), "")
        whose = "a journal" if not whose and is_journal(path) else whose
        whose = whose or _other_than_ours(path, rig=option == "--write-rig")
        if whose:
            raise UsageRefused(f"{option} {path}: this is {whose}; name another file")
        taken[f"the file of {option}"] = path


def _other_than_ours(path: Path, *, rig: bool) -> str:
    """What a file is that was written neither as a served rig's (for ``rig``) nor as its states; "" for any other."""
    from orchestrator.twins.serving import SERVED_MARK

    if not path.is_file():
        return ""
    with path.open("rb") as file:
        first = file.readline(MAX_BYTES)
        blank = not (first + file.read(MAX_BYTES)).strip() and not file.read(1)
    if blank:
        return ""
    if rig:
        return "" if first.startswith(SERVED_MARK.encode()) else "there already, and was not written by twin serve"
    return "" if first.startswith(b'{"t_s"') else "there already, and holds no states of a rig"


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:  # one of them is not there yet
        return one.resolve() == other.resolve()


async def _serve(options: ServeOptions, announce: Callable[[dict[str, Any]], None]) -> None:
    from orchestrator.twins.serving import rewritten_rig, serve_rig
    from orchestrator.twins.stage import Setting

    loop = asyncio.get_running_loop()
    if options.campaign is None:
        rig, setting = load_rig(options.rig), Setting()
    else:
        loaded = load_campaign(options.campaign, options.rig)
        rig, setting = loaded.rig, Setting.of(loaded)
    over = asyncio.Event()
    with interrupted_by(loop, over.set):
        served = await serve_rig(rig, setting, blocking_clock(loop), ptys=options.ptys)
        try:
            if options.write_rig is not None:
                text = rewritten_rig(options.rig.read_text("utf-8"), served, options.speed)
                with _writing("--write-rig"):
                    options.write_rig.write_text(text, "utf-8")
            if options.state is not None:
                with _writing("--state"):
                    options.state.open("a").close()
            announce(
                {
                    "rig": rig.name,
                    "speed": options.speed,
                    "devices": served.devices(),
                    "written_rig": None if options.write_rig is None else str(options.write_rig),
                    "state": None if options.state is None else str(options.state),
                }
            )
            await _until(over, served, options)
        finally:
            served.close()


@contextmanager
def _writing(option: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageRefused(f"{option} cannot be written: {in_words(error)}") from error


async def _until(over: asyncio.Event, served: ServedRig, options: ServeOptions) -> None:
    """Keep the world going, and write down how it is, until it is over."""
    loop = asyncio.get_running_loop()
    log = None if options.state is None else StateLog(options.state)
    written_s = -1.0e9
    while not over.is_set():
        now_s = loop.time()
        state = served.stage.state(now_s)
        if log is not None and now_s - written_s >= _STATE_S * options.speed - 1e-9:
            written_s = now_s
            log.add(state)
        with suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), _TICK_S * options.speed)


class StateLog:
    """A file with one line of JSON for each state. Twins go on without it while it cannot be written: told once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._failing = False

    def add(self, state: Mapping[str, Any]) -> None:
        """Append a state, on a line of its own whatever a failed one has left."""
        text = json.dumps(_finite(state)) + "\n"
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write("\n" + text if self._failing else text)
        except OSError as error:
            if not self._failing:
                tell(f"lumiflow: --state {self._path} is not written for now; the twins go on: {in_words(error)}")
            self._failing = True
        else:
            self._failing = False


def _finite(value: Any) -> Any:
    """The same with null for numbers that JSON cannot say: a broken thermocouple reads as none."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    return None if isinstance(value, float) and value != value else value  # noqa: PLR0124 - nan


def table(served: dict[str, Any]) -> str:
    """What is served, for people: each device with its addresses as a rig file or a client would write them."""
    width = max(len(device["name"]) for device in served["devices"])
    kinds = max(len(device["kind"]) for device in served["devices"])
    lines = [f"{served['rig']}: twins of {len(served['devices'])} devices, {served['speed']:g} x real time"]
    for device in served["devices"]:
        how = "   ".join(f"{kind} {address}" for kind, address in device["addresses"].items())
        lines.append(f"  {device['name']:<{width}}  {device['kind']:<{kinds}}  {how}")
    if served["written_rig"]:
        lines.append(f"rig file with these addresses: {served['written_rig']}")
    return "\n".join([*lines, "Ctrl-C ends it."])
