"""Valves, gas controllers and phase sensors that survive an outage; see :mod:`drivers.recovery`."""

from __future__ import annotations

from typing import Final, Protocol

from drivers.errors import NotConnectedError
from drivers.gas import GasReading
from drivers.phase_sensor import PhaseReading
from drivers.recovering import Device, Recovering, RecoveringSensor
from drivers.recovery import RecoveryRules

FLOW_TOLERANCE: Final = 1e-3
"""Set-points closer than this share of full scale are the same: it is finer than any display."""


class Valve(Device, Protocol):
    """A selector valve; see :class:`drivers.ViciSelector`."""

    async def position(self) -> int: ...
    async def move(self, position: int) -> None: ...


class GasController(Device, Protocol):
    """A mass flow controller; see :class:`drivers.AlicatController`."""

    @property
    def flow_range_mln_min(self) -> tuple[float, float]: ...
    async def set_flow(self, flow_mln_min: float) -> float: ...
    async def read(self) -> GasReading: ...
    async def stop(self) -> None: ...


class RecoveringValve(Recovering[Valve, int]):
    """A selector valve on the ladder.

    After an outage it is only asked where it stands: a valve does not move by itself, and one that was turned by hand
    is not turned back unasked, for nobody knows what stands in its lines. A move that still waits goes on.
    """

    async def position(self) -> int:
        """The driver's ``position``."""
        return self._note(await self._look("position", self._driver.position))

    async def move(self, position: int) -> None:
        """The driver's ``move``."""
        await self._order("move", lambda: self._driver.move(position))
        self._note(position)

    async def _rejoin(self) -> None:
        try:
            self._note(await self._driver.position())
        except NotConnectedError:
            await self._driver.connect()


class RecoveringGas(Recovering[GasController, GasReading]):
    """A gas flow controller on the ladder.

    After an outage the set-point that was last accepted is set again where the controller shows another one; one whose
    power was away comes back at the set-point of its own choice. A flow that was stopped is stopped again.
    """

    def __init__(self, driver: GasController, rules: RecoveryRules | None = None, *, seed: int = 0) -> None:
        super().__init__(driver, rules, seed=seed)
        self._held: tuple[float, float] | None = None

    @property
    def flow_range_mln_min(self) -> tuple[float, float]:
        """The driver's."""
        return self._driver.flow_range_mln_min

    async def connect(self) -> str:
        """The driver's ``connect``."""
        self._held = None
        return await super().connect()

    async def set_flow(self, flow_mln_min: float) -> float:
        """The driver's ``set_flow``."""
        self._held = None

        async def act() -> float:
            actual_mln_min = await self._driver.set_flow(flow_mln_min)
            self._held = (flow_mln_min, actual_mln_min)
            return actual_mln_min

        return await self._order("set_flow", act)

    async def read(self) -> GasReading:
        """The driver's ``read``."""
        return self._note(await self._look("read", self._driver.read))

    async def stop(self) -> None:
        """The driver's ``stop``; it stays wanted even where it fails."""
        self._held = (0.0, 0.0)
        await self._order("stop", self._driver.stop)

    async def _rejoin(self) -> None:
        try:
            reading = await self._driver.read()
        except NotConnectedError:
            await self._driver.connect()
            reading = await self._driver.read()
        self._note(reading)
        tolerance = FLOW_TOLERANCE * self._driver.flow_range_mln_min[1]
        if self._held is not None and abs(reading.set_point_mln_min - self._held[1]) > tolerance:
            await self._driver.set_flow(self._held[0])


class RecoveringPhase(RecoveringSensor[PhaseReading]):
    """A phase sensor on the ladder. A voltage that no sensor sends is the sensor's own answer and no outage."""
