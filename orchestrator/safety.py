"""Interlocks that watch the rig while a campaign runs, at their own period and whatever the campaign is doing.

An interlock latches: the first trip is the root cause, it is journalled once, and the run ends in the safe state. The
readings that the interlocks take are also the campaign's newest temperature and pressure. A device that is on its
recovery ladder holds up its own check and no other.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from orchestrator.config import RigConfig
from orchestrator.devices import HeaterReading
from orchestrator.rig import Rig
from orchestrator.symptoms import PRESSURE_SETTLES_S, Delivery, HeaterTrend, PressureTrend, Symptom

WATCH_PERIOD_S = 2.0
REFRESH_PERIOD_S = 4.0
PUMP_PERIOD_S = 10.0
PATIENCE_S = 3.0
"""How long one check may hold up the others; it goes on beside them."""
STALE_MARGIN_S = 15.0
"""A check that has said nothing for the longest outage and this much more is stuck."""


@dataclass(frozen=True)
class Trip:
    """One latched interlock: what was read, against which limit, on which device."""

    interlock: str
    device: str
    value: float | str
    limit: float | str
    unit: str

    def __str__(self) -> str:
        return f"{self.interlock} on {self.device}: {self.value} {self.unit} (limit {self.limit} {self.unit})".rstrip()


Check = Callable[[], Awaitable[Trip | None]]


class Interlocks:
    """Watches temperature, its sensor and output, pressure, delivery and alarms, and keeps the latest readings."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self.trip: Trip | None = None
        self.heater: HeaterReading | None = None
        self.pressure_kpa: float | None = None
        self._heater_trend = HeaterTrend()
        self._pressure_trend = PressureTrend(rig.config)
        self._deliveries = {
            name: Delivery(name, pump.syringe.volume_ul, rig.earlier_ul.get(name, 0.0))
            for name, pump in rig.config.pumps.items()
        }
        self._under_way: dict[str, tuple[asyncio.Task[Trip | None], float]] = {}
        self._leak_suspected = False
        self._pumps_unknown_s = -math.inf
        self._stale_s = rig.config.recovery.outage_s + STALE_MARGIN_S

    async def watch(self, on_trip: Callable[[Trip], Awaitable[None]]) -> Trip:
        """Check for ever; returns after the first trip has been handed to ``on_trip``."""
        loop = asyncio.get_running_loop()
        refreshed = pumps_checked = loop.time()
        try:
            while True:
                trip = await self._look(self._rig.heater.name, self._check_heater)
                trip = trip or await self._look("pressure", self._check_pressure)
                now = loop.time()
                if trip is None and now - pumps_checked >= PUMP_PERIOD_S:
                    pumps_checked = now
                    trip = await self._check_pumps()
                if trip is None and now - refreshed >= REFRESH_PERIOD_S:
                    refreshed = now
                    trip = await self._look("refresh", self._refresh)
                if trip is not None:
                    self.trip = trip
                    await on_trip(trip)
                    return trip
                await asyncio.sleep(WATCH_PERIOD_S)
        finally:
            await self._abandon()

    async def _look(self, name: str, check: Check) -> Trip | None:
        """Do a check, or look how the one that is still under way is getting on; a failure of it is a trip."""
        now = asyncio.get_running_loop().time()
        if name in self._under_way:
            task, began = self._under_way.pop(name)
            patience_s = 0.0
        else:
            task, began, patience_s = asyncio.ensure_future(check()), now, PATIENCE_S
        try:
            await asyncio.wait({task}, timeout=patience_s)
        except asyncio.CancelledError:
            self._under_way[name] = (task, began)
            raise
        if not task.done():
            self._under_way[name] = (task, began)
            held_s = asyncio.get_running_loop().time() - began
            if held_s <= self._stale_s:
                return None
            return Trip("stale reading", name, round(held_s, 1), self._stale_s, "s")
        try:
            return task.result()
        except Exception as error:  # noqa: BLE001 - a device that cannot be read: nobody knows what the rig is doing
            return trip_of(error)

    async def _abandon(self) -> None:
        tasks = [task for task, _ in self._under_way.values()]
        self._under_way.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _refresh(self) -> Trip | None:
        await self._rig.heater.refresh()
        return None

    async def _check_heater(self) -> Trip | None:
        reading = await self._rig.heater.read()
        self.heater = reading
        name = self._rig.heater.name
        if reading.faults:
            return Trip("heater fault", name, ", ".join(reading.faults), "none", "")
        limit = over_temperature_c(self._rig.config)
        if reading.temperature_c > limit:
            return Trip("over-temperature", name, round(reading.temperature_c, 2), limit, "°C")
        return _tripped(name, self._heater_trend.note(asyncio.get_running_loop().time(), reading))

    async def _check_pressure(self) -> Trip | None:
        if self._rig.pressure is None:
            return None
        self.pressure_kpa = await self._rig.pressure.read()
        limit = self._rig.config.limits.pressure_kpa
        name = self._rig.pressure.name
        if self.pressure_kpa > limit:
            return Trip("over-pressure", name, round(self.pressure_kpa, 2), limit, "kPa")
        now = asyncio.get_running_loop().time()
        if any(pump in self._under_way for pump in self._rig.pumps):
            self._pumps_unknown_s = now
        known = now - self._pumps_unknown_s >= PRESSURE_SETTLES_S
        symptom = self._pressure_trend.note(now, self.pressure_kpa, self._rig.ordered if known else None)
        if symptom is None or symptom.interlock != "leak" or self._leak_suspected:
            self._leak_suspected = self._leak_suspected and symptom is None and not self._pressure_trend.complete
            return _tripped(name, symptom)
        # Too little pressure is also what a pump makes that stands still: the pumps are asked before it is a leak.
        self._leak_suspected = True
        self._pressure_trend.restart()
        return await self._check_pumps()

    async def _check_pumps(self) -> Trip | None:
        """All pumps, each at most as long as patience lasts."""
        for name in self._rig.pumps:
            trip = await self._look(name, partial(self._check_pump, name))
            if trip is not None:
                return trip
        return None

    async def _check_pump(self, name: str) -> Trip | None:
        ordered = self._rig.ordered
        reading = await self._rig.pumps[name].status()
        if reading.alarm:
            return Trip("pump alarm", name, reading.alarm, "none", "")
        if ordered is not self._rig.ordered:
            return None  # another order came while it was asked
        now = asyncio.get_running_loop().time()
        return _tripped(name, self._deliveries[name].note(now, reading, ordered, PUMP_PERIOD_S))


def trip_of(error: Exception) -> Trip:
    """The trip that an error of a device is. Errors of a record bear the names of those they were."""
    device = getattr(error, "device", None) or "rig"
    kind = type(error).__name__
    if kind == "BrokenWireError":
        return Trip("broken wire", device, str(error), "a live transmitter", "")
    if kind == "DeviceAlarmError":
        return Trip("device alarm", device, str(error), "none", "")
    if kind in ("RefusedError", "ReadBackError", "OutOfRangeError"):
        return Trip("refused setting", device, str(error), "what was asked", "")
    return Trip("lost device", device, str(error), "an answer", "")


def _tripped(device: str, symptom: Symptom | None) -> Trip | None:
    if symptom is None:
        return None
    return Trip(symptom.interlock, device, symptom.value, symptom.limit, symptom.unit)


def over_temperature_c(config: RigConfig) -> float:
    """The temperature above which the heater is cut: the set-point limit plus the declared overshoot."""
    return config.limits.temperature_c[1] + config.limits.heater_overshoot_k
