"""New Era syringe pumps (NE-1000, NE-500), alone or chained on one serial line."""

from __future__ import annotations

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
from drivers.new_era_frames import (
    ALARMS,
    ERRORS,
    Reply,
    choose_rate,
    encode_basic,
    encode_safe,
    format_number,
    parse_dispensed_ul,
    parse_rate_ul_min,
    parse_reply,
    parse_volume_ul,
    receive_basic,
    receive_safe,
)
from drivers.readings import Look, PumpState, PumpStatus, pump_look
from drivers.transport import Line

__all__ = ["NewEraPump", "PumpState", "PumpStatus"]

T = TypeVar("T")

MAX_PLUNGER_CM_MIN: Final = 5.1005
"""Fastest plunger, NE-1000 user manual."""
MIN_PLUNGER_CM_H: Final = 0.004205
"""Slowest plunger, NE-1000 user manual."""
MIN_DIAMETER_MM: Final = 0.1
MAX_DIAMETER_MM: Final = 50.0
MICROLITRE_DIAMETER_MM: Final = 14.0
"""Up to this syringe diameter the pump counts volumes in µL, above it in mL."""
FLOW_TOLERANCE: Final = 0.005
ATTEMPTS: Final = 3
"""How often a command is sent before its silence is believed."""
GARBLED_ATTEMPTS: Final = 6
"""How often it is sent in all while garbage comes back: then the line is bad, and not dead."""

_STATES: Final = {
    "I": PumpState.INFUSING,
    "W": PumpState.WITHDRAWING,
    "S": PumpState.STOPPED,
    "P": PumpState.PAUSED,
    "T": PumpState.TIMED_PAUSE,
    "U": PumpState.WAITING,
    "X": PumpState.PURGING,
}


