"""A rig's devices as the conductor sees them: typed verbs, hard limits in front, every call recorded.

Each class wraps one driver (or none, when the answers come from a record). A command first passes the rig's hard
limits, then the tracer, which runs it and notes it in the journal, or answers from the record during a replay.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from orchestrator.errors import JournalError, LimitRefused, ReplayDivergence, RigFault

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

JSON = Any
Driver = TypeVar("Driver")


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


class PumpDriver(Protocol):
    """What a syringe-pump driver offers; see :mod:`drivers.new_era`."""

    @property
    def flow_range_ul_min(self) -> tuple[float, float]: ...
    async def connect(self) -> str: ...
    async def infuse(self, flow_ul_min: float, volume_ul: float) -> float: ...
    async def stop(self) -> None: ...
    async def status(self) -> Any: ...
    async def close(self) -> None: ...


class HeaterDriver(Protocol):
    """What a temperature-controller driver offers; see :mod:`drivers.eurotherm`."""

    async def connect(self) -> str: ...
    async def set_temperature(self, temperature_c: float) -> float: ...
    async def refresh(self) -> None: ...
    async def read(self) -> Any: ...
    async def heater_off(self) -> None: ...
    async def close(self) -> None: ...


class SpectrometerDriver(Protocol):
    """What a spectrometer driver offers; see :mod:`drivers.ocean_optics`."""

    async def connect(self) -> str: ...
    async def wavelengths_nm(self) -> Array: ...
    async def set_integration(self, duration_s: float) -> float: ...
    async def set_lamp(self, on: bool) -> None: ...
    async def acquire(self) -> Array: ...
    async def close(self) -> None: ...


class PressureDriver(Protocol):
    """What a pressure transmitter's driver offers; see :mod:`drivers.pressure`."""

    async def connect(self) -> str: ...
    async def read(self) -> Any: ...
    async def close(self) -> None: ...


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


class Traced:
    """A device whose calls go through the tracer.

    ``failed``: the newest error of the device itself; a refusal by the rig's limits never reaches it.
    """

    def __init__(self, name: str, tracer: Tracer) -> None:
        self.name = name
        self.failed: Exception | None = None
        self._tracer = tracer

    async def _call(self, verb: str, action: Callable[[], Awaitable[JSON]], **args: JSON) -> JSON:
        try:
            return await self._tracer.call(self.name, verb, args, action)
        except (JournalError, ReplayDivergence):
            raise
        except Exception as error:
            self.failed = error
            raise


class RigPump(Traced):
    """One syringe pump behind its limits. ``flow_range_ul_min`` is what its mechanics and the rig file allow.

    ``newest``: what it said of itself last.
    """

    def __init__(
        self, name: str, driver: PumpDriver | None, tracer: Tracer, flow_range_ul_min: tuple[float, float]
    ) -> None:
        super().__init__(name, tracer)
        self._driver = driver
        self.flow_range_ul_min = flow_range_ul_min
        self.newest = PumpReading("stopped", 0.0, 0.0, None)

    async def connect(self) -> str:
        async def act() -> JSON:
            return await present(self._driver, self.name).connect()

        return str(await self._call("connect", act))

    async def infuse(self, flow_ul_min: float, volume_ul: float) -> float:
        """Be infusing at this flow, for at most this volume; returns the flow that the pump reads back, in µL/min.

        Raises LimitRefused for a flow outside the pump's range or a volume that is not positive and finite.
        """
        low, high = self.flow_range_ul_min
        if not (math.isfinite(flow_ul_min) and low <= flow_ul_min <= high):
            raise LimitRefused(self.name, "flow", flow_ul_min, low, high, "µL/min")
        if not (math.isfinite(volume_ul) and volume_ul > 0.0):
            raise LimitRefused(self.name, "volume", volume_ul, 0.0, math.inf, "µL")

        async def act() -> JSON:
            return await present(self._driver, self.name).infuse(flow_ul_min, volume_ul)

        return float(await self._call("infuse", act, flow_ul_min=flow_ul_min, volume_ul=volume_ul))

    async def stop(self) -> None:
        """Be stopped."""

        async def act() -> JSON:
            await present(self._driver, self.name).stop()

        await self._call("stop", act)

    async def status(self) -> PumpReading:
        """What the pump says of itself now."""

        async def act() -> JSON:
            status = await present(self._driver, self.name).status()
            counted = [str(status.state), float(status.infused_ul), float(status.withdrawn_ul), status.alarm]
            return [*counted, int(status.interruptions), float(status.lost_ul)]

        # A record made before the last two were kept ends with the alarm.
        self.newest = PumpReading(*await self._call("status", act))
        return self.newest

    async def close(self) -> None:
        if self._driver is not None:
            await self._driver.close()


