"""A connected rig: its devices, its volume count, and the safe sequence that ends every run."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.config import RigConfig, SafeStep
from orchestrator.config.rig import Flush
from orchestrator.errors import JournalError, LimitRefused, ReplayDivergence, RigFault
from orchestrator.rig.devices import RigHeater, RigPressure, RigPump, RigSpectrometer
from orchestrator.rig.devices_around import RigGas, RigPhase, RigValve
from orchestrator.rig.unattended import pumps_heard_every_s
from orchestrator.spectra.analysis import OpticalLayout

FLOW_TOLERANCE_UL_MIN = 1e-9
FLUSH_LOOK_S = 5.0
FLUSH_PATIENCE_S = 10.0
"""While a flush runs, a heater that has not answered for so long is left alone until the next look. Both are shorter
where the pumps' watchdogs would not wait so long."""

Around = RigHeater | RigPressure | RigSpectrometer | RigValve | RigGas | RigPhase


@dataclass(frozen=True)
class Ordered:
    """An order to all pumps: flow and volume bound of each that runs, and when all had taken it."""

    flows_ul_min: Mapping[str, float]
    bounds_ul: Mapping[str, float]
    since_s: float

    @property
    def total_ul_min(self) -> float:
        return sum(self.flows_ul_min.values())


@dataclass
class Rig:
    """The devices of one rig file, on steel or on twins; nothing here can tell which.

    ``exact_restart``: True when the rig's world can be brought back exactly to where it was (a twin rebuilt from its
    seed and the same commands), False for anything physical. ``released`` is called once all devices are closed.
    ``earlier_ul``: what earlier sittings have drawn from each syringe. ``faults``: where faults are injected into
    twins; None on steel. ``ordered``: the flows that the pumps were last told, None while an order is under way.
    ``phase``: the bubble sensor in front of the flow cell. ``around``: devices that the plumbing does not name.
    ``ordered_last``: the volume bounds of the last order that let anything flow.
    """

    config: RigConfig
    pumps: Mapping[str, RigPump]
    heater: RigHeater
    spectrometer: RigSpectrometer
    pressure: RigPressure | None
    layout: OpticalLayout
    exact_restart: bool
    released: tuple[Callable[[], None], ...] = ()
    counted_ul: dict[str, float] = field(default_factory=dict)
    earlier_ul: Mapping[str, float] = field(default_factory=dict)
    faults: Any = None
    ordered: Ordered | None = None
    phase: RigPhase | None = None
    around: Mapping[str, Around] = field(default_factory=dict)
    ordered_last: Mapping[str, float] = field(default_factory=dict)

    async def connect(self) -> dict[str, str]:
        """Open every device, pumps first; returns what each says it is. Nothing moves and nothing heats."""
        identities: dict[str, str] = {}
        for name, pump in self.pumps.items():
            identities[name] = await pump.connect()
            self.counted_ul[name] = 0.0
        self.ordered = Ordered({}, {}, asyncio.get_running_loop().time())
        for device in self._beside_pumps():
            identities[device.name] = await device.connect()
        return identities

    async def flow(self, flows_ul_min: Mapping[str, float], bound_s: float) -> dict[str, float]:
        """Have every pump at its flow (absent or 0: stopped), each bounded to what ``bound_s`` seconds would need.

        Pumps that stop are stopped first, so that the total never exceeds both the old and the new. Returns the flows
        that the pumps read back. Raises LimitRefused before any command when one of them is no flow, or the total
        leaves the rig's limits.
        """
        limits = self.config.limits.total_flow_ul_min
        for name, flow in flows_ul_min.items():
            if not (math.isfinite(flow) and flow >= -FLOW_TOLERANCE_UL_MIN):
                raise LimitRefused(name, "flow", flow, 0.0, limits[1], "µL/min")
        total = sum(flows_ul_min.values())
        if total > limits[1] * (1.0 + 1e-9):
            raise LimitRefused(self.config.name, "total flow", total, 0.0, limits[1], "µL/min")
        actual: dict[str, float] = {}
        bounds: dict[str, float] = {}
        self.ordered = None
        for name, pump in self.pumps.items():
            if flows_ul_min.get(name, 0.0) <= FLOW_TOLERANCE_UL_MIN:
                await pump.stop()
                actual[name] = 0.0
        for name, pump in self.pumps.items():
            flow = flows_ul_min.get(name, 0.0)
            if flow > FLOW_TOLERANCE_UL_MIN:
                holds_ul = self.config.pump(name).holds_ul
                bounds[name] = min(flow * bound_s / 60.0, holds_ul)
                self.ordered_last = dict(bounds)
                actual[name] = await pump.infuse(flow, bounds[name])
        self.ordered = Ordered(dict(actual), bounds, asyncio.get_running_loop().time())
        return actual

    async def count(self) -> dict[str, float]:
        """Volume that each pump says it has infused since it was connected, in µL."""
        for name, pump in self.pumps.items():
            self.counted_ul[name] = (await pump.status()).infused_ul
        return dict(self.counted_ul)

    async def count_what_answers(self) -> tuple[dict[str, float], tuple[str, ...]]:
        """As `count`, over pumps that are lost: theirs is what they said last. Returns the volumes and who is lost."""
        lost: list[str] = []
        for name, pump in self.pumps.items():
            try:
                self.counted_ul[name] = (await pump.status()).infused_ul
            except Exception:  # noqa: BLE001 - one that cannot be asked must not keep the others from being asked
                lost.append(name)
        return dict(self.counted_ul), tuple(lost)

    def failed_in(self, error: Exception) -> bool:
        """Whether this very error came from one of the devices, not from the program around them."""
        return any(device.failed is error for device in (*self.pumps.values(), *self._beside_pumps()))

    def _beside_pumps(self) -> tuple[Around, ...]:
        """Every device but the pumps, in the order in which they are connected."""
        sensors = (self.pressure, self.spectrometer, self.phase)
        return (self.heater, *(sensor for sensor in sensors if sensor is not None), *self.around.values())

    async def close(self) -> None:
        """Let go of every device; the last resort of each is its own."""
        for pump in self.pumps.values():
            await pump.close()
        await self.heater.close()
        await self.spectrometer.close()
        if self.pressure is not None:
            await self.pressure.close()
        if self.phase is not None:
            await self.phase.close()
        for device in self.around.values():
            await device.close()
        for release in self.released:
            release()


