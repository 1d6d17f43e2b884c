"""Eurotherm nanodac recorder/controllers over Modbus TCP."""

from __future__ import annotations

import asyncio
import math
from typing import Final

from drivers.errors import OutOfRangeError
from drivers.heater_reading import HeaterReading
from drivers.modbus import ModbusBus
from drivers.modbus_heater import ModbusHeater, scaled_word, signed

CHANNEL_STATUS: Final = 257
CHANNEL_STRIDE: Final = 4
LOOP: Final = 512
LOOP_STRIDE: Final = 128
_PV, _MANUAL, _TARGET, _WORKING, _OUTPUT, _INHIBIT = range(6)
_GOOD: Final = 0
_OUT_OF_RANGE: Final = frozenset({2, 3, 6, 8})
_SCALE: Final = 10
_MANUAL_WORDS: Final = {0: "automatic", 1: "manual"}
_INHIBIT_WORDS: Final = {0: "running", 1: "inhibited"}
_SETTLE_S: Final = 0.25
_SETTLE_STEPS: Final = 8


class NanodacController(ModbusHeater):
    """One control loop of a nanodac.

    Values are integers in tenths. Loop 1 begins at register 512 and loop 2 at 640: process value, automatic (0) or
    manual (1), target set-point, working set-point, active output in tenths of a percent, inhibit.

    ``heater_off`` inhibits the loop, which sends the loop's configured safe output, and raises ReadBackError unless
    the active output then reads 0 within two seconds. A loop whose safe output is not 0 is so found out.

    Assumed, to be confirmed on the instrument: temperatures are in °C; the status of input channel n stands in register
    257 + 4 (n - 1), 0 for good, 2, 3, 6 and 8 for out of range; a status other than good is ``sensor_break``; a
    set-point beyond the loop's limits is refused with exception 3.

    Args:
        bus: the connection; ``ModbusBus(TcpLink(host))`` for the instrument's own port.
        unit: Modbus address, 1 to 247.
        loop: 1 or 2.
        channel: the input channel that measures for this loop, 1 to 4.
        set_point_range_c: set-points outside are refused before anything is sent.
        safe_set_point_c: the set-point ``heater_off`` leaves behind.
        name: the device's name in messages.
    """

    def __init__(
        self,
        bus: ModbusBus,
        unit: int = 1,
        *,
        loop: int = 1,
        channel: int = 1,
        set_point_range_c: tuple[float, float] = (0.0, 250.0),
        safe_set_point_c: float = 20.0,
        name: str = "heater",
    ) -> None:
        if loop not in (1, 2):
            raise OutOfRangeError("loop", low=1, high=2, device=name, asked=loop)
        if not 1 <= channel <= 4:
            raise OutOfRangeError("input channel", low=1, high=4, device=name, asked=channel)
        super().__init__(
            bus,
            unit,
            set_point_range_c=set_point_range_c,
            safe_set_point_c=safe_set_point_c,
            resolution_c=1.0 / _SCALE,
            name=name,
        )
        self._loop = loop
        self._base = LOOP + LOOP_STRIDE * (loop - 1)
        self._status = CHANNEL_STATUS + CHANNEL_STRIDE * (channel - 1)

    async def read(self) -> HeaterReading:
        """Temperature, set-point, output and flags, in two exchanges."""
        words = await self._words(self._base, 6)
        status = (await self._words(self._status))[0]
        controlling = words[_MANUAL] == 0 and words[_INHIBIT] == 0
        return HeaterReading(
            temperature_c=signed(words[_PV]) / _SCALE if status == _GOOD else math.nan,
            set_point_c=signed(words[_WORKING]) / _SCALE,
            output_fraction=self._fraction(words[_OUTPUT]),
            sensor_break=status != _GOOD,
            loop_break=False,
            heater_fail=self._held_c is not None and not controlling,
            out_of_range=status in _OUT_OF_RANGE,
            alarm=status != _GOOD,
        )

    async def _identify(self) -> str:
        return f"Eurotherm nanodac, unit {self._unit}, loop {self._loop}"

    async def _switch(self, *, on: bool) -> None:
        if on:
            await self._set_choice(self._base + _MANUAL, 0, _MANUAL_WORDS)
            await self._set_choice(self._base + _INHIBIT, 0, _INHIBIT_WORDS)
            return
        await self._set_choice(self._base + _INHIBIT, 1, _INHIBIT_WORDS, surely=True)
        output = await self._read_output()
        for _ in range(_SETTLE_STEPS):
            if output == 0.0:
                return
            await asyncio.sleep(_SETTLE_S)
            output = await self._read_output()
        raise self._mismatch("an inhibited loop without output", f"{output:.1%}")

    async def _read_output(self) -> float:
        return self._fraction((await self._words(self._base + _OUTPUT))[0])

    async def _read_set_point_c(self) -> float:
        return signed((await self._words(self._base + _TARGET))[0]) / _SCALE

    async def _write_set_point_c(self, temperature_c: float) -> None:
        word = scaled_word(temperature_c, 1, device=self._name, port=self._port.name)
        await self._write_words(self._base + _TARGET, [word])

    @staticmethod
    def _fraction(word: int) -> float:
        return signed(word) / (100.0 * _SCALE)
