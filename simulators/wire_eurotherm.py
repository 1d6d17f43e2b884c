"""A Eurotherm 3200 on the wire: its Modbus registers, as integers and as floats."""

from __future__ import annotations

import math
import struct
from typing import Final

from simulators.plant import HeaterPlant
from simulators.wire_modbus import ILLEGAL_ADDRESS, ILLEGAL_VALUE, ModbusRefusal

_FLOAT_BASE: Final = 0x8000
_PV, _TARGET, _MANUAL_OUTPUT, _WORKING_OUTPUT, _WORKING_SP = 1, 2, 3, 4, 5
_SP_SELECT, _SP1, _SP2, _COMMS_SP, _SP_RATE = 15, 24, 25, 26, 35
_STATUS, _LOOP_MODE, _ACKNOWLEDGE, _REMOTE = 75, 273, 274, 276
_TEMPERATURES: Final = frozenset({_PV, _TARGET, _WORKING_SP, _SP1, _SP2, _COMMS_SP, _SP_RATE})
_OUTPUTS: Final = frozenset({_MANUAL_OUTPUT, _WORKING_OUTPUT})
_CHOICES: Final = {_SP_SELECT: (0, 1), _LOOP_MODE: (0, 1), _ACKNOWLEDGE: (0, 1), _REMOTE: (0, 1)}
_ALARM_1: Final = 1 << 0
_SENSOR_BREAK: Final = 1 << 5
_OUT_OF_RANGE: Final = 1 << 10
_NEW_ALARM: Final = 1 << 12


