"""A rig's devices as the conductor sees them: typed verbs, hard limits in front, every call recorded.

Each class wraps one driver (or none, when the answers come from a record). A command first passes the rig's hard
limits, then the tracer, which runs it and notes it in the journal, or answers from the record during a replay.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from orchestrator.errors import JournalError, LimitRefused, ReplayDivergence, RigFault

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

JSON = Any


class Tracer(Protocol):
    """Runs a device call and records it, or answers it from the record."""

    async def call(
        self, device: str, verb: str, args: Mapping[str, JSON], action: Callable[[], Awaitable[JSON]]
    ) -> JSON: ...

    def store(self, data: bytes) -> str:
        """Keep a large result beside the record and return its address."""
        ...

    def load(self, address: str) -> bytes:
        """The bytes kept under ``address``."""
        ...


ASKED_BY: ContextVar[str] = ContextVar("asked_by", default="")
"""Which task asks a device, so that several that look at the same one are told apart; "" is the conductor."""


class DeviceDriver(Protocol):
    """What every driver offers."""

    async def connect(self) -> str: ...
    async def close(self) -> None: ...


class PumpDriver(DeviceDriver, Protocol):
    """What a syringe-pump driver offers; see :mod:`drivers.new_era`."""

    @property
    def flow_range_ul_min(self) -> tuple[float, float]: ...
    async def infuse(self, flow_ul_min: float, volume_ul: float) -> float: ...
    async def stop(self) -> None: ...
    async def status(self) -> Any: ...


class HeaterDriver(DeviceDriver, Protocol):
    """What a temperature-controller driver offers; see :mod:`drivers.eurotherm`."""

    async def set_temperature(self, temperature_c: float) -> float: ...
    async def refresh(self) -> None: ...
    async def read(self) -> Any: ...
    async def heater_off(self) -> None: ...


class SpectrometerDriver(DeviceDriver, Protocol):
    """What a spectrometer driver offers; see :mod:`drivers.ocean_optics`."""

    async def wavelengths_nm(self) -> Array: ...
    async def set_integration(self, duration_s: float) -> float: ...
    async def set_lamp(self, on: bool) -> None: ...
    async def acquire(self) -> Array: ...


class PressureDriver(DeviceDriver, Protocol):
    """What a pressure transmitter's driver offers; see :mod:`drivers.pressure`."""

    async def read(self) -> Any: ...


@dataclass(frozen=True)
class PumpReading:
    """State of a pump: ``state`` is one of the driver's words, volumes in µL since the counters were cleared.

    ``interruptions``: how often it was found doing something else than it was told; ``lost_ul``: the part of
    ``infused_ul`` that was reckoned and not counted.
    """

    state: str
    infused_ul: float
    withdrawn_ul: float
    alarm: str | None
    interruptions: int = 0
    lost_ul: float = 0.0


@dataclass(frozen=True)
class HeaterReading:
    """One reading of a temperature controller; ``faults`` names the status flags that are set.

    ``output_fraction`` is nan for a controller that does not tell, while it heats.
    """

    temperature_c: float
    set_point_c: float
    output_fraction: float
    faults: tuple[str, ...]


HEATER_FAULTS = ("sensor_break", "loop_break", "heater_fail", "out_of_range")


Driver = TypeVar("Driver", bound=DeviceDriver)


class Traced(Generic[Driver]):
    """A device whose calls go through the tracer; without a driver they are answered from a record.

    ``failed``: the newest error of the device itself; a refusal by the rig's limits never reaches it.
    """

    def __init__(self, name: str, driver: Driver | None, tracer: Tracer) -> None:
        self.name = name
        self.failed: Exception | None = None
        self._driver = driver
        self._tracer = tracer

    async def connect(self) -> str:
        """Be connected; returns what the device says that it is."""
        return str(await self._call("connect", lambda driver: driver.connect()))

    async def close(self) -> None:
        """Let go of the line. Nothing is recorded."""
        if self._driver is not None:
            await self._driver.close()

    async def _call(self, verb: str, act: Callable[[Driver], Awaitable[JSON]], **args: JSON) -> JSON:
        """What the driver answers to a verb, or the record. Raises RigFault where neither is there."""

        async def action() -> JSON:
            if self._driver is None:
                raise RigFault(f"{self.name}: there is no device behind this record")
            return await act(self._driver)

        try:
            return await self._tracer.call(self.name, verb, args, action)
        except (JournalError, ReplayDivergence):
            raise
        except Exception as error:
            self.failed = error
            raise


class RigPump(Traced[PumpDriver]):
    """One syringe pump behind its limits. ``flow_range_ul_min`` is what its mechanics and the rig file allow.

    ``newest``: what it said of itself last.
    """

    def __init__(
        self, name: str, driver: PumpDriver | None, tracer: Tracer, flow_range_ul_min: tuple[float, float]
    ) -> None:
        super().__init__(name, driver, tracer)
        self.flow_range_ul_min = flow_range_ul_min
        self.newest = PumpReading("stopped", 0.0, 0.0, None)

    async def infuse(self, flow_ul_min: float, volume_ul: float) -> float:
        """Be infusing at this flow, for at most this volume; returns the flow that the pump reads back, in µL/min.

        Raises LimitRefused for a flow outside the pump's range or a volume that is not positive and finite.
        """
        low, high = self.flow_range_ul_min
        if not (math.isfinite(flow_ul_min) and low <= flow_ul_min <= high):
            raise LimitRefused(self.name, "flow", flow_ul_min, low, high, "µL/min")
        if not (math.isfinite(volume_ul) and volume_ul > 0.0):
            raise LimitRefused(self.name, "volume", volume_ul, 0.0, math.inf, "µL")

        actual = await self._call(
            "infuse", lambda driver: driver.infuse(flow_ul_min, volume_ul), flow_ul_min=flow_ul_min, volume_ul=volume_ul
        )
        return float(actual)

    async def stop(self) -> None:
        """Be stopped."""
        await self._call("stop", lambda driver: driver.stop())

    async def status(self) -> PumpReading:
        """What the pump says of itself now."""

        async def act(driver: PumpDriver) -> JSON:
            status = await driver.status()
            counted = [str(status.state), float(status.infused_ul), float(status.withdrawn_ul), status.alarm]
            return [*counted, int(status.interruptions), float(status.lost_ul)]

        # A record made before the last two were kept ends with the alarm.
        self.newest = PumpReading(*await self._call("status", act))
        return self.newest