class NewEraPump:
    """One pump.

    Every infusion carries a bounded volume: when it is reached the pump stops by itself. Out-of-range values are
    refused before anything is sent, and every setting is read back. An alarm (stall, power blip, watchdog) latches:
    ``infuse`` and ``change_flow`` raise :class:`DeviceAlarmError` until ``clear_alarm`` or ``connect``; ``stop`` and
    ``status`` always work.

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
        if not 0 <= address <= 99:
            raise OutOfRangeError("pump address", low=0, high=99, device=name, asked=address)
        if not MIN_DIAMETER_MM <= diameter_mm <= MAX_DIAMETER_MM:
            raise OutOfRangeError(
                "syringe diameter in mm", low=MIN_DIAMETER_MM, high=MAX_DIAMETER_MM, device=name, asked=diameter_mm
            )
        if max_volume_ul is not None and not (math.isfinite(max_volume_ul) and max_volume_ul > 0):
            raise OutOfRangeError("syringe volume in µL", low=0, high=math.inf, device=name, asked=max_volume_ul)
        if safe_mode_timeout_s is not None and not 1 <= safe_mode_timeout_s <= 255:
            raise OutOfRangeError("safe-mode time-out in s", low=1, high=255, device=name, asked=safe_mode_timeout_s)
        self._line = line
        self._address = address
        self._diameter_mm = diameter_mm
        self._max_volume_ul = max_volume_ul
        self._safe_mode_timeout_s = safe_mode_timeout_s
        self._name = name
        self._safe = False
        self._opened = False
        self._alarm: str | None = None
        self._banked_infused_ul = 0.0
        self._banked_withdrawn_ul = 0.0
        self._clearing: tuple[float, float] | None = None
        self._target_ul: float | None = None

    @property
    def name(self) -> str:
        """The device's name."""
        return self._name

    @property
    def flow_range_ul_min(self) -> tuple[float, float]:
        """Slowest and fastest flow: plunger speed limits times the syringe's cross-section."""
        area_cm2 = math.pi * (self._diameter_mm / 20.0) ** 2
        return MIN_PLUNGER_CM_H / 60.0 * area_cm2 * 1000.0, MAX_PLUNGER_CM_MIN * area_cm2 * 1000.0

    async def connect(self) -> str:
        """Open the line, choose the framing, acknowledge old alarms, stop, set diameter and direction.

        Returns the pump's own identity, for example ``NE1000V3.928``. A pump found running is stopped: its volume
        bound is unknown. The volumes of ``status`` count from here.
        """
        if not self._opened:
            await self._line.open(self._name)
            self._opened = True
        try:
            await self._choose_framing(self._safe_mode_timeout_s)
            identity = (await self._ask("VER", acknowledge=True)).data
            if re.fullmatch(r"NE\d+X?2?V\d+\.\d+", identity) is None:
                raise self._fault(ProtocolError, "this is not a New Era pump", "VER", identity)
            self._alarm = None
            await self._halt()
            await self._set("DIA", format_number(self._diameter_mm), float)
            if (await self._ask("DIR")).data != "INF":
                await self._ask("DIR INF")
                direction = (await self._ask("DIR")).data
                if direction != "INF":
                    raise self._fault(ReadBackError, "the direction did not take", "DIR INF", direction)
            await self._clear_counters()
        except BaseException:
            await self._release()
            raise
        self._banked_infused_ul = self._banked_withdrawn_ul = 0.0
        self._clearing = None
        self._target_ul = None
        return identity

    async def look(self) -> Look:
        """Who it is, its state and counters; a running pump runs on. Before ``connect`` the line is left again.

        A pending alarm answers in place of a question and is thereby acknowledged; it is in the look. A pump in safe
        mode whose watchdog waits for a first packet has heard one then.
        """
        opened = self._opened
        try:
            if not opened:
                await self._line.open(self._name)
                self._opened = True
                await self._find_framing()
            identity = (await self._ask("VER", latch=True)).data
            return pump_look(identity, await self.status())
        finally:
            if not opened:
                await self._release()

    async def infuse(self, flow_ul_min: float, volume_ul: float) -> float:
        """Be infusing at ``flow_ul_min``, and stop by yourself after ``volume_ul`` from now.

        Returns the flow the pump reads back, in µL/min: four digits are all it takes. Where the pump already infuses
        and what is left of its bound matches ``volume_ul`` within 2 %, only the rate changes and the motor never
        stops; otherwise the pump stops for some tenths of a second while the new bound is set.

        Raises OutOfRangeError, ReadBackError (the flow differs by more than 0.5 %), DeviceAlarmError.
        """
        self._check_flow(flow_ul_min)
        self._check_volume(volume_ul)
        status = await self._clear_status("infuse")
        if status.state is PumpState.INFUSING and self._target_ul is not None:
            left_ul = self._target_ul - status.infused_ul
            if abs(left_ul - volume_ul) <= max(1.0, 0.02 * volume_ul):
                return await self._change_rate(flow_ul_min)
        await self._halt()
        await self._bank()
        target_ul = await self._set_volume(volume_ul)
        digits, unit = choose_rate(flow_ul_min)
        await self._ask(f"RAT {digits} {unit}")
        actual = await self._rate_read_back(flow_ul_min)
        self._target_ul = self._banked_infused_ul + target_ul
        # RUN is not repeated blindly: its answer may be lost though the motor turns.
        reply = await self._ask("RUN", attempts=1)
        if reply.prompt != "I":
            raise self._fault(RefusedError, "the pump did not start", "RUN", _STATES[reply.prompt])
        return actual

    async def change_flow(self, flow_ul_min: float) -> float:
        """Change the flow of a running infusion without stopping it; its volume bound stays.

        Returns the flow read back. Raises RefusedError when the pump does not infuse.
        """
        self._check_flow(flow_ul_min)
        status = await self._clear_status("change flow")
        if status.state is not PumpState.INFUSING:
            raise self._fault(RefusedError, "the pump does not infuse", f"{flow_ul_min:g} µL/min", status.state)
        return await self._change_rate(flow_ul_min)

    async def stop(self) -> None:
        """Be stopped, verified. Works under an alarm."""
        await self._halt()

    async def status(self) -> PumpStatus:
        """State, volumes since ``connect`` and the latched alarm, in one exchange."""
        reply = await self._ask("DIS", latch=True)
        infused_ul, withdrawn_ul = self._parsed(parse_dispensed_ul, reply.data)
        self._settle_clear(infused_ul, withdrawn_ul)
        return PumpStatus(
            _STATES[reply.prompt],
            self._banked_infused_ul + infused_ul,
            self._banked_withdrawn_ul + withdrawn_ul,
            self._alarm,
        )

    def clear_alarm(self) -> None:
        """Forget the latched alarm; the pump has been seen to."""
        self._alarm = None

    async def close(self) -> None:
        """Leave the line. A stopped pump's watchdog is disarmed first; a running one keeps it, and its bound."""
        if not self._opened:
            return
        try:
            if self._safe and (await self.status()).state is PumpState.STOPPED:
                await self._choose_framing(None)
        except DriverError:
            pass
        finally:
            await self._release()

    # ---- settings -------------------------------------------------------------------------------------------------

    async def _set(self, command: str, digits: str, parse: Callable[[str], float]) -> None:
        """Be set to ``digits``: written only where it differs (settings wear non-volatile memory), then read back."""
        wanted = float(digits)
        if self._parsed(parse, (await self._ask(command)).data) == wanted:
            return
        await self._ask(f"{command} {digits}")
        answer = (await self._ask(command)).data
        if not math.isclose(self._parsed(parse, answer), wanted, rel_tol=1e-9):
            raise self._fault(ReadBackError, "the setting did not take", f"{command} {digits}", answer)

    async def _set_volume(self, volume_ul: float) -> float:
        """Set the bound of the next run, rounded down to four digits of the unit the pump counts in; returns it."""
        _, per_unit_ul = self._parsed(parse_volume_ul, (await self._ask("VOL")).data)
        digits = format_number(volume_ul / per_unit_ul, down=True)
        await self._set("VOL", digits, lambda text: parse_volume_ul(text)[0] / per_unit_ul)
        return float(digits) * per_unit_ul

    async def _change_rate(self, flow_ul_min: float) -> float:
        """A running pump takes digits only; another unit needs a pause, which keeps the phase's volume count."""
        current_ul_min, running_unit = self._parsed(parse_rate_ul_min, (await self._ask("RAT")).data)
        digits, unit = choose_rate(flow_ul_min, keep_unit=running_unit)
        if unit == running_unit:
            if math.isclose(current_ul_min, flow_ul_min, rel_tol=1e-9):
                return current_ul_min
            await self._ask(f"RAT {digits}")
            return await self._rate_read_back(flow_ul_min)
        await self._ask("STP", attempts=1)
        await self._ask(f"RAT {digits} {unit}")
        actual = await self._rate_read_back(flow_ul_min)
        reply = await self._ask("RUN", attempts=1)
        if reply.prompt != "I":
            raise self._fault(RefusedError, "the pump did not resume", "RUN", _STATES[reply.prompt])
        return actual

    async def _rate_read_back(self, flow_ul_min: float) -> float:
        answer = (await self._ask("RAT")).data
        actual_ul_min, _ = self._parsed(parse_rate_ul_min, answer)
        if abs(actual_ul_min / flow_ul_min - 1.0) > FLOW_TOLERANCE:
            raise self._fault(ReadBackError, "the flow differs by more than 0.5 %", f"{flow_ul_min:g} µL/min", answer)
        return actual_ul_min

    async def _halt(self) -> None:
        """The first STP pauses, the second stops; both are asked only as long as the pump is not stopped."""
        state = _STATES[(await self._ask("", latch=True)).prompt]
        for _ in range(4):
            if state is PumpState.STOPPED:
                return
            try:
                state = _STATES[(await self._ask("STP", latch=True)).prompt]
            except RefusedError:
                state = _STATES[(await self._ask("", latch=True)).prompt]
        if state is not PumpState.STOPPED:
            raise self._fault(RefusedError, "the pump does not stop", "STP", state)

    async def _bank(self) -> None:
        """Keep the counters' sum on the host, then clear them: they bound the next infusion and hold four digits."""
        status = await self.status()
        self._clearing = (status.infused_ul, status.withdrawn_ul)
        await self._clear_counters()
        self._banked_infused_ul, self._banked_withdrawn_ul = self._clearing
        self._clearing = self._target_ul = None

    def _settle_clear(self, infused_ul: float, withdrawn_ul: float) -> None:
        """After a clear whose answer was lost: a counter that has fallen was cleared, and what it had shown counts."""
        if self._clearing is None:
            return
        if self._banked_infused_ul + infused_ul < self._clearing[0]:
            self._banked_infused_ul = self._clearing[0]
        if self._banked_withdrawn_ul + withdrawn_ul < self._clearing[1]:
            self._banked_withdrawn_ul = self._clearing[1]

    async def _clear_counters(self) -> None:
        await self._ask("CLD INF")
        await self._ask("CLD WDR")
        answer = (await self._ask("DIS")).data
        if self._parsed(parse_dispensed_ul, answer) != (0.0, 0.0):
            raise self._fault(ReadBackError, "the counters did not clear", "CLD", answer)

    async def _clear_status(self, verb: str) -> PumpStatus:
        status = await self.status()
        if status.alarm is not None:
            raise DeviceAlarmError(
                f"the pump reports an alarm: {status.alarm}",
                alarm=status.alarm,
                device=self._name,
                port=self._line.name,
                asked=verb,
            )
        return status

    # ---- the wire -------------------------------------------------------------------------------------------------

    async def _choose_framing(self, safe_mode_timeout_s: int | None) -> None:
        """Return the pump to the basic protocol, whichever it speaks, then arm safe mode where it is wanted."""
        # SAF0 in a safe frame is understood in both modes and answered in basic mode; a pending alarm may answer
        # the first one, in the old framing.
        await self._ask("SAF0", frame_safe=True, read_safe=False, acknowledge=True)
        self._safe = False
        if safe_mode_timeout_s is not None:
            await self._ask(f"SAF{safe_mode_timeout_s}", frame_safe=True, read_safe=True)
            self._safe = True

    async def _find_framing(self) -> None:
        """Hear which framing the pump speaks, and leave it so. Text first: in basic mode packets are taken too."""
        self._safe = False
        try:
            await self._ask("VER", latch=True, attempts=2)
        except WireTimeoutError:
            await self._ask("VER", latch=True, frame_safe=True, read_safe=True)
            self._safe = True

    async def _ask(
        self,
        command: str,
        *,
        attempts: int = ATTEMPTS,
        acknowledge: bool = False,
        latch: bool = False,
        frame_safe: bool | None = None,
        read_safe: bool | None = None,
    ) -> Reply:
        """One command and its answer; all commands but RUN may be repeated, more often when the line is alive but bad.

        A pending alarm answers in the command's place, and is thereby acknowledged: with ``acknowledge`` or ``latch``
        the command is then sent again (``latch`` remembers the alarm), otherwise DeviceAlarmError is raised.
        """
        safe_out = self._safe if frame_safe is None else frame_safe
        safe_in = self._safe if read_safe is None else read_safe
        request = encode_safe(self._address, command) if safe_out else encode_basic(self._address, command)
        alarms = 0
        failures = garbled = 0
        while True:
            try:
                answer = await self._line.exchange(
                    request, receive_safe if safe_in else receive_basic, device=self._name
                )
                reply = parse_reply(answer, self._address)
                if reply.error == "COM":
                    raise ProtocolError(ERRORS["COM"], answered=answer)
            except (WireTimeoutError, ProtocolError) as error:
                garbled += isinstance(error, ProtocolError)
                failures += 1
                if failures - garbled >= attempts or failures >= (attempts if attempts == 1 else GARBLED_ATTEMPTS):
                    raise self._fault(type(error), error.message, command, error.answered) from error
                continue
            if reply.alarm is None:
                break
            alarms += 1
            words = ALARMS.get(reply.alarm, f"alarm {reply.alarm}")
            if not acknowledge:
                self._alarm = words
            if not (acknowledge or latch) or alarms > 3:
                raise DeviceAlarmError(
                    f"the pump reports an alarm: {words}",
                    alarm=words,
                    device=self._name,
                    port=self._line.name,
                    asked=command,
                    answered=answer,
                )
        if reply.error is not None:
            words = ERRORS.get(reply.error, f"?{reply.error}")
            raise self._fault(RefusedError, words, command, f"?{reply.error}")
        return reply

    async def _release(self) -> None:
        if self._opened:
            self._opened = False
            await self._line.close()

    def _check_flow(self, flow_ul_min: float) -> None:
        low, high = self.flow_range_ul_min
        if not low <= flow_ul_min <= high:
            raise OutOfRangeError(
                f"flow {flow_ul_min:g} µL/min is outside {low:.4g} to {high:.4g} µL/min",
                low=low,
                high=high,
                device=self._name,
                port=self._line.name,
                asked=flow_ul_min,
            )

    def _check_volume(self, volume_ul: float) -> None:
        low, high = (0.001, 9999.0) if self._diameter_mm <= MICROLITRE_DIAMETER_MM else (1.0, 9.999e6)
        high = min(high, self._max_volume_ul or high)
        if not low <= volume_ul <= high:
            raise OutOfRangeError(
                f"volume {volume_ul:g} µL is outside {low:g} to {high:g} µL",
                low=low,
                high=high,
                device=self._name,
                port=self._line.name,
                asked=volume_ul,
            )

    def _fault(self, kind: type[DriverError], message: str, asked: object, answered: object) -> DriverError:
        return kind(message, device=self._name, port=self._line.name, asked=asked, answered=answered)

    def _parsed(self, parse: Callable[[str], T], text: str) -> T:
        try:
            return parse(text)
        except ProtocolError as error:
            raise self._fault(ProtocolError, error.message, "", text) from None
