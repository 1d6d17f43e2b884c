"""One New Era pump behind the wire: commands, alarms, counters, watchdog (NE-1000 user manual 1200-01)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from simulators.links import Loop, Timer
from simulators.plant import PumpPlant

_STALL_WATCH_S: Final = 1.0
"""How soon a pump in safe mode pushes a stall; assumed."""
_UL_PER_MIN: Final = {"UM": 1.0, "MM": 1000.0, "UH": 1.0 / 60.0, "MH": 1000.0 / 60.0}
_UL: Final = {"UL": 1.0, "ML": 1000.0}
_NUMBER: Final = re.compile(r"(\d*)(?:\.(\d*))?")
_MOVING: Final = frozenset("IWX")


class _Refusal(Exception):  # noqa: N818 - not an error: one of the answers of the protocol
    """A command is answered ``?`` and this code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass
class PumpMemory:
    """A pump's non-volatile memory: it survives ``power_cycle``."""

    diameter_mm: float = 14.43
    rate: float = 0.0
    rate_unit: str = "MH"
    volume: float = 0.0
    volume_unit: str = "ML"
    direction: str = "INF"
    safe_s: int = 0
    alarm_buzzer: int = 1
    low_noise: int = 0
    key_beep: int = 1


def _text(value: float) -> str:
    """Four digits with a point: 500.0, 80.25, 1234."""
    for decimals, limit in ((3, 10.0), (2, 100.0), (1, 1000.0)):
        if round(value, decimals) < limit:
            return f"{value:.{decimals}f}"
    return f"{value:.0f}."


def _number(text: str) -> float:
    """At most four digits, at most three after the point; else out of range."""
    match = _NUMBER.fullmatch(text)
    if match is None or not (match[1] or match[2]):
        raise _Refusal("")
    whole, fraction = match[1].lstrip("0"), match[2] or ""
    if len(whole) + len(fraction) > 4 or len(fraction) > 3:
        raise _Refusal("OOR")
    return float(text)