class RigHeater(Traced[HeaterDriver]):
    """The reactor's temperature controller behind its limits.

    ``off_since_s``: since when it is wanted off, by the loop's clock; None while it is, or may be, wanted warm.
    """

    def __init__(self, name: str, driver: HeaterDriver | None, tracer: Tracer, range_c: tuple[float, float]) -> None:
        super().__init__(name, driver, tracer)
        self.range_c = range_c
        self.off_since_s: float | None = None
        self._orders = 0

    async def set_temperature(self, temperature_c: float) -> float:
        """Be heading for this temperature; returns the set-point read back. Raises LimitRefused outside the limits."""
        low, high = self.range_c
        if not (math.isfinite(temperature_c) and low <= temperature_c <= high):
            raise LimitRefused(self.name, "temperature", temperature_c, low, high, "°C")

        self._orders += 1
        self.off_since_s = None
        actual = await self._call(
            "set_temperature", lambda driver: driver.set_temperature(temperature_c), temperature_c=temperature_c
        )
        return float(actual)

    async def refresh(self) -> None:
        """Renew the communications set-point, which a controller drops when its master falls silent."""
        await self._call("refresh", lambda driver: driver.refresh())

    async def read(self) -> HeaterReading:
        async def act(driver: HeaterDriver) -> JSON:
            reading = await driver.read()
            flags = {
                "sensor_break": reading.sensor_break,
                "loop_break": reading.loop_break,
                "heater_fail": reading.heater_fail,
                "out_of_range": reading.out_of_range,
            }
            faults = [name for name in HEATER_FAULTS if flags[name]]
            numbers = (reading.temperature_c, reading.set_point_c, reading.output_fraction)
            return [*(None if math.isnan(number) else number for number in numbers), faults]

        *numbers, faults = await self._call("read", act)
        temperature, set_point, output = (math.nan if number is None else number for number in numbers)
        return HeaterReading(temperature, set_point, output, tuple(faults))

    async def heater_off(self) -> None:
        """Be off: no output whatever the set-point was."""
        self._orders += 1
        mine = self._orders
        try:
            await self._call("heater_off", lambda driver: driver.heater_off())
        finally:  # one that fails stays wanted
            if self._orders == mine:
                self.off_since_s = asyncio.get_running_loop().time()


class RigSpectrometer(Traced[SpectrometerDriver]):
    """The spectrometer and its lamp. Counts travel as arrays of shape (pixels,), kept in the journal as float32."""

    async def wavelengths_nm(self) -> tuple[Array, str]:
        """Wavelength of every pixel and the address under which the journal keeps them."""

        async def act(driver: SpectrometerDriver) -> JSON:
            return self._keep(await driver.wavelengths_nm(), "<f8")

        address = str(await self._call("wavelengths_nm", act))
        return decode_array(self._tracer.load(address), "<f8"), address

    async def set_integration(self, duration_s: float) -> float:
        """Be integrating for this long; returns the time that took effect, in s."""
        actual = await self._call(
            "set_integration", lambda driver: driver.set_integration(duration_s), duration_s=duration_s
        )
        return float(actual)

    async def set_lamp(self, on: bool) -> None:
        """Have the excitation lamp on or off."""
        await self._call("set_lamp", lambda driver: driver.set_lamp(on), on=on)

    async def no_light(self, pixels: int) -> tuple[Array, str]:
        """The dark of one that takes off its own: zeros, and the address under which the journal keeps them."""
        import numpy as np

        async def act(driver: SpectrometerDriver) -> JSON:
            return self._keep(np.zeros(pixels), "<f4")

        address = str(await self._call("no_light", act, pixels=pixels))
        return decode_array(self._tracer.load(address), "<f4"), address

    async def acquire(self) -> tuple[Array, str]:
        """One spectrum's raw counts, and the address under which the journal keeps them."""

        async def act(driver: SpectrometerDriver) -> JSON:
            return self._keep(await driver.acquire(), "<f4")

        address = str(await self._call("acquire", act))
        return decode_array(self._tracer.load(address), "<f4"), address

    def _keep(self, values: Array, layout: str) -> str:
        return self._tracer.store(values.astype(layout).tobytes())


class RigPressure(Traced[PressureDriver]):
    """The line-pressure transmitter."""

    async def read(self) -> float:
        """Gauge pressure in kPa."""

        async def act(driver: PressureDriver) -> JSON:
            return float((await driver.read()).pressure_kpa)

        return float(await self._call("read", act))


def decode_array(data: bytes, layout: str) -> Array:
    """Counts or wavelengths as the journal keeps them, back as float64 of shape (pixels,)."""
    import numpy as np

    return np.frombuffer(data, dtype=layout).astype(np.float64)
