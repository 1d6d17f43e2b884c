"""Watlow EZ-ZONE PM temperature controllers over Modbus."""

from __future__ import annotations

import math
from typing import Final, Literal

from drivers.errors import ProtocolError, ReadBackError
from drivers.heater_reading import HeaterReading
from drivers.modbus import ModbusBus
from drivers.modbus_heater import ModbusHeater, WordOrder, float_words, words_float

PROCESS_VALUE: Final = 360
INPUT_ERROR: Final = 362
CONTROL_MODE: Final = 1880
HEAT_POWER: Final = 1904
SET_POINT: Final = 2160
UNITS: Final = 2490
_OFF: Final = 62
_AUTOMATIC: Final = 10
_MANUAL: Final = 54
_MODES: Final = {_OFF: "off", _AUTOMATIC: "automatic", _MANUAL: "manual"}
_NO_ERROR: Final = 61
_CELSIUS: Final = 15
_FAHRENHEIT: Final = 30
_UNITS: Final[dict[int, Literal["C", "F"]]] = {_CELSIUS: "C", _FAHRENHEIT: "F"}
_COLDEST: Final = -500.0
_HOTTEST: Final = 5000.0
_SMALLEST: Final = 1e-3


class WatlowController(ModbusHeater):
    """One controller on a Modbus line.

    Temperatures travel in the unit that register 2490 names (15 °C, 30 °F; °F by default), read at ``connect`` and
    honoured: everything here is in °C. A pair of registers read in the wrong order gives a number, and often one near
    zero, so ``connect`` refuses process values and set-points that no process has (nan, beyond -500 to 5000, or
    smaller than 0.001 without being 0).

    ``heater_off`` is control mode 62. An input error (65 open, 127 shorted, or any other but 61) is ``sensor_break``.

    Assumed, to be confirmed on the instrument: the controller is on Modbus and its map is the default one; whole
    numbers stand in the first register of their pair; a set-point outside the controller's own limits is refused with
    exception 3.

    Args:
        bus: the line, shared with other devices.
        unit: Modbus address, 1 to 247.
        word_order: of floats; the controller's default is low word first.
        temperature_unit: None to take register 2490's word for it; "C" or "F" to insist, then ``connect`` raises
            where the controller says otherwise.
        set_point_range_c: set-points outside are refused before anything is sent.
        safe_set_point_c: the set-point ``heater_off`` leaves behind.
        name: the device's name in messages.
    """

    def __init__(
        self,
        bus: ModbusBus,
        unit: int = 1,
        *,
        word_order: WordOrder = "low first",
        temperature_unit: Literal["C", "F"] | None = None,
        set_point_range_c: tuple[float, float] = (0.0, 250.0),
        safe_set_point_c: float = 20.0,
        name: str = "heater",
    ) -> None:
        if word_order not in ("high first", "low first"):
            raise ValueError(f"{name}: word order is 'high first' or 'low first', not {word_order!r}")
        super().__init__(
            bus,
            unit,
            set_point_range_c=set_point_range_c,
            safe_set_point_c=safe_set_point_c,
            resolution_c=0.002,
            name=name,
        )
        self._order: WordOrder = word_order
        self._wanted_unit = temperature_unit
        self._temperature_unit: Literal["C", "F"] | None = None

    async def read(self) -> HeaterReading:
        """Temperature, set-point, output and flags, in four exchanges."""
        process = await self._words(PROCESS_VALUE, 4)
        mode = (await self._words(CONTROL_MODE))[0]
        power = await self._float(HEAT_POWER, self._order)
        set_point_c = await self._read_set_point_c()
        value = words_float(process[:2], self._order)
        broken = process[INPUT_ERROR - PROCESS_VALUE] != _NO_ERROR or not math.isfinite(value)
        return HeaterReading(
            temperature_c=math.nan if broken else await self._celsius(value),
            set_point_c=set_point_c,
            output_fraction=power / 100.0,
            sensor_break=broken,
            loop_break=False,
            heater_fail=self._held_c is not None and mode != _AUTOMATIC,
            out_of_range=False,
            alarm=broken,
        )

    async def _identify(self) -> str:
        self._temperature_unit = None
        unit = await self._read_unit()
        if self._wanted_unit is not None and unit != self._wanted_unit:
            raise self._fault(
                ReadBackError, "the controller's unit is not the one configured", f"°{self._wanted_unit}", f"°{unit}"
            )
        self._temperature_unit = unit
        process = await self._words(PROCESS_VALUE, 4)
        if process[INPUT_ERROR - PROCESS_VALUE] == _NO_ERROR:
            self._check_order(process[:2], PROCESS_VALUE)
        self._check_order(await self._words(SET_POINT, 2), SET_POINT)
        return f"Watlow PM, unit {self._unit}, °{unit}, {self._order.split()[0]} word first"

    async def _switch(self, *, on: bool) -> None:
        await self._set_choice(CONTROL_MODE, _AUTOMATIC if on else _OFF, _MODES, surely=not on)

    async def _read_set_point_c(self) -> float:
        return await self._celsius(await self._float(SET_POINT, self._order))

    async def _write_set_point_c(self, temperature_c: float) -> None:
        unit = self._temperature_unit or await self._read_unit()
        value = temperature_c * 1.8 + 32.0 if unit == "F" else temperature_c
        await self._write_words(SET_POINT, float_words(value, self._order))

    async def _celsius(self, value: float) -> float:
        unit = self._temperature_unit or await self._read_unit()
        return (value - 32.0) / 1.8 if unit == "F" else value

    async def _read_unit(self) -> Literal["C", "F"]:
        code = (await self._words(UNITS))[0]
        if code not in _UNITS:
            raise self._fault(ProtocolError, "neither °C (15) nor °F (30)", f"register {UNITS}", code)
        return _UNITS[code]

    def _check_order(self, words: list[int], register: int) -> None:
        value = words_float(words, self._order)
        if value == 0.0 or (_COLDEST <= value <= _HOTTEST and abs(value) >= _SMALLEST):
            return
        raise self._fault(
            ProtocolError,
            "this pair of registers is no temperature: is the word order right?",
            f"register {register}",
            f"{value:g}",
        )
