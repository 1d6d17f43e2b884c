"""One Cavro syringe module behind the wire: programs, plunger, valve, errors (XLP 6000 manual 734237-C, chapter 3)."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import Final, Literal

from simulators.links import Loop, Timer
from simulators.plant import PumpPlant

_VALVE_S: Final = 0.2
_SPEED_CODES: Final = (
    *(6000, 5600, 5000, 4400, 3800, 3200, 2600, 2200, 2000, 1800, 1600, 1400, 1200, 1000, 800, 600, 400, 200),
    *(190, 180, 170, 160, 150, 140, 130, 120, 110, 100, 90, 80, 70, 60, 50, 40, 30, 20, 18, 16, 14, 12, 10),
)
"""Pulses a second of the codes S0 to S40."""
_POWER_UP_SPEED: Final = 1400
_ON_THE_FLY: Final = 1024
_PULSES: Final = 6000
"""Half-steps of a full stroke, in which speeds count."""
_STEP: Final = re.compile(r"([A-Za-z])([0-9,]*)")
_SETTINGS: Final = frozenset("VvcSLKkN")
_MOVES: Final = frozenset("AaPpDd")
_VALVES: Final = frozenset("IOBE")
_INITIALISE: Final = frozenset("ZYW")
_KNOWN: Final = _SETTINGS | _MOVES | _VALVES | _INITIALISE | {"M"}

Side = Literal["left", "right"]


class _Wrong(Exception):  # noqa: N818 - not an error: a code of the protocol
    """A step cannot be executed: this error code shows at ``Q``."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class CavroModuleTwin:
    """One module: its program buffer, plunger and valve.

    Loops, halts and the auxiliary lines of the command set are not imitated (error 2). Ramps are left out: a plunger
    is at its speed at once. Assumed: a module that is not initialised says error 7 to ``Q``; in mode N2 speeds count
    eighths of a half-step; a quarter turn of the valve takes 0.2 s.
    """

    def __init__(
        self,
        plant: PumpPlant,
        *,
        syringe_volume_ul: float,
        fill_ul: float,
        half_strokes: int,
        reactor_side: Side,
        version: str,
    ) -> None:
        self.valve_jammed = False
        self._plant = plant
        self._syringe_ul = syringe_volume_ul
        self._stroke = half_strokes
        self._reactor_side = reactor_side
        self._version = version
        self._loop: Loop | None = None
        self._timer: Timer | None = None
        self._content_ul = fill_ul
        self._flow_ul_min = 0.0
        self._through_plant = False
        self._mark_s = 0.0
        self._mark_ul = 0.0
        self._forget()
        self._reports: dict[str, Callable[[], str]] = {
            "?": lambda: str(self._increments()),
            "?1": lambda: "900",
            "?2": lambda: str(round(self._speed * self._per_pulse)),
            "?3": lambda: "900",
            "?4": lambda: str(self._increments()),
            "?6": lambda: {"I": "i", "O": "o", "B": "b", "E": "e"}[self._port],
            "?10": lambda: str(int(bool(self._buffer))),
            "?15": lambda: str(self._initialisations),
            "?23": lambda: self._version,
            "?29": lambda: "",
            "?76": lambda: self._version,
            "F": lambda: str(int(bool(self._buffer))),
            "&": lambda: self._version,
            "*": lambda: "240",
        }

    def _forget(self) -> None:
        """What is lost with the power. The counter starts at 0 wherever the plunger is (assumed)."""
        self._fine = 0
        self._speed = float(_POWER_UP_SPEED)
        self._port = "B"
        self._output_side: Side = "right"
        self._initialised = False
        self._initialisations = 0
        self._error = 7
        self._overload = 0
        self._buffer = ""
        self._program: deque[tuple[str, str]] = deque()
        self._target_ul: float | None = None
        self._status = 0x60

    # ---- power and answers ----------------------------------------------------------------------------------------

    def attach(self, loop: Loop) -> None:
        if self._loop is None:
            self._mark_s = loop.time()
            self._mark_ul = self._plant.displaced_ul(self._mark_s)
        self._loop = loop

    def power_cycle(self) -> None:
        self._halt()
        self._forget()

    @property
    def status(self) -> int:
        """Status byte of the last answer."""
        return self._status

    def answer(self, command: str) -> str:
        """The data of the answer; ``status`` then goes with it."""
        self._account()
        if command in {"Q", "?29"}:
            self._report_error()
            return ""
        if command in self._reports:
            self._status = self._byte(self._error)
            return self._reports[command]()
        self._status = self._byte(self._command(command))
        return ""

    def _report_error(self) -> None:
        """``Q`` clears an error once it is told; what needs initialising goes on as error 7."""
        self._status = self._byte(self._error)
        self._error = 0 if self._initialised or self._busy else 7

    def _byte(self, error: int) -> int:
        return 0x40 | (0 if self._busy else 0x20) | error

    @property
    def _busy(self) -> bool:
        return self._timer is not None

    def _command(self, text: str) -> int:
        """Take a command string; returns its immediate error."""
        if text == "T":
            if self._target_ul is not None:
                self._halt()
            return self._error
        execute = text.endswith("R")
        body = text.removesuffix("R")
        steps = [(match[1], match[2]) for match in _STEP.finditer(body)]
        if "".join(letter + operand for letter, operand in steps) != body or any(s[0] not in _KNOWN for s in steps):
            return 2
        if self._busy:
            if len(steps) == 1 and steps[0][0] == "V":
                return self._on_the_fly(steps[0][1])
            return 15
        moves = any(letter in _MOVES | _VALVES for letter, _ in steps)
        starts_anew = bool(steps) and steps[0][0] in _INITIALISE
        if moves and not self._initialised and not starts_anew:
            return self._overload or 7
        self._buffer = body or self._buffer
        if execute:
            if self._buffer:
                self._program = deque((m[1], m[2]) for m in _STEP.finditer(self._buffer))
                self._buffer = ""
            if self._initialised:
                self._error = 0
            self._next()
        return 0

    # ---- motion ---------------------------------------------------------------------------------------------------

    def _now(self) -> float:
        assert self._loop is not None, "a twin answers only when attached"
        return self._loop.time()

    @property
    def _per_increment(self) -> int:
        return 8 if self._fine else 1

    @property
    def _per_pulse(self) -> int:
        return 8 if self._fine == 2 else 1

    def _increments(self) -> int:
        if self._initialisations == 0:
            return 0
        return round(self._content_ul / self._syringe_ul * self._stroke * self._per_increment)

    def _flow(self, pulses_s: float) -> float:
        return pulses_s / _PULSES * self._syringe_ul * 60.0

    def _account(self) -> None:
        """Where the plunger has come to, and whether it can."""
        t_s = self._now()
        displaced_ul = self._plant.displaced_ul(t_s)
        if self._through_plant:
            self._content_ul -= displaced_ul - self._mark_ul
        else:
            self._content_ul -= self._flow_ul_min * (t_s - self._mark_s) / 60.0
        self._mark_ul, self._mark_s = displaced_ul, t_s
        if self._through_plant and self._flow_ul_min != 0.0 and self._plant.stalled(t_s):
            self._overloaded(9)

    def _overloaded(self, code: int) -> None:
        self._halt()
        self._program.clear()
        self._initialised = False
        self._error = self._overload = code

    def _drive(self, flow_ul_min: float) -> None:
        """Press out (> 0) or draw in (< 0); only what goes by the reactor's side moves the plant's fluid."""
        side: Side = "left" if self._output_side == "right" else "right"
        if self._port == "O":
            side = self._output_side
        through = flow_ul_min < 0.0 or side == self._reactor_side
        if self._through_plant or through:
            self._plant.drive(self._now(), flow_ul_min if through else 0.0)
        self._through_plant = through and flow_ul_min != 0.0
        self._flow_ul_min = flow_ul_min

    def _halt(self) -> None:
        """Stop the plunger; what is left of a program stays, for R to resume."""
        if self._loop is not None:
            t_s = self._now()
            displaced_ul = self._plant.displaced_ul(t_s)
            if self._through_plant:
                self._content_ul -= displaced_ul - self._mark_ul
            self._mark_ul, self._mark_s = displaced_ul, t_s
            self._drive(0.0)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._target_ul = None

    def _wait(self, duration_s: float) -> None:
        assert self._loop is not None
        self._timer = self._loop.call_at(self._loop.time() + duration_s, self._on_timer)

    def _aim(self) -> None:
        self._wait(max(self._way_ul() / abs(self._flow_ul_min) * 60.0, 1e-6))

    def _way_ul(self) -> float:
        """What is left of a move; none or less when it is done."""
        assert self._target_ul is not None
        way_ul = self._content_ul - self._target_ul
        return way_ul if self._flow_ul_min > 0.0 else -way_ul

    def _on_timer(self) -> None:
        self._timer = None
        if self._target_ul is not None:
            self._account()
            if self._error:
                return
            if self._way_ul() > 1e-6 * self._syringe_ul:
                self._aim()
                return
            self._content_ul = self._target_ul
            self._target_ul = None
            self._drive(0.0)
        self._next()

    def _next(self) -> None:
        """Execute the program's steps until one takes time."""
        while self._program and not self._busy:
            letter, operand = self._program.popleft()
            try:
                self._step(letter, operand)
            except _Wrong as wrong:
                self._program.clear()
                self._error = wrong.code

    def _step(self, letter: str, operand: str) -> None:
        numbers = [int(part) for part in operand.split(",") if part]
        number = numbers[0] if numbers else 0
        if letter in _INITIALISE:
            self._initialise(letter, number)
        elif letter in _VALVES:
            self._turn(letter)
        elif letter in _MOVES:
            self._move(letter, number)
        elif letter == "M":
            self._wait(number / 1000.0)
        elif letter == "V":
            self._set_speed(number)
        elif letter == "S":
            if number >= len(_SPEED_CODES):
                raise _Wrong(3)
            self._speed = float(_SPEED_CODES[number])
        elif letter == "N":
            if number > 2:
                raise _Wrong(3)
            self._fine = number

    def _set_speed(self, number: int) -> None:
        if not 5 * self._per_pulse <= number <= _PULSES * self._per_pulse:
            raise _Wrong(3)
        self._speed = number / self._per_pulse

    def _on_the_fly(self, operand: str) -> int:
        try:
            before = self._speed
            self._set_speed(int(operand or 0))
        except (_Wrong, ValueError):
            return 3
        if self._target_ul is not None and max(before, self._speed) <= _ON_THE_FLY:
            if self._timer is not None:
                self._timer.cancel()
            self._drive(self._flow(self._speed) * (1.0 if self._flow_ul_min > 0.0 else -1.0))
            self._aim()
        return 0

    def _initialise(self, letter: str, number: int) -> None:
        """To the plunger's zero, through port O, which Z puts on the right and Y on the left."""
        if letter != "W":
            if self.valve_jammed:
                self._overloaded(10)
                return
            self._output_side = "right" if letter == "Z" else "left"
            self._port = "O"
        self._initialised = True
        self._initialisations += 1
        self._error = self._overload = 0
        code = number if 10 <= number <= 40 else 11
        if self._content_ul <= 1e-6 * self._syringe_ul:
            self._content_ul = 0.0
            self._wait(_VALVE_S)
            return
        self._target_ul = 0.0
        self._drive(self._flow(_SPEED_CODES[code]))
        self._aim()

    def _turn(self, letter: str) -> None:
        if letter == self._port:
            return
        if self.valve_jammed:
            self._overloaded(10)
            return
        self._port = letter
        self._wait(_VALVE_S)

    def _move(self, letter: str, number: int) -> None:
        if self._port == "B":
            raise _Wrong(11)
        here = self._increments()
        target = {"A": number, "P": here + number, "D": here - number}[letter.upper()]
        if not 0 <= target <= self._stroke * self._per_increment:
            raise _Wrong(3)
        target_ul = target / (self._stroke * self._per_increment) * self._syringe_ul
        if target == here:
            return
        self._target_ul = target_ul
        self._drive(self._flow(self._speed) * (1.0 if target_ul < self._content_ul else -1.0))
        self._aim()