class PumpTwin:
    """One pump: its command set, alarms, counters and timers."""

    def __init__(
        self, address: int, plant: PumpPlant, memory: PumpMemory, version: str, push: Callable[[PumpTwin], None]
    ):
        self.address = address
        self.memory = memory
        self.prompt = "S"
        self.alarm: str | None = "R"
        self._plant = plant
        self._version = version
        self._push = push
        self._loop: Loop | None = None
        self._rate = (memory.rate, memory.rate_unit)
        self._mark_ul = 0.0
        self._moved_ul = {"I": 0.0, "W": 0.0}
        self._phase_ul = 0.0
        self._target_timer: Timer | None = None
        self._watch_timer: Timer | None = None
        self._watch_due_s = math.inf
        self._last_packet_s: float | None = None
        self._commands: dict[str, Callable[[str], str]] = {
            "DIA": self._dia,
            "RAT": self._rat,
            "VOL": self._vol,
            "DIR": self._dir,
            "RUN": self._run,
            "PUR": self._purge,
            "STP": self._stp,
            "DIS": self._dis,
            "CLD": self._cld,
            "VER": self._ver,
            "SAF": self._saf,
            "ADR": self._adr,
        }
        self._flags: dict[str, Callable[[str], str]] = {"AL": self._al, "BP": self._bp, "LN": self._ln}

    # ---- power, packets, alarms -----------------------------------------------------------------------------------

    def attach(self, loop: Loop) -> None:
        if self._loop is None:
            self._loop = loop
            self._mark_ul = self._plant.displaced_ul(loop.time())
            self._watch()
        self._loop = loop

    @property
    def safe(self) -> bool:
        return self.memory.safe_s > 0

    def power_cycle(self) -> None:
        """Motion and the running rate are lost, settings stay."""
        self._drive_and_account("S", 0.0)
        self._rate = (self.memory.rate, self.memory.rate_unit)
        self._moved_ul = {"I": 0.0, "W": 0.0}
        self._phase_ul = 0.0
        self._last_packet_s = None
        self._raise_alarm("R")

    def answer(self, command: str) -> str:
        """The data of the answer to one valid packet: prompt, then data or an error."""
        self._last_packet_s = self._now()
        self._account()
        try:
            act = self._recognise(command)
            if self.alarm is not None:
                alarm, self.alarm = self.alarm, None
                return f"A?{alarm}"
            data = act()
        except _Refusal as refusal:
            return f"{self.prompt}?{refusal.code}"
        finally:
            self._watch()
        return self.prompt + data

    def _recognise(self, command: str) -> Callable[[], str]:
        if not command:
            return str
        for table, length in ((self._commands, 3), (self._flags, 2)):
            if (known := table.get(command[:length])) is not None:
                return lambda: known(command[length:])
        raise _Refusal("")

    def _raise_alarm(self, letter: str) -> None:
        self.alarm = letter
        if self.safe:
            self._push(self)

    def _now(self) -> float:
        assert self._loop is not None, "a twin answers only when attached"
        return self._loop.time()

    # ---- motion ---------------------------------------------------------------------------------------------------

    @property
    def _flow_ul_min(self) -> float:
        return self._rate[0] * _UL_PER_MIN[self._rate[1]]

    def _limits_ul_min(self) -> tuple[float, float]:
        """5.1005 cm/min at most and 0.004205 cm/h at least."""
        area_mm2 = math.pi * self.memory.diameter_mm**2 / 4.0
        return 0.04205 / 60.0 * area_mm2, 51.005 * area_mm2

    def _account(self) -> None:
        """Count what the motor has moved, and notice a stall."""
        t_s = self._now()
        displaced_ul = self._plant.displaced_ul(t_s)
        delta_ul, self._mark_ul = displaced_ul - self._mark_ul, displaced_ul
        self._moved_ul["I" if delta_ul > 0 else "W"] += abs(delta_ul)
        self._phase_ul += abs(delta_ul)
        if self.prompt in _MOVING and self._plant.stalled(t_s):
            self._plant.drive(t_s, 0.0)
            self._become("S")
            self._phase_ul = 0.0
            self._raise_alarm("S")

    def _become(self, prompt: str) -> None:
        self.prompt = prompt
        if self._target_timer is not None:
            self._target_timer.cancel()
            self._target_timer = None

    def _drive_and_account(self, prompt: str, flow_ul_min: float) -> None:
        self._account()
        self._become(prompt)
        self._plant.drive(self._now(), flow_ul_min)
        self._aim()

    def _aim(self) -> None:
        """Wake when the volume bound will be reached. A purge has none, and 0 means none."""
        if self.prompt not in "IW" or self.memory.volume <= 0.0 or self._loop is None:
            return
        left_ul = self.memory.volume * _UL[self.memory.volume_unit] - self._phase_ul
        wait_s = max(left_ul / self._flow_ul_min * 60.0, 0.001)
        self._target_timer = self._loop.call_at(self._loop.time() + wait_s, self._on_target)

    def _on_target(self) -> None:
        self._target_timer = None
        self._account()
        if self.prompt not in "IW":
            return
        if self._phase_ul >= self.memory.volume * _UL[self.memory.volume_unit] - 1e-6:
            self._drive_and_account("S", 0.0)
            self._phase_ul = 0.0
        else:
            self._aim()

    def _watch(self) -> None:
        """In safe mode: the watchdog, and pushing a stall unasked."""
        if not self.safe or self._loop is None:
            return
        now_s = self._loop.time()
        due_s = math.inf
        if self._last_packet_s is not None:
            due_s = self._last_packet_s + self.memory.safe_s
        if self.prompt in _MOVING:
            due_s = min(due_s, now_s + _STALL_WATCH_S)
        # A timer that is early looks again; packets, which only put the watchdog off, need not move it.
        if due_s < self._watch_due_s:
            if self._watch_timer is not None:
                self._watch_timer.cancel()
            self._watch_due_s = max(due_s, now_s)
            self._watch_timer = self._loop.call_at(self._watch_due_s, self._on_watch)

    def _on_watch(self) -> None:
        self._watch_timer = None
        self._watch_due_s = math.inf
        if not self.safe:
            return
        self._account()
        if self._last_packet_s is not None and self._now() >= self._last_packet_s + self.memory.safe_s - 1e-9:
            # The timer does not restart until the next valid packet.
            self._last_packet_s = None
            self._drive_and_account("S", 0.0)
            self._phase_ul = 0.0
            self._raise_alarm("T")
        self._watch()

    # ---- commands -------------------------------------------------------------------------------------------------

    def _need_still(self) -> None:
        if self.prompt in _MOVING:
            raise _Refusal("NA")

    def _dia(self, argument: str) -> str:
        if not argument:
            return _text(self.memory.diameter_mm)
        self._need_still()
        diameter_mm = _number(argument)
        if not 0.1 <= diameter_mm <= 50.0:
            raise _Refusal("OOR")
        self.memory.diameter_mm = diameter_mm
        self.memory.volume_unit = "UL" if diameter_mm <= 14.0 else "ML"
        return ""

    def _rat(self, argument: str) -> str:
        if not argument:
            return f"{_text(self._rate[0])}{self._rate[1]}"
        digits, unit = (argument[:-2], argument[-2:]) if argument[-2:] in _UL_PER_MIN else (argument, self._rate[1])
        rate = _number(digits)
        moving = self.prompt in _MOVING
        if self.prompt == "X" or (moving and unit != self._rate[1]):
            raise _Refusal("NA")
        low, high = self._limits_ul_min()
        flow_ul_min = rate * _UL_PER_MIN[unit]
        if not (low <= flow_ul_min <= high or (rate == 0.0 and not moving)):
            raise _Refusal("OOR")
        self._rate = (rate, unit)
        if moving:
            self._drive_and_account(self.prompt, flow_ul_min if self.prompt == "I" else -flow_ul_min)
        else:
            self.memory.rate, self.memory.rate_unit = self._rate
        return ""

    def _vol(self, argument: str) -> str:
        if not argument:
            return f"{_text(self.memory.volume)}{self.memory.volume_unit}"
        self._need_still()
        if argument in _UL:
            self.memory.volume_unit = argument
        else:
            self.memory.volume = _number(argument)
        return ""

    def _dir(self, argument: str) -> str:
        if not argument:
            return self.memory.direction
        self._need_still()
        if argument == "REV":
            argument = "WDR" if self.memory.direction == "INF" else "INF"
        if argument not in {"INF", "WDR"}:
            raise _Refusal("OOR")
        self.memory.direction = argument
        return ""

    def _run(self, argument: str) -> str:
        if argument not in {"", "1"}:
            raise _Refusal("OOR")
        self._need_still()
        if self._rate[0] <= 0.0:
            raise _Refusal("NA")
        if self.prompt == "S":
            self._phase_ul = 0.0
        infuse = self.memory.direction == "INF"
        self._drive_and_account("I" if infuse else "W", self._flow_ul_min if infuse else -self._flow_ul_min)
        return ""

    def _purge(self, argument: str) -> str:
        if argument:
            raise _Refusal("")
        self._need_still()
        fastest = self._limits_ul_min()[1]
        self._drive_and_account("X", fastest if self.memory.direction == "INF" else -fastest)
        return ""

    def _stp(self, argument: str) -> str:
        """The first pauses, the second stops and forgets how far the volume was."""
        if argument:
            raise _Refusal("")
        if self.prompt == "S":
            raise _Refusal("NA")
        if self.prompt in "IW":
            self._drive_and_account("P", 0.0)
        else:
            self._drive_and_account("S", 0.0)
            self._phase_ul = 0.0
        return ""

    def _dis(self, argument: str) -> str:
        if argument:
            raise _Refusal("")
        unit = self.memory.volume_unit
        return f"I{_text(self._moved_ul['I'] / _UL[unit])}W{_text(self._moved_ul['W'] / _UL[unit])}{unit}"

    def _cld(self, argument: str) -> str:
        self._need_still()
        if argument not in {"INF", "WDR"}:
            raise _Refusal("")
        self._moved_ul[argument[0]] = 0.0
        return ""

    def _ver(self, argument: str) -> str:
        if argument:
            raise _Refusal("")
        return self._version

    def _saf(self, argument: str) -> str:
        if not argument:
            return str(self.memory.safe_s)
        if not argument.isdecimal() or int(argument) > 255:
            raise _Refusal("OOR")
        self.memory.safe_s = int(argument)
        return ""

    def _adr(self, argument: str) -> str:
        if argument:
            if not argument.isdecimal() or int(argument) > 99:
                raise _Refusal("OOR")
            self.address = int(argument)
        return f"{self.address:02d}"

    def _al(self, argument: str) -> str:
        self.memory.alarm_buzzer, data = self._flag(argument, self.memory.alarm_buzzer)
        return data

    def _bp(self, argument: str) -> str:
        self.memory.key_beep, data = self._flag(argument, self.memory.key_beep)
        return data

    def _ln(self, argument: str) -> str:
        self.memory.low_noise, data = self._flag(argument, self.memory.low_noise)
        return data

    @staticmethod
    def _flag(argument: str, value: int) -> tuple[int, str]:
        if not argument:
            return value, str(value)
        if argument not in {"0", "1"}:
            raise _Refusal("OOR")
        return int(argument), ""
