"""Harvard Apparatus syringe pumps (PHD Ultra, Pump 11 Elite), alone or chained on one serial line."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Literal

from drivers.errors import ProtocolError, ReadBackError, RefusedError, WireTimeoutError, must_be_within
from drivers.harvard_frames import (
    RawStatus,
    format_rate,
    format_volume,
    parse_diameter_mm,
    parse_rate_limits_ul_min,
    parse_rate_ul_min,
    parse_status,
    parse_target_ul,
    parse_volume_ul,
)
from drivers.harvard_wire import HarvardWire
from drivers.line_pump import LinePump
from drivers.readings import Look, PumpState, PumpStatus
from drivers.transport import Line

__all__ = ["HarvardModel", "HarvardPump"]

HarvardModel = Literal["PHD Ultra", "11 Elite"]
PLUNGER_MM_MIN: Final[dict[HarvardModel, tuple[float, float]]] = {
    "PHD Ultra": (1.8e-4, 190.80),
    "11 Elite": (1.531e-4, 159.0),
}
"""Slowest and fastest plunger: the data sheets' 0.18 µm/min to 190.8 mm/min, and for the 11 Elite what its ``metrics``
give (24 threads per inch, 2.4:1, 400 x 16 microsteps of 27 s to 26 µs). Once connected, the pump's own ``irate lim``
stands in their place."""
MAX_DIAMETER_MM: Final[dict[HarvardModel, float]] = {"PHD Ultra": 50.0, "11 Elite": 33.0}
FLOW_TOLERANCE: Final = 0.005
MIN_VOLUME_UL: Final = 0.001
COUNTER_SLACK_UL: Final = 1.0
"""By which a counter may run ahead of the rate and the clock."""
_STATES: Final = {
    ":": PumpState.STOPPED,
    ">": PumpState.INFUSING,
    "<": PumpState.WITHDRAWING,
    "*": PumpState.STOPPED,
    "T*": PumpState.STOPPED,
}


class HarvardPump(LinePump):
    """One pump, in its quick-start mode.

    ``connect`` stops it (the bound of a pump found running is unknown), sets diameter and syringe volume, drops target
    and counters, and returns the pump's own identity, for example ``11 ELITE I/W Single 3.0.4``. The volumes of
    ``status`` count from there. A pump that runs when the line is left keeps its bound.

    Every infusion carries a target volume: when it is reached the pump stops by itself. Out-of-range values are
    refused before anything is sent, and every setting is read back, because a chained pump may answer nothing to a
    set. An alarm (stall, limit switch, power blip) latches: ``infuse`` and ``change_flow`` raise
    :class:`DeviceAlarmError` until ``clear_alarm`` or ``connect``; ``stop`` and ``status`` always work.

    Assumed: the rate may change while the pump runs, the target volume may not; the target counts from the last
    ``cvolume``; a power blip shows as counters that fell back, for the pump raises no alarm of its own.

    Args:
        line: the serial line (9600 to 115200 baud 8N1), shared by the pumps chained on it.
        address: 0 to 99; 0 is a pump alone, spoken to without an address.
        diameter_mm: inner diameter of the syringe.
        max_volume_ul: largest volume of one infusion (the syringe's, which the pump is told), or None.
        model: which plunger limits hold until the pump has been asked.
        name: the device's name in messages.
    """

    def __init__(
        self,
        line: Line,
        address: int,
        diameter_mm: float,
        max_volume_ul: float | None = None,
        *,
        model: HarvardModel = "PHD Ultra",
        name: str = "pump",
    ) -> None:
        super().__init__(line, address, diameter_mm, max_volume_ul, max_diameter_mm=MAX_DIAMETER_MM[model], name=name)
        area_mm2 = math.pi * diameter_mm**2 / 4.0
        slowest, fastest = PLUNGER_MM_MIN[model]
        self._wire = HarvardWire(line, address, name)
        self._flow_range_ul_min = slowest * area_mm2, fastest * area_mm2
        self._banked = {False: 0.0, True: 0.0}
        self._seen = {False: 0.0, True: 0.0}
        self._target_ul: float | None = None
        self._running = False
        self._rate_ul_min = self._fastest_ul_min = math.inf
        self._seen_s = 0.0

    @property
    def flow_range_ul_min(self) -> tuple[float, float]:
        """Slowest and fastest flow: the model's plunger limits, once connected what the pump says."""
        return self._flow_range_ul_min

    async def _meet(self) -> str:
        identity = await self._wire.query("ver", str.strip)
        if re.search(r"(ULTRA|ELITE).*\d+\.\d+", identity, re.IGNORECASE) is None:
            raise self._wire.fault(ProtocolError, "this is not a PHD Ultra or 11 Elite", "ver", identity)
        await self._halt()
        self._wire.alarm = None
        await self._set_unless("diameter", f"{self._diameter_mm:.4f} mm", self._diameter_mm, parse_diameter_mm)
        if self._max_volume_ul is not None:
            await self._set_unless("svolume", format_volume(self._max_volume_ul), self._max_volume_ul, parse_volume_ul)
        self._flow_range_ul_min = await self._wire.query("irate lim", parse_rate_limits_ul_min)
        await self._clear_target()
        await self._clear_counters()
        self._banked = {False: 0.0, True: 0.0}
        return identity

    async def look(self) -> Look:
        """Who it is, its state and counter; a running pump runs on. Before ``connect`` the line is left again."""
        async with self._visiting():
            identity = await self._wire.query("ver", str.strip)
            prompt, raw = await self._read_status()
            way = "withdrawn" if raw.withdrawing else "infused"
            return Look(identity, str(_STATES[prompt]), f"{raw.volume_ul:.4g} µL {way}")

    async def infuse(self, flow_ul_min: float, volume_ul: float) -> float:
        """Be infusing at ``flow_ul_min``, and stop by yourself after ``volume_ul`` from now.

        Returns the flow the pump reads back, in µL/min. Where the pump already infuses and what is left of its bound
        matches ``volume_ul`` within 2 %, only the rate changes and the motor never stops; otherwise the pump stops
        while the new bound is set.

        Raises OutOfRangeError, ReadBackError (the flow differs by more than 0.5 %), DeviceAlarmError.
        """
        flow_ul_min = self._checked_flow(flow_ul_min)
        self._check_volume(volume_ul)
        status = self._unalarmed(await self.status(), "infuse")
        if status.state is PumpState.INFUSING and self._target_ul is not None:
            left_ul = self._target_ul - status.infused_ul
            if abs(left_ul - volume_ul) <= max(1.0, 0.02 * volume_ul):
                return await self._change_running_rate(flow_ul_min)
        await self._halt()
        await self._bank()
        await self._clear_target()
        target = format_volume(volume_ul, "down")
        target_ul = parse_volume_ul(target)
        await self._set("tvolume", target, target_ul, parse_volume_ul)
        actual = await self._change_rate(flow_ul_min)
        self._target_ul = self._banked[False] + target_ul
        await self._run()
        return actual

    async def change_flow(self, flow_ul_min: float) -> float:
        """Change the flow of a running infusion without stopping it; its volume bound stays.

        Returns the flow read back. Raises RefusedError when the pump does not infuse.
        """
        flow_ul_min = self._checked_flow(flow_ul_min)
        status = self._unalarmed(await self.status(), "change flow")
        if status.state is not PumpState.INFUSING:
            raise self._wire.fault(RefusedError, "the pump does not infuse", f"{flow_ul_min:g} µL/min", status.state)
        return await self._change_running_rate(flow_ul_min)

    async def stop(self) -> None:
        """Be stopped, verified. Works under an alarm."""
        await self._halt()

    async def status(self) -> PumpStatus:
        """State, volumes since ``connect`` and the latched alarm, in one exchange.

        The pump reports the volume of its present direction only; the other one's is the last that was seen.
        """
        prompt, raw = await self._read_status()
        if self._implausible(raw):
            # Nothing guards an answer against a damaged digit; two that agree are believed.
            prompt, raw = await self._read_status()
        if raw.stalled:
            self._wire.alarm = "stalled"
        elif raw.limit is not None:
            self._wire.alarm = f"{raw.limit} limit switch"
        if raw.volume_ul < self._seen[raw.withdrawing] - 1e-3:
            # Nobody cleared the counter: its count up to here is kept, what it counted since then is lost.
            self._banked[raw.withdrawing] += self._seen[raw.withdrawing]
            self._target_ul = None
            self._wire.alarm = self._wire.alarm or "power was reset"
        self._seen[raw.withdrawing] = raw.volume_ul
        self._seen_s, self._fastest_ul_min = asyncio.get_running_loop().time(), self._rate_ul_min
        self._look_for_a_stop(prompt)
        return PumpStatus(
            _STATES[prompt],
            self._banked[False] + self._seen[False],
            self._banked[True] + self._seen[True],
            self._wire.alarm,
        )

    async def _read_status(self) -> tuple[str, RawStatus]:
        return await self._wire.ask("status", parse_status)

    def _implausible(self, raw: RawStatus) -> bool:
        """A counter that fell, that passed the target, or that grew faster than any rate since it was seen."""
        seen_ul = self._seen[raw.withdrawing]
        grown_ul = self._fastest_ul_min / 60.0 * (asyncio.get_running_loop().time() - self._seen_s)
        most_ul = math.inf if self._target_ul is None else self._target_ul - self._banked[False]
        if raw.volume_ul > seen_ul + grown_ul * 1.02 + COUNTER_SLACK_UL:
            return True
        return raw.volume_ul < seen_ul - 1e-3 or (not raw.withdrawing and raw.volume_ul > most_ul * 1.001 + 0.01)

    def _look_for_a_stop(self, prompt: str) -> None:
        """A pump that idles before its target, unasked, was stopped by its key or lost its power."""
        if not self._running or _STATES[prompt] is not PumpState.STOPPED:
            return
        self._running = False
        infused_ul = self._banked[False] + self._seen[False]
        if prompt == ":" and self._target_ul is not None and infused_ul < self._target_ul * (1 - 1e-3) - 1e-3:
            self._wire.alarm = self._wire.alarm or "stopped before its target"

    def clear_alarm(self) -> None:
        """Forget the latched alarm; the pump has been seen to."""
        self._wire.alarm = None

    # ---- settings -------------------------------------------------------------------------------------------------

    async def _set_unless(self, command: str, argument: str, wanted: float, parse: Callable[[str], float]) -> None:
        """Write a setting only where it differs: settings wear non-volatile memory."""
        if not math.isclose(await self._wire.query(command, parse), wanted, rel_tol=1e-4):
            await self._set(command, argument, wanted, parse)

    async def _set(self, command: str, argument: str, wanted: float, parse: Callable[[str], float]) -> None:
        await self._wire.tell(f"{command} {argument}")
        answer = await self._wire.query(command, parse)
        if not math.isclose(answer, wanted, rel_tol=1e-4):
            raise self._wire.fault(ReadBackError, "the setting did not take", f"{command} {argument}", answer)

    async def _change_running_rate(self, flow_ul_min: float) -> float:
        """A motor that has the rate already is not told again."""
        actual_ul_min = await self._wire.query("irate", parse_rate_ul_min)
        if math.isclose(actual_ul_min, flow_ul_min, rel_tol=1e-9):
            return actual_ul_min
        return await self._change_rate(flow_ul_min)

    async def _change_rate(self, flow_ul_min: float) -> float:
        argument = format_rate(flow_ul_min, self.flow_range_ul_min)
        before_ul_min, self._fastest_ul_min = self._fastest_ul_min, math.inf  # until it is known what it took
        await self._wire.tell(f"irate {argument}")
        actual_ul_min = await self._wire.query("irate", parse_rate_ul_min)
        if abs(actual_ul_min / flow_ul_min - 1.0) > FLOW_TOLERANCE:
            answered = f"{actual_ul_min:g} ul/min"
            raise self._wire.fault(ReadBackError, "the flow differs by more than 0.5 %", argument, answered)
        self._rate_ul_min, self._fastest_ul_min = actual_ul_min, max(before_ul_min, actual_ul_min)
        return actual_ul_min

    async def _run(self) -> None:
        """Start. The command is not repeated blindly: its answer may be lost, or never come, though the motor turns."""
        with suppress(WireTimeoutError, ProtocolError):
            await self._wire.tell("irun", attempts=1)
        prompt, raw = await self._read_status()
        # A small target may be reached before the answer is.
        if prompt != ">" and not (prompt == "T*" and raw.volume_ul > 0.0):
            raise self._wire.fault(RefusedError, "the pump did not start", "irun", prompt)
        self._running = True

    async def _halt(self) -> None:
        """``stp`` also takes the stall off a stalled pump's prompt (assumed); the alarm stays latched here."""
        self._running = False
        for _ in range(4):
            prompt, _ = await self._read_status()
            if prompt in (":", "T*"):
                return
            await self._wire.tell("stp")
        raise self._wire.fault(RefusedError, "the pump does not stop", "stp", prompt)

    async def _bank(self) -> None:
        """Keep the counters' sum on the host, then clear them: the target counts from there."""
        await self.status()
        self._target_ul = None
        await self._clear_counters()

    async def _clear_counters(self) -> None:
        """Of a pump that stands still."""
        await self._wire.tell("cvolume")
        _, raw = await self._read_status()
        if raw.volume_ul != 0.0:
            raise self._wire.fault(ReadBackError, "the counters did not clear", "cvolume", f"{raw.volume_ul:g} µL")
        for withdrawing, seen_ul in self._seen.items():
            self._banked[withdrawing] += seen_ul
            self._seen[withdrawing] = 0.0
        self._seen_s, self._fastest_ul_min = asyncio.get_running_loop().time(), 0.0

    async def _clear_target(self) -> None:
        self._target_ul = None
        await self._wire.tell("ctvolume")
        target_ul = await self._wire.query("tvolume", parse_target_ul)
        if target_ul is not None:
            raise self._wire.fault(ReadBackError, "the target volume did not clear", "ctvolume", f"{target_ul:g} ul")

    def _check_volume(self, volume_ul: float) -> None:
        low, high = MIN_VOLUME_UL, self._max_volume_ul or 1e6
        must_be_within("volume", volume_ul, low, high, "µL", device=self._name, port=self._line.name)
