"""One Harvard Apparatus pump behind the wire: commands, target, counters, stall (PHD Ultra user guide 5419-002)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from simulators.links import Loop, Timer
from simulators.plant import PumpPlant

_SLOWEST_MM_MIN: Final = 1.8e-4
_FASTEST_MM_MIN: Final = 190.80
_UL: Final = {"p": 1e-6, "n": 1e-3, "u": 1.0, "m": 1e3}
_PER_MIN: Final = {"s": 60.0, "m": 1.0, "h": 1 / 60.0}
_NUMBER: Final = r"(\d+\.?\d*|\.\d+)"
_QUANTITY: Final = re.compile(_NUMBER + r" ?([pnum])l?", re.IGNORECASE)
_RATE: Final = re.compile(_NUMBER + r" ?([pnum])l?/(s|sec|m|min|h|hr)", re.IGNORECASE)
_LENGTH: Final = re.compile(_NUMBER + r"(?: ?mm)?", re.IGNORECASE)
_FL_PER_UL: Final = 1e9


class _Refusal(Exception):  # noqa: N818 - not an error: one of the answers of the protocol
    """A command is answered with these lines."""

    def __init__(self, *lines: str) -> None:
        super().__init__(*lines)
        self.lines = list(lines)


@dataclass
class HarvardMemory:
    """A pump's non-volatile memory: it survives ``power_cycle``."""

    diameter_mm: float = 14.427
    syringe_ul: float = 10_000.0
    infuse_ul_min: float = 1000.0
    withdraw_ul_min: float = 1000.0
    force_percent: int = 50


def _five(value: float) -> str:
    """Five significant digits without trailing zeros."""
    if value <= 0.0:
        return "0"
    text = f"{value:.{max(0, 4 - math.floor(math.log10(value)))}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _volume(volume_ul: float) -> str:
    for unit, factor in _UL.items():
        if volume_ul < 999.995 * factor or unit == "m":
            return f"{_five(volume_ul / factor)} {unit}l" if volume_ul > 0.0 else "0 ul"
    raise AssertionError("unreachable: ml holds any volume")


def _rate(flow_ul_min: float) -> str:
    return f"{_volume(flow_ul_min)}/min"