class EurothermTwin:
    """One controller; a :class:`simulators.wire_modbus.ModbusUnit`.

    The working set-point is the comms set-point (26) when remote is selected (276 = 1), else SP1 or SP2 as register 15
    says. In manual (273 = 1) the heater's output is the manual output, of which the plant knows 0 only. A broken
    sensor reads full scale, sets status bit 5, and the controller takes its output away.

    Assumed, where the makers' documents at hand are silent: set-points outside the range are refused with exception 3;
    blocks of registers may be read across unused addresses, which read 0 below 512; SP rate (35) is kept, not acted
    on; alarm 1 is a full-scale high alarm at ``alarm_high_c``, and reads as new (bit 12) until acknowledged.

    Args:
        plant: the heater and its thermocouple.
        decimals: decimals of the display, by which integers are scaled.
        set_point_range_c: set-points that the controller accepts.
        full_scale_c: what the process value reads when the sensor is broken.
        alarm_high_c: threshold of alarm 1, or None.
        local_set_point_c: SP1 at power-up.
    """

    def __init__(
        self,
        plant: HeaterPlant,
        *,
        decimals: int = 1,
        set_point_range_c: tuple[float, float] = (0.0, 300.0),
        full_scale_c: float = 1372.0,
        alarm_high_c: float | None = None,
        local_set_point_c: float = 20.0,
    ) -> None:
        if not 0 <= decimals <= 2:
            raise ValueError(f"the display has 0 to 2 decimals, not {decimals}")
        if not set_point_range_c[0] <= local_set_point_c <= set_point_range_c[1]:
            raise ValueError(f"SP1 {local_set_point_c} °C is outside {set_point_range_c}")
        self._plant = plant
        self._scale = 10**decimals
        self._range_c = set_point_range_c
        self._full_scale_c = full_scale_c
        self._alarm_high_c = alarm_high_c
        self._alarm_seen = False
        low_c = set_point_range_c[0]
        self._settings: dict[int, float] = {
            _SP1: local_set_point_c,
            _SP2: low_c,
            _COMMS_SP: low_c,
            _SP_RATE: 0.0,
            _MANUAL_OUTPUT: 0.0,
        }
        self._choices: dict[int, int] = {_SP_SELECT: 0, _LOOP_MODE: 0, _ACKNOWLEDGE: 0, _REMOTE: 0}

    def read(self, t_s: float, kind: str, address: int, count: int) -> list[int]:
        """Holding and input registers are the same."""
        if address < _FLOAT_BASE:
            if address + count > 512:
                raise ModbusRefusal(ILLEGAL_ADDRESS)
            return [self._integer(t_s, register) for register in range(address, address + count)]
        words: list[int] = []
        first = (address - _FLOAT_BASE) // 2
        last = (address - _FLOAT_BASE + count - 1) // 2
        for register in range(first, last + 1):
            words.extend(struct.unpack(">2H", struct.pack(">f", self._value(t_s, register))))
        skip = (address - _FLOAT_BASE) % 2
        return words[skip : skip + count]

    def write(self, t_s: float, address: int, values: list[int]) -> None:
        if address < _FLOAT_BASE:
            for register, word in enumerate(values, address):
                signed = word - 0x10000 if word >= 0x8000 else word
                scale = self._scale if register in _TEMPERATURES else 10 if register in _OUTPUTS else 1
                self._set(t_s, register, signed / scale)
            return
        if address % 2 or len(values) % 2:
            raise ModbusRefusal(ILLEGAL_ADDRESS)
        numbers = struct.unpack(f">{len(values) // 2}f", struct.pack(f">{len(values)}H", *values))
        for register, number in enumerate(numbers, (address - _FLOAT_BASE) // 2):
            self._set(t_s, register, number)

    def _value(self, t_s: float, register: int) -> float:
        if register == _PV:
            value_c = self._plant.process_value_c(t_s)
            return self._full_scale_c if math.isnan(value_c) else value_c
        if register == _WORKING_SP:
            return self._plant.set_point_c(t_s)
        if register == _WORKING_OUTPUT:
            return 100.0 * self._plant.output_fraction(t_s)
        if register == _TARGET:
            return self._target_c()
        if register == _STATUS:
            return float(self._status(t_s))
        if register in self._settings:
            return self._settings[register]
        return float(self._choices.get(register, 0))

    def _integer(self, t_s: float, register: int) -> int:
        value = self._value(t_s, register)
        if register in _TEMPERATURES:
            value *= self._scale
        elif register in _OUTPUTS:
            value *= 10.0
        return max(-0x8000, min(0x7FFF, round(value))) & 0xFFFF

    def _status(self, t_s: float) -> int:
        value_c = self._plant.process_value_c(t_s)
        if math.isnan(value_c):
            return _SENSOR_BREAK | _OUT_OF_RANGE
        if self._alarm_high_c is None or value_c <= self._alarm_high_c:
            self._alarm_seen = False
            return 0
        return _ALARM_1 | (0 if self._alarm_seen else _NEW_ALARM)

    def _target_c(self) -> float:
        if self._choices[_REMOTE]:
            return self._settings[_COMMS_SP]
        return self._settings[_SP2 if self._choices[_SP_SELECT] else _SP1]

    def _set(self, t_s: float, register: int, value: float) -> None:
        if not math.isfinite(value):
            raise ModbusRefusal(ILLEGAL_VALUE)
        if register == _TARGET:
            register = _SP2 if self._choices[_SP_SELECT] else _SP1
        if register in _CHOICES:
            if value not in _CHOICES[register]:
                raise ModbusRefusal(ILLEGAL_VALUE)
            self._choices[register] = int(value)
            if register == _ACKNOWLEDGE:
                self._alarm_seen = bool(value)
                self._choices[register] = 0
        elif register in {_SP1, _SP2, _COMMS_SP}:
            if not self._range_c[0] <= value <= self._range_c[1]:
                raise ModbusRefusal(ILLEGAL_VALUE)
            self._settings[register] = value
        elif register == _MANUAL_OUTPUT:
            if value != 0.0:
                raise ModbusRefusal(ILLEGAL_VALUE)
        elif register == _SP_RATE:
            self._settings[register] = value
        else:
            raise ModbusRefusal(ILLEGAL_ADDRESS)
        self._plant.command(t_s, self._target_c(), self._choices[_LOOP_MODE] == 0)
