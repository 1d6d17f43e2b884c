"""Serial thermostats on the wire: a Julabo circulator and an IKA heating plate, as lines of ASCII."""

from __future__ import annotations

import math
import re
from typing import Final, Literal

from simulators.byte_twin import ByteTwin
from simulators.links import Loop, Timer
from simulators.plant import HeaterPlant

_LONGEST_LINE: Final = 80
_NUMBER: Final = re.compile(r"-?\d{1,4}(\.\d{1,2})?", re.ASCII)
_JULABO_ERRORS: Final = {
    -8: "INVALID COMMAND",
    -9: "COMMAND NOT ALLOWED IN CURRENT OPERATING MODE",
    -10: "VALUE TOO SMALL",
    -11: "VALUE TOO LARGE",
    -13: "VALUE EXCEEDS TEMPERATURE LIMITS",
}
_JULABO_STATES: Final = ("MANUAL STOP", "MANUAL START", "REMOTE STOP", "REMOTE START")
_WATCHDOG: Final = re.compile(r"OUT_WD([12])@(\d{1,4})", re.ASCII)


class _LineTwin(ByteTwin):
    """Collects bytes into lines, and forgets what of one is too long."""

    def __init__(self, end: int) -> None:
        super().__init__()
        self._end = bytes((end,))

    def _take(self) -> None:
        while self._end in self._buffer:
            line, _, rest = self._buffer.partition(self._end)
            self._buffer[:] = rest
            answer = self._taken(self._loop, bytes(line[: _LONGEST_LINE + 1]))
            if answer is not None:
                self._emit(answer.encode("ascii"))
        del self._buffer[_LONGEST_LINE + 1 :]

    def _taken(self, loop: Loop, line: bytes) -> str | None:
        """The answer to one line, without its end; None for silence."""
        raise NotImplementedError


class JulaboTwin(_LineTwin):
    """One circulator.

    A line ends with CR; an LF after it is skipped. ``in_...`` commands, ``status`` and ``version`` are answered with
    CR LF; ``out_...`` commands never. An error of a command waits for the next ``status`` and is then forgotten. A
    broken sensor stops the circulator with -05 and reads as dashes.

    Assumed, where the maker's documents at hand are silent: a command that comes sooner than ``gap_s`` after an
    ``out_...`` command is lost; a line that is not 7-bit ASCII is an invalid command; a set-point outside the warning
    limits is kept, with -13.

    Args:
        plant: the heater and its sensor.
        remote: whether the menu at the instrument is set to remote control.
        set_point_range_c: the working range.
        warning_limits_c: set-points beyond them are kept under protest.
        set_point_c: the set-point at power-up.
        gap_s: silence needed after an ``out_...`` command; 0 for clients that do not keep it.
    """

    def __init__(
        self,
        plant: HeaterPlant,
        *,
        remote: bool = True,
        set_point_range_c: tuple[float, float] = (-30.0, 200.0),
        warning_limits_c: tuple[float, float] = (-30.0, 200.0),
        set_point_c: float = 25.0,
        gap_s: float = 0.25,
    ) -> None:
        if not set_point_range_c[0] <= set_point_c <= set_point_range_c[1]:
            raise ValueError(f"the set-point {set_point_c} °C is outside {set_point_range_c}")
        super().__init__(ord("\r"))
        self.remote = remote
        self._plant = plant
        self._range_c = set_point_range_c
        self._warning_c = warning_limits_c
        self._set_point_c = set_point_c
        self._gap_s = gap_s
        self._deaf_until_s = -math.inf
        self._running = False
        self._error: int | None = None
        self._alarm: str | None = None

    def raise_alarm(self, message: str = "-01 LOW LEVEL ALARM") -> None:
        """Stop with an alarm, as for a low level, until :meth:`clear_alarm`."""
        self._alarm = message
        self._stop()

    def clear_alarm(self) -> None:
        """The liquid is topped up and the alarm acknowledged at the instrument."""
        self._alarm = None

    def _taken(self, loop: Loop, line: bytes) -> str | None:
        now_s = loop.time()
        if now_s < self._deaf_until_s - 1e-6:
            return None
        if math.isnan(self._plant.process_value_c(now_s)):
            self._alarm = "-05 WORKING SENSOR ALARM"
            self._stop()
        text = line.strip(b" \n").decode("latin-1")
        command, _, argument = text.partition(" ")
        if command.startswith("out_"):
            self._deaf_until_s = now_s + self._gap_s
            self._set(now_s, command, argument)
            return None
        answer = None if argument else self._value(now_s, command)
        if answer is None:
            if text:
                self._error = -8
            return None
        return answer + "\r\n"

    def _value(self, now_s: float, command: str) -> str | None:
        if command == "version":
            return "JULABO MAGIO MS-1000F VERSION 1.1.2"
        if command == "status":
            return self._status()
        if command in ("in_pv_00", "in_pv_02"):
            value_c = self._plant.process_value_c(now_s)
            return "---.--" if math.isnan(value_c) else f"{value_c:.2f}"
        if command == "in_pv_01":
            return f"{100.0 * self._plant.output_fraction(now_s):.0f}"
        if command == "in_sp_00":
            return f"{self._set_point_c:.2f}"
        if command == "in_mode_05":
            return str(int(self._running))
        return None

    def _status(self) -> str:
        if self._error is not None:
            code, self._error = self._error, None
            return f"{code:03d} {_JULABO_ERRORS[code]}"
        if self._alarm is not None:
            return self._alarm
        code = 2 * self.remote + self._running
        return f"{code:02d} {_JULABO_STATES[code]}"

    def _set(self, now_s: float, command: str, argument: str) -> None:
        if command == "out_mode_05" and argument in ("0", "1"):
            if not self.remote or (argument == "1" and self._alarm is not None):
                self._error = -9
                return
            self._running = argument == "1"
        elif command == "out_sp_00" and _NUMBER.fullmatch(argument):
            value_c = float(argument)
            if not self.remote:
                self._error = -9
                return
            if not self._range_c[0] <= value_c <= self._range_c[1]:
                self._error = -10 if value_c < self._range_c[0] else -11
                return
            if not self._warning_c[0] <= value_c <= self._warning_c[1]:
                self._error = -13
            self._set_point_c = value_c
        else:
            self._error = -8
            return
        self._plant.command(now_s, self._set_point_c, self._running)

    def _stop(self) -> None:
        if self._running and self._link is not None:
            self._running = False
            self._plant.command(self._loop.time(), self._set_point_c, False)


