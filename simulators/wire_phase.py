"""A Modbus input module on the wire, with bubble sensors (0 to 5 V) beside pressure transmitters (4 to 20 mA)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from simulators.plant import PhasePlant
from simulators.wire_modbus import ILLEGAL_ADDRESS, ModbusRefusal
from simulators.wire_pressure import PressureChannel


@dataclass
class PhaseChannel:
    """A sensor that gives ``liquid_v`` with liquid in its field and ``gas_v`` with gas, in between linearly.

    ``open_input`` cuts its wire: the module then reads what its input floats to, 0 V for one with a pull-down.
    """

    plant: PhasePlant
    liquid_v: float = 5.0
    gas_v: float = 0.0
    open_input: bool = False
    floating_v: float = 0.0

    def __post_init__(self) -> None:
        if not all(0.0 <= voltage_v <= 5.0 for voltage_v in (self.liquid_v, self.gas_v)):
            raise ValueError(f"{self.liquid_v} V and {self.gas_v} V are not both within 0 to 5 V")

    def voltage_mv(self, t_s: float) -> int:
        """Voltage at the input, in mV."""
        if self.open_input:
            return round(1000.0 * self.floating_v)
        share = max(0.0, min(1.0, self.plant.gas_share(t_s)))
        return round(1000.0 * (self.liquid_v + share * (self.gas_v - self.liquid_v)))


class InputModuleTwin:
    """The module; a :class:`simulators.wire_modbus.ModbusUnit`.

    Each channel has one register, input and holding: signed mV of a voltage channel, µA of a current channel.
    """

    def __init__(self, channels: Mapping[int, PhaseChannel | PressureChannel]) -> None:
        if not channels or not all(0 <= register <= 0xFFFF for register in channels):
            raise ValueError(f"a module needs channels at registers 0 to 65535, not {sorted(channels)}")
        self._channels = dict(channels)

    def read(self, t_s: float, kind: str, address: int, count: int) -> list[int]:
        registers = range(address, address + count)
        if any(register not in self._channels for register in registers):
            raise ModbusRefusal(ILLEGAL_ADDRESS)
        values = []
        for register in registers:
            channel = self._channels[register]
            value = channel.voltage_mv(t_s) if isinstance(channel, PhaseChannel) else channel.current_ua(t_s)
            values.append(value & 0xFFFF)
        return values

    def write(self, t_s: float, address: int, values: list[int]) -> None:
        raise ModbusRefusal(ILLEGAL_ADDRESS)
