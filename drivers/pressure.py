"""A 4-20 mA pressure transmitter behind a Modbus current-input module."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

from drivers.errors import BrokenWireError
from drivers.modbus import ModbusBus
from drivers.modbus_input import ModbusInput

BROKEN_WIRE_MA: Final = 3.6
"""Below this a live transmitter never sends (NAMUR NE 43)."""
FAILURE_MA: Final = 21.0
"""Above this a transmitter signals its own failure (NAMUR NE 43)."""


@dataclass(frozen=True)
class PressureReading:
    """Gauge pressure and the loop current it came from."""

    pressure_kpa: float
    current_ma: float


class PressureTransmitter(ModbusInput[PressureReading]):
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
        super().__init__(bus, unit, register=register, kind=kind, name=name)
        if not (math.isfinite(low_kpa) and math.isfinite(high_kpa) and low_kpa < high_kpa):
            raise ValueError(f"{name}: the pressure range {low_kpa:g} to {high_kpa:g} kPa is empty")
        self._low_kpa = low_kpa
        self._high_kpa = high_kpa

    async def read(self) -> PressureReading:
        """Pressure now. Raises BrokenWireError below 3.6 mA and above 21 mA."""
        current_ma = await self._word() / 1000.0
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

    def _described(self) -> str:
        return f"4-20 mA, {self._low_kpa:g} to {self._high_kpa:g} kPa"

    def _in_words(self, reading: PressureReading) -> tuple[str, str]:
        return f"{reading.current_ma:.3f} mA", f"{reading.pressure_kpa:.1f} kPa"