class RigHeater(Traced):
    """The reactor's temperature controller behind its limits."""

    def __init__(self, name: str, driver: HeaterDriver | None, tracer: Tracer, range_c: tuple[float, float]) -> None:
        super().__init__(name, tracer)
        self._driver = driver
        self.range_c = range_c

    async def connect(self) -> str:
        async def act() -> JSON:
            return await present(self._driver, self.name).connect()

        return str(await self._call("connect", act))

    async def set_temperature(self, temperature_c: float) -> float:
        """Be heading for this temperature; returns the set-point read back. Raises LimitRefused outside the limits."""
        low, high = self.range_c
        if not (math.isfinite(temperature_c) and low <= temperature_c <= high):
            raise LimitRefused(self.name, "temperature", temperature_c, low, high, "°C")

        async def act() -> JSON:
            return await present(self._driver, self.name).set_temperature(temperature_c)

        return float(await self._call("set_temperature", act, temperature_c=temperature_c))

    async def refresh(self) -> None:
        """Renew the communications set-point, which a controller drops when its master falls silent."""

        async def act() -> JSON:
            await present(self._driver, self.name).refresh()

        await self._call("refresh", act)

    async def read(self) -> HeaterReading:
        async def act() -> JSON:
            reading = await present(self._driver, self.name).read()
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

        async def act() -> JSON:
            await present(self._driver, self.name).heater_off()

        await self._call("heater_off", act)

    async def close(self) -> None:
        if self._driver is not None:
            await self._driver.close()


class RigSpectrometer(Traced):
    """The spectrometer and its lamp. Counts travel as arrays of shape (pixels,), kept in the journal as float32."""

    def __init__(self, name: str, driver: SpectrometerDriver | None, tracer: Tracer) -> None:
        super().__init__(name, tracer)
        self._driver = driver

    async def connect(self) -> str:
        async def act() -> JSON:
            return await present(self._driver, self.name).connect()

        return str(await self._call("connect", act))

    async def wavelengths_nm(self) -> tuple[Array, str]:
        """Wavelength of every pixel and the address under which the journal keeps them."""

        async def act() -> JSON:
            return self._keep(await present(self._driver, self.name).wavelengths_nm(), "<f8")

        address = str(await self._call("wavelengths_nm", act))
        return decode_array(self._tracer.load(address), "<f8"), address

    async def set_integration(self, duration_s: float) -> float:
        """Be integrating for this long; returns the time that took effect, in s."""

        async def act() -> JSON:
            return await present(self._driver, self.name).set_integration(duration_s)

        return float(await self._call("set_integration", act, duration_s=duration_s))

    async def set_lamp(self, on: bool) -> None:
        """Have the excitation lamp on or off."""

        async def act() -> JSON:
            await present(self._driver, self.name).set_lamp(on)

        await self._call("set_lamp", act, on=on)

    async def no_light(self, pixels: int) -> tuple[Array, str]:
        """The dark of one that takes off its own: zeros, and the address under which the journal keeps them."""
        import numpy as np

        async def act() -> JSON:
            return self._keep(np.zeros(pixels), "<f4")

        address = str(await self._call("no_light", act, pixels=pixels))
        return decode_array(self._tracer.load(address), "<f4"), address

    async def acquire(self) -> tuple[Array, str]:
        """One spectrum's raw counts, and the address under which the journal keeps them."""

        async def act() -> JSON:
            return self._keep(await present(self._driver, self.name).acquire(), "<f4")

        address = str(await self._call("acquire", act))
        return decode_array(self._tracer.load(address), "<f4"), address

    async def close(self) -> None:
        if self._driver is not None:
            await self._driver.close()

    def _keep(self, values: Array, layout: str) -> str:
        return self._tracer.store(values.astype(layout).tobytes())


class RigPressure(Traced):
    """The line-pressure transmitter."""

    def __init__(self, name: str, driver: PressureDriver | None, tracer: Tracer) -> None:
        super().__init__(name, tracer)
        self._driver = driver

    async def connect(self) -> str:
        async def act() -> JSON:
            return await present(self._driver, self.name).connect()

        return str(await self._call("connect", act))

    async def read(self) -> float:
        """Gauge pressure in kPa."""

        async def act() -> JSON:
            return float((await present(self._driver, self.name).read()).pressure_kpa)

        return float(await self._call("read", act))

    async def close(self) -> None:
        if self._driver is not None:
            await self._driver.close()


def decode_array(data: bytes, layout: str) -> Array:
    """Counts or wavelengths as the journal keeps them, back as float64 of shape (pixels,)."""
    import numpy as np

    return np.frombuffer(data, dtype=layout).astype(np.float64)


def present(driver: Driver | None, name: str) -> Driver:
    """The driver. Raises RigFault where the answers come from a record."""
    if driver is None:
        raise RigFault(f"{name}: there is no device behind this record")
    return driver
