"""Heaters, spectrometers and pressure transmitters that survive an outage; see :mod:`drivers.recovery`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

from drivers.errors import (
    NotConnectedError,
    ProtocolError,
    ReadBackError,
    RefusedError,
    WireTimeoutError,
)
from drivers.heater_reading import HeaterReading
from drivers.pressure import PressureReading
from drivers.readings import Look
from drivers.recovery import Ladder, Reading, RecoveryRules, Rung

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Counts = NDArray[np.float64]

T = TypeVar("T")

STALE_SPECTRA: Final = 2
"""Spectra thrown away after an outage: the first after a change of exposure or lamp still shows what was before."""
SET_POINT_TOLERANCE_C: Final = 0.051
_FORGIVEN: Final = 3
"""How often a first ``connect`` may meet garbage."""
_BEFORE_THE_NEXT_S: Final = 0.5


class Device(Protocol):
    """What every driver offers."""

    @property
    def name(self) -> str: ...
    async def connect(self) -> str: ...
    async def look(self) -> Look: ...
    async def close(self) -> None: ...


class Heater(Device, Protocol):
    """A temperature controller; see :class:`drivers.EurothermController`."""

    async def set_temperature(self, temperature_c: float) -> float: ...
    async def refresh(self) -> None: ...
    async def read(self) -> HeaterReading: ...
    async def heater_off(self) -> None: ...


class Spectrometer(Device, Protocol):
    """A spectrometer; see :class:`drivers.OceanSpectrometer`."""

    async def wavelengths_nm(self) -> Counts: ...
    async def set_integration(self, duration_s: float) -> float: ...
    async def set_lamp(self, on: bool) -> None: ...
    async def acquire(self) -> Counts: ...


R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
D = TypeVar("D", bound=Device)


class Sensor(Device, Protocol[R_co]):
    """A device that is only read."""

    async def read(self) -> R_co: ...


class Recovering(Generic[D, R]):
    """The ladder around one driver of the kind D, and its newest reading, an R.

    Args:
        driver: the driver.
        rules: how an outage is dealt with.
        seed: of the jitter.
    """

    def __init__(self, driver: D, rules: RecoveryRules | None = None, *, seed: int = 0) -> None:
        self._driver = driver
        self._ladder = Ladder(driver.name, rules or RecoveryRules(), seed)
        self._name = driver.name
        self._orders = 0
        self._newest: tuple[R, float] | None = None

    @property
    def name(self) -> str:
        """The device's name."""
        return self._name

    @property
    def rung(self) -> Rung:
        """Where the device stands on the ladder."""
        return self._ladder.rung

    @property
    def outages(self) -> int:
        """How many outages there have been."""
        return self._ladder.outages

    @property
    def latest(self) -> Reading[R] | None:
        """The newest reading with its time and quality; None before the first."""
        if self._newest is None:
            return None
        return Reading(*self._newest, self._ladder.quality)

    async def connect(self) -> str:
        """The driver's ``connect``: garbage is forgiven a few times, a port that is not there is not."""
        for _ in range(_FORGIVEN):
            try:
                return await self._driver.connect()
            except (ProtocolError, WireTimeoutError, ReadBackError, RefusedError):
                await asyncio.sleep(_BEFORE_THE_NEXT_S)
        return await self._driver.connect()

    async def look(self) -> Look:
        """The driver's ``look``; one try."""
        return await self._driver.look()

    async def close(self) -> None:
        """The driver's ``close``."""
        await self._driver.close()

    def _note(self, value: R) -> R:
        self._newest = (value, now_s())
        return value

    async def _look(self, verb: str, act: Callable[[], Awaitable[T]]) -> T:
        """A verb that changes nothing: its caller wants the answer whatever else has been asked."""
        return await self._ladder.run(verb, act, self._rejoin, _never)

    async def _order(self, verb: str, act: Callable[[], Awaitable[T]]) -> T:
        """A verb that sets something: it is not sent after an outage when a newer order has come meanwhile."""
        self._orders += 1
        mine = self._orders
        return await self._ladder.run(verb, act, self._rejoin, lambda: self._orders != mine)

    async def _rejoin(self) -> None:
        """Read the device's state, and put right what an outage changed in it."""
        raise NotImplementedError


