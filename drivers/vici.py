"""VICI Valco multiposition selector valves (EUT/EUH/EMT actuators) on a serial line."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable
from typing import Final, TypeVar

from drivers.errors import (
    DeviceAlarmError,
    DriverError,
    OutOfRangeError,
    ProtocolError,
    ReadBackError,
    RefusedError,
    WireTimeoutError,
)
from drivers.line_device import LineDevice
from drivers.readings import Look
from drivers.transport import Line, Transport

T = TypeVar("T")

MAX_POSITIONS: Final = 96
_LINES_SKIPPED: Final = 8
_POSITION: Final = re.compile(r"(?:CP|Position is\s*=\s*)(\d{1,2})")
_BETWEEN: Final = re.compile(r"Position is near to\s*=\s*\d{1,2}")
_COUNT: Final = re.compile(r"NP\s*(?:=\s*)?(\d{1,2})")


def parse_position(line: bytes, unit: str = "") -> int | None:
    """Position from ``CPnn`` or, in the long form, ``Position is  = nn``; None for a line about something else.

    Raises DeviceAlarmError when the valve stands between two positions, RefusedError for ``Bad command``.
    """
    match = _matched(_POSITION, line, unit)
    return None if match is None else int(match[1])


def parse_count(line: bytes, unit: str = "") -> int | None:
    """Number of positions from ``NPnn`` or ``NP = nn``; None for a line about something else. Raises RefusedError."""
    match = _matched(_COUNT, line, unit)
    return None if match is None else int(match[1])


def _matched(pattern: re.Pattern[str], line: bytes, unit: str) -> re.Match[str] | None:
    try:
        text = line.decode("ascii").strip()
    except UnicodeDecodeError:
        return None
    text = text.removeprefix(unit)
    if text.endswith("Bad command"):
        raise RefusedError("the actuator does not know the command", answered=text)
    if _BETWEEN.fullmatch(text):
        raise DeviceAlarmError("the valve stands between two positions", alarm="between positions", answered=text)
    return pattern.fullmatch(text)


class ViciSelector(LineDevice):
    """One selector valve. A move is over when ``CP`` says that the valve has arrived, and only then.

    ``connect`` compares the number of positions, reads where the valve stands and moves nothing; RefusedError when the
    actuator is set for another number.

    Moves are absolute and idempotent: a valve that is there is not turned (its seal wears by turning). Assumed: what an
    actuator that is set to answer moves (``IFM1``, ``IFM2``) says is a line that does not look like the answer to
    ``CP``; a turning actuator may answer late, with its old position, or not at all.

    Args:
        line: the serial line, 9600 baud 8N1 from the factory, shared by actuators with a unit ID.
        positions: how many positions the valve has, 2 to 96.
        unit: the ID that precedes each command, one of 0-9 or A-Z, or "" for none.
        move_timeout_s: how long the longest move may take.
        poll_s: how often the position is asked during a move.
        name: the device's name in messages.
    """

    def __init__(
        self,
        line: Line,
        positions: int,
        *,
        unit: str = "",
        move_timeout_s: float = 5.0,
        poll_s: float = 0.1,
        name: str = "valve",
    ) -> None:
        if not 2 <= positions <= MAX_POSITIONS:
            raise OutOfRangeError("positions of the valve", low=2, high=MAX_POSITIONS, device=name, asked=positions)
        if re.fullmatch(r"[0-9A-Z]?", unit) is None:
            raise ValueError(f"{name}: a unit ID is one of 0-9 or A-Z, not {unit!r}")
        if not (math.isfinite(move_timeout_s) and 0 < poll_s <= move_timeout_s):
            raise ValueError(f"{name}: time-out {move_timeout_s} s and polling interval {poll_s} s do not fit")
        super().__init__(line, name)
        self._line = line
        self._positions = positions
        self._unit = unit
        self._move_timeout_s = move_timeout_s
        self._poll_s = poll_s
        self._moving = asyncio.Lock()

    async def _meet(self) -> str:
        count = await self._ask("NP", parse_count)
        if count != self._positions:
            raise self._fault(
                RefusedError, "the actuator is set for another valve", f"{self._positions} positions", count
            )
        try:
            at = f"at {await self.position()}"
        except DeviceAlarmError as error:
            at = error.alarm
        return f"VICI selector valve, {count} positions, {at}"

    async def look(self) -> Look:
        """Who it is, its state and reading; changes nothing. Before ``connect`` the line is left again afterwards."""
        async with self._visiting():
            identity, at = await self._meet(), await self._seen()
            return Look(identity, "at rest" if isinstance(at, int) else at, f"position {at}")

    async def position(self) -> int:
        """Where the valve stands, from 1. Raises DeviceAlarmError between two positions."""
        at = await self._ask("CP", parse_position)
        if not 1 <= at <= self._positions:
            raise self._fault(ProtocolError, "the valve has no such position", "CP", at)
        return at

    async def move(self, position: int) -> None:
        """Be at ``position``, confirmed by ``CP``. Raises OutOfRangeError, ReadBackError when it does not arrive."""
        if not 1 <= position <= self._positions:
            raise OutOfRangeError(
                f"position {position} is outside 1 to {self._positions}",
                low=1,
                high=self._positions,
                device=self._name,
                port=self._line.name,
                asked=position,
            )
        command = f"GO{position:02d}"
        async with self._moving:
            if await self._seen() == position:
                return
            await self._line.exchange(f"{self._unit}{command}\r".encode("ascii"), _no_answer, device=self._name)
            loop = asyncio.get_running_loop()
            deadline_s = loop.time() + self._move_timeout_s
            seen: int | str = "nothing"
            while loop.time() < deadline_s:
                await asyncio.sleep(self._poll_s)
                try:
                    seen = await self._seen()
                except WireTimeoutError:
                    continue
                if seen == position:
                    return
            raise self._fault(
                ReadBackError, f"the valve did not arrive within {self._move_timeout_s:g} s", command, seen
            )

    async def _seen(self) -> int | str:
        try:
            return await self.position()
        except DeviceAlarmError as error:
            return error.alarm

    async def _ask(self, command: str, parse: Callable[[bytes, str], T | None], attempts: int = 2) -> T:
        """The first line that ``parse`` takes; reading is repeatable, so a lost or damaged answer is asked again."""

        async def receive(transport: Transport, timeout_s: float) -> bytes:
            loop = asyncio.get_running_loop()
            deadline_s = loop.time() + timeout_s
            line = b""
            for _ in range(_LINES_SKIPPED):
                line = await transport.read_until(b"\r", max(deadline_s - loop.time(), 0.001))
                if parse(line, self._unit) is not None:
                    return line
            raise ProtocolError("the answer is about something else", answered=line)

        failure: DriverError | None = None
        for _ in range(attempts):
            try:
                line = await self._line.exchange(f"{self._unit}{command}\r".encode("ascii"), receive, device=self._name)
                value = parse(line, self._unit)
                assert value is not None
                return value
            except (WireTimeoutError, ProtocolError) as error:
                failure = self._fault(type(error), error.message, command, error.answered)
            except RefusedError as error:
                raise self._fault(RefusedError, error.message, command, error.answered) from error
            except DeviceAlarmError as error:
                raise DeviceAlarmError(
                    error.message,
                    alarm=error.alarm,
                    device=self._name,
                    port=self._line.name,
                    asked=command,
                    answered=error.answered,
                ) from error
        assert failure is not None
        raise failure


async def _no_answer(transport: Transport, timeout_s: float) -> bytes:
    """Whether an actuator answers a move depends on its settings, so nobody waits for it."""
    return b""
