"""A 4-20 mA input module on the wire, with pressure transmitters on its channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from simulators.plant import PressurePlant
from simulators.wire_modbus import ILLEGAL_ADDRESS, ModbusRefusal


@dataclass
class PressureChannel:
    """A transmitter: 4 mA at ``low_kpa``, 20 mA at ``high_kpa``. ``broken`` cuts its wire."""

    plant: PressurePlant
    low_kpa: float = 0.0
    high_kpa: float = 1000.0
    broken: bool = False

    def __post_init__(self) -> None:
        if not self.low_kpa < self.high_kpa:
            raise ValueError(f"the pressure range {self.low_kpa} to {self.high_kpa} kPa is empty")

    def current_ua(self, t_s: float) -> int:
        """Loop current in µA, held at the 3.8 and 20.5 mA that a live transmitter keeps to (NAMUR NE 43)."""
        if self.broken:
            return 0
        fraction = (self.plant.pressure_kpa(t_s) - self.low_kpa) / (self.high_kpa - self.low_kpa)
        return round(max(3800.0, min(20500.0, 4000.0 + 16000.0 * fraction)))


class PressureModuleTwin:
    """The module; a :class:`simulators.wire_modbus.ModbusUnit`. Each channel's register, input and holding, is µA."""

    def __init__(self, channels: Mapping[int, PressureChannel]) -> None:
        if not channels or not all(0 <= register <= 0xFFFF for register in channels):
            raise ValueError(f"a module needs channels at registers 0 to 65535, not {sorted(channels)}")
        self._channels = dict(channels)

    def read(self, t_s: float, kind: str, address: int, count: int) -> list[int]:
        registers = range(address, address + count)
        if any(register not in self._channels for register in registers):
            raise ModbusRefusal(ILLEGAL_ADDRESS)
        return [self._channels[register].current_ua(t_s) for register in registers]

    def write(self, t_s: float, address: int, values: list[int]) -> None:
        raise ModbusRefusal(ILLEGAL_ADDRESS)
