"""What temperature controllers have in common, and the verbs of those with a lasting set-point."""

from __future__ import annotations

import asyncio
import math
from abc import abstractmethod
from typing import Final

from drivers.errors import DriverError, OutOfRangeError, ReadBackError, must_be_within
from drivers.heater_reading import HeaterReading, heater_look
from drivers.line_device import LineDevice, Port
from drivers.readings import Look

_ATTEMPTS: Final = 2


class HeaterController(LineDevice):
    """A temperature controller on a line. ``connect`` reads it and changes nothing on it.

    Args:
        port: the line, shared with other devices.
        set_point_range_c: lowest and highest set-point; one outside is refused before anything is sent.
        safe_set_point_c: the set-point ``heater_off`` leaves behind.
        name: the device's name in messages.
    """

    def __init__(
        self, port: Port, *, set_point_range_c: tuple[float, float], safe_set_point_c: float, name: str
    ) -> None:
        low, high = set_point_range_c
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ValueError(f"{name}: the set-point range {low:g} to {high:g} °C is empty")
        if not low <= safe_set_point_c <= high:
            raise OutOfRangeError("safe set-point in °C", low=low, high=high, device=name, asked=safe_set_point_c)
        super().__init__(port, name)
        self._range_c = (low, high)
        self._safe_set_point_c = safe_set_point_c
        self._held_c: float | None = None
        # A refresh between another verb's write and its read-back would undo the one and fail the other.
        self._setting = asyncio.Lock()

    async def _meet(self) -> str:
        identity = await self._identify()
        await self.read()
        return identity

    async def look(self) -> Look:
        """Who it is, its state and reading; changes nothing. Before ``connect`` the line is left again afterwards."""
        async with self._visiting():
            return heater_look(await self._identify(), await self.read())

    @abstractmethod
    async def read(self) -> HeaterReading:
        """Temperature, set-point, output and flags. Raises DriverError."""

    @abstractmethod
    async def _identify(self) -> str:
        """Who answers, in words. Raises where this cannot be the controller, or cannot be commanded."""

    def _must_be_within_range(self, temperature_c: float) -> None:
        low, high = self._range_c
        must_be_within("set-point", temperature_c, low, high, "°C", device=self._name, port=self._port.name)

    def _mismatch(self, asked: object, answered: object) -> ReadBackError:
        return ReadBackError(
            "the setting did not take", device=self._name, port=self._port.name, asked=asked, answered=answered
        )


class LastingHeater(HeaterController):
    """A controller that keeps its set-point until it is given another, and is switched on and off by one command.

    A set-point is written only where it differs from what the controller holds, because many keep it in memory that
    wears, and is then read back; a difference is tried once more, so that one damaged command does no harm, and then
    raised.

    ``heater_off`` takes the power away first and leaves ``safe_set_point_c`` for whoever switches it on again. Where
    the first step fails the second is tried all the same.

    Args:
        port, set_point_range_c, safe_set_point_c, name: see ``HeaterController``.
        resolution_c: the step in which the controller holds set-points; read-backs agree within half of it.
    """

    def __init__(
        self,
        port: Port,
        *,
        set_point_range_c: tuple[float, float],
        safe_set_point_c: float,
        resolution_c: float,
        name: str,
    ) -> None:
        super().__init__(port, set_point_range_c=set_point_range_c, safe_set_point_c=safe_set_point_c, name=name)
        self._resolution_c = resolution_c

    async def set_temperature(self, temperature_c: float) -> float:
        """Be controlling at ``temperature_c``. Returns the set-point read back, in °C (the controller's resolution).

        Raises OutOfRangeError, ReadBackError, RefusedError.
        """
        self._must_be_within_range(temperature_c)
        async with self._setting:
            await self._put_set_point(temperature_c)
            await self._switch(on=True)
            # Some controllers forget their set-point when they are switched on.
            actual_c = await self._put_set_point(temperature_c)
            self._held_c = temperature_c
            return actual_c

    async def refresh(self) -> None:
        """See that the controller still holds its set-point, and feed its watchdog where it has one.

        A set-point that has changed is written again; a controller that was switched off is not switched on: ``read``
        reports that as ``heater_fail``.
        """
        async with self._setting:
            await self._feed_watchdog()
            if self._held_c is not None:
                await self._put_set_point(self._held_c)

    async def heater_off(self) -> None:
        """Be without heater power, verified. Raises DriverError when any step could not be confirmed."""
        async with self._setting:
            self._held_c = None
            failure: DriverError | None = None
            try:
                await self._switch(on=False)
            except DriverError as error:
                failure = error
            try:
                await self._put_set_point(self._safe_set_point_c)
            except DriverError as error:
                failure = failure or error
            if failure is not None:
                raise failure

    @abstractmethod
    async def _switch(self, *, on: bool) -> None:
        """Be controlling, or be without heater power; read back."""

    @abstractmethod
    async def _read_set_point_c(self) -> float:
        """The set-point that the controller holds."""

    @abstractmethod
    async def _write_set_point_c(self, temperature_c: float) -> None:
        """Send a set-point."""

    async def _feed_watchdog(self) -> None:
        """Say that the host is alive, to a controller that listens for it."""

    async def _put_set_point(self, temperature_c: float) -> float:
        actual_c = await self._read_set_point_c()
        for _ in range(_ATTEMPTS):
            if self._agrees(actual_c, temperature_c):
                return actual_c
            await self._write_set_point_c(temperature_c)
            actual_c = await self._read_set_point_c()
        if not self._agrees(actual_c, temperature_c):
            raise self._mismatch(f"{temperature_c:g} °C", f"{actual_c:g} °C")
        return actual_c

    def _agrees(self, actual_c: float, wanted_c: float) -> bool:
        return abs(actual_c - wanted_c) <= 0.5 * self._resolution_c + 1e-9
