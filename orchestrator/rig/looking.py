"""``lumiflow devices``: what is connected and what it says of itself. Only looks; nothing is set, moved or stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from drivers import DriverError, Look, PortError, identify
from orchestrator.clock.paced_time import PacedLoop
from orchestrator.clock.virtual_time import blocking_clock, run_real, run_virtual
from orchestrator.config import RigConfig, load_rig
from orchestrator.errors import EXIT_TARGET_REACHED, EXIT_WITHOUT_TARGET, UsageRefused
from orchestrator.kinds import broken_plugins, device_kinds, kind_of
from orchestrator.rig.assembling import SharedPorts, Steel, Wires

if TYPE_CHECKING:
    from drivers import Identification

LONGEST_LOOK_S = 20.0
"""So long a device may take to say what it is, by the clock of whoever waits: also at a rig that is served faster."""


@runtime_checkable
class _CanLook(Protocol):
    """A driver that can say what is there without changing it."""

    async def look(self) -> Look: ...


@dataclass(frozen=True)
class Seen:
    """One device of a rig: what it answered, or why it did not.

    ``quality`` is "good" for an answer and "bad" without one; ``age_s`` is how old the answer was when all had been
    asked, None without one.
    """

    name: str
    kind: str
    role: str
    port: str
    firmware: str = ""
    state: str = ""
    reading: str = ""
    age_s: float | None = None
    quality: str = "bad"
    error: str = ""


@dataclass(frozen=True)
class Devices:
    """What ``lumiflow devices RIG`` found."""

    rig: str
    mode: str
    seen: tuple[Seen, ...]

    @property
    def exit_code(self) -> int:
        """0 when every device answered, else 1."""
        return EXIT_TARGET_REACHED if all(each.quality == "good" for each in self.seen) else EXIT_WITHOUT_TARGET

    def as_dict(self) -> dict[str, Any]:
        """The list for ``--json``."""
        return {"rig": self.rig, "mode": self.mode, "devices": [asdict(each) for each in self.seen]}

    def text(self) -> str:
        """The list for people."""
        rows = [("device", "kind", "port", "firmware", "state", "last reading")]
        for each in self.seen:
            said = (each.firmware, each.state, f"{each.reading} ({each.age_s:.1f} s ago)") if not each.error else None
            rows.append((each.name, each.kind, each.port, *(said or ("", "NO ANSWER", each.error))))
        widths = [max(len(row[column]) for row in rows) for column in range(5)]
        lines = ["  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[5]]) for row in rows]
        return "\n".join([f"{self.rig}, on {self.mode}", *(line.rstrip() for line in lines)])


def look_at(path: Path, *, hardware: bool) -> Devices:
    """Look at every device of a rig file, on steel or on its twins. Raises LumiflowError for a file that is wrong."""
    rig = load_rig(path)
    if hardware:
        return run_real(_look_at_all(rig, hardware=True), pace=rig.pace)
    return run_virtual(_look_at_all(rig, hardware=False))


async def _look_at_all(rig: RigConfig, *, hardware: bool) -> Devices:
    wires: Wires
    loop = asyncio.get_running_loop()
    if hardware:
        wires = Steel(rig)
    else:
        from orchestrator.twins import MemoryWires, Setting

        wires = MemoryWires(rig, Setting(), blocking_clock(loop), loop.time())
    ports = SharedPorts(rig, wires)
    try:
        answers = await asyncio.gather(*(_look_along(rig, ports, port) for port in rig.ports))
    finally:
        for release in wires.released:
            release()
    found: dict[str, tuple[Look | str, float]] = {}
    for answer in answers:
        found.update(answer)
    now_s = loop.time()
    seen = tuple(_seen(rig, name, *found[name], now_s) for name in rig.devices)
    return Devices(rig.name, "hardware" if hardware else "twins", seen)


async def _look_along(rig: RigConfig, ports: SharedPorts, port: str) -> Mapping[str, tuple[Look | str, float]]:
    """All devices of one port, one after the other."""
    answers: dict[str, tuple[Look | str, float]] = {}
    loop = asyncio.get_running_loop()
    for name, config in rig.on_port(port).items():
        answer: Look | str
        try:
            driver = kind_of(config).driver(ports, name, config)
            async with asyncio.timeout(LONGEST_LOOK_S * (loop.pace if isinstance(loop, PacedLoop) else 1.0)):
                answer = await driver.look() if isinstance(driver, _CanLook) else "its driver cannot only look"
        except TimeoutError:
            answer = f"no answer within {LONGEST_LOOK_S:g} s"
        except DriverError as error:
            answer = str(error)
        answers[name] = (answer, loop.time())
    return answers


def _seen(rig: RigConfig, name: str, answer: Look | str, at_s: float, now_s: float) -> Seen:
    config = rig.devices[name]
    role = config.role
    if isinstance(answer, str):
        return Seen(name, config.driver, role, config.port, error=answer)
    age_s = round(now_s - at_s, 3)
    said = (answer.identity, answer.state, answer.reading)
    return Seen(name, config.driver, role, config.port, *said, age_s=age_s, quality="good")


@dataclass(frozen=True)
class Surroundings:
    """What ``lumiflow devices`` says without a rig: the computer's ports, and the kinds that rig files may name."""

    ports: tuple[tuple[str, str], ...]
    kinds: Mapping[str, str]
    broken: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The same for ``--json``."""
        return {
            "ports": [{"port": port, "description": words} for port, words in self.ports],
            "kinds": [{"kind": kind, "role": role} for kind, role in self.kinds.items()],
            "broken_plugins": list(self.broken),
        }

    def text(self) -> str:
        """The same for people."""
        ports = [f"  {port}  {words}" for port, words in self.ports] or ["  none"]
        kinds = [f"  {kind:<16} {role}" for kind, role in self.kinds.items()]
        lines = ["serial ports of this computer:", *ports, "kinds of device that a rig file may name:", *kinds]
        return "\n".join([*lines, *self.broken])


def look_around() -> Surroundings:
    """The serial ports that the system lists, opened by nobody, and the kinds of device."""
    from serial.tools.list_ports import comports

    ports = tuple(sorted((str(port.device), str(port.description)) for port in comports()))
    kinds = {word: kind.role for word, kind in device_kinds().items()}
    return Surroundings(ports, kinds, tuple(str(plugin) for plugin in broken_plugins().values()))


@dataclass(frozen=True)
class Identified:
    """What ``lumiflow devices identify PORT`` found."""

    outcome: Identification

    @property
    def exit_code(self) -> int:
        """0 when something was found, else 1."""
        return EXIT_TARGET_REACHED if self.outcome.found else EXIT_WITHOUT_TARGET

    def as_dict(self) -> dict[str, Any]:
        """The finding for ``--json``."""
        return asdict(self.outcome)

    def text(self) -> str:
        """The finding for people."""
        found = [
            f"  {each.kind}{' ' + each.address if each.address else ''}  {each.settings}  {each.identity}  "
            f"{each.state}  {each.reading}"
            for each in self.outcome.found
        ]
        return "\n".join([f"{self.outcome.port}: {self.outcome.words}", *found])


def identify_port(port: str) -> Identified:
    """Find out what hangs on a port. Raises UsageRefused for one that cannot be opened."""
    try:
        return Identified(run_real(identify(port)))
    except PortError as error:
        raise UsageRefused(f"{port} cannot be opened: {error}") from error
