"""New Era syringe pumps (NE-1000, NE-500), alone or chained on one serial line."""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from drivers.errors import (
    DriverError,
    OutOfRangeError,
    ProtocolError,
    RefusedError,
    WireTimeoutError,
    must_be_within,
)
from drivers.line_pump import LinePump
from drivers.new_era_frames import format_number, parse_number, slowest_ul_min
from drivers.new_era_motor import NewEraMotor
from drivers.new_era_wire import NewEraWire
from drivers.readings import Look, PumpState, PumpStatus, pump_look
from drivers.transport import Line

__all__ = ["NewEraPump", "PumpState", "PumpStatus"]

MAX_PLUNGER_CM_MIN: Final = 5.1005
"""Fastest plunger, NE-1000 user manual."""
MIN_PLUNGER_CM_H: Final = 0.004205
"""Slowest plunger, NE-1000 user manual."""
MAX_DIAMETER_MM: Final = 50.0
MICROLITRE_DIAMETER_MM: Final = 14.0
"""Up to this syringe diameter the pump counts volumes in µL, above it in mL."""
SETTLE_ROUNDS: Final = 5
"""How often the pumps that may have heard another's order are gone through until none is in doubt."""
LEAST_REST_UL: Final = 1.0
"""What is not worth starting for."""


@dataclass(frozen=True)
class _Told:
    """What the pump was last told and confirmed: its flow (0: stand still), and where its infused volume is to end."""

    flow_ul_min: float
    target_ul: float = 0.0


