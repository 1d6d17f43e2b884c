"""A Watlow EZ-ZONE PM on the wire: its Modbus registers."""

from __future__ import annotations

import math
from typing import Final

from simulators.plant import HeaterPlant
from simulators.wire_modbus import ILLEGAL_VALUE, ModbusRefusal
from simulators.wire_registers import read_pairs, write_pairs

_PV, _INPUT_ERROR, _MODE, _POWER, _SET_POINT, _UNITS = 360, 362, 1880, 1904, 2160, 2490
_OFF, _AUTOMATIC, _MANUAL = 62, 10, 54
_NO_ERROR, _OPEN, _SHORTED = 61, 65, 127
_CELSIUS, _FAHRENHEIT = 15, 30
_MODES: Final = frozenset({_OFF, _AUTOMATIC, _MANUAL})


class WatlowTwin:
    """One controller; a :class:`simulators.wire_modbus.ModbusUnit`.

    It starts in mode off. In manual (54) the heater's output is 0, the only one that the plant knows. A broken sensor
    reads full scale, with input error 65, or 127 where ``shorted`` is set.

    Assumed, where the makers' documents at hand are silent: whole numbers stand in the first register of their pair;
    addresses between the values that are served here are refused with exception 2, set-points outside the range and
    modes that are none with exception 3.

    Args:
        plant: the heater and its thermocouple.
        low_word_first: order of the two words of a float.
        fahrenheit: the unit that temperatures travel in; a client may change it in register 2490.
        set_point_range_c: set-points that the controller accepts.
        full_scale_c: what the process value reads when the sensor is broken.
        set_point_c: the set-point at power-up.
    """

    def __init__(
        self,
        plant: HeaterPlant,
        *,
        low_word_first: bool = True,
        fahrenheit: bool = True,
        set_point_range_c: tuple[float, float] = (0.0, 300.0),
        full_scale_c: float = 1372.0,
        set_point_c: float = 25.0,
    ) -> None:
        if not set_point_range_c[0] <= set_point_c <= set_point_range_c[1]:
            raise ValueError(f"the set-point {set_point_c} °C is outside {set_point_range_c}")
        self.shorted = False
        self._plant = plant
        self._low_word_first = low_word_first
        self._fahrenheit = fahrenheit
        self._range_c = set_point_range_c
        self._full_scale_c = full_scale_c
        self._set_point_c = set_point_c
        self._mode = _OFF

    def read(self, t_s: float, kind: str, address: int, count: int) -> list[int]:
        """Holding and input registers are the same."""
        return read_pairs(
            t_s,
            address,
            count,
            {_PV: self._process_value, _POWER: self._power, _SET_POINT: lambda _: self._shown(self._set_point_c)},
            {
                _INPUT_ERROR: self._input_error,
                _MODE: lambda _: self._mode,
                _UNITS: lambda _: _FAHRENHEIT if self._fahrenheit else _CELSIUS,
            },
            low_word_first=self._low_word_first,
        )

    def write(self, t_s: float, address: int, values: list[int]) -> None:
        write_pairs(
            t_s,
            address,
            values,
            {_SET_POINT: self._write_set_point},
            {_MODE: self._write_mode, _UNITS: self._write_units},
            low_word_first=self._low_word_first,
        )

    def _process_value(self, t_s: float) -> float:
        value_c = self._plant.process_value_c(t_s)
        return self._shown(self._full_scale_c if math.isnan(value_c) else value_c)

    def _input_error(self, t_s: float) -> int:
        if not math.isnan(self._plant.process_value_c(t_s)):
            return _NO_ERROR
        return _SHORTED if self.shorted else _OPEN

    def _power(self, t_s: float) -> float:
        return 100.0 * self._plant.output_fraction(t_s)

    def _shown(self, temperature_c: float) -> float:
        return temperature_c * 1.8 + 32.0 if self._fahrenheit else temperature_c

    def _write_set_point(self, t_s: float, value: float) -> None:
        value_c = (value - 32.0) / 1.8 if self._fahrenheit else value
        if not self._range_c[0] - 1e-3 <= value_c <= self._range_c[1] + 1e-3:
            raise ModbusRefusal(ILLEGAL_VALUE)
        self._set_point_c = value_c
        self._command(t_s)

    def _write_mode(self, t_s: float, mode: int) -> None:
        if mode not in _MODES:
            raise ModbusRefusal(ILLEGAL_VALUE)
        self._mode = mode
        self._command(t_s)

    def _write_units(self, t_s: float, units: int) -> None:
        if units not in (_CELSIUS, _FAHRENHEIT):
            raise ModbusRefusal(ILLEGAL_VALUE)
        self._fahrenheit = units == _FAHRENHEIT

    def _command(self, t_s: float) -> None:
        self._plant.command(t_s, self._set_point_c, self._mode == _AUTOMATIC)
