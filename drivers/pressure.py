"""A 4-20 mA pressure transmitter behind a Modbus current-input module."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

from drivers.errors import BrokenWireError, OutOfRangeError
from drivers.modbus import ModbusBus
from drivers.readings import Look

BROKEN_WIRE_MA: Final = 3.6
"""Below this a live transmitter never sends (NAMUR NE 43)."""
FAILURE_MA: Final = 21.0
"""Above this a transmitter signals its own failure (NAMUR NE 43)."""


@dataclass(frozen=True)
class PressureReading:
    """Gauge pressure and the loop current it came from."""

    pressure_kpa: float
    current_ma: float


class PressureTransmitter:
    """One current loop of a module whose register holds µA.

    4 mA is ``low_kpa`` and 20 mA is ``high_kpa``.

    Args:
        bus: the line, shared with other devices.
        unit: Modbus address of the module, 1 to 254.
        register: 0-based register of the channel, 0 to 65535.
        low_kpa, high_kpa: pressure at 4 and at 20 mA.
        kind: whether the channel is an input or a holding register.
        name: the device's name in messages.
    """

    def __init__(
        self,
        bus: ModbusBus,
        unit: int,
        *,
        register: int = 0,
        low_kpa: float = 0.0,
        high_kpa: float = 1000.0,
        kind: Literal["input", "holding"] = "input",
        name: str = "pressure",
    ) -> None:
        if not 1 <= unit <= 254:
            raise OutOfRangeError("Modbus unit", low=1, high=254, device=name, asked=unit)
        if not 0 <= register <= 0xFFFF:
            raise OutOfRangeError("register", low=0, high=0xFFFF, device=name, asked=register)
        if not (math.isfinite(low_kpa) and math.isfinite(high_kpa) and low_kpa < high_kpa):
            raise ValueError(f"{name}: the pressure range {low_kpa:g} to {high_kpa:g} kPa is empty")
        self._bus = bus
        self._unit = unit
        self._register = register
        self._low_kpa = low_kpa
        self._high_kpa = high_kpa
        self._kind = kind
        self._name = name
        self._opened = False

    @property
    def name(self) -> str:
        """The device's name."""
        return self._name

    async def connect(self) -> str:
        """Open the line and read once. Returns a description."""
        if not self._opened:
            await self._bus.open(self._name)
            self._opened = True
        try:
            await self.read()
        except BaseException:
            await self.close()
            raise
        return f"4-20 mA, {self._low_kpa:g} to {self._high_kpa:g} kPa, unit {self._unit}, register {self._register}"

    async def look(self) -> Look:
        """Who it is, its state and reading; changes nothing. Before ``connect`` the line is left again afterwards."""
        opened = self._opened
        try:
            identity, reading = await self.connect(), await self.read()
            return Look(identity, f"{reading.current_ma:.3f} mA", f"{reading.pressure_kpa:.1f} kPa")
        finally:
            if not opened:
                await self.close()

    async def read(self) -> PressureReading:
        """Pressure now. Raises BrokenWireError below 3.6 mA and above 21 mA."""
        read = self._bus.read_input if self._kind == "input" else self._bus.read_holding
        current_ma = (await read(self._unit, self._register, 1, device=self._name))[0] / 1000.0
        if not BROKEN_WIRE_MA <= current_ma <= FAILURE_MA:
            words = "broken wire" if current_ma < BROKEN_WIRE_MA else "transmitter failure"
            raise BrokenWireError(
                f"{current_ma:.3f} mA is outside {BROKEN_WIRE_MA:g} to {FAILURE_MA:g} mA: {words}",
                alarm=words,
                device=self._name,
                port=self._bus.name,
                answered=f"{current_ma:.3f} mA",
            )
        span_kpa = self._high_kpa - self._low_kpa
        return PressureReading(self._low_kpa + (current_ma - 4.0) / 16.0 * span_kpa, current_ma)

    async def close(self) -> None:
        """Leave the line."""
        if self._opened:
            self._opened = False
            await self._bus.close()