def flushes_ul(config: RigConfig) -> dict[str, float]:
    """What the flushes of the safe sequence may take at the most, by pump, in µL."""
    taken: dict[str, float] = {}
    for step in config.safe_sequence:
        if isinstance(step, Flush):
            most_ul = step.flow_ul_min * (step.at_most_s + FLUSH_LOOK_S) / 60.0
            taken[step.pump] = taken.get(step.pump, 0.0) + most_ul
    return taken


StepReport = Callable[[str, bool, str], Awaitable[None]]
Forbids = Callable[[str], str | None]
"""Why a pump must not flush the line now; None where it may."""


async def make_safe(rig: Rig, report: StepReport, *, hurry: bool = False, forbids_flush: Forbids | None = None) -> bool:
    """Run the rig file's safe sequence; every step is tried whatever became of those before it.

    ``report(step, ok, detail)`` hears of each. ``hurry`` leaves out flushes; so does what ``forbids_flush`` says, which
    is asked again while one runs. Returns True when all went well. A report that fails (a full disk) does not end the
    sequence: the rest is hurried through, then its error is raised.
    """
    all_well = True
    unreported: Exception | None = None
    for step in rig.config.safe_sequence:
        ok = True
        why_not = None
        if step.step == "flush":
            in_a_hurry = hurry or unreported is not None
            why_not = "the operator is in a hurry" if in_a_hurry else forbids_flush and forbids_flush(step.pump)
        if why_not:
            detail = f"left out: {why_not}"
        else:
            try:
                detail = await _perform(rig, step, forbids_flush)
            except Exception as error:  # noqa: BLE001 - a device that fails must not keep the next step from being tried
                ok, detail = False, f"{type(error).__name__}: {error}"
        all_well = all_well and ok
        if unreported is None:
            try:
                await report(step.step, ok, detail)
            except Exception as error:  # noqa: BLE001 - kept and raised once the rig is safe
                unreported = error
    if unreported is not None:
        raise unreported
    return all_well


