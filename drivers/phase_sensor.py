"""A bubble or phase sensor with a 0 to 5 V output, behind a Modbus voltage-input module."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from drivers.errors import DeviceAlarmError, OutOfRangeError
from drivers.modbus import ModbusBus
from drivers.modbus_input import ModbusInput

LOWEST_V: Final = -0.25
HIGHEST_V: Final = 5.5
"""Outside these the input is open, shorted to the supply, or not a 0 to 5 V signal; assumed."""


class Phase(StrEnum):
    """What fills the tube at the sensor."""

    LIQUID = "liquid"
    GAS = "gas"
    UNCLEAR = "unclear"


@dataclass(frozen=True)
class PhaseReading:
    """What the sensor sees, and the voltage it came from."""

    phase: Phase
    voltage_v: float


class PhaseSensor(ModbusInput[PhaseReading]):
    """One channel of a module whose register holds mV, as a signed 16-bit number.

    Voltages between the two thresholds are the edge of a bubble or a fouled tube: ``unclear``. A voltage output has no
    live zero, so a broken wire reads 0 V: prefer a sensor whose 0 V means gas, which then stops a rig that waits for
    liquid.

    Args:
        bus: the line, shared with other devices.
        unit: Modbus address of the module, 1 to 254.
        register: 0-based register of the channel.
        liquid_v: voltage with liquid in the tube.
        gas_v: voltage with gas in the tube; above or below ``liquid_v``.
        margin: how far from its nominal voltage a phase reaches, as a fraction of the distance between both, 0 to 0.5.
        kind: whether the channel is an input or a holding register.
        name: the device's name in messages.
    """

    def __init__(
        self,
        bus: ModbusBus,
        unit: int,
        *,
        register: int = 0,
        liquid_v: float = 5.0,
        gas_v: float = 0.0,
        margin: float = 0.3,
        kind: Literal["input", "holding"] = "input",
        name: str = "phase",
    ) -> None:
        super().__init__(bus, unit, register=register, kind=kind, name=name)
        for voltage_v in (liquid_v, gas_v):
            if not 0.0 <= voltage_v <= 5.0:
                raise OutOfRangeError("voltage in V", low=0, high=5, device=name, asked=voltage_v)
        if abs(liquid_v - gas_v) < 0.1:
            raise ValueError(f"{name}: {liquid_v:g} V for liquid and {gas_v:g} V for gas cannot be told apart")
        if not 0.0 < margin <= 0.5:
            raise OutOfRangeError("margin", low=0, high=0.5, device=name, asked=margin)
        self._liquid_v = liquid_v
        self._gas_v = gas_v
        self._margin = margin

    async def read(self) -> PhaseReading:
        """What is in the tube now. Raises DeviceAlarmError where the voltage cannot be the sensor's."""
        word = await self._word()
        voltage_v = (word - 0x10000 if word >= 0x8000 else word) / 1000.0
        if not LOWEST_V <= voltage_v <= HIGHEST_V:
            raise DeviceAlarmError(
                f"{voltage_v:.3f} V is outside {LOWEST_V:g} to {HIGHEST_V:g} V: no signal of this sensor",
                alarm="signal out of range",
                device=self._name,
                port=self._bus.name,
                answered=f"{voltage_v:.3f} V",
            )
        gas_share = (voltage_v - self._liquid_v) / (self._gas_v - self._liquid_v)
        if not math.isfinite(gas_share) or self._margin < gas_share < 1.0 - self._margin:
            phase = Phase.UNCLEAR
        else:
            phase = Phase.GAS if gas_share > 0.5 else Phase.LIQUID
        return PhaseReading(phase, voltage_v)

    def _described(self) -> str:
        return f"phase sensor, liquid {self._liquid_v:g} V, gas {self._gas_v:g} V"

    def _in_words(self, reading: PhaseReading) -> tuple[str, str]:
        return f"{reading.voltage_v:.3f} V", str(reading.phase)
