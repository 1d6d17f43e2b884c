"""Interlocks that watch the rig while a campaign runs, at their own period and whatever the campaign is doing.

An interlock latches: the first trip is the root cause, it is journalled once, and the run ends in the safe state. The
readings that the interlocks take are also the campaign's newest temperature and pressure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from orchestrator.config import RigConfig
from orchestrator.devices import HeaterReading
from orchestrator.rig import Rig

WATCH_PERIOD_S = 2.0
REFRESH_PERIOD_S = 4.0
PUMP_PERIOD_S = 10.0


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


class Interlocks:
    """Watches temperature, its sensor, pressure and the pumps' alarms, and keeps the latest readings."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self.trip: Trip | None = None
        self.heater: HeaterReading | None = None
        self.pressure_kpa: float | None = None

    async def watch(self, on_trip: Callable[[Trip], Awaitable[None]]) -> Trip:
        """Check for ever; returns after the first trip has been handed to ``on_trip``."""
        loop = asyncio.get_running_loop()
        refreshed = pumps_checked = loop.time()
        while True:
            trip = await self._guarded(self._check_heater) or await self._guarded(self._check_pressure)
            now = loop.time()
            if trip is None and now - pumps_checked >= PUMP_PERIOD_S:
                pumps_checked = now
                trip = await self._guarded(self._check_pumps)
            if trip is None and now - refreshed >= REFRESH_PERIOD_S:
                refreshed = now
                await self._rig.heater.refresh()
            if trip is not None:
                self.trip = trip
                await on_trip(trip)
                return trip
            await asyncio.sleep(WATCH_PERIOD_S)

    async def _guarded(self, check: Callable[[], Awaitable[Trip | None]]) -> Trip | None:
        """A device that cannot be read is itself a trip: nobody knows then what the rig is doing."""
        try:
            return await check()
        except Exception as error:  # noqa: BLE001 - whatever kept the device from answering
            return Trip("lost device", getattr(error, "device", None) or "rig", str(error), "an answer", "")

    async def _check_heater(self) -> Trip | None:
        reading = await self._rig.heater.read()
        self.heater = reading
        name = self._rig.heater.name
        if reading.faults:
            return Trip("heater fault", name, ", ".join(reading.faults), "none", "")
        limit = over_temperature_c(self._rig.config)
        if reading.temperature_c > limit:
            return Trip("over-temperature", name, round(reading.temperature_c, 2), limit, "°C")
        return None

    async def _check_pressure(self) -> Trip | None:
        if self._rig.pressure is None:
            return None
        self.pressure_kpa = await self._rig.pressure.read()
        limit = self._rig.config.limits.pressure_kpa
        if self.pressure_kpa > limit:
            return Trip("over-pressure", self._rig.pressure.name, round(self.pressure_kpa, 2), limit, "kPa")
        return None

    async def _check_pumps(self) -> Trip | None:
        for name, pump in self._rig.pumps.items():
            alarm = (await pump.status()).alarm
            if alarm:
                return Trip("pump alarm", name, alarm, "none", "")
        return None


def over_temperature_c(config: RigConfig) -> float:
    """The temperature above which the heater is cut: the set-point limit plus the declared overshoot."""
    return config.limits.temperature_c[1] + config.limits.heater_overshoot_k
