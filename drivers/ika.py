"""IKA heating plates and baths over serial or USB (9600 baud, 7 data bits, even parity), with their watchdog."""

from __future__ import annotations

import math
import re
from functools import partial
from typing import Final, Literal

from drivers.errors import DriverError, OutOfRangeError, ProtocolError
from drivers.heater_reading import HeaterReading
from drivers.line_heater import LineHeater, parse_number
from drivers.transport import Line

MIN_WATCHDOG_S: Final = 20
MAX_WATCHDOG_S: Final = 1500
_ON: Final = 11
_OFF: Final = 12
COLDEST_C: Final = -50.0
HOTTEST_C: Final = 450.0
"""What is read beyond these is a broken sensor."""
_READINGS: Final = {"external": 1, "plate": 2}
_VALUE: Final = re.compile(r"(\S+) (\d{1,2})", re.ASCII)
_CODE: Final = re.compile(r"-?\d{1,3}", re.ASCII)
_ATTEMPTS: Final = 2


def parse_value(text: str, channel: int) -> float:
    """``24.7 1`` -> 24.7, where the channel is the one that was asked. Raises ProtocolError."""
    return parse_number(_of_channel(text, channel))


def parse_status(text: str, channel: int) -> int:
    """``11 1`` -> 11: 11 on, 12 off, negative an error. Raises ProtocolError."""
    digits = _of_channel(text, channel)
    if _CODE.fullmatch(digits) is None or not (int(digits) < 0 or int(digits) in (_ON, _OFF)):
        raise ProtocolError("the answer is no status", answered=text)
    return int(digits)


def _of_channel(text: str, channel: int) -> str:
    match = _VALUE.fullmatch(text)
    if match is None or int(match[2]) != channel:
        raise ProtocolError(f"the answer is no value of channel {channel}", answered=text)
    return match[1]


