"""Omega Platinum temperature controllers (CN8Pt, CN16Pt, CN32Pt) over Modbus."""

from __future__ import annotations

import asyncio
import math
from typing import Final

from drivers.heater_reading import HeaterReading
from drivers.modbus import ModbusBus
from drivers.modbus_heater import ModbusHeater, WordOrder, float_words

PROCESS_VALUE: Final = 528
CURRENT_SET_POINT: Final = 544
OUTPUT: Final = 554
STATE: Final = 576
SET_POINT: Final = 738
_RUN: Final = 6
_STANDBY: Final = 7
_FAULT: Final = 10
_AUTOTUNE: Final = 12
_STATES: Final = {
    0: "load",
    1: "idle",
    2: "input adjust",
    3: "output adjust",
    4: "modify",
    5: "wait",
    _RUN: "run",
    _STANDBY: "standby",
    8: "stop",
    9: "pause",
    _FAULT: "fault",
    11: "shutdown",
    _AUTOTUNE: "autotune",
}
_ORDER: Final[WordOrder] = "high first"
_CYCLE_S: Final = 0.25


class OmegaController(ModbusHeater):
    """One controller on a Modbus line.

    Floats are high word first. The set-point is written to register 738 and read back from 544, the one that the loop
    works on. ``heater_off`` is state 7, standby; heating is state 6, run. State 10 (fault) is ``heater_fail``, and
    because the map gives no cause it is ``sensor_break`` too: the process value is not to be trusted then.

    Assumed, to be confirmed on the instrument: temperatures are in °C; register 544 follows 738 within a quarter of a
    second; the output in register 554 is in percent; a controller in fault does not take the state run.

    Args:
        bus: the line, shared with other devices.
        unit: Modbus address, 1 to 247.
        set_point_range_c: set-points outside are refused before anything is sent.
        safe_set_point_c: the set-point ``heater_off`` leaves behind.
        name: the device's name in messages.
    """

    def __init__(
        self,
        bus: ModbusBus,
        unit: int = 1,
        *,
        set_point_range_c: tuple[float, float] = (0.0, 250.0),
        safe_set_point_c: float = 20.0,
        name: str = "heater",
    ) -> None:
        super().__init__(
            bus,
            unit,
            set_point_range_c=set_point_range_c,
            safe_set_point_c=safe_set_point_c,
            resolution_c=0.002,
            name=name,
        )

    async def read(self) -> HeaterReading:
        """Temperature, set-point, output and flags, in four exchanges."""
        state = (await self._words(STATE))[0]
        process_c = await self._float(PROCESS_VALUE, _ORDER)
        set_point_c = await self._read_set_point_c()
        output = await self._float(OUTPUT, _ORDER)
        broken = state == _FAULT or not math.isfinite(process_c)
        return HeaterReading(
            temperature_c=math.nan if broken else process_c,
            set_point_c=set_point_c,
            output_fraction=output / 100.0,
            sensor_break=broken,
            loop_break=False,
            heater_fail=state == _FAULT or (self._held_c is not None and state not in (_RUN, _AUTOTUNE)),
            out_of_range=False,
            alarm=state == _FAULT,
        )

    async def _identify(self) -> str:
        state = (await self._words(STATE))[0]
        return f"Omega Platinum, unit {self._unit}, state {_STATES.get(state, state)}"

    async def _switch(self, *, on: bool) -> None:
        await self._set_choice(STATE, _RUN if on else _STANDBY, _STATES, surely=not on)

    async def _read_set_point_c(self) -> float:
        return await self._float(CURRENT_SET_POINT, _ORDER)

    async def _write_set_point_c(self, temperature_c: float) -> None:
        await self._write_words(SET_POINT, float_words(temperature_c, _ORDER))
        await asyncio.sleep(_CYCLE_S)
