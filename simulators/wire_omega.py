"""An Omega Platinum controller on the wire: its Modbus registers."""

from __future__ import annotations

import math
from functools import partial
from typing import Final

from simulators.plant import HeaterPlant
from simulators.wire_modbus import ILLEGAL_VALUE, ModbusRefusal
from simulators.wire_registers import read_pairs, write_pairs

_PV, _CURRENT_SP, _OUTPUT, _STATE, _SET_POINT = 528, 544, 554, 576, 738
_GAINS: Final = (676, 678, 680)
_RUN, _STANDBY, _STOP, _FAULT = 6, 7, 8, 10
_COMMANDS: Final = frozenset({_RUN, _STANDBY, _STOP})


class OmegaTwin:
    """One controller; a :class:`simulators.wire_modbus.ModbusUnit`.

    It starts in standby. A broken sensor reads full scale and puts the controller into fault, whatever state it is
    told to take, for as long as it is broken.

    Assumed, where the makers' documents at hand are silent: the current set-point (544) follows the one written to 738
    after ``follow_s`` and may be written itself; states other than run, standby and stop, and set-points outside the
    range, are refused with exception 3; PID gains (676, 678, 680) are kept, not acted on.

    Args:
        plant: the heater and its thermocouple.
        set_point_range_c: set-points that the controller accepts.
        full_scale_c: what the process value reads when the sensor is broken.
        set_point_c: the set-point at power-up.
        follow_s: how long the loop takes to take a set-point over.
    """

    def __init__(
        self,
        plant: HeaterPlant,
        *,
        set_point_range_c: tuple[float, float] = (0.0, 300.0),
        full_scale_c: float = 1372.0,
        set_point_c: float = 25.0,
        follow_s: float = 0.1,
    ) -> None:
        if not set_point_range_c[0] <= set_point_c <= set_point_range_c[1]:
            raise ValueError(f"the set-point {set_point_c} °C is outside {set_point_range_c}")
        self._plant = plant
        self._range_c = set_point_range_c
        self._full_scale_c = full_scale_c
        self._set_point_c = set_point_c
        self._current_c = set_point_c
        self._follow_s = follow_s
        self._follows_at_s = -math.inf
        self._gains = dict.fromkeys(_GAINS, 0.0)
        self._state = _STANDBY

    def read(self, t_s: float, kind: str, address: int, count: int) -> list[int]:
        """Holding and input registers are the same."""
        return read_pairs(
            t_s,
            address,
            count,
            {
                _PV: self._process_value,
                _CURRENT_SP: self._current,
                _OUTPUT: lambda t: 100.0 * self._plant.output_fraction(t),
                _SET_POINT: lambda _: self._set_point_c,
                **{gain: partial(self._gain, gain) for gain in _GAINS},
            },
            {_STATE: self._shown_state},
            low_word_first=False,
        )

    def write(self, t_s: float, address: int, values: list[int]) -> None:
        write_pairs(
            t_s,
            address,
            values,
            {
                _SET_POINT: self._write_set_point,
                _CURRENT_SP: self._write_current,
                **{gain: partial(self._write_gain, gain) for gain in _GAINS},
            },
            {_STATE: self._write_state},
            low_word_first=False,
        )

    def _process_value(self, t_s: float) -> float:
        value_c = self._plant.process_value_c(t_s)
        return self._full_scale_c if math.isnan(value_c) else value_c

    def _current(self, t_s: float) -> float:
        return self._set_point_c if t_s >= self._follows_at_s else self._current_c

    def _shown_state(self, t_s: float) -> int:
        return _FAULT if math.isnan(self._plant.process_value_c(t_s)) else self._state

    def _gain(self, gain: int, t_s: float) -> float:
        return self._gains[gain]

    def _write_gain(self, gain: int, t_s: float, value: float) -> None:
        self._gains[gain] = value

    def _write_set_point(self, t_s: float, value_c: float) -> None:
        self._check(value_c)
        self._current_c = self._current(t_s)
        self._set_point_c = value_c
        self._follows_at_s = t_s + self._follow_s
        self._command(t_s)

    def _write_current(self, t_s: float, value_c: float) -> None:
        self._check(value_c)
        self._set_point_c = value_c
        self._follows_at_s = t_s
        self._command(t_s)

    def _write_state(self, t_s: float, state: int) -> None:
        if state not in _COMMANDS:
            raise ModbusRefusal(ILLEGAL_VALUE)
        self._state = state
        self._command(t_s)

    def _check(self, value_c: float) -> None:
        if not self._range_c[0] <= value_c <= self._range_c[1]:
            raise ModbusRefusal(ILLEGAL_VALUE)

    def _command(self, t_s: float) -> None:
        self._plant.command(t_s, self._set_point_c, self._state == _RUN)