class RecoveringHeater(Recovering[Heater, HeaterReading]):
    """A temperature controller on the ladder.

    After an outage the set-point that was last accepted is set again where the controller shows another one, and the
    heater is switched off again where it was off: it may have come back in automatic, and cold enough to heat later.
    One that came back with a fault, such as being off though it should hold, is left as it is: ``read`` tells of it.
    """

    def __init__(self, driver: Heater, rules: RecoveryRules | None = None, *, seed: int = 0) -> None:
        super().__init__(driver, rules, seed=seed)
        self._held: tuple[float, float] | None = None
        self._off = False

    async def connect(self) -> str:
        """The driver's ``connect``."""
        self._held, self._off = None, False
        return await super().connect()

    async def set_temperature(self, temperature_c: float) -> float:
        """The driver's ``set_temperature``."""
        self._held, self._off = None, False

        async def act() -> float:
            actual_c = await self._driver.set_temperature(temperature_c)
            self._held = (temperature_c, actual_c)
            return actual_c

        return await self._order("set_temperature", act)

    async def refresh(self) -> None:
        """The driver's ``refresh``."""
        await self._look("refresh", self._driver.refresh)

    async def read(self) -> HeaterReading:
        """The driver's ``read``."""
        return self._note(await self._look("read", self._driver.read))

    async def heater_off(self) -> None:
        """The driver's ``heater_off``; it stays wanted even where it fails."""
        self._held, self._off = None, True
        await self._order("heater_off", self._driver.heater_off)

    async def _rejoin(self) -> None:
        try:
            reading = await self._driver.read()
        except NotConnectedError:
            await self._driver.connect()
            reading = await self._driver.read()
        self._note(reading)
        if self._off:
            await self._driver.heater_off()
        elif self._held is not None:
            await self._driver.refresh()  # some only see by it that they no longer control
            reading = self._note(await self._driver.read())
            held = self._held  # meanwhile another may have been ordered
            if held is not None and not reading.heater_fail:
                asked_c, actual_c = held
                if abs(reading.set_point_c - actual_c) > SET_POINT_TOLERANCE_C:
                    await self._driver.set_temperature(asked_c)


class RecoveringSpectrometer(Recovering[Spectrometer, "Counts"]):
    """A spectrometer on the ladder.

    One that was unplugged or hung is connected again and must say that it is the same one; its integration time and
    lamp are set again, and the stale spectra after that are thrown away.
    """

    def __init__(self, driver: Spectrometer, rules: RecoveryRules | None = None, *, seed: int = 0) -> None:
        super().__init__(driver, rules, seed=seed)
        self._identity: str | None = None
        self._integration_s: float | None = None
        self._lamp: bool | None = None

    async def connect(self) -> str:
        """The driver's ``connect``."""
        self._integration_s = self._lamp = None
        self._identity = await super().connect()
        return self._identity

    async def wavelengths_nm(self) -> Counts:
        """The driver's ``wavelengths_nm``."""
        return await self._look("wavelengths_nm", self._driver.wavelengths_nm)

    async def set_integration(self, duration_s: float) -> float:
        """The driver's ``set_integration``."""

        async def act() -> float:
            actual_s = await self._driver.set_integration(duration_s)
            self._integration_s = duration_s
            return actual_s

        return await self._order("set_integration", act)

    async def set_lamp(self, on: bool) -> None:
        """The driver's ``set_lamp``."""

        async def act() -> None:
            await self._driver.set_lamp(on)
            self._lamp = on

        await self._order("set_lamp", act)

    async def acquire(self) -> Counts:
        """The driver's ``acquire``."""
        return self._note(await self._look("acquire", self._driver.acquire))

    async def _rejoin(self) -> None:
        identity = await self._driver.connect()
        if self._identity is not None and identity != self._identity:
            await self._driver.close()
            raise ProtocolError(
                "another spectrometer is there now", device=self._name, asked=self._identity, answered=identity
            )
        if self._integration_s is not None:
            await self._driver.set_integration(self._integration_s)
        if self._lamp is not None:
            await self._driver.set_lamp(self._lamp)
        for _ in range(STALE_SPECTRA):
            await self._driver.acquire()


class RecoveringSensor(Recovering[Sensor[R], R]):
    """A device that is only read, on the ladder: after an outage nothing in it needs to be put right."""

    async def read(self) -> R:
        """The driver's ``read``."""
        return self._note(await self._look("read", self._driver.read))

    async def _rejoin(self) -> None:
        try:
            await self._driver.read()
        except NotConnectedError:
            await self._driver.connect()


class RecoveringPressure(RecoveringSensor[PressureReading]):
    """A pressure transmitter on the ladder. A broken wire is the transmitter's own answer and no outage."""


def now_s() -> float:
    return asyncio.get_running_loop().time()


def _never() -> bool:
    return False
