"""A Novus N2000 on the wire: its Modbus registers."""

from __future__ import annotations

import math
from typing import Final

from simulators.plant import HeaterPlant
from simulators.wire_modbus import ILLEGAL_ADDRESS, ILLEGAL_FUNCTION, ModbusRefusal

_SP, _PV, _MV, _STATUS_1, _VERSION, _ID, _STATUS_2, _STATUS_3 = 0, 1, 2, 6, 7, 8, 9, 10
_POINT, _AUTOMATIC, _RUN = 30, 46, 47
_REGISTERS: Final = 121
_PV_TOO_HIGH: Final = 1 << 2


class NovusTwin:
    """One controller; a :class:`simulators.wire_modbus.ModbusUnit`.

    A set-point outside its limits is accepted and moved to the nearer limit in silence; so is a choice that is none.
    Control starts disabled (run = 0). A broken sensor reads full scale, with "PV conversion very high" in status
    word 3.

    Numbers and bits beyond 0, 1 and 30 are those of the family's communication manuals (N1020, N1200), assumed for
    the N2000. Also assumed: function 16 is not known; registers up to 120 that are not served here read 0 and cannot
    be written.

    Args:
        plant: the heater and its thermocouple.
        decimals: decimals of the display and of the registers, 0 to 3.
        set_point_range_c: limits of the set-point.
        full_scale_c: what the process value reads when the sensor is broken.
        fahrenheit: only shows in status word 2; the twin keeps reckoning in °C.
        set_point_c: the set-point at power-up.
    """

    def __init__(
        self,
        plant: HeaterPlant,
        *,
        decimals: int = 1,
        set_point_range_c: tuple[float, float] = (0.0, 300.0),
        full_scale_c: float = 1372.0,
        fahrenheit: bool = False,
        set_point_c: float = 25.0,
    ) -> None:
        if not 0 <= decimals <= 3:
            raise ValueError(f"the display has 0 to 3 decimals, not {decimals}")
        if not set_point_range_c[0] <= set_point_c <= set_point_range_c[1]:
            raise ValueError(f"the set-point {set_point_c} °C is outside {set_point_range_c}")
        self._plant = plant
        self._decimals = decimals
        self._scale = 10**decimals
        self._low, self._high = (round(limit * self._scale) for limit in set_point_range_c)
        self._full_scale_c = full_scale_c
        self._fahrenheit = fahrenheit
        self._set_point = round(set_point_c * self._scale)
        self._automatic = 1
        self._run = 0

    def read(self, t_s: float, kind: str, address: int, count: int) -> list[int]:
        if kind != "holding":
            raise ModbusRefusal(ILLEGAL_FUNCTION)
        if address + count > _REGISTERS:
            raise ModbusRefusal(ILLEGAL_ADDRESS)
        process_c = self._plant.process_value_c(t_s)
        broken = math.isnan(process_c)
        shown = round((self._full_scale_c if broken else process_c) * self._scale)
        values = {
            _SP: self._set_point,
            _PV: max(-0x8000, min(0x7FFF, shown)),
            _MV: round(1000.0 * self._plant.output_fraction(t_s)),
            _STATUS_1: 0,
            _VERSION: 200,
            _ID: 2,
            _STATUS_2: self._automatic | self._run << 1 | self._fahrenheit << 9,
            _STATUS_3: _PV_TOO_HIGH if broken else 0,
            _POINT: 3 - self._decimals,
            _AUTOMATIC: self._automatic,
            _RUN: self._run,
        }
        return [values.get(register, 0) & 0xFFFF for register in range(address, address + count)]

    def write(self, t_s: float, address: int, values: list[int]) -> None:
        if len(values) != 1:
            raise ModbusRefusal(ILLEGAL_FUNCTION)
        value = values[0] - 0x10000 if values[0] >= 0x8000 else values[0]
        if address == _SP:
            self._set_point = max(self._low, min(self._high, value))
        elif address == _AUTOMATIC:
            self._automatic = max(0, min(1, value))
        elif address == _RUN:
            self._run = max(0, min(1, value))
        else:
            raise ModbusRefusal(ILLEGAL_ADDRESS)
        self._plant.command(t_s, self._set_point / self._scale, bool(self._automatic and self._run))
