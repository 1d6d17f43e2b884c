"""Novus temperature controllers (N2000, N1100) over Modbus."""

from __future__ import annotations

import math
from typing import Final

from drivers.errors import OutOfRangeError, ProtocolError, RefusedError
from drivers.heater_reading import HeaterReading
from drivers.modbus import ModbusBus
from drivers.modbus_heater import ModbusHeater, scaled_word, signed

SET_POINT: Final = 0
PROCESS_VALUE: Final = 1
OUTPUT: Final = 2
STATUS_1: Final = 6
STATUS_2: Final = 9
STATUS_3: Final = 10
DECIMAL_POINT: Final = 30
AUTOMATIC: Final = 46
RUN: Final = 47
_FAHRENHEIT_BIT: Final = 1 << 9
_RUN_BITS: Final = 0b11
_ALARM_BITS: Final = 0b1111
_SENSOR_BITS: Final = 1 << 0 | 1 << 2 | 1 << 3 | 1 << 4
_POINT_POSITIONS: Final = 3
_AUTOMATIC_WORDS: Final = {0: "manual", 1: "automatic"}
_RUN_WORDS: Final = {0: "control disabled", 1: "control enabled"}


class NovusController(ModbusHeater):
    """One controller on a Modbus line.

    Registers are 16-bit integers at the display's decimals. A write outside the controller's own limits is accepted
    and altered in silence: the set-point is read back after every write, and a difference raises ReadBackError.
    ``heater_off`` disables control (register 47 = 0).

    Registers 46 (automatic), 47 (run) and the status words 6, 9 and 10 with their bits are those of the family's
    communication manuals (N1020, N1200). Assumed for the N2000, to be confirmed on the instrument before it heats:
    the same numbers; register 30 holds the position of the decimal point, 0 for X.XXX to 3 for XXXX; register 2 is
    the output in tenths of a percent; reading many registers at once is allowed, writing many is not.

    Args:
        bus: the line, shared with other devices.
        unit: Modbus address, 1 to 247.
        decimals: decimals of the registers, 0 to 3, or None to take register 30's word for it.
        set_point_range_c: set-points outside are refused before anything is sent.
        safe_set_point_c: the set-point ``heater_off`` leaves behind.
        name: the device's name in messages.
    """

    def __init__(
        self,
        bus: ModbusBus,
        unit: int = 1,
        *,
        decimals: int | None = None,
        set_point_range_c: tuple[float, float] = (0.0, 250.0),
        safe_set_point_c: float = 20.0,
        name: str = "heater",
    ) -> None:
        if decimals is not None and not 0 <= decimals <= _POINT_POSITIONS:
            raise OutOfRangeError("decimals", low=0, high=_POINT_POSITIONS, device=name, asked=decimals)
        super().__init__(
            bus,
            unit,
            set_point_range_c=set_point_range_c,
            safe_set_point_c=safe_set_point_c,
            resolution_c=1.0 if decimals is None else 10.0**-decimals,
            name=name,
        )
        self._given_decimals = decimals
        self._decimals = decimals

    async def read(self) -> HeaterReading:
        """Temperature, set-point, output and flags, in one exchange."""
        words = await self._words(SET_POINT, STATUS_3 + 1)
        scale = 10.0 ** await self._known_decimals()
        sensor_break = bool(words[STATUS_3] & _SENSOR_BITS)
        return HeaterReading(
            temperature_c=math.nan if sensor_break else signed(words[PROCESS_VALUE]) / scale,
            set_point_c=signed(words[SET_POINT]) / scale,
            output_fraction=words[OUTPUT] / 1000.0,
            sensor_break=sensor_break,
            loop_break=False,
            heater_fail=self._held_c is not None and words[STATUS_2] & _RUN_BITS != _RUN_BITS,
            out_of_range=bool(words[STATUS_3] & 1 << 3),
            alarm=bool(words[STATUS_1] & _ALARM_BITS),
        )

    async def _identify(self) -> str:
        if self._given_decimals is None:
            self._decimals = None
        if (await self._words(STATUS_2))[0] & _FAHRENHEIT_BIT:
            raise self._fault(RefusedError, "the controller works in °F: set it to °C", "°C", "°F")
        decimals = await self._known_decimals()
        return f"Novus N1100/N2000, unit {self._unit}, registers / {10**decimals}"

    async def _switch(self, *, on: bool) -> None:
        if on:
            await self._set_choice(AUTOMATIC, 1, _AUTOMATIC_WORDS)
        await self._set_choice(RUN, int(on), _RUN_WORDS, surely=not on)

    async def _read_set_point_c(self) -> float:
        decimals = await self._known_decimals()
        return signed((await self._words(SET_POINT))[0]) / 10.0**decimals

    async def _write_set_point_c(self, temperature_c: float) -> None:
        decimals = await self._known_decimals()
        word = scaled_word(temperature_c, decimals, device=self._name, port=self._port.name)
        await self._write_words(SET_POINT, [word])

    async def _known_decimals(self) -> int:
        if self._decimals is None:
            position = (await self._words(DECIMAL_POINT))[0]
            if position > _POINT_POSITIONS:
                raise self._fault(
                    ProtocolError, "no position of a decimal point", f"register {DECIMAL_POINT}", position
                )
            self._decimals = _POINT_POSITIONS - position
            self._resolution_c = 10.0**-self._decimals
        return self._decimals
