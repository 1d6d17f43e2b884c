"""Thermostats that take and give lines of ASCII on a serial port."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable
from typing import Final, TypeVar

from drivers.errors import OutOfRangeError, ProtocolError, WireTimeoutError
from drivers.heater_base import LastingHeater
from drivers.transport import Line, Transport

T = TypeVar("T")

_ATTEMPTS: Final = 3
_JUMP_K: Final = 10.0
"""From one look to the next no vessel changes by so much."""
_LOOKS: Final = 4
_NUMBER: Final = re.compile(r"[+-]?\d{1,4}(\.\d{1,3})?", re.ASCII)


def answer_text(answer: bytes) -> str:
    """The text of one line, without its blanks, CR and LF. Raises ProtocolError for what is not printable ASCII."""
    text = answer.strip(b" \r\n")
    if not text or not all(0x20 <= byte < 0x7F for byte in text):
        raise ProtocolError("the answer is no line of text", answered=answer)
    return text.decode("ascii")


def parse_number(text: str) -> float:
    """``55.5`` -> 55.5. Raises ProtocolError."""
    if _NUMBER.fullmatch(text) is None:
        raise ProtocolError("the answer is no number", answered=text)
    return float(text)


class LineHeater(LastingHeater):
    """A thermostat on a :class:`drivers.transport.Line`.

    ``decimals`` is how many digits follow the point in a set-point, 0 to 2. The pauses hold the line after an answer
    and after a command that has none.
    """

    def __init__(
        self,
        line: Line,
        *,
        terminator: str,
        decimals: int,
        answer_pause_s: float,
        command_pause_s: float,
        set_point_range_c: tuple[float, float],
        safe_set_point_c: float,
        name: str,
    ) -> None:
        if not 0 <= decimals <= 2:
            raise OutOfRangeError("decimals of the set-point", low=0, high=2, device=name, asked=decimals)
        super().__init__(
            line,
            set_point_range_c=set_point_range_c,
            safe_set_point_c=safe_set_point_c,
            resolution_c=10.0**-decimals,
            name=name,
        )
        self._line = line
        self._terminator = terminator
        self._decimals = decimals
        self._answer_pause_s = answer_pause_s
        self._command_pause_s = command_pause_s
        self._newest_c = math.nan

    async def _ask(self, command: str, parse: Callable[[str], T]) -> T:
        """A question and its parsed answer. Raises WireTimeoutError, ProtocolError, PortError."""
        parsed: list[T] = []

        async def receive(transport: Transport, timeout_s: float) -> bytes:
            answer = await transport.read_until(b"\n", timeout_s)
            # Parsed before the line is given up: after garbage, more may be on its way.
            parsed.append(parse(answer_text(answer)))
            await asyncio.sleep(self._answer_pause_s)
            return answer

        failures = 0
        while not parsed:
            try:
                await self._line.exchange(self._encoded(command), receive, device=self._name)
            except (WireTimeoutError, ProtocolError) as error:
                failures += 1
                if failures >= _ATTEMPTS:
                    raise self._fault(type(error), error.message, command, error.answered) from error
        return parsed[0]

    async def _ask_temperature(self, command: str, parse: Callable[[str], float]) -> float:
        """A temperature; one that has jumped is asked again until two agree, for nothing guards a lost digit."""
        newest_c = await self._ask(command, parse)
        for _ in range(_LOOKS):
            if not abs(newest_c - self._newest_c) > _JUMP_K:  # nan is no temperature and does not jump
                break
            self._newest_c, newest_c = newest_c, await self._ask(command, parse)
        self._newest_c = newest_c
        return newest_c

    async def _tell(self, command: str) -> None:
        """A command that gets no answer."""

        async def receive(transport: Transport, timeout_s: float) -> bytes:
            await asyncio.sleep(self._command_pause_s)
            return b""

        await self._line.exchange(self._encoded(command), receive, device=self._name)

    def _encoded(self, command: str) -> bytes:
        return (command + self._terminator).encode("ascii")

    def _digits(self, temperature_c: float) -> str:
        return f"{temperature_c:.{self._decimals}f}"
