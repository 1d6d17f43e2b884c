"""Syringe pumps that survive an outage of their line, or a blip of their power; see :mod:`drivers.recovery`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Protocol

from drivers.errors import DeviceAlarmError, NotConnectedError
from drivers.readings import PumpState, PumpStatus
from drivers.recovering import Device, Recovering, now_s
from drivers.recovery import RecoveryRules

POWER_RESET: Final = "power was reset"
COMMUNICATION_TIMEOUT: Final = "communication time-out"
_SMALLEST_REST_UL: Final = 1.0
_HOST_AWAY_S: Final = 15.0
"""A host that has not asked for so long was kept away by something: it asks every 10 s."""
_HOST_AWAY_SHARE: Final = 0.5
"""Of the watchdog's time, the same for a short one: its pump is asked three times within it."""


class Pump(Device, Protocol):
    """A syringe pump; see :class:`drivers.NewEraPump`."""

    @property
    def flow_range_ul_min(self) -> tuple[float, float]: ...
    async def infuse(self, flow_ul_min: float, volume_ul: float) -> float: ...
    async def stop(self) -> None: ...
    async def status(self) -> PumpStatus: ...


@dataclass(frozen=True)
class _Motion:
    """An infusion that its caller wants: flow, volume bound, and when it was ordered."""

    flow_ul_min: float
    volume_ul: float
    ordered_s: float

    def rest_ul(self, now_s: float) -> float:
        """What is left of the bound if the pump has kept its flow since the order."""
        return self.volume_ul - self.flow_ul_min * (now_s - self.ordered_s) / 60.0


@dataclass
class _Tally:
    """What a pump can have infused at most since its counter was last read, reckoned up to ``upto_s``."""

    upto_s: float = 0.0
    at_most_ul: float = 0.0
    flow_ul_min: float = 0.0

    def run(self, now_s: float, flow_ul_min: float) -> None:
        """From now on at most this flow."""
        self.at_most_ul += self.flow_ul_min * max(now_s - self.upto_s, 0.0) / 60.0
        self.upto_s, self.flow_ul_min = now_s, flow_ul_min

    def counted(self, asked_s: float) -> None:
        """The counter has been read, no earlier than it was asked."""
        self.upto_s, self.at_most_ul = asked_s, 0.0