class IkaHotplate(LineHeater):
    """One plate or bath on a serial line of its own.

    The plate's own watchdog is armed before it heats, by ``set_temperature``, and fed by ``refresh``: only the
    watchdog command itself feeds it. In mode 1 a silent host makes the plate switch heating and stirring off with an
    error that a person clears at the plate; the makers give no way to disarm it, so a plate that was armed runs into
    that error some time after ``close``. In mode 2 the plate goes to ``safe_set_point_c`` and to its own safety speed,
    and ``close`` disarms it where the heater is off.

    The plate does not tell its power: ``output_fraction`` is nan while it heats and 0 while it does not.

    Assumed, to be confirmed on the instrument: ``STATUS_1``, which the plates' manuals leave out, answers 11 for on
    and 12 for off as users of such plates report, and a negative code for an error; ``START_1``, ``STOP_1`` and
    ``OUT_SP_1`` get no answer and need 0.1 s; the echo of the watchdog is the bare number of seconds; a temperature
    outside -50 to 450 °C is a broken sensor.

    Args:
        line: over ``SerialTransport(url, 9600, 7, "E")``.
        sensor: which temperature ``read`` reports: the external sensor (the one that the plate controls while it is
            plugged in) or the plate's.
        watchdog_s: 20 to 1500; several times the period of ``refresh``.
        watchdog_mode: 1 or 2, see above.
        reports_state: False for a plate that does not know ``STATUS_1``; whether it heats is then not verified.
        decimals: digits after the point of a set-point, 0 or 1 as the plate shows them.
        set_point_range_c: set-points outside are refused before anything is sent.
        safe_set_point_c: the set-point ``heater_off`` leaves behind.
        name: the device's name in messages.
    """

    def __init__(
        self,
        line: Line,
        *,
        sensor: Literal["external", "plate"] = "external",
        watchdog_s: int = 30,
        watchdog_mode: Literal[1, 2] = 1,
        reports_state: bool = True,
        decimals: int = 1,
        set_point_range_c: tuple[float, float] = (0.0, 250.0),
        safe_set_point_c: float = 20.0,
        name: str = "heater",
    ) -> None:
        if sensor not in _READINGS:
            raise ValueError(f"{name}: the sensor is 'external' or 'plate', not {sensor!r}")
        if watchdog_mode not in (1, 2):
            raise OutOfRangeError("watchdog mode", low=1, high=2, device=name, asked=watchdog_mode)
        if not MIN_WATCHDOG_S <= watchdog_s <= MAX_WATCHDOG_S:
            raise OutOfRangeError(
                "watchdog time in s", low=MIN_WATCHDOG_S, high=MAX_WATCHDOG_S, device=name, asked=watchdog_s
            )
        super().__init__(
            line,
            terminator=" \r\n",
            decimals=decimals,
            answer_pause_s=0.0,
            command_pause_s=0.1,
            set_point_range_c=set_point_range_c,
            safe_set_point_c=safe_set_point_c,
            name=name,
        )
        self._channel = _READINGS[sensor]
        self._watchdog_s = watchdog_s
        self._watchdog_mode = watchdog_mode
        self._reports_state = reports_state
        self._armed = False

    async def read(self) -> HeaterReading:
        """Temperature, set-point and state, in three exchanges."""
        of_channel = partial(parse_value, channel=self._channel)
        temperature_c = await self._ask_temperature(f"IN_PV_{self._channel}", of_channel)
        set_point_c = await self._read_set_point_c()
        status = await self._read_status()
        held = self._held_c is not None
        broken = not COLDEST_C <= temperature_c <= HOTTEST_C
        return HeaterReading(
            temperature_c=math.nan if broken else temperature_c,
            set_point_c=set_point_c,
            output_fraction=math.nan if status == _ON else 0.0,
            sensor_break=broken,
            loop_break=False,
            heater_fail=status < 0 or (held and status != _ON),
            out_of_range=False,
            alarm=status < 0,
        )

    async def close(self) -> None:
        """Leave the line. A plate that heats goes on until its watchdog ends it."""
        try:
            if self._joined and self._armed and self._watchdog_mode == 2 and self._held_c is None:
                await self._echoed("OUT_WD2@", 0)
                self._armed = False
        except DriverError:
            pass
        finally:
            await super().close()

    async def _identify(self) -> str:
        return f"IKA {await self._ask('IN_NAME', str)}"

    async def _switch(self, *, on: bool) -> None:
        if on:
            await self._arm()
        # STOP_1 goes out whatever the plate says of itself; START_1 only to a plate that does not heat.
        status = await self._read_status() if on else _ON
        wanted = _ON if on else _OFF
        for _ in range(_ATTEMPTS):
            if status == wanted:
                return
            await self._tell("START_1" if on else "STOP_1")
            if not self._reports_state:
                return
            status = await self._read_status()
            if not on and status < 0:
                # An error has taken the heat away, and hides the state.
                return
        if status != wanted:
            raise self._mismatch("heating" if on else "not heating", {_ON: "on", _OFF: "off"}.get(status, status))

    async def _read_set_point_c(self) -> float:
        return await self._ask("IN_SP_1", partial(parse_value, channel=1))

    async def _write_set_point_c(self, temperature_c: float) -> None:
        await self._tell(f"OUT_SP_1 {self._digits(temperature_c)}")

    async def _feed_watchdog(self) -> None:
        if self._armed:
            await self._arm()

    async def _arm(self) -> None:
        if self._watchdog_mode == 2 and not self._armed:
            await self._echoed("OUT_SP_12@", self._safe_set_point_c)
        await self._echoed(f"OUT_WD{self._watchdog_mode}@", self._watchdog_s)
        self._armed = True

    async def _echoed(self, command: str, value: float) -> None:
        """A setting whose answer is the value set."""
        text = f"{command}{value:g}"
        answer = await self._ask(text, parse_number)
        if answer != value:
            raise self._mismatch(text, f"{answer:g}")

    async def _read_status(self) -> int:
        if not self._reports_state:
            return _OFF if self._held_c is None else _ON
        return await self._ask("STATUS_1", partial(parse_status, channel=1))
