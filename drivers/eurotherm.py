"""Eurotherm 2400 and 3200 temperature controllers over Modbus."""

from __future__ import annotations

import math
import struct
from typing import Final, Literal

from drivers.errors import DriverError, OutOfRangeError, ReadBackError, RefusedError
from drivers.heater_base import HeaterController
from drivers.heater_reading import HeaterReading
from drivers.modbus import ModbusBus
from drivers.modbus_heater import scaled_word, signed

PROCESS_VALUE: Final = 1
TARGET_SET_POINT: Final = 2
MANUAL_OUTPUT: Final = 3
WORKING_OUTPUT: Final = 4
WORKING_SET_POINT: Final = 5
COMMS_SET_POINT: Final = 26
STATUS: Final = 75
LOOP_MODE: Final = 273
LOCAL_REMOTE: Final = 276
_AUTOMATIC: Final = 0
_MANUAL: Final = 1
_REMOTE: Final = 1
_FLOAT_BASE: Final = 0x8000
_MOST_WORD: Final = 0x7FFF
_TELLING_C: Final = 1.0
"""What lies nearer to zero does not tell its decimals."""


class EurothermController(HeaterController):
    """One controller on a Modbus line.

    The set-point goes to the comms set-point (register 26 with 276 = 1), which does not wear the memory that keeps SP1
    and SP2; ``refresh`` writes it again, about every 5 s, as the controller expects of a remote set-point. Where the
    controller has been put to its own set-point meanwhile, that is undone; where it has been put to manual, ``read``
    says ``heater_fail``.

    Integers are scaled by the decimals of the display. With other decimals than those, every temperature would be ten
    times too high or too low and be read back as asked: ``connect`` holds integers against the float mirror of the same
    registers, and refuses decimals that do not fit. A controller that refuses its mirror is taken at the file's word.

    ``heater_off`` sets the comms set-point to ``safe_set_point_c``, then takes the loop out of automatic (register 273
    = 1, manual) with a manual output (register 3) of 0 %: no power whatever the temperature, and a harmless set-point
    for whoever turns it back to automatic. Register 273 and the working output in register 4 are taken from
    the 3200 series address list and are to be confirmed on the instrument. That the display is in °C is assumed.

    Args:
        bus: the line, shared with other devices.
        unit: Modbus address, 1 to 254.
        registers: "integer" for values scaled by the display's decimals, "float" for the IEEE mirror at 0x8000 + 2n.
        decimals: decimals of the display, for "integer".
        set_point_range_c: set-points outside are refused before anything is sent.
        safe_set_point_c: the set-point ``heater_off`` leaves behind.
        name: the device's name in messages.
    """

    def __init__(
        self,
        bus: ModbusBus,
        unit: int = 1,
        *,
        registers: Literal["integer", "float"] = "integer",
        decimals: int = 1,
        set_point_range_c: tuple[float, float] = (0.0, 250.0),
        safe_set_point_c: float = 20.0,
        name: str = "heater",
    ) -> None:
        if not 1 <= unit <= 254:
            raise OutOfRangeError("Modbus unit", low=1, high=254, device=name, asked=unit)
        if not 0 <= decimals <= 2:
            raise OutOfRangeError("decimals of the display", low=0, high=2, device=name, asked=decimals)
        super().__init__(bus, set_point_range_c=set_point_range_c, safe_set_point_c=safe_set_point_c, name=name)
        self._bus = bus
        self._unit = unit
        self._float = registers == "float"
        self._decimals = decimals
        self._scale = 10**decimals
        self._in_manual = False

    async def set_temperature(self, temperature_c: float) -> float:
        """Be controlling at ``temperature_c``. Returns the set-point read back, in °C (the display's decimals).

        Raises OutOfRangeError, ReadBackError.
        """
        self._must_be_within_range(temperature_c)
        async with self._setting:
            actual_c = await self._set_comms_set_point(temperature_c)
            await self._set_choice(LOOP_MODE, _AUTOMATIC)
            self._in_manual = False
            self._held_c = temperature_c
            return actual_c

    async def refresh(self) -> None:
        """Write the held set-point once more, and see that the loop works on it; nothing while the heater is off."""
        async with self._setting:
            if self._held_c is not None:
                await self._write_value(COMMS_SET_POINT, self._held_c)
                await self._set_choice(LOCAL_REMOTE, _REMOTE)
                self._in_manual = (await self._read_raw(LOOP_MODE, 1))[0] != _AUTOMATIC

    async def read(self) -> HeaterReading:
        """Temperature, set-point, output and status, in two exchanges."""
        values = await self._read_values(PROCESS_VALUE, 5)
        status = (await self._read_raw(STATUS, 1))[0]
        process_c = self._from_display(values[PROCESS_VALUE - 1])
        sensor_break = bool(status & 1 << 5) or not math.isfinite(process_c)
        return HeaterReading(
            temperature_c=math.nan if sensor_break else process_c,
            set_point_c=self._from_display(values[WORKING_SET_POINT - 1]),
            output_fraction=self._from_percent(values[WORKING_OUTPUT - 1]),
            sensor_break=sensor_break,
            loop_break=bool(status & 1 << 6),
            heater_fail=bool(status & 1 << 7) or (self._held_c is not None and self._in_manual),
            out_of_range=bool(status & 1 << 10),
            alarm=bool(status & 0b1111),
        )

    async def heater_off(self) -> None:
        """Be without heater power: safe set-point, manual, 0 % output; read back. Raises DriverError.

        The set-point comes first: a line lost between the steps leaves a controller that regulates to the safe value,
        not one that holds its last output. Where the set-point fails, manual is tried all the same.
        """
        async with self._setting:
            self._held_c = None
            failure: DriverError | None = None
            try:
                await self._set_comms_set_point(self._safe_set_point_c)
            except DriverError as error:
                failure = error
            # Written whatever is read: a stale answer may say "manual" of a loop that heats.
            await self._bus.write(self._unit, LOOP_MODE, [_MANUAL], device=self._name)
            await self._set_choice(LOOP_MODE, _MANUAL)
            await self._write_value(MANUAL_OUTPUT, 0.0)
            output = self._from_percent((await self._read_values(MANUAL_OUTPUT, 1))[0])
            if output != 0.0:
                raise self._mismatch(f"register {MANUAL_OUTPUT} = 0", output)
            if failure is not None:
                raise failure

    async def _identify(self) -> str:
        """The kind of controller that the file names: it does not say itself what it is, only how it scales."""
        if not self._float:
            await self._check_decimals()
        form = "float registers" if self._float else f"integer registers / {self._scale}"
        return f"Eurotherm 2400/3200, unit {self._unit}, {form}"

    async def _check_decimals(self) -> None:
        """Raises ReadBackError where the integers are scaled by other decimals than those configured."""
        words = await self._read_values(PROCESS_VALUE, 5)
        try:
            mirror = await self._read_floats(PROCESS_VALUE, 5)
        except RefusedError:
            return
        temperatures = [register - PROCESS_VALUE for register in (PROCESS_VALUE, TARGET_SET_POINT, WORKING_SET_POINT)]
        telling = [
            (abs(mirror[at]), words[at], mirror[at])
            for at in temperatures
            if _TELLING_C <= abs(mirror[at]) < math.inf and 0 < abs(words[at]) < _MOST_WORD
        ]
        if not telling:
            return
        _, word, value = max(telling)
        found = round(math.log10(abs(word / value)))
        if found != self._decimals:
            message = "the controller's display has other decimals than configured"
            answered = f"{found}: what reads {word:g} is {value:g} °C"
            raise self._fault(ReadBackError, message, f"{self._decimals} decimals", answered)

    async def _set_comms_set_point(self, temperature_c: float) -> float:
        await self._write_value(COMMS_SET_POINT, temperature_c)
        actual_c = self._from_display((await self._read_values(COMMS_SET_POINT, 1))[0])
        # Half a digit of the display, plus the rounding of a float register.
        if abs(actual_c - temperature_c) > (1e-4 if self._float else 0.5 / self._scale + 1e-9):
            raise self._mismatch(f"{temperature_c:g} °C", f"{actual_c:g} °C")
        await self._set_choice(LOCAL_REMOTE, _REMOTE)
        return actual_c

    async def _set_choice(self, register: int, choice: int) -> None:
        """Be set to ``choice``: written only where it differs, then read back."""
        if (await self._read_raw(register, 1))[0] == choice:
            return
        await self._bus.write(self._unit, register, [choice], device=self._name)
        answer = (await self._read_raw(register, 1))[0]
        if answer != choice:
            raise self._mismatch(f"register {register} = {choice}", answer)

    async def _read_raw(self, register: int, count: int) -> list[int]:
        return await self._bus.read_holding(self._unit, register, count, device=self._name)

    async def _read_values(self, register: int, count: int) -> list[float]:
        """Values as numbers: scaled integers as they stand, or floats."""
        if not self._float:
            words = await self._read_raw(register, count)
            return [float(signed(word)) for word in words]
        return await self._read_floats(register, count)

    async def _read_floats(self, register: int, count: int) -> list[float]:
        words = await self._read_raw(_FLOAT_BASE + 2 * register, 2 * count)
        return list(struct.unpack(f">{count}f", struct.pack(f">{2 * count}H", *words)))

    async def _write_value(self, register: int, value: float) -> None:
        if self._float:
            words = list(struct.unpack(">2H", struct.pack(">f", value)))
            await self._bus.write(self._unit, _FLOAT_BASE + 2 * register, words, device=self._name)
            return
        decimals = 1 if register == MANUAL_OUTPUT else self._decimals
        word = scaled_word(value, decimals, device=self._name, port=self._port.name)
        await self._bus.write(self._unit, register, [word], device=self._name)

    def _from_display(self, value: float) -> float:
        return value if self._float else value / self._scale

    def _from_percent(self, value: float) -> float:
        """Outputs are in percent, with one decimal where registers are integers."""
        return value / (100.0 if self._float else 1000.0)