class HarvardPumpTwin:
    """One pump in quick-start mode: its command set, target, counters and timer.

    Assumed where the guide is silent: the motor refuses a set of diameter, syringe or target while it runs; ``status``
    gives a rate of 0 while it stands; ``stp`` or a run takes the stall off the prompt; the target and the counters are
    lost with the power.
    """

    def __init__(
        self,
        address: int,
        plant: PumpPlant,
        memory: HarvardMemory,
        version: str,
        announce: Callable[[HarvardPumpTwin], None],
    ) -> None:
        self.address = address
        self.memory = memory
        self.prompt = ":"
        self.last_was_a_set = False
        self._plant = plant
        self._version = version
        self._announce = announce
        self._loop: Loop | None = None
        self._timer: Timer | None = None
        self._mark_ul = 0.0
        self._mark_s = 0.0
        self._withdraws = False
        self._moved_ul = [0.0, 0.0]
        self._moved_s = [0.0, 0.0]
        self._target_ul: float | None = None
        self._commands: dict[str, Callable[[str], list[str]]] = {
            "address": lambda argument: [f"Pump address is {self.address}"],
            "ver": lambda argument: [self._version],
            "version": lambda argument: [f"Firmware: {self._version}", f"Pump address: {self.address}"],
            "metrics": self._metrics,
            "status": self._status,
            "irate": lambda argument: self._set_rate(argument, False),
            "wrate": lambda argument: self._set_rate(argument, True),
            "crate": self._current_rate,
            "irun": lambda argument: self._run(False),
            "wrun": lambda argument: self._run(True),
            "run": lambda argument: self._run(self._withdraws),
            "rrun": lambda argument: self._run(not self._withdraws),
            "stp": self._stop,
            "stop": self._stop,
            "diameter": self._diameter,
            "svolume": self._syringe,
            "tvolume": self._target,
            "ivolume": lambda argument: [_volume(self._moved_ul[0])],
            "wvolume": lambda argument: [_volume(self._moved_ul[1])],
            "itime": lambda argument: [f"{self._moved_s[0]:.0f} seconds"],
            "wtime": lambda argument: [f"{self._moved_s[1]:.0f} seconds"],
            "civolume": lambda argument: self._clear(infused=True, withdrawn=False),
            "cwvolume": lambda argument: self._clear(infused=False, withdrawn=True),
            "cvolume": lambda argument: self._clear(infused=True, withdrawn=True),
            "ctvolume": self._clear_target,
            "force": self._force,
        }

    # ---- power and answers ----------------------------------------------------------------------------------------

    def attach(self, loop: Loop) -> None:
        if self._loop is None:
            self._mark_s = loop.time()
            self._mark_ul = self._plant.displaced_ul(self._mark_s)
        self._loop = loop

    def power_cycle(self) -> None:
        """Motion, target and counters are lost, settings stay."""
        self._drive(":")
        self._moved_ul = [0.0, 0.0]
        self._moved_s = [0.0, 0.0]
        self._target_ul = None

    def answer(self, command: str) -> list[str]:
        """The text lines of the answer; ``prompt`` then follows."""
        self._account()
        word, _, argument = command.partition(" ")
        self.last_was_a_set = False
        if not command:
            return []
        act = self._recognise(word.lower())
        try:
            if act is None:
                raise _Refusal(f"Command error: {word}", "   Unknown command")
            lines = act(argument.strip())
        except _Refusal as refusal:
            return refusal.lines
        self.last_was_a_set = not lines
        return lines

    def _recognise(self, word: str) -> Callable[[str], list[str]] | None:
        """Names may be cut to their first four letters."""
        if word in self._commands:
            return self._commands[word]
        found = [name for name in self._commands if len(word) >= 4 and name.startswith(word)]
        return self._commands[found[0]] if found else None

    def _now(self) -> float:
        assert self._loop is not None, "a twin answers only when attached"
        return self._loop.time()

    @property
    def _moving(self) -> bool:
        return self.prompt in "><"

    # ---- motion ---------------------------------------------------------------------------------------------------

    def _limits_ul_min(self) -> tuple[float, float]:
        area_mm2 = math.pi * self.memory.diameter_mm**2 / 4.0
        return _SLOWEST_MM_MIN * area_mm2, _FASTEST_MM_MIN * area_mm2

    def _flow_ul_min(self) -> float:
        return self.memory.withdraw_ul_min if self._withdraws else self.memory.infuse_ul_min

    def _account(self) -> None:
        """Count what the motor has moved, and notice a stall."""
        t_s = self._now()
        displaced_ul = self._plant.displaced_ul(t_s)
        delta_ul, self._mark_ul = displaced_ul - self._mark_ul, displaced_ul
        self._moved_ul[0 if delta_ul > 0 else 1] += abs(delta_ul)
        if self._moving:
            self._moved_s[int(self._withdraws)] += t_s - self._mark_s
        self._mark_s = t_s
        if self._moving and self._plant.stalled(t_s):
            self._become("*")
            self._plant.drive(t_s, 0.0)

    def _become(self, prompt: str) -> None:
        self.prompt = prompt
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _drive(self, prompt: str) -> None:
        self._account()
        self._become(prompt)
        flow = {">": self.memory.infuse_ul_min, "<": -self.memory.withdraw_ul_min}.get(prompt, 0.0)
        self._plant.drive(self._now(), flow)
        self._aim()

    def _left_ul(self) -> float:
        return math.inf if self._target_ul is None else self._target_ul - self._moved_ul[int(self._withdraws)]

    def _aim(self) -> None:
        """Wake when the target will be reached."""
        if self._moving and self._target_ul is not None and self._loop is not None:
            wait_s = max(self._left_ul() / self._flow_ul_min() * 60.0, 0.001)
            self._timer = self._loop.call_at(self._loop.time() + wait_s, self._on_target)

    def _on_target(self) -> None:
        self._timer = None
        self._account()
        if not self._moving:
            return
        if self._left_ul() > 1e-6:
            self._aim()
            return
        self._drive("T*")
        self._announce(self)

    # ---- commands -------------------------------------------------------------------------------------------------

    def _need_still(self, what: str) -> None:
        if self._moving:
            raise _Refusal(f"Command error: {what}", "   Not allowed while the pump runs")

    def _read(self, pattern: re.Pattern[str], argument: str) -> re.Match[str]:
        match = pattern.fullmatch(argument)
        if match is None:
            raise _Refusal(f"Argument error: {argument}", "   Unknown argument")
        return match

    @staticmethod
    def _range(argument: str, value: float, low: float, high: float) -> float:
        if not low <= value <= high:
            raise _Refusal(f"Argument error: {argument}", "   Out of range")
        return value

    def _set_rate(self, argument: str, withdraw: bool) -> list[str]:
        low, high = self._limits_ul_min()
        if not argument:
            return [_rate(self.memory.withdraw_ul_min if withdraw else self.memory.infuse_ul_min)]
        word = argument.lower()
        if word == "lim":
            return [f"{_rate(low)} to {_rate(high)}"]
        if word in {"max", "min"}:
            flow = high if word == "max" else low
        else:
            match = self._read(_RATE, argument)
            flow = float(match[1]) * _UL[match[2].lower()] * _PER_MIN[match[3].lower()[0]]
            # The limits are shown with five digits, and what is shown may be asked for.
            self._range(argument, flow, low * (1 - 1e-4), high * (1 + 1e-4))
        flow = float(_five(flow))
        if withdraw:
            self.memory.withdraw_ul_min = flow
        else:
            self.memory.infuse_ul_min = flow
        if self._moving and withdraw == self._withdraws:
            self._drive(self.prompt)
        return []

    def _current_rate(self, argument: str) -> list[str]:
        if not self._moving:
            return []
        return [f"{'Withdrawing' if self._withdraws else 'Infusing'} at {_rate(self._flow_ul_min())}"]

    def _run(self, withdraw: bool) -> list[str]:
        self._need_still("run")
        self._withdraws = withdraw
        if self._left_ul() <= 1e-6:
            raise _Refusal("Command error: run", "   Target volume was reached")
        self._drive("<" if withdraw else ">")
        return []

    def _stop(self, argument: str) -> list[str]:
        self._drive(":")
        return []

    def _diameter(self, argument: str) -> list[str]:
        if not argument:
            return [f"{self.memory.diameter_mm:.4f} mm"]
        self._need_still("diameter")
        match = self._read(_LENGTH, argument)
        self.memory.diameter_mm = self._range(argument, round(float(match[1]), 4), 0.1, 50.0)
        return []

    def _syringe(self, argument: str) -> list[str]:
        if not argument:
            return [_volume(self.memory.syringe_ul)]
        self._need_still("svolume")
        match = self._read(_QUANTITY, argument)
        self.memory.syringe_ul = self._range(argument, float(match[1]) * _UL[match[2].lower()], 0.1, 3e5)
        return []

    def _target(self, argument: str) -> list[str]:
        if not argument:
            return ["Target volume not set" if self._target_ul is None else _volume(self._target_ul)]
        self._need_still("tvolume")
        match = self._read(_QUANTITY, argument)
        volume_ul = float(match[1]) * _UL[match[2].lower()]
        self._target_ul = self._range(argument, volume_ul, 1e-9, self.memory.syringe_ul)
        return []

    def _clear(self, *, infused: bool, withdrawn: bool) -> list[str]:
        for index, wanted in enumerate((infused, withdrawn)):
            if wanted:
                self._moved_ul[index] = self._moved_s[index] = 0.0
        if self.prompt == "T*":
            self.prompt = ":"
        return []

    def _clear_target(self, argument: str) -> list[str]:
        self._target_ul = None
        self._become(self.prompt if self.prompt != "T*" else ":")
        return []

    def _force(self, argument: str) -> list[str]:
        if not argument:
            return [f"{self.memory.force_percent}%"]
        match = self._read(re.compile(r"(\d{1,3})%?"), argument)
        self.memory.force_percent = round(self._range(argument, float(match[1]), 1, 100))
        return []

    def _status(self, argument: str) -> list[str]:
        way = int(self._withdraws)
        rate = self._flow_ul_min() * _FL_PER_UL / 60.0 if self._moving else 0.0
        flags = f"{'iw'[way]}.{'S' if self.prompt == '*' else '.'}.{'IW'[way]}"
        return [f"{rate:.0f} {self._moved_s[way]:.0f} {self._moved_ul[way] * _FL_PER_UL:.0f} {flags}"]

    def _metrics(self, argument: str) -> list[str]:
        return [
            "Pump type          PHD Ultra",
            f"Pump type string   {self._version}",
            "Direction          Infuse/withdraw",
            "Limit switches     No",
        ]
