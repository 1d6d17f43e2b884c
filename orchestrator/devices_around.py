"""Devices around the reactor as the conductor sees them: valves, gas flow controllers, phase sensors."""

from __future__ import annotations

import math
from typing import Any, Protocol

from orchestrator.devices import JSON, Traced, Tracer, present
from orchestrator.errors import LimitRefused


class ValveDriver(Protocol):
    """What a selector valve's driver offers; see :mod:`drivers.vici`."""

    async def connect(self) -> str: ...
    async def move(self, position: int) -> None: ...
    async def position(self) -> int: ...
    async def close(self) -> None: ...


class GasDriver(Protocol):
    """What a gas flow controller's driver offers; see :mod:`drivers.alicat`."""

    async def connect(self) -> str: ...
    async def set_flow(self, flow_mln_min: float) -> float: ...
    async def stop(self) -> None: ...
    async def read(self) -> Any: ...
    async def close(self) -> None: ...


class PhaseDriver(Protocol):
    """What a phase sensor's driver offers; see :mod:`drivers.phase_sensor`."""

    async def connect(self) -> str: ...
    async def read(self) -> Any: ...
    async def close(self) -> None: ...


class RigValve(Traced):
    """A selector valve. ``home`` is where a safe sequence turns it."""

    def __init__(self, name: str, driver: ValveDriver | None, tracer: Tracer, positions: int, home: int) -> None:
        super().__init__(name, tracer)
        self._driver = driver
        self._positions = positions
        self._home = home

    async def connect(self) -> str:
        async def act() -> JSON:
            return await present(self._driver, self.name).connect()

        return str(await self._call("connect", act))

    async def move(self, position: int) -> None:
        """Be at a position. Raises LimitRefused for one that the valve does not have."""
        if not 1 <= position <= self._positions:
            raise LimitRefused(self.name, "position", position, 1, self._positions, "")

        async def act() -> JSON:
            await present(self._driver, self.name).move(position)

        await self._call("move", act, position=position)

    async def go_home(self) -> None:
        """Be at the home position."""
        await self.move(self._home)

    async def position(self) -> int:
        """Where the valve stands."""

        async def act() -> JSON:
            return await present(self._driver, self.name).position()

        return int(await self._call("position", act))

    async def close(self) -> None:
        if self._driver is not None:
            await self._driver.close()


class RigGas(Traced):
    """A gas flow controller; its own driver refuses flows beyond its capacity."""

    def __init__(self, name: str, driver: GasDriver | None, tracer: Tracer) -> None:
        super().__init__(name, tracer)
        self._driver = driver

    async def connect(self) -> str:
        async def act() -> JSON:
            return await present(self._driver, self.name).connect()

        return str(await self._call("connect", act))

    async def set_flow(self, flow_mln_min: float) -> float:
        """Be at this flow in normal mL/min; returns the set-point read back. Raises LimitRefused for no flow at all."""
        if not (math.isfinite(flow_mln_min) and flow_mln_min >= 0.0):
            raise LimitRefused(self.name, "gas flow", flow_mln_min, 0.0, math.inf, "mLn/min")

        async def act() -> JSON:
            return await present(self._driver, self.name).set_flow(flow_mln_min)

        return float(await self._call("set_flow", act, flow_mln_min=flow_mln_min))

    async def stop(self) -> None:
        """Be closed."""

        async def act() -> JSON:
            await present(self._driver, self.name).stop()

        await self._call("stop", act)

    async def read(self) -> float:
        """Flow in normal mL/min."""

        async def act() -> JSON:
            return float((await present(self._driver, self.name).read()).flow_mln_min)

        return float(await self._call("read", act))

    async def close(self) -> None:
        if self._driver is not None:
            await self._driver.close()


class RigPhase(Traced):
    """A phase sensor."""

    def __init__(self, name: str, driver: PhaseDriver | None, tracer: Tracer) -> None:
        super().__init__(name, tracer)
        self._driver = driver

    async def connect(self) -> str:
        async def act() -> JSON:
            return await present(self._driver, self.name).connect()

        return str(await self._call("connect", act))

    async def read(self) -> str:
        """ "liquid", "gas" or "unclear"."""

        async def act() -> JSON:
            return str((await present(self._driver, self.name).read()).phase)

        return str(await self._call("read", act))

    async def close(self) -> None:
        if self._driver is not None:
            await self._driver.close()
