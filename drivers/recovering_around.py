"""Valves, gas flow controllers and phase sensors that survive an outage; see :mod:`drivers.recovery`."""

from __future__ import annotations

from typing import Final, Protocol

from drivers.errors import NotConnectedError
from drivers.gas import GasReading
from drivers.phase_sensor import PhaseReading
from drivers.recovering import Recovering, repeated
from drivers.recovery import RecoveryRules

_SAME_FLOW: Final = 0.01
"""Set-points closer than this share of the wanted one are the same, written in another maker's digits."""


class Valve(Protocol):
    """A selector valve; see :class:`drivers.ViciSelector`."""

    @property
    def name(self) -> str: ...
    async def connect(self) -> str: ...
    async def move(self, position: int) -> None: ...
    async def position(self) -> int: ...
    async def close(self) -> None: ...


class GasController(Protocol):
    """A gas flow controller; see :class:`drivers.AlicatController`."""

    @property
    def name(self) -> str: ...
    async def connect(self) -> str: ...
    async def set_flow(self, flow_mln_min: float) -> float: ...
    async def stop(self) -> None: ...
    async def read(self) -> GasReading: ...
    async def close(self) -> None: ...


class PhaseDetector(Protocol):
    """A phase sensor; see :class:`drivers.PhaseSensor`."""

    @property
    def name(self) -> str: ...
    async def connect(self) -> str: ...
    async def read(self) -> PhaseReading: ...
    async def close(self) -> None: ...


class RecoveringValve(Recovering[int]):
    """A selector valve on the ladder. After an outage it is asked where it is; only a caller that waits turns it."""

    def __init__(self, driver: Valve, rules: RecoveryRules | None = None, *, seed: int = 0) -> None:
        super().__init__(driver.name, rules, seed)
        self._driver = driver

    async def connect(self) -> str:
        """The driver's ``connect``."""
        return await repeated(self._driver.connect)

    async def move(self, position: int) -> None:
        """The driver's ``move``."""
        await self._order("move", lambda: self._driver.move(position))

    async def position(self) -> int:
        """The driver's ``position``."""
        return self._note(await self._look("position", self._driver.position))

    async def close(self) -> None:
        """The driver's ``close``."""
        await self._driver.close()

    async def _rejoin(self) -> None:
        try:
            await self._driver.position()
        except NotConnectedError:
            await self._driver.connect()


class RecoveringGas(Recovering[GasReading]):
    """A gas flow controller on the ladder.

    After an outage the set-point that was last accepted is set again where the controller shows another one, and one
    that was stopped is stopped again where it lets gas through.
    """

    def __init__(self, driver: GasController, rules: RecoveryRules | None = None, *, seed: int = 0) -> None:
        super().__init__(driver.name, rules, seed)
        self._driver = driver
        self._held_mln_min: float | None = None

    async def connect(self) -> str:
        """The driver's ``connect``."""
        self._held_mln_min = None
        return await repeated(self._driver.connect)

    async def set_flow(self, flow_mln_min: float) -> float:
        """The driver's ``set_flow``."""
        self._held_mln_min = None

        async def act() -> float:
            actual_mln_min = await self._driver.set_flow(flow_mln_min)
            self._held_mln_min = flow_mln_min
            return actual_mln_min

        return await self._order("set_flow", act)

    async def stop(self) -> None:
        """The driver's ``stop``; it stays wanted even where it fails."""
        self._held_mln_min = 0.0
        await self._order("stop", self._driver.stop)

    async def read(self) -> GasReading:
        """The driver's ``read``."""
        return self._note(await self._look("read", self._driver.read))

    async def close(self) -> None:
        """The driver's ``close``."""
        await self._driver.close()

    async def _rejoin(self) -> None:
        try:
            reading = await self._driver.read()
        except NotConnectedError:
            await self._driver.connect()
            reading = await self._driver.read()
        self._note(reading)
        held = self._held_mln_min
        if held is None or abs(reading.set_point_mln_min - held) <= _SAME_FLOW * held:
            return
        if held > 0.0:
            await self._driver.set_flow(held)
        else:
            await self._driver.stop()


class RecoveringPhase(Recovering[PhaseReading]):
    """A phase sensor on the ladder. A signal out of range is the sensor's own answer and no outage."""

    def __init__(self, driver: PhaseDetector, rules: RecoveryRules | None = None, *, seed: int = 0) -> None:
        super().__init__(driver.name, rules, seed)
        self._driver = driver

    async def connect(self) -> str:
        """The driver's ``connect``."""
        return await repeated(self._driver.connect)

    async def read(self) -> PhaseReading:
        """The driver's ``read``."""
        return self._note(await self._look("read", self._driver.read))

    async def close(self) -> None:
        """The driver's ``close``."""
        await self._driver.close()

    async def _rejoin(self) -> None:
        try:
            await self._driver.read()
        except NotConnectedError:
            await self._driver.connect()
