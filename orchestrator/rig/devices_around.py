"""Devices around the reactor as the conductor sees them: valves, gas flow controllers, phase sensors."""

from __future__ import annotations

import math
from typing import Any, Protocol

from orchestrator.errors import LimitRefused
from orchestrator.rig.devices import JSON, DeviceDriver, Traced, Tracer


class ValveDriver(DeviceDriver, Protocol):
    """What a selector valve's driver offers; see :mod:`drivers.vici`."""

    async def move(self, position: int) -> None: ...
    async def position(self) -> int: ...


class GasDriver(DeviceDriver, Protocol):
    """What a gas flow controller's driver offers; see :mod:`drivers.alicat`."""

    async def set_flow(self, flow_mln_min: float) -> float: ...
    async def stop(self) -> None: ...
    async def read(self) -> Any: ...


class PhaseDriver(DeviceDriver, Protocol):
    """What a phase sensor's driver offers; see :mod:`drivers.phase_sensor`."""

    async def read(self) -> Any: ...


class RigValve(Traced[ValveDriver]):
    """A selector valve. ``home`` is where a safe sequence turns it."""

    def __init__(self, name: str, driver: ValveDriver | None, tracer: Tracer, positions: int, home: int) -> None:
        super().__init__(name, driver, tracer)
        self._positions = positions
        self._home = home

    async def move(self, position: int) -> None:
        """Be at a position. Raises LimitRefused for one that the valve does not have."""
        if not 1 <= position <= self._positions:
            raise LimitRefused(self.name, "position", position, 1, self._positions, "")

        await self._call("move", lambda driver: driver.move(position), position=position)

    async def go_home(self) -> None:
        """Be at the home position."""
        await self.move(self._home)

    async def position(self) -> int:
        """Where the valve stands."""
        return int(await self._call("position", lambda driver: driver.position()))


class RigGas(Traced[GasDriver]):
    """A gas flow controller; its own driver refuses flows beyond its capacity."""

    async def set_flow(self, flow_mln_min: float) -> float:
        """Be at this flow in normal mL/min; returns the set-point read back. Raises LimitRefused for no flow at all."""
        if not (math.isfinite(flow_mln_min) and flow_mln_min >= 0.0):
            raise LimitRefused(self.name, "gas flow", flow_mln_min, 0.0, math.inf, "mLn/min")

        actual = await self._call("set_flow", lambda driver: driver.set_flow(flow_mln_min), flow_mln_min=flow_mln_min)
        return float(actual)

    async def stop(self) -> None:
        """Be closed."""
        await self._call("stop", lambda driver: driver.stop())

    async def read(self) -> float:
        """Flow in normal mL/min."""

        async def act(driver: GasDriver) -> JSON:
            return float((await driver.read()).flow_mln_min)

        return float(await self._call("read", act))


class RigPhase(Traced[PhaseDriver]):
    """A phase sensor."""

    async def read(self) -> str:
        """ "liquid", "gas" or "unclear"."""

        async def act(driver: PhaseDriver) -> JSON:
            return str((await driver.read()).phase)

        return str(await self._call("read", act))