class RecoveringPump(Recovering[Pump, PumpStatus]):
    """A syringe pump on the ladder.

    A power blip (alarm "power was reset") is acknowledged, the pump's settings are verified by a new ``connect``, and
    an infusion that is still wanted goes on with what is left of its bound. The blip also cleared the pump's counter:
    what it can have infused at most since the look before is added to ``infused_ul`` and ``lost_ul``. A watchdog that
    stopped the pump because an outage kept the host away is dealt with in the same way.
    """

    def __init__(self, driver: Pump, rules: RecoveryRules | None = None, *, seed: int = 0) -> None:
        super().__init__(driver, rules, seed=seed)
        watchdog_s = None if rules is None else rules.watchdog_s
        self._away_s = _HOST_AWAY_S if watchdog_s is None else min(_HOST_AWAY_S, _HOST_AWAY_SHARE * watchdog_s)
        self._motion: _Motion | None = None
        self._stop_wanted = False
        self._base = (0.0, 0.0)
        self._outages_seen = 0
        self._joined = True
        self._excused = False
        self._tally = _Tally()
        self._interruptions = self._drivers_interruptions = 0
        self._lost_ul = 0.0

    @property
    def flow_range_ul_min(self) -> tuple[float, float]:
        """The driver's."""
        return self._driver.flow_range_ul_min

    async def connect(self) -> str:
        """The driver's ``connect``; volumes count from here."""
        self._motion, self._stop_wanted = None, False
        identity = await super().connect()
        self._excused = False
        self._base = (0.0, 0.0)
        self._lost_ul = 0.0
        self._interruptions = self._drivers_interruptions = 0
        self._tally = _Tally(now_s())
        self._note(PumpStatus(PumpState.STOPPED, 0.0, 0.0, None))
        return identity

    async def infuse(self, flow_ul_min: float, volume_ul: float) -> float:
        """The driver's ``infuse``."""
        self._motion, self._stop_wanted = None, False
        healed = self._ladder.healed

        async def act() -> float:
            ordered_s = now_s()
            self._tally.run(ordered_s, max(flow_ul_min, self._tally.flow_ul_min))
            actual_ul_min = await self._driver.infuse(flow_ul_min, volume_ul)
            self._tally.run(now_s(), flow_ul_min)
            self._motion = _Motion(flow_ul_min, volume_ul, ordered_s)
            return actual_ul_min

        try:
            return await self._order("infuse", act)
        except DeviceAlarmError as error:
            if not self._explained(error.alarm):
                raise
            await self._mend(error.alarm, healed)
            return await self._order("infuse", act)

    async def stop(self) -> None:
        """The driver's ``stop``."""
        self._motion, self._stop_wanted = None, True

        async def act() -> None:
            await self._driver.stop()
            self._tally.run(now_s(), 0.0)

        await self._order("stop", act)

    async def status(self) -> PumpStatus:
        """State, volumes since ``connect`` and an alarm that nobody has dealt with."""
        healed = self._ladder.healed
        asked_s, status = await self._look("status", self._ask)
        if self._explained(status.alarm) and status.alarm == COMMUNICATION_TIMEOUT and self._motion is None:
            # A watchdog that stopped a pump which stood still has changed nothing; the next infusion acknowledges it.
            self._excused = True
            status = replace(status, alarm=None)
        elif self._explained(status.alarm) or self._stopped_itself(status):
            await self._mend(status.alarm or COMMUNICATION_TIMEOUT, healed)
            asked_s, status = await self._look("status", self._ask)
        self._outages_seen = self.outages
        self._tally.counted(asked_s)
        return self._note(self._since_connect(status))

    async def _ask(self) -> tuple[float, PumpStatus]:
        return now_s(), await self._driver.status()

    def _since_connect(self, status: PumpStatus) -> PumpStatus:
        infused_ul, withdrawn_ul = self._base
        self._drivers_interruptions = status.interruptions
        return PumpStatus(
            status.state,
            infused_ul + status.infused_ul,
            withdrawn_ul + status.withdrawn_ul,
            status.alarm,
            interruptions=self._interruptions + status.interruptions,
            lost_ul=self._lost_ul,
        )

    def _explained(self, alarm: str | None) -> bool:
        """Whether an alarm only says that power or host were away."""
        if alarm != COMMUNICATION_TIMEOUT:
            return alarm == POWER_RESET
        return self._excused or self.outages > self._outages_seen or self._silence_s() > self._away_s

    def _stopped_itself(self, status: PumpStatus) -> bool:
        """Whether a watchdog stopped the pump, and its alarm was lost on the line."""
        motion = self._motion
        if motion is None or status.alarm is not None or status.state is not PumpState.STOPPED:
            return False
        return self._silence_s() > self._away_s and motion.rest_ul(now_s()) >= _SMALLEST_REST_UL

    def _silence_s(self) -> float:
        return 0.0 if self._newest is None else now_s() - self._newest[1]

    async def _mend(self, alarm: str, healed: int) -> None:
        await self._ladder.mend(alarm, lambda: self._begin_anew(alarm), healed)

    async def _rejoin(self) -> None:
        if not self._joined:
            await self._begin_anew(POWER_RESET)
            return
        try:
            status = await self._driver.status()
        except NotConnectedError:
            await self._begin_anew(POWER_RESET)
            return
        if self._explained(status.alarm):
            await self._begin_anew(status.alarm or "")
        elif status.alarm is None:
            await self._put_right(status.state)

    async def _put_right(self, state: PumpState) -> None:
        """Have the pump do what was wanted of it before the outage, if it does anything else."""
        at_s = now_s()
        if self._stop_wanted and state is not PumpState.STOPPED:
            await self._driver.stop()
        motion = self._motion
        if motion is None or state is PumpState.INFUSING:
            return
        rest_ul = motion.rest_ul(at_s)
        if rest_ul >= _SMALLEST_REST_UL:
            self._interruptions += 1
            self._tally.run(at_s, motion.flow_ul_min)
            await self._driver.infuse(motion.flow_ul_min, rest_ul)
            self._motion = _Motion(motion.flow_ul_min, rest_ul, at_s)

    async def _begin_anew(self, alarm: str) -> None:
        """Connect again (which acknowledges, verifies the settings and clears the counters), then go on."""
        last = PumpStatus(PumpState.STOPPED, 0.0, 0.0, None) if self._newest is None else self._newest[0]
        if last.alarm is not None:
            self._motion = None  # it stood still for a reason of its own before this
        if alarm == COMMUNICATION_TIMEOUT:
            # The pump stopped itself and kept its counters.
            last = self._since_connect(await self._driver.status())
        # A connect that fails half-way may leave the pump in another framing than the driver: only another one helps.
        self._joined = False
        self._interruptions += self._drivers_interruptions
        self._drivers_interruptions = 0
        await self._driver.connect()
        self._joined = True
        self._excused = False
        at_s = now_s()
        infused_ul = last.infused_ul
        if alarm == POWER_RESET:
            self._tally.run(at_s, 0.0)
            infused_ul += self._tally.at_most_ul
            self._lost_ul += self._tally.at_most_ul
        self._base = (infused_ul, last.withdrawn_ul)
        self._tally = _Tally(at_s)
        self._note(PumpStatus(PumpState.STOPPED, *self._base, None))
        await self._put_right(PumpState.STOPPED)
