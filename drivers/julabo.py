"""Julabo circulators over serial (4800 baud, 7 data bits, even parity)."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final, Literal

from drivers.errors import ProtocolError, RefusedError
from drivers.heater_reading import HeaterReading
from drivers.line_heater import LineHeater, parse_number
from drivers.transport import Line

_STATUS: Final = re.compile(r"(-?\d{2}) +(\S.*)", re.ASCII)
_DASHES: Final = re.compile(r"[+-]?-{2,4}(\.-{1,3})?")
_MANUAL: Final = frozenset({0, 1})
_RUNNING: Final = frozenset({1, 3})
_INVALID_COMMAND: Final = -8
_COMMAND_ERRORS: Final = frozenset({_INVALID_COMMAND, -9, -10, -11, -13})
_SENSOR_ALARMS: Final = frozenset({-5, -38})
_TEMPERATURE_WARNINGS: Final = frozenset({-3, -4})
_READINGS: Final = {"internal": "in_pv_00", "external": "in_pv_02"}
_ATTEMPTS: Final = 2


@dataclass(frozen=True)
class CirculatorStatus:
    """Answer to ``status``: 0 to 3 for stopped or running under manual or remote control, negative for an error."""

    code: int
    words: str


def parse_status(text: str) -> CirculatorStatus:
    """``03 REMOTE START`` -> (3, "REMOTE START"). Raises ProtocolError."""
    match = _STATUS.fullmatch(text)
    if match is None:
        raise ProtocolError("the answer is no status", answered=text)
    return CirculatorStatus(int(match[1]), match[2])


def parse_temperature(text: str) -> float:
    """``55.50`` -> 55.5; dashes, for a sensor that is not there, -> nan. Raises ProtocolError."""
    return math.nan if _DASHES.fullmatch(text) else parse_number(text)


def parse_mode(text: str) -> bool:
    """``1`` -> True, ``0`` -> False. Raises ProtocolError."""
    if text not in ("0", "1"):
        raise ProtocolError("neither 0 nor 1", answered=text)
    return text == "1"


class JulaboCirculator(LineHeater):
    """One circulator on a serial line of its own.

    A command (``out_...``) gets no answer: ``status`` is asked after it, and the setting is read back. After a command
    the line rests for 250 ms and after an answer for 10 ms, as the manual wants. The circulator must be under remote
    control, which only its own menu can choose; ``connect`` refuses one that is not, and ``read`` says ``heater_fail``
    of one that is no longer: nothing can stop it over the line then. ``heater_off`` stops it (``out_mode_05 0``): the
    heater and the pump.

    A set-point beyond the warning limits set at the instrument (-13) is reported as refused though the circulator
    keeps it. Alarms: the sensor's (-05, -38) are ``sensor_break``, temperature warnings (-03, -04) ``out_of_range``,
    all others ``heater_fail``. ``output_fraction`` counts heating only; cooling is 0.

    Assumed, to be confirmed on the instrument: temperatures are in °C; an error of a command is reported by one
    ``status`` and then forgotten; a sensor that is missing reads as dashes; handshaking is off or bridged in the cable.

    Args:
        line: over ``SerialTransport(url, 4800, 7, "E")``.
        sensor: which temperature ``read`` reports; which one the circulator controls is set at the instrument.
        decimals: digits after the point of a set-point, 1 or 2 as the model shows them.
        set_point_range_c: set-points outside are refused before anything is sent.
        safe_set_point_c: the set-point ``heater_off`` leaves behind.
        name: the device's name in messages.
    """

    def __init__(
        self,
        line: Line,
        *,
        sensor: Literal["internal", "external"] = "internal",
        decimals: int = 2,
        set_point_range_c: tuple[float, float] = (0.0, 200.0),
        safe_set_point_c: float = 20.0,
        name: str = "heater",
    ) -> None:
        if sensor not in _READINGS:
            raise ValueError(f"{name}: the sensor is 'internal' or 'external', not {sensor!r}")
        super().__init__(
            line,
            terminator="\r",
            decimals=decimals,
            answer_pause_s=0.01,
            command_pause_s=0.25,
            set_point_range_c=set_point_range_c,
            safe_set_point_c=safe_set_point_c,
            name=name,
        )
        self._reading = _READINGS[sensor]

    async def read(self) -> HeaterReading:
        """Temperature, set-point, heating power and status, in four exchanges."""
        temperature_c = await self._ask_temperature(self._reading, parse_temperature)
        set_point_c = await self._read_set_point_c()
        power = await self._ask("in_pv_01", parse_number)
        status = await self._ask("status", parse_status)
        if status.code in _COMMAND_ERRORS:
            # Left over from a command that another exchange spoilt.
            status = await self._ask("status", parse_status)
        alarm = status.code < 0
        sensor_break = math.isnan(temperature_c) or status.code in _SENSOR_ALARMS
        out_of_range = status.code in _TEMPERATURE_WARNINGS
        manual = status.code in _MANUAL
        stopped = not alarm and status.code not in _RUNNING
        return HeaterReading(
            temperature_c=math.nan if sensor_break else temperature_c,
            set_point_c=set_point_c,
            output_fraction=max(0.0, power / 100.0),
            sensor_break=sensor_break,
            loop_break=False,
            heater_fail=manual
            or (alarm and not sensor_break and not out_of_range)
            or (stopped and self._held_c is not None),
            out_of_range=out_of_range,
            alarm=alarm,
        )

    async def _identify(self) -> str:
        version = await self._ask("version", str)
        status = await self._ask("status", parse_status)
        if status.code in _MANUAL:
            raise self._fault(
                RefusedError,
                "the circulator is under manual control: choose remote control in its menu",
                "status",
                f"{status.code:02d} {status.words}",
            )
        return f"Julabo, {version}"

    async def _switch(self, *, on: bool) -> None:
        # It is stopped whatever it says of itself, and started only where it does not run.
        running = await self._ask("in_mode_05", parse_mode) if on else True
        for _ in range(_ATTEMPTS):
            if running is on:
                return
            await self._command(f"out_mode_05 {int(on)}")
            running = await self._ask("in_mode_05", parse_mode)
        if running is not on:
            raise self._mismatch("running" if on else "stopped", "running" if running else "stopped")

    async def _read_set_point_c(self) -> float:
        return await self._ask("in_sp_00", parse_number)

    async def _write_set_point_c(self, temperature_c: float) -> None:
        await self._command(f"out_sp_00 {self._digits(temperature_c)}")

    async def _command(self, command: str) -> None:
        """Send a command and ask how it was taken. One that arrived spoilt is sent again: it is an absolute value."""
        for attempt in range(_ATTEMPTS):
            await self._tell(command)
            status = await self._ask("status", parse_status)
            if status.code not in _COMMAND_ERRORS:
                return
            if status.code != _INVALID_COMMAND or attempt == _ATTEMPTS - 1:
                raise self._fault(RefusedError, status.words.lower(), command, f"{status.code:03d} {status.words}")
