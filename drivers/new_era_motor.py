"""What one New Era pump is set to, does and has counted; each is read back, and read twice where nothing checks it."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from drivers.errors import DriverError, ProtocolError, ReadBackError, RefusedError, WireTimeoutError
from drivers.new_era_frames import (
    ALARMS,
    choose_rate,
    format_number,
    parse_dispensed_ul,
    parse_rate_ul_min,
    parse_volume_ul,
)
from drivers.new_era_wire import ATTEMPTS, NewEraWire
from drivers.readings import PumpState

FLOW_TOLERANCE: Final = 0.005
AGREEING_READS: Final = 6
"""How many readings without a checksum are taken at most until two in a row agree."""
WRITES: Final = 3
"""How often a setting is written at most until it is read back as it was written."""
_COUNTER_STEP_UL: Final = 1.0
_STATES: Final = {
    "I": PumpState.INFUSING,
    "W": PumpState.WITHDRAWING,
    "S": PumpState.STOPPED,
    "P": PumpState.PAUSED,
    "T": PumpState.TIMED_PAUSE,
    "U": PumpState.WAITING,
    "X": PumpState.PURGING,
}


@dataclass(frozen=True)
class Motion:
    """What a pump does, and what it has moved since :meth:`NewEraMotor.begin`. ``counted_ul``: its counters alone."""

    state: PumpState
    infused_ul: float
    withdrawn_ul: float
    counted_ul: tuple[float, float]


class NewEraMotor:
    """One pump's settings, motor and counters.

    ``flow_range_ul_min``: the rates that the pump takes; the fastest bounds what two readings of a counter can differ
    by.
    """

    def __init__(self, wire: NewEraWire, flow_range_ul_min: tuple[float, float]) -> None:
        self._wire = wire
        self._flow_range_ul_min = flow_range_ul_min
        self._fastest_ul_s = flow_range_ul_min[1] / 60.0
        self._banked_ul = (0.0, 0.0)
        self._clearing: tuple[float, float] | None = None
        self._counted_ul = (0.0, 0.0)
        self._clears = 0
        """How often the counters have begun to be cleared, or have been: odd while they are."""

    def begin(self) -> None:
        """Volumes count from here: the counters have just been cleared."""
        self._banked_ul = self._counted_ul = (0.0, 0.0)
        self._clearing = None
        self._clears += 2

    # ---- reading --------------------------------------------------------------------------------------------------

    async def state(self) -> PumpState:
        """What the motor does; an alarm is latched."""
        newest = await self._prompt()
        if self._wire.safe:
            return newest
        for _ in range(AGREEING_READS):
            before, newest = newest, await self._prompt()
            if newest is before:
                return newest
        raise self._wire.fault(ProtocolError, "no two answers agree on what it does", "", newest)

    async def _prompt(self) -> PumpState:
        return _STATES[(await self._wire.ask("", latch=True)).prompt]

    async def motion(self, *, look: bool = False) -> Motion:
        """State and volumes; an alarm is latched. ``look``: see :meth:`NewEraWire.ask`.

        A power blip is told once, and that answer can be lost. Where nobody else's order can have reached the pump,
        counters that have fallen tell of it too, and it is latched; unless they were being cleared meanwhile, which an
        order does beside a look that waits for its answer.
        """
        was_ul, clears, clearing = self._counted_ul, self._clears, self._clearing
        motion = await self._read_motion(look)
        fallen = any(now < was for now, was in zip(motion.counted_ul, was_ul, strict=True))
        cleared = clearing is not None or clears % 2 == 1 or clears != self._clears
        if fallen and not cleared and self._wire.undisturbed and self._wire.alarm is None:
            self._wire.alarm = ALARMS["R"]
        return motion

    async def _read_motion(self, look: bool) -> Motion:
        loop = asyncio.get_running_loop()
        asked_s = loop.time()
        state, counted_ul = await self._dispensed(look)
        agreed = self._wire.safe
        for _ in range(0 if agreed else AGREEING_READS):
            before, before_ul, before_s, asked_s = state, counted_ul, asked_s, loop.time()
            state, counted_ul = await self._dispensed(look)
            most_ul = self._fastest_ul_s * (loop.time() - before_s) + _COUNTER_STEP_UL
            grown_ul = [now - then for now, then in zip(counted_ul, before_ul, strict=True)]
            if state is before and all(-1e-9 <= grown <= most_ul for grown in grown_ul):
                agreed = True
                break
        if not agreed:
            raise self._wire.fault(ProtocolError, "no two answers agree on its counters", "DIS", counted_ul)
        self._settle_clear(counted_ul)
        self._counted_ul = counted_ul
        infused_ul, withdrawn_ul = (was + now for was, now in zip(self._banked_ul, counted_ul, strict=True))
        return Motion(state, infused_ul, withdrawn_ul, counted_ul)

    async def _dispensed(self, look: bool) -> tuple[PumpState, tuple[float, float]]:
        reply = await self._wire.ask("DIS", latch=True, parse=parse_dispensed_ul, look=look)
        return _STATES[reply.prompt], parse_dispensed_ul(reply.data)

    # ---- settings -------------------------------------------------------------------------------------------------

    async def set(self, command: str, digits: str, parse: Callable[[str], float]) -> None:
        """Be set to ``digits``: written only where it differs (settings wear non-volatile memory), then read back."""
        wanted = float(digits)
        if await self._wire.read(command, parse) == wanted:
            return
        for _ in range(WRITES):
            await self._wire.ask(f"{command} {digits}")
            for _ in range(2):
                answer = await self._wire.read(command, parse)
                if math.isclose(answer, wanted, rel_tol=1e-9):
                    return
        raise self._wire.fault(ReadBackError, "the setting did not take", f"{command} {digits}", answer)

    async def set_direction(self) -> None:
        """Be set to infuse."""
        direction = (await self._wire.ask("DIR", parse=_direction)).data
        if direction == "INF":
            return
        for _ in range(WRITES):
            await self._wire.ask("DIR INF")
            direction = (await self._wire.ask("DIR", parse=_direction)).data
            if direction == "INF":
                return
        raise self._wire.fault(ReadBackError, "the direction did not take", "DIR INF", direction)

    async def set_volume(self, volume_ul: float) -> float:
        """Set the bound of the next run, rounded down to four digits of the unit the pump counts in; returns it."""
        _, per_unit_ul = await self._wire.read("VOL", parse_volume_ul)
        digits = format_number(volume_ul / per_unit_ul, "down")
        await self.set("VOL", digits, lambda text: parse_volume_ul(text)[0] / per_unit_ul)
        return float(digits) * per_unit_ul

    async def set_rate(self, flow_ul_min: float) -> float:
        """Set the flow of a pump that stands still; returns it as read back."""
        digits, unit = choose_rate(flow_ul_min, within_ul_min=self._flow_range_ul_min)
        return await self._write_rate(f"{digits} {unit}", flow_ul_min)

    async def change_rate(self, flow_ul_min: float) -> float:
        """A running pump takes digits only; another unit needs a pause, which keeps the phase's volume count."""
        current_ul_min, running_unit = await self._wire.read("RAT", parse_rate_ul_min)
        digits, unit = choose_rate(flow_ul_min, keep_unit=running_unit, within_ul_min=self._flow_range_ul_min)
        if unit == running_unit:
            if math.isclose(current_ul_min, flow_ul_min, rel_tol=1e-9):
                return current_ul_min
            return await self._write_rate(digits, flow_ul_min)
        await self._wire.ask("STP", attempts=1)
        actual_ul_min = await self._write_rate(f"{digits} {unit}", flow_ul_min)
        await self.start(PumpState.PAUSED)
        return actual_ul_min

    async def has_rate(self, flow_ul_min: float) -> bool:
        """Whether it is set to this flow; a reading that says no is taken twice."""
        for _ in range(2):
            if _close(await self._wire.read("RAT", parse_rate_ul_min), flow_ul_min):
                return True
        return False

    async def _write_rate(self, setting: str, flow_ul_min: float) -> float:
        for _ in range(WRITES):
            await self._wire.ask(f"RAT {setting}")
            for _ in range(2):
                answer = await self._wire.read("RAT", parse_rate_ul_min)
                if _close(answer, flow_ul_min):
                    return answer[0]
        asked = f"{flow_ul_min:g} µL/min"
        raise self._wire.fault(ReadBackError, "the flow differs by more than 0.5 %", asked, f"{answer[0]:g} µL/min")

    # ---- motion ---------------------------------------------------------------------------------------------------

    async def start(self, waiting: PumpState) -> None:
        """Run a pump that is stopped with its counters cleared, or paused.

        RUN is not repeated blindly: its answer may be lost though the motor turns, or has reached its bound already;
        and one that says otherwise may be a late one. It is sent again only where none came, to a pump that still waits
        and has moved nothing meanwhile.
        """
        before = await self.motion() if waiting is PumpState.PAUSED else None
        counted_ul = (0.0, 0.0) if before is None else before.counted_ul
        for attempt in range(1, ATTEMPTS + 1):
            failure: DriverError
            try:
                reply = await self._wire.ask("RUN", attempts=1)
                if reply.prompt == "I":
                    return
                failure = self._wire.fault(RefusedError, "the pump did not start", "RUN", _STATES[reply.prompt])
            except (WireTimeoutError, ProtocolError) as error:
                failure = error
            now = await self.motion()
            if now.state is PumpState.INFUSING:
                return
            still = now.state is waiting and now.counted_ul == counted_ul
            if attempt == ATTEMPTS or not still or isinstance(failure, RefusedError):
                raise failure

    async def halt(self, *, moving: bool = False) -> None:
        """The first STP pauses, the second stops; both are asked only as long as the pump is not stopped.

        ``moving``: it was told to move, and in safe mode, where the state is read once, a stale answer may say
        "stopped" of it: STP goes out whatever it says.
        """
        if moving and self._wire.safe:
            with contextlib.suppress(RefusedError):
                await self._wire.ask("STP", latch=True)
        state = await self.state()
        for _ in range(4):
            if state is PumpState.STOPPED:
                return
            with contextlib.suppress(RefusedError):  # it may have stopped by itself meanwhile: its state tells
                await self._wire.ask("STP", latch=True)
            state = await self.state()
        if state is not PumpState.STOPPED:
            raise self._wire.fault(RefusedError, "the pump does not stop", "STP", state)

    # ---- counters -------------------------------------------------------------------------------------------------

    async def bank(self) -> float:
        """Keep the counters' sum on the host, then clear them: they bound the next infusion and hold four digits.

        Returns what has been infused so far, in µL.
        """
        motion = await self.motion()
        self._clearing = (motion.infused_ul, motion.withdrawn_ul)
        await self.clear_counters()
        self._banked_ul = self._clearing
        self._clearing = None
        return motion.infused_ul

    async def clear_counters(self) -> None:
        """Clear both, verified."""
        self._clears += 1
        try:
            await self._clear_both()
        finally:
            self._clears += 1

    async def _clear_both(self) -> None:
        for _ in range(WRITES):
            await self._wire.ask("CLD INF")
            await self._wire.ask("CLD WDR")
            for _ in range(2):
                answer = await self._wire.read("DIS", parse_dispensed_ul)
                if answer == (0.0, 0.0):
                    self._counted_ul = answer
                    return
        raise self._wire.fault(ReadBackError, "the counters did not clear", "CLD", answer)

    async def motion_in_doubt(self) -> Motion:
        """As :meth:`motion`, where another's order may have cleared the counters of a pump at rest: what they showed
        before still counts."""
        shown_ul = self._counted_ul
        motion = await self._read_motion(look=False)
        if motion.state is not PumpState.STOPPED:
            return motion
        rows = zip(self._banked_ul, shown_ul, motion.counted_ul, strict=True)
        banked = [was + shown if now == 0.0 else was for was, shown, now in rows]
        self._banked_ul = (banked[0], banked[1])
        infused_ul, withdrawn_ul = (was + now for was, now in zip(banked, motion.counted_ul, strict=True))
        return Motion(motion.state, infused_ul, withdrawn_ul, motion.counted_ul)

    def _settle_clear(self, counted_ul: tuple[float, float]) -> None:
        """After a clear whose answer was lost: a counter that has fallen was cleared, and what it had shown counts."""
        if self._clearing is None:
            return
        rows = zip(self._banked_ul, counted_ul, self._clearing, strict=True)
        banked = [shown if was + now < shown else was for was, now, shown in rows]
        self._banked_ul = (banked[0], banked[1])


def _close(rate: tuple[float, str], flow_ul_min: float) -> bool:
    return abs(rate[0] / flow_ul_min - 1.0) <= FLOW_TOLERANCE


def _direction(text: str) -> str:
    if text not in ("INF", "WDR"):
        raise ProtocolError("not a direction", answered=text)
    return text
