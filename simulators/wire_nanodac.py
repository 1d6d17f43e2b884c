"""A Eurotherm nanodac on the wire: one control loop and its input channel, as Modbus registers."""

from __future__ import annotations

import math
import struct
from typing import Final

from simulators.plant import HeaterPlant
from simulators.wire_modbus import ILLEGAL_ADDRESS, ILLEGAL_VALUE, ModbusRefusal

_FLOAT_BASE: Final = 0x8000
_CHANNEL, _CHANNEL_STRIDE = 256, 4
_LOOP, _LOOP_STRIDE = 512, 128
_PV, _MANUAL, _TARGET, _WORKING, _OUTPUT, _INHIBIT, _INTEGRAL_HOLD = range(7)
_GOOD, _OVER_RANGE = 0, 2


class NanodacTwin:
    """One loop; a :class:`simulators.wire_modbus.ModbusUnit`.

    Reals are integers in tenths, or IEEE singles at 0x8000 + twice their register, high word first. The loop starts
    inhibited. Inhibited or in manual its output is 0, the only one that the plant knows. A broken sensor reads full
    scale, with the channel's status "over range".

    Assumed, where the makers' documents at hand are silent: registers of the other loop and the other channels are
    refused with exception 2, set-points outside the range with exception 3.

    Args:
        plant: the heater and its thermocouple.
        loop: 1 (registers from 512) or 2 (from 640).
        channel: the input channel, 1 to 4 (registers 256 + 4 (n - 1): value and status).
        set_point_range_c: set-points that the loop accepts.
        full_scale_c: what the process value reads when the sensor is broken.
        set_point_c: the target set-point at power-up.
    """

    def __init__(
        self,
        plant: HeaterPlant,
        *,
        loop: int = 1,
        channel: int = 1,
        set_point_range_c: tuple[float, float] = (0.0, 300.0),
        full_scale_c: float = 1372.0,
        set_point_c: float = 25.0,
    ) -> None:
        if loop not in (1, 2) or not 1 <= channel <= 4:
            raise ValueError(f"a nanodac has loops 1 and 2 and channels 1 to 4, not {loop} and {channel}")
        if not set_point_range_c[0] <= set_point_c <= set_point_range_c[1]:
            raise ValueError(f"the set-point {set_point_c} °C is outside {set_point_range_c}")
        self._plant = plant
        self._base = _LOOP + _LOOP_STRIDE * (loop - 1)
        self._input = _CHANNEL + _CHANNEL_STRIDE * (channel - 1)
        self._range_c = set_point_range_c
        self._full_scale_c = full_scale_c
        self._target_c = set_point_c
        self._choices = {_MANUAL: 0, _INHIBIT: 1, _INTEGRAL_HOLD: 0}

    def read(self, t_s: float, kind: str, address: int, count: int) -> list[int]:
        """Holding and input registers are the same."""
        if address < _FLOAT_BASE:
            return [self._integer(t_s, register) for register in range(address, address + count)]
        words: list[int] = []
        first, skip = divmod(address - _FLOAT_BASE, 2)
        for register in range(first, first + (skip + count + 1) // 2):
            value = self._real(t_s, register)
            if value is None:
                raise ModbusRefusal(ILLEGAL_ADDRESS)
            words.extend(struct.unpack(">2H", struct.pack(">f", value)))
        return words[skip : skip + count]

    def write(self, t_s: float, address: int, values: list[int]) -> None:
        if address < _FLOAT_BASE:
            for register, word in enumerate(values, address):
                self._write_one(t_s, register - self._base, word)
        elif address == _FLOAT_BASE + 2 * (self._base + _TARGET) and len(values) == 2:
            self._write_target(t_s, float(struct.unpack(">f", struct.pack(">2H", *values))[0]))
        else:
            raise ModbusRefusal(ILLEGAL_ADDRESS)

    def _integer(self, t_s: float, register: int) -> int:
        value = self._real(t_s, register)
        if value is not None:
            return max(-0x8000, min(0x7FFF, round(10.0 * value))) & 0xFFFF
        if register == self._input + 1:
            return _OVER_RANGE if math.isnan(self._plant.process_value_c(t_s)) else _GOOD
        choice = self._choices.get(register - self._base)
        if choice is None:
            raise ModbusRefusal(ILLEGAL_ADDRESS)
        return choice

    def _real(self, t_s: float, register: int) -> float | None:
        if register in (self._base + _PV, self._input):
            value_c = self._plant.process_value_c(t_s)
            return self._full_scale_c if math.isnan(value_c) else value_c
        if register in (self._base + _TARGET, self._base + _WORKING):
            return self._target_c
        if register == self._base + _OUTPUT:
            return 100.0 * self._plant.output_fraction(t_s)
        return None

    def _write_one(self, t_s: float, offset: int, word: int) -> None:
        if offset == _TARGET:
            self._write_target(t_s, (word - 0x10000 if word >= 0x8000 else word) / 10.0)
            return
        if offset not in self._choices:
            raise ModbusRefusal(ILLEGAL_ADDRESS)
        if word not in (0, 1):
            raise ModbusRefusal(ILLEGAL_VALUE)
        self._choices[offset] = word
        self._command(t_s)

    def _write_target(self, t_s: float, value_c: float) -> None:
        if not self._range_c[0] <= value_c <= self._range_c[1]:
            raise ModbusRefusal(ILLEGAL_VALUE)
        self._target_c = value_c
        self._command(t_s)

    def _command(self, t_s: float) -> None:
        controlling = not self._choices[_MANUAL] and not self._choices[_INHIBIT]
        self._plant.command(t_s, self._target_c, controlling)
