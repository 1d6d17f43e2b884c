"""VICI selector valves on the wire: actuators with unit IDs behind one byte stream (EUT/EMT manuals)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal

from simulators.byte_twin import ByteTwin
from simulators.plant import ValvePlant

_LONGEST_COMMAND: Final = 40
_WATCH_S: Final = 0.02


class ViciActuator:
    """One actuator and its settings.

    ``long_form`` answers as the microelectric actuators do (``Position is  = 3``), otherwise ``CP03``. ``respond`` is
    the interface mode IFM: 0 says nothing to a move, 1 and 2 say where the valve went, when it is there. While it
    turns, an actuator that ``answers_while_turning`` names the old position, others keep silent (assumed).
    """

    def __init__(
        self,
        plant: ValvePlant,
        positions: int = 10,
        *,
        long_form: bool = False,
        respond: Literal[0, 1, 2] = 0,
        answers_while_turning: bool = False,
        version: str = "I-PD-EUTA_01",
    ) -> None:
        if not 2 <= positions <= 96:
            raise ValueError(f"a valve has 2 to 96 positions, not {positions}")
        self.plant = plant
        self.positions = positions
        self.long_form = long_form
        self.respond = int(respond)
        self.answers_while_turning = answers_while_turning
        self.version = version
        self._left = 1
        self._turning = False

    def answer(self, t_s: float, command: str) -> str | None:
        """Answer to a command, or None for silence."""
        seen = self.plant.position(t_s)
        if command == "CP":
            return self._position(seen)
        match = re.fullmatch(r"(GO|CW|CC|HM|NP|IFM|LG)(\d{0,2})", command)
        if match is None:
            return self.version if command == "VR" else self._bad(command)
        verb, number = match[1], int(match[2]) if match[2] else None
        if verb == "NP":
            if number is None:
                return f"NP = {self.positions}" if self.long_form else f"NP{self.positions:02d}"
            if not 2 <= number <= 96:
                return self._bad(command)
            self.positions = number
            return None
        if verb in {"IFM", "LG"}:
            if number is None or number > (2 if verb == "IFM" else 1):
                return self._bad(command)
            if verb == "IFM":
                self.respond = number
            else:
                self.long_form = bool(number)
            return None
        return self._move(t_s, verb, number, seen, command)

    def arrived(self, t_s: float) -> str | None:
        """What the actuator says of itself when a move has ended, once."""
        if not self._turning or (seen := self.plant.position(t_s)) is None:
            return None
        self._turning = False
        return self._position(seen).replace("CP", "GO") if self.respond else None

    @property
    def turning(self) -> bool:
        """Whether a move was started whose end nobody has seen."""
        return self._turning

    def _move(self, t_s: float, verb: str, number: int | None, seen: int | None, command: str) -> str | None:
        at = seen or self._left
        if verb == "HM":
            target = 1
        elif number is not None:
            target = number
        else:
            target = at % self.positions + 1 if verb in {"GO", "CW"} else (at - 2) % self.positions + 1
        if not 1 <= target <= self.positions:
            return self._bad(command)
        if seen != target:
            self._left = at
            self._turning = True
            self.plant.turn(t_s, target)
        return None

    def _position(self, seen: int | None) -> str:
        if seen is None and not (self._turning and self.answers_while_turning):
            return "" if self._turning else f"Position is near to = {self._left}"
        at = self._left if seen is None else seen
        return f"Position is  = {at}" if self.long_form else f"CP{at:02d}"

    @staticmethod
    def _bad(command: str) -> str:
        return f"{command} = Bad command"


class ViciTwin(ByteTwin):
    """Actuators on one serial line by unit ID, "" for one without."""

    def __init__(self, actuators: Mapping[str, ViciActuator]) -> None:
        if not actuators or not all(re.fullmatch(r"[0-9A-Z]?", unit) for unit in actuators):
            raise ValueError(f"a unit ID is nothing or one of 0-9 and A-Z, not {sorted(actuators)}")
        if "" in actuators and len(actuators) > 1:
            raise ValueError("an actuator without an ID is alone on its line")
        super().__init__()
        self._actuators = dict(actuators)

    def receive(self, data: bytes) -> None:
        super().receive(data.replace(b"\n", b""))

    def _take(self) -> None:
        for line in self._lines(b"\r", _LONGEST_COMMAND):
            self._handle(line.decode("latin-1").strip().upper())

    def _handle(self, text: str) -> None:
        unit = next((unit for unit in self._actuators if unit and text.startswith(unit)), "")
        actuator = self._actuators.get(unit)
        command = text[len(unit) :]
        if actuator is None or not command:
            return
        answer = actuator.answer(self._loop.time(), command)
        if answer:
            self._send(unit, answer)
        if actuator.turning:
            self._loop.call_later(_WATCH_S, self._watch, unit)

    def _watch(self, unit: str) -> None:
        """Look whether the valve has arrived, as long as somebody may want to hear it."""
        actuator = self._actuators[unit]
        if (answer := actuator.arrived(self._loop.time())) is not None:
            self._send(unit, answer)
        elif actuator.turning and actuator.respond:
            self._loop.call_later(_WATCH_S, self._watch, unit)

    def _send(self, unit: str, answer: str) -> None:
        self._emit(f"{unit}{answer}\r".encode("ascii", "replace"))