class NewEraPump(LinePump):
    """One pump.

    ``connect`` chooses the framing, acknowledges old alarms, stops the pump (the volume bound of one found running is
    unknown), sets diameter and direction, and returns the pump's own identity, for example ``NE1000V3.928``. The
    volumes of ``status`` count from there.

    Every infusion carries a bounded volume: when it is reached the pump stops by itself. Out-of-range values are
    refused before anything is sent, and every setting is read back. An alarm (stall, power blip, watchdog) latches:
    ``infuse`` and ``change_flow`` raise :class:`DeviceAlarmError` until ``clear_alarm`` or ``connect``; ``stop`` and
    ``status`` always work.

    In basic mode nothing on the wire has a checksum. State and counters are believed when two readings agree. On a
    shared line an order with a damaged address is another pump's order: after one that was not answered properly,
    every other pump is read, and set again to what it was last told where it does something else, before the order
    counts as done (``interruptions`` of its status counts that).

    Args:
        line: the serial line, shared by the pumps chained on it.
        address: 0 to 99.
        diameter_mm: inner diameter of the syringe.
        max_volume_ul: largest volume of one infusion (the syringe's), or None.
        safe_mode_timeout_s: None for the basic protocol; 1 to 255 for packets with a checksum and the pump's own
            watchdog: without a valid packet for that long the pump stops itself. Any exchange feeds it.
        name: the device's name in messages.
    """

    def __init__(
        self,
        line: Line,
        address: int,
        diameter_mm: float,
        max_volume_ul: float | None = None,
        *,
        safe_mode_timeout_s: int | None = None,
        name: str = "pump",
    ) -> None:
        super().__init__(line, address, diameter_mm, max_volume_ul, max_diameter_mm=MAX_DIAMETER_MM, name=name)
        most_ul = self._volume_range_ul[1]
        if max_volume_ul is not None and max_volume_ul > most_ul:
            what = f"volume in µL that the pump can write for a bore of {diameter_mm:g} mm"
            raise OutOfRangeError(what, low=0, high=most_ul, device=name, asked=max_volume_ul)
        if safe_mode_timeout_s is not None and not 1 <= safe_mode_timeout_s <= 255:
            raise OutOfRangeError("safe-mode time-out in s", low=1, high=255, device=name, asked=safe_mode_timeout_s)
        self._safe_mode_timeout_s = safe_mode_timeout_s
        self._wire = NewEraWire(line, address, name, self)
        self._motor = NewEraMotor(self._wire, self.flow_range_ul_min)
        self._told: _Told | None = None
        self._orders = 0
        self._verifying = asyncio.Lock()
        self._doubts = self._settled = 0
        self._interruptions = 0

    @property
    def _volume_range_ul(self) -> tuple[float, float]:
        """What four digits can say of one infusion, in the unit that the pump takes for this bore: µL or mL."""
        return (0.001, 9999.0) if self._diameter_mm <= MICROLITRE_DIAMETER_MM else (1.0, 9.999e6)

    @property
    def flow_range_ul_min(self) -> tuple[float, float]:
        """Slowest and fastest flow: plunger speed limits times the cross-section of the diameter that it is told."""
        area_cm2 = math.pi * (float(format_number(self._diameter_mm)) / 20.0) ** 2
        return slowest_ul_min(MIN_PLUNGER_CM_H / 60.0 * area_cm2 * 1000.0), MAX_PLUNGER_CM_MIN * area_cm2 * 1000.0

    async def _meet(self) -> str:
        async with self._ordering():
            await self._choose_framing(self._safe_mode_timeout_s)
            if not self._wire.safe and self not in self._line.neighbours:
                self._line.neighbours.append(self)
            identity = (await self._wire.ask("VER", acknowledge=True, parse=_identity)).data
            self._wire.alarm = None
            await self._motor.halt()
            await self._set_diameter()
            await self._motor.set_direction()
            await self._motor.clear_counters()
            self._motor.begin()
            self._interruptions = 0
            self._told = _Told(0.0)
        await self._settle()
        return identity

    async def look(self) -> Look:
        """Who it is, its state and counters; a running pump runs on. Before ``connect`` the line is left again.

        A pending alarm answers in place of a question and is thereby acknowledged; it is in the look. A pump in safe
        mode whose watchdog waits for a first packet has heard one then.
        """
        async with self._visiting() as connected:
            if not connected:
                await self._find_framing()
            identity = (await self._wire.ask("VER", latch=True, parse=_identity)).data
            return pump_look(identity, await self._read())

    async def infuse(self, flow_ul_min: float, volume_ul: float) -> float:
        """Be infusing at ``flow_ul_min``, and stop by yourself after ``volume_ul`` from now.

        Returns the flow the pump reads back, in µL/min: four digits are all it takes, the nearest ones within its
        range. Where the pump already infuses and what is left of its bound matches ``volume_ul`` within 2 %, only the
        rate changes and the motor never stops; otherwise the pump stops for some tenths of a second while the new
        bound is set.

        Raises OutOfRangeError, ReadBackError (the flow differs by more than 0.5 %), DeviceAlarmError.
        """
        flow_ul_min = self._checked_flow(flow_ul_min)
        self._check_volume(volume_ul)
        async with self._ordering():
            told = self._told
            status = self._unalarmed(await self._read(), "infuse")
            left_ul = -math.inf if told is None else told.target_ul - status.infused_ul
            running = status.state is PumpState.INFUSING and told is not None and told.flow_ul_min > 0.0
            self._told = None
            if told is not None and running and abs(left_ul - volume_ul) <= max(1.0, 0.02 * volume_ul):
                actual_ul_min = await self._motor.change_rate(flow_ul_min)
                self._told = _Told(actual_ul_min, told.target_ul)
            else:
                self._told = await self._begin(flow_ul_min, volume_ul)
                actual_ul_min = self._told.flow_ul_min
        await self._settle()
        return actual_ul_min

    async def change_flow(self, flow_ul_min: float) -> float:
        """Change the flow of a running infusion without stopping it; its volume bound stays.

        Returns the flow read back. Raises RefusedError when the pump does not infuse.
        """
        flow_ul_min = self._checked_flow(flow_ul_min)
        async with self._ordering():
            status = self._unalarmed(await self._read(), "change flow")
            if status.state is not PumpState.INFUSING:
                asked = f"{flow_ul_min:g} µL/min"
                raise self._wire.fault(RefusedError, "the pump does not infuse", asked, status.state)
            told, self._told = self._told, None
            actual_ul_min = await self._motor.change_rate(flow_ul_min)
            self._told = None if told is None else _Told(actual_ul_min, told.target_ul)
        await self._settle()
        return actual_ul_min

    async def stop(self) -> None:
        """Be stopped, verified. Works under an alarm, and whatever becomes of the others on the line."""
        async with self._ordering():
            moving = self._told is None or self._told.flow_ul_min > 0.0
            self._told = None
            await self._motor.halt(moving=moving)
            self._told = _Told(0.0)
            if self in self._line.neighbours:
                await self._motor.motion()  # what it has counted, should another's order clear it while it rests
        with contextlib.suppress(DriverError):  # the others stay in doubt until the next order, or their next look
            await self._settle()

    async def status(self) -> PumpStatus:
        """State, volumes since ``connect`` and the latched alarm."""
        await self.verify()
        return await self._read(look=True)

    def clear_alarm(self) -> None:
        """Forget the latched alarm; the pump has been seen to."""
        self._wire.alarm = None

    async def close(self) -> None:
        """Leave the line. A stopped pump's watchdog is disarmed first; a running one keeps it, and its bound."""
        if not self._joined:
            return
        try:
            if self._wire.safe and (await self._read()).state is PumpState.STOPPED:
                await self._choose_framing(None)
        except DriverError:
            pass
        finally:
            await self._leave()

    # ---- orders, and what another pump's order may have done -------------------------------------------------------

    @property
    def doubted(self) -> bool:
        """Whether an order for another pump may have reached this one, and nobody has looked since."""
        return self._doubts != self._settled and self._orders == 0 and self._told is not None

    def doubt(self) -> None:
        """An order for another pump was not answered as it should be."""
        self._doubts += 1

    async def verify(self) -> None:
        """If doubted, read what it does; where that is not what it was told, have it do so again.

        A pump under an alarm is only stopped.
        """
        if not self.doubted:
            return
        async with self._verifying:
            told = self._told
            if not self.doubted or told is None:
                return
            doubts = self._doubts  # one that comes meanwhile stays; until it is done, whoever asks waits for it
            await self._put_right(told)
            self._settled = doubts

    async def _put_right(self, told: _Told) -> None:
        motion = await self._motor.motion_in_doubt()
        runs = told.flow_ul_min > 0.0 and self._wire.alarm is None
        if runs and motion.state is PumpState.INFUSING:
            if not await self._motor.has_rate(told.flow_ul_min):
                self._interruptions += 1
                await self._motor.change_rate(told.flow_ul_min)
            return
        if motion.state is not PumpState.STOPPED:
            self._interruptions += told.flow_ul_min == 0.0
            await self._motor.halt()
        await self._set_diameter()
        rest_ul = told.target_ul - motion.infused_ul
        if runs and rest_ul >= LEAST_REST_UL:
            self._interruptions += 1
            self._told = await self._begin(told.flow_ul_min, rest_ul)

    @contextlib.asynccontextmanager
    async def _ordering(self) -> AsyncIterator[None]:
        """An order is under way: nobody puts anything right meanwhile."""
        async with self._verifying:
            self._orders += 1
        try:
            yield
        finally:
            self._orders -= 1

    async def _settle(self) -> None:
        """Before an order counts as done: no pump on the line does what another one was told."""
        for _ in range(SETTLE_ROUNDS):
            doubted = [neighbour for neighbour in self._line.neighbours if neighbour.doubted]
            if not doubted:
                return
            for neighbour in doubted:
                await neighbour.verify()
        message = "orders go astray on this line: not every pump on it could be verified"
        raise self._wire.fault(ProtocolError, message, "", "")

    async def _begin(self, flow_ul_min: float, volume_ul: float) -> _Told:
        """From rest, infuse a bounded volume."""
        await self._motor.halt()
        before_ul = await self._motor.bank()
        volume_ul = await self._motor.set_volume(volume_ul)
        actual_ul_min = await self._motor.set_rate(flow_ul_min)
        await self._motor.start(PumpState.STOPPED)
        return _Told(actual_ul_min, before_ul + volume_ul)

    async def _set_diameter(self) -> None:
        await self._motor.set("DIA", format_number(self._diameter_mm), parse_number)

    async def _read(self, *, look: bool = False) -> PumpStatus:
        motion = await self._motor.motion(look=look)
        return PumpStatus(
            motion.state, motion.infused_ul, motion.withdrawn_ul, self._wire.alarm, interruptions=self._interruptions
        )

    # ---- the line -------------------------------------------------------------------------------------------------

    async def _choose_framing(self, safe_mode_timeout_s: int | None) -> None:
        """Return the pump to the basic protocol, whichever it speaks, then arm safe mode where it is wanted."""
        # SAF0 in a safe frame is understood in both modes and answered in basic mode; a pending alarm may answer
        # the first one, in the old framing.
        await self._wire.ask("SAF0", frame_safe=True, read_safe=False, acknowledge=True)
        self._wire.safe = False
        if safe_mode_timeout_s is not None:
            await self._wire.ask(f"SAF{safe_mode_timeout_s}", frame_safe=True, read_safe=True)
            self._wire.safe = True

    async def _find_framing(self) -> None:
        """Hear which framing the pump speaks, and leave it so. Text first: in basic mode packets are taken too."""
        self._wire.safe = False
        try:
            await self._wire.ask("VER", latch=True, attempts=2)
        except WireTimeoutError:
            await self._wire.ask("VER", latch=True, frame_safe=True, read_safe=True)
            self._wire.safe = True

    async def _leave(self) -> None:
        if self in self._line.neighbours:
            self._line.neighbours.remove(self)
        await super()._leave()

    def _check_volume(self, volume_ul: float) -> None:
        low, high = self._volume_range_ul
        high = min(high, self._max_volume_ul or high)
        must_be_within("volume", volume_ul, low, high, "µL", device=self._name, port=self._line.name)


def _identity(text: str) -> str:
    if re.fullmatch(r"NE\d+X?2?V\d+\.\d+", text) is None:
        raise ProtocolError("this is not a New Era pump", asked="VER", answered=text)
    return text