async def _perform(rig: Rig, step: SafeStep, forbids_flush: Forbids | None) -> str:
    if step.step == "heaters_off":
        others = [device for device in rig.around.values() if isinstance(device, RigHeater)]
        return await _each({heater.name: heater.heater_off for heater in (rig.heater, *others)})
    if step.step == "pumps_stop":
        return await stop_pumps(rig)
    if step.step == "gas_off":
        return await _each({name: gas.stop for name, gas in rig.around.items() if isinstance(gas, RigGas)})
    if step.step == "valves_home":
        return await _each({name: valve.go_home for name, valve in rig.around.items() if isinstance(valve, RigValve)})
    if step.step == "lamp_off":
        await rig.spectrometer.set_lamp(False)
        return rig.spectrometer.name
    return await _flush_while_cooling(rig, step, forbids_flush)


async def stop_pumps(rig: Rig) -> str:
    """Stop every pump; one that fails does not spare the others. Raises RigFault with all that failed."""
    rig.ordered = None
    try:
        return await _each({name: pump.stop for name, pump in rig.pumps.items()})
    finally:
        rig.ordered = Ordered({}, {}, asyncio.get_running_loop().time())


async def _each(acts: Mapping[str, Callable[[], Awaitable[None]]]) -> str:
    """Do it to every device; one that fails does not spare the others. Raises RigFault with all that failed."""
    failures: list[str] = []
    for name, act in acts.items():
        try:
            await act()
        except Exception as error:  # noqa: BLE001 - see above
            failures.append(f"{name}: {error}")
    if failures:
        raise RigFault("; ".join(failures))
    return ", ".join(acts) or "none"


async def _flush_while_cooling(rig: Rig, step: Flush, forbids: Forbids | None) -> str:
    """Flush until the reactor is known to be cold enough; while nobody knows how hot it is, as long as is allowed."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await rig.flow({step.pump: step.flow_ul_min}, step.at_most_s + 30.0)
    look_s = pumps_heard_every_s(rig.config, FLUSH_LOOK_S)
    temperature = await _temperature_c(rig)
    why_not = None
    while not temperature <= step.until_c and loop.time() - began < step.at_most_s and why_not is None:
        why_not = await _flush_on(step.pump, look_s, forbids)
        if why_not is None:
            await rig.pumps[step.pump].status()  # a pump with its own watchdog stops when nobody speaks to it
            temperature = await _temperature_c(rig)
    cooled = "the temperature unknown" if math.isnan(temperature) else f"down to {temperature:.1f} °C"
    took = f"{loop.time() - began:.0f} s at {step.flow_ul_min:g} µL/min, {cooled}"
    if why_not is None:
        return took
    await rig.flow({}, 1.0)
    return f"{took}; cut short: {why_not}"


async def _temperature_c(rig: Rig) -> float:
    """The reactor's temperature; nan where its sensor is broken or the controller does not answer."""
    try:
        async with asyncio.timeout(pumps_heard_every_s(rig.config, FLUSH_PATIENCE_S)):
            return (await rig.heater.read()).temperature_c
    except (JournalError, ReplayDivergence):
        raise
    except Exception:  # noqa: BLE001 - whatever it is, the line is as hot as it is and the flush goes on
        return math.nan


async def _flush_on(pump: str, look_s: float, forbids: Forbids | None) -> str | None:
    """Let the flush run for ``look_s``; returns within a second when it must end, and why."""
    for second in range(math.ceil(look_s)):
        why_not = None if forbids is None else forbids(pump)
        if why_not is not None:
            return why_not
        await asyncio.sleep(min(1.0, look_s - second))
    return None