class IkaTwin(_LineTwin):
    """One heating plate.

    A line ends with LF, with CR before it; blanks around them are skipped. Commands are upper case. A value is
    answered with its channel, ``24.7 1``, and ends with blank, CR, LF. The watchdog, once armed, must be sent again
    within its time: mode 1 then switches the heater off for good (until :meth:`power_cycle`), mode 2 takes the safety
    temperature as its set-point.

    Assumed, where the maker's documents at hand are silent: what is unknown, damaged or out of range is met with
    silence and ignored; ``STATUS_1`` answers 11 on, 12 off, -2 after the watchdog and -5 with a broken sensor, which
    reads 999.9; ``OUT_WD2@0`` stops mode 2 only.

    Args:
        plant: the heater and its sensor.
        set_point_range_c: from its coldest set-point to the safety limit set at the plate.
        set_point_c: the set-point at power-up.
        forgets_set_point: whether ``START_1`` sets the set-point to 0, as some plates have been seen to do.
    """

    def __init__(
        self,
        plant: HeaterPlant,
        *,
        set_point_range_c: tuple[float, float] = (0.0, 310.0),
        set_point_c: float = 0.0,
        forgets_set_point: bool = False,
    ) -> None:
        super().__init__(ord("\n"))
        self._plant = plant
        self._range_c = set_point_range_c
        self._set_point_c = set_point_c
        self._safety_c = 50.0
        self._forgets_set_point = forgets_set_point
        self._on = False
        self._watchdog_error = False
        self._watchdog: Timer | None = None
        self._watchdog_mode = "0"

    @property
    def watchdog_tripped(self) -> bool:
        """Whether the plate shows its watchdog error (mode 1)."""
        return self._watchdog_error

    def power_cycle(self) -> None:
        """Switched off and on at the plate: errors and watchdog are forgotten, the heater is off."""
        self._watchdog_error = False
        self._disarm()
        if self._link is not None:
            self._heat(self._loop.time(), on=False)

    def _taken(self, loop: Loop, line: bytes) -> str | None:
        stripped = line.rstrip(b" ")
        if not stripped.endswith(b"\r") or not all(byte < 0x80 for byte in line):
            return None
        answer = self._answer(loop, stripped.strip(b" \r").decode("ascii"))
        return None if answer is None else f"{answer} \r\n"

    def _answer(self, loop: Loop, command: str) -> str | None:
        now_s = loop.time()
        process_c = self._plant.process_value_c(now_s)
        broken = math.isnan(process_c)
        if broken and self._on:
            self._heat(now_s, on=False)
        if command == "IN_NAME":
            return "RCT digital"
        if command in ("IN_PV_1", "IN_PV_2"):
            return f"{999.9 if broken else process_c:.1f} {command[-1]}"
        if command == "IN_SP_1":
            return f"{self._set_point_c:.1f} 1"
        if command == "IN_SP_3":
            return f"{self._range_c[1]:.1f} 3"
        if command == "STATUS_1":
            return f"{-2 if self._watchdog_error else -5 if broken else 11 if self._on else 12} 1"
        if command == "START_1" and not self._watchdog_error and not broken:
            if self._forgets_set_point and not self._on:
                self._set_point_c = 0.0
            self._heat(now_s, on=True)
        elif command in ("STOP_1", "RESET"):
            self._heat(now_s, on=False)
        elif match := _WATCHDOG.fullmatch(command):
            return self._arm(loop, match[1], int(match[2]))
        else:
            return self._set(now_s, command)
        return None

    def _set(self, now_s: float, command: str) -> str | None:
        name, separator, digits = command.partition("@" if "@" in command else " ")
        if _NUMBER.fullmatch(digits) is None:
            return None
        value_c = float(digits)
        if (name, separator) == ("OUT_SP_12", "@"):
            self._safety_c = value_c
            return f"{value_c:.1f}"
        if (name, separator) == ("OUT_SP_1", " ") and self._range_c[0] <= value_c <= self._range_c[1]:
            self._set_point_c = value_c
            self._heat(now_s, on=self._on)
        return None

    def _arm(self, loop: Loop, mode: str, duration_s: int) -> str | None:
        if (mode, duration_s) == ("2", 0):
            if self._watchdog_mode == "2":
                self._disarm()
            return "0"
        if not 20 <= duration_s <= 1500:
            return None
        self._disarm()
        self._watchdog_mode = mode
        self._watchdog = loop.call_later(duration_s, self._run_out, loop, mode)
        return str(duration_s)

    def _disarm(self) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
        self._watchdog = None
        self._watchdog_mode = "0"

    def _run_out(self, loop: Loop, mode: Literal["1", "2"]) -> None:
        self._disarm()
        if mode == "1":
            self._watchdog_error = True
            self._heat(loop.time(), on=False)
        else:
            self._set_point_c = self._safety_c
            self._heat(loop.time(), on=self._on)

    def _heat(self, now_s: float, *, on: bool) -> None:
        self._on = on
        self._plant.command(now_s, self._set_point_c, on)
