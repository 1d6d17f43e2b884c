"""The safe sequence on real ports that somebody else has just let go of: heaters first, everything tried, and again.

A port may be busy for a moment after its owner's death, and a device may be in the middle of a command that was never
finished. So every device is tried again and again with growing waits, while those that answered are already safe.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from orchestrator.rig.devices import RigHeater
from orchestrator.rig.rig import Rig, make_safe
from orchestrator.safety.interlocks import Interlocks
from orchestrator.safety.trips import Trip

Report = Callable[[str, bool, str], None]


@dataclass(frozen=True)
class Persistence:
    """How a rescue keeps trying, in s.

    ``headstart_s``: so long the heaters are alone; pumps follow then at the latest. ``first_wait_s`` to
    ``longest_wait_s``: between tries of one device. ``sequence_s``: when the declared sequence begins at the latest,
    whatever has not answered. ``give_up_s``: when a device that never answers is given up.
    """

    headstart_s: float = 1.0
    first_wait_s: float = 0.1
    longest_wait_s: float = 5.0
    sequence_s: float = 15.0
    give_up_s: float = 300.0


@dataclass(frozen=True)
class Rescued:
    """How a rescue ended: whether all of it was confirmed, and what it infused to flush the line, in µL by pump."""

    well: bool
    infused_ul: Mapping[str, float] = field(default_factory=dict)


async def rescue(
    rig: Rig, report: Report, *, hurry: asyncio.Event | None = None, how: Persistence | None = None
) -> Rescued:
    """Bring a rig, none of whose devices is connected, to its safe state.

    Heaters off; every pump stopped; then the rig file's own sequence from its start (a flush is left out once ``hurry``
    is set). ``report`` hears of each thing that succeeded and of each that had to be given up. Never raises for what a
    device does.
    """
    how = how or Persistence()
    heaters = [rig.heater, *(device for device in rig.around.values() if isinstance(device, RigHeater))]
    off = [asyncio.ensure_future(_insist(f"{heater.name} off", _off(heater), report, how)) for heater in heaters]
    await asyncio.wait(off, timeout=how.headstart_s)
    halts = [asyncio.ensure_future(_insist(f"{name} stopped", _halt(rig, name), report, how)) for name in rig.pumps]
    first = [*off, *halts]
    await asyncio.wait(first, timeout=how.sequence_s)
    sequence = await _declared(rig, report, hurry)
    confirmed = await asyncio.gather(*first)
    infused_ul: dict[str, float] = {}
    for (name, pump), stopped in zip(rig.pumps.items(), confirmed[len(heaters) :], strict=True):
        if stopped:  # it counts since it was connected, a moment ago
            with contextlib.suppress(Exception):
                infused_ul[name] = (await pump.status()).infused_ul
    with contextlib.suppress(Exception):  # the rig is safe by now, or has been reported not to be
        await rig.close()
    return Rescued(sequence and all(confirmed), {name: ul for name, ul in infused_ul.items() if ul > 0.0})


async def _insist(what: str, act: Callable[[], Awaitable[str]], report: Report, how: Persistence) -> bool:
    loop = asyncio.get_running_loop()
    began_s, wait_s, tries = loop.time(), how.first_wait_s, 0
    while True:
        tries += 1
        try:
            detail = await act()
        except Exception as error:  # noqa: BLE001 - whatever it is, the next try may succeed
            failure = f"{type(error).__name__}: {error}"
        else:
            report(what, True, f"{detail}, {loop.time() - began_s:.2f} s, try {tries}")
            return True
        if loop.time() + wait_s - began_s > how.give_up_s:
            report(what, False, f"given up after {tries} tries: {failure}")
            return False
        if tries == 1:
            report(what, False, f"trying again: {failure}")
        await asyncio.sleep(wait_s)
        wait_s = min(2.0 * wait_s, how.longest_wait_s)


def _off(heater: RigHeater) -> Callable[[], Awaitable[str]]:
    async def act() -> str:
        identity = await heater.connect()
        await heater.heater_off()
        return identity

    return act


def _halt(rig: Rig, name: str) -> Callable[[], Awaitable[str]]:
    async def act() -> str:
        identity = await rig.pumps[name].connect()  # stops a pump that runs: nobody knows its bound
        await rig.pumps[name].stop()
        return identity

    return act


async def _declared(rig: Rig, report: Report, hurry: asyncio.Event | None) -> bool:
    """The rig file's sequence under the interlocks, with the other devices connected as far as may be."""

    async def told(step: str, ok: bool, detail: str) -> None:
        report(step, ok, detail)

    async def tripped(trip: Trip) -> None:
        report("trip", False, str(trip))

    def forbids(pump: str) -> str | None:
        return "asked to hurry" if hurry is not None and hurry.is_set() else interlocks.forbids_flush(pump)

    for other in (rig.pressure, *rig.around.values(), rig.spectrometer):
        if other is not None and not isinstance(other, RigHeater):
            with contextlib.suppress(Exception):  # its own step says what is wrong with it
                await other.connect()
    interlocks = Interlocks(rig)
    interlocks.start(tripped)
    try:
        return await make_safe(rig, told, forbids_flush=forbids)
    finally:
        await interlocks.stop(tripped)
