"""Interlocks that watch the rig at their own period, whatever a campaign or an operator is doing, or nobody is.

They watch from the moment the devices are connected until they are let go: idle, running, paused, during the safe
sequence. A trip latches. The first one is the root cause; what trips after it, because of it or beside it, is listed
behind. Only a person clears them. The readings that the interlocks take are also the newest temperature and pressure.
A device that is on its recovery ladder holds up its own check and no other.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final

from orchestrator.errors import ReplayDivergence
from orchestrator.rig.devices import ASKED_BY, HeaterReading
from orchestrator.rig.rig import Rig
from orchestrator.rig.unattended import pumps_heard_every_s
from orchestrator.safety.patience import Patience
from orchestrator.safety.symptoms import NO_OUTPUT, PRESSURE_SETTLES_S, Delivery, HeaterTrend, PressureTrend
from orchestrator.safety.trips import Trip, trip_of, tripped_by

WATCH_PERIOD_S: Final = 2.0
REFRESH_PERIOD_S: Final = 4.0
PUMP_PERIOD_S: Final = 10.0
"""Shorter where a pump has a watchdog that would not wait so long."""
FRESH_LOOKS: Final = 1.5
"""A reading older than so many looks' periods is of before an outage, or of a line that is too slow to tell."""
LEAST_PAUSE_SHARE: Final = 0.25
"""Of a round's period, the least in which its line is left to others."""
PATIENCE_S: Final = 3.0
"""How long one check may hold up the others; it goes on beside them."""
STALE_MARGIN_S: Final = 15.0
"""A check that has said nothing for the longest outage and this much more is stuck."""
LOST_PERIOD_S: Final = 30.0
"""How often a device that has tripped as lost is asked again: it is not to hold up the line of the safe sequence."""
ACT_WITHIN_S: Final = 20.0
"""So long after a trip the heater may still give power before the interlocks switch it off themselves."""
THROUGH_THE_LINE: Final = ("over-pressure", "fast pressure rise", "clog", "leak")
"""Trips after which nothing more may be pumped through the line."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Periods:
    """From one look to the next, in s: at heater and pressure, at the pumps, and the refreshing of the set-point."""

    watch_s: float = WATCH_PERIOD_S
    pumps_s: float = PUMP_PERIOD_S
    refresh_s: float = REFRESH_PERIOD_S


Check = Callable[[], Awaitable[Trip | None]]
OnTrip = Callable[[Trip], Awaitable[None]]


class Interlocks:
    """Watches temperature, its sensor and output, pressure, delivery and alarms, and keeps the latest readings.

    One for a rig, for as long as it is connected. ``latched``: trips of an earlier sitting that nobody has cleared.
    ``periods``: others than those that follow from the rig.
    """

    def __init__(self, rig: Rig, latched: Iterable[Trip] = (), periods: Periods | None = None) -> None:
        self._rig = rig
        self._periods = periods or Periods(pumps_s=pumps_heard_every_s(rig.config, PUMP_PERIOD_S))
        self._trips: list[Trip] = list(latched)
        self._tripped_s = -math.inf
        self._listeners: list[OnTrip] = []
        self._watching: asyncio.Task[None] | None = None
        self._telling: set[asyncio.Task[None]] = set()
        self.heater: HeaterReading | None = None
        self._awaited: list[asyncio.Future[HeaterReading]] = []
        self.pressure_kpa: float | None = None
        self.seen_s: dict[str, float] = {}
        """When each device last answered, by the loop's clock."""
        self._under_way: dict[str, tuple[asyncio.Task[Trip | None], float]] = {}
        self._patience: dict[str, Patience] = {}
        self._ask_again_s: dict[str, float] = {}
        self._asking_pumps = asyncio.Lock()
        self._stale_s = rig.config.recovery.outage_s + STALE_MARGIN_S
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget the past of the readings: the devices have been connected anew, and their counters begin at 0."""
        rig = self._rig
        self._heater_trend = HeaterTrend()
        self._pressure_trend = PressureTrend(rig.config)
        self._deliveries = {
            name: Delivery(name, pump.holds_ul, rig.earlier_ul.get(name, 0.0), pauses=pump.pauses)
            for name, pump in rig.config.pumps.items()
        }
        self._leak_suspected = False
        self._pumps_unknown_s = -math.inf

    @property
    def trip(self) -> Trip | None:
        """The root cause: the first trip that has not been cleared."""
        return self._trips[0] if self._trips else None

    @property
    def trips(self) -> tuple[Trip, ...]:
        """All trips that have not been cleared, the root cause first."""
        return tuple(self._trips)

    def latch(self, trip: Trip) -> bool:
        """Latch a trip, also one that somebody else has found; False where this interlock of this device is latched.

        Listeners hear only of what the interlocks have found themselves.
        """
        if self._known(trip):
            return False
        if not self._trips:
            self._tripped_s = asyncio.get_running_loop().time()
        self._trips.append(trip)
        return True

    def clear(self) -> tuple[Trip, ...]:
        """Unlatch everything, by the word of a person who has looked at the rig; what still holds trips again.

        Returns what was latched. Who it was is for the caller to journal, before this.
        """
        cleared, self._trips = tuple(self._trips), []
        self._ask_again_s.clear()
        self.begin_anew()
        return cleared

    def forbids_flush(self, pump: str) -> str | None:
        """Why this pump must not flush the line now; None where it may."""
        for trip in self._trips:
            if trip.interlock in THROUGH_THE_LINE or trip.device == pump:
                return str(trip)
        return None

    async def next_heater(self, within_s: float) -> HeaterReading | None:
        """The next reading of the heater; None when there is none for so long.

        Who goes on with a look rather than with a clock of their own does the same in a replay of it.
        """
        awaited: asyncio.Future[HeaterReading] = asyncio.get_running_loop().create_future()
        self._awaited.append(awaited)
        try:
            async with asyncio.timeout(within_s):
                return await awaited
        except TimeoutError:
            return None
        finally:
            self._awaited.remove(awaited)

    async def fresh_heater(self) -> HeaterReading | None:
        """The newest reading of the heater, or the next where it is older than some looks take; None where the heater
        stays silent for as long as an outage may last."""
        seen_s = self.seen_s.get(self._rig.heater.name, -math.inf)
        if asyncio.get_running_loop().time() - seen_s <= FRESH_LOOKS * self._periods.watch_s:
            return self.heater
        return await self.next_heater(self._stale_s)

    # -- watching -----------------------------------------------------------------------------------------------

    def start(self, on_trip: OnTrip) -> None:
        """Have ``on_trip`` called for every new trip, and watch from now on if nobody did. Idempotent."""
        if on_trip not in self._listeners:
            self._listeners.append(on_trip)
        if self._watching is None:
            self._watching = asyncio.ensure_future(self._watch())

    async def stop(self, on_trip: OnTrip) -> None:
        """Call ``on_trip`` no more; where nobody else listens, watching ends. Idempotent."""
        if on_trip in self._listeners:
            self._listeners.remove(on_trip)
        if not self._listeners and self._watching is not None:
            watching, self._watching = self._watching, None
            watching.cancel()
            await asyncio.gather(watching, *self._telling, return_exceptions=True)

    async def watch(self, on_trip: OnTrip) -> Trip:
        """Watch until something trips; returns it once ``on_trip`` has taken it in."""
        first: asyncio.Future[Trip] = asyncio.get_running_loop().create_future()

        async def tripped(trip: Trip) -> None:
            if first.done():
                return
            try:
                await on_trip(trip)
            finally:
                first.set_result(trip)

        self.start(tripped)
        try:
            return await first
        finally:
            await self.stop(tripped)

    async def _watch(self) -> None:
        """Three rounds beside each other: pumps that are slow to answer hold up neither heater nor pressure."""
        periods = self._periods
        try:
            async with asyncio.TaskGroup() as rounds:
                rounds.create_task(self._round("watch", periods.watch_s, 0.0, self._look_around))
                # Where the rounds have one line, they come to it by turns.
                first_s = 0.75 * periods.refresh_s
                rounds.create_task(self._round("refresh", periods.refresh_s, first_s, self._look_after_set_point))
                rounds.create_task(self._round("pumps", periods.pumps_s, periods.pumps_s, self._look_at_pumps))
        finally:
            await self._abandon()

    async def _round(self, name: str, period_s: float, first_s: float, look: Callable[[], Awaitable[None]]) -> None:
        """Look for ever, from one beginning to the next ``period_s``; later where a look takes longer than that."""
        ASKED_BY.set(name)
        loop = asyncio.get_running_loop()
        due_s = loop.time() + first_s
        while True:
            await asyncio.sleep(due_s - loop.time())
            await look()
            due_s = max(due_s + period_s, loop.time() + LEAST_PAUSE_SHARE * period_s)

    async def _look_around(self) -> None:
        heater = self._rig.heater.name
        self._found(await self._look(heater, heater, self._check_heater))
        self._found(await self._look("pressure", "pressure", self._check_pressure))
        await self._back_up(asyncio.get_running_loop().time())

    async def _look_after_set_point(self) -> None:
        self._found(await self._look("refresh", self._rig.heater.name, self._refresh))

    async def _look_at_pumps(self) -> None:
        self._found(await self._check_pumps())

    def _found(self, trip: Trip | None) -> None:
        """Latch it and tell everybody. Nobody is waited for: one who writes it to a disk that hangs blinds nobody."""
        if trip is None or not self.latch(trip):
            return
        for listener in self._listeners:
            task = asyncio.ensure_future(_told(listener, trip))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def _back_up(self, now_s: float) -> None:
        """Where nobody has acted on a trip, take the heater's power away from here."""
        reading = self.heater
        if self.trip is None or reading is None or now_s - self._tripped_s < ACT_WITHIN_S:
            return
        if not reading.output_fraction <= NO_OUTPUT:  # nan: it heats, and does not tell how much
            try:
                await self._rig.heater.heater_off()
            except ReplayDivergence:
                raise
            except Exception as error:  # noqa: BLE001 - it is tried again at the next look
                _log.error("the heater could not be switched off after a trip: %s", error)

    async def _look(self, name: str, device: str, check: Check) -> Trip | None:
        """Do a check, or look how the one that is still under way is getting on; a failure of it is a trip."""
        now = asyncio.get_running_loop().time()
        if now < self._ask_again_s.get(device, -math.inf):
            return None
        patience = self._patience.get(name)
        if patience is None:
            patience = self._patience[name] = Patience()
        if name in self._under_way:
            task, began = self._under_way.pop(name)
            patience_s = 0.0
        else:
            task, began, patience_s = patience.begin(check), now, PATIENCE_S
        try:
            ended = await patience.ended(task, patience_s)
        except asyncio.CancelledError:
            self._under_way[name] = (task, began)
            raise
        if not ended:
            self._under_way[name] = (task, began)
            held_s = asyncio.get_running_loop().time() - began
            if held_s <= self._stale_s:
                return None
            return Trip("stale reading", name, round(held_s, 1), self._stale_s, "s")
        try:
            trip = task.result()
        except ReplayDivergence:  # says nothing of a device, and the conductor comes to it as well
            raise
        except Exception as error:  # noqa: BLE001 - a device that cannot be read: nobody knows what the rig is doing
            trip = trip_of(error)
            if trip.interlock == "lost device":
                self._ask_again_s[device] = asyncio.get_running_loop().time() + LOST_PERIOD_S
        return trip

    async def _abandon(self) -> None:
        for patience in self._patience.values():
            patience.close()
        tasks = [task for task, _ in self._under_way.values()]
        self._under_way.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _refresh(self) -> Trip | None:
        await self._rig.heater.refresh()
        return None

    async def _check_heater(self) -> Trip | None:
        off_since_s = self._rig.heater.off_since_s
        reading = await self._rig.heater.read()
        self.heater = reading
        for awaited in self._awaited:
            if not awaited.done():
                awaited.set_result(reading)
        name = self._rig.heater.name
        self._seen(name)
        if reading.faults:
            return Trip("heater fault", name, ", ".join(reading.faults), "none", "")
        if math.isnan(reading.temperature_c):  # compares as below every limit
            return Trip("heater fault", name, "it tells no temperature, and no fault", "a temperature", "")
        limit = self._rig.config.limits.over_temperature_c
        if reading.temperature_c > limit:
            return Trip("over-temperature", name, round(reading.temperature_c, 2), limit, "°C")
        # Another order while it was asked: the reading may be of before it.
        off = off_since_s is not None and off_since_s == self._rig.heater.off_since_s
        return tripped_by(name, self._heater_trend.note(asyncio.get_running_loop().time(), reading, off=off))

    async def _check_pressure(self) -> Trip | None:
        if self._rig.pressure is None:
            return None
        self.pressure_kpa = await self._rig.pressure.read()
        limit = self._rig.config.limits.pressure_kpa
        name = self._rig.pressure.name
        self._seen(name)
        if self.pressure_kpa > limit:
            return Trip("over-pressure", name, round(self.pressure_kpa, 2), limit, "kPa")
        now = asyncio.get_running_loop().time()
        rise = self._pressure_trend.rise(now, self.pressure_kpa, self._rig.ordered)
        if rise is not None:
            return tripped_by(name, rise)
        if any(pump in self._under_way for pump in self._rig.pumps):
            self._pumps_unknown_s = now
        known = now - self._pumps_unknown_s >= PRESSURE_SETTLES_S
        symptom = self._pressure_trend.note(now, self.pressure_kpa, self._rig.ordered if known else None)
        if symptom is None or symptom.interlock != "leak" or self._leak_suspected:
            self._leak_suspected = self._leak_suspected and symptom is None and not self._pressure_trend.complete
            return tripped_by(name, symptom)
        # Too little pressure is also what a pump makes that stands still: the pumps are asked before it is a leak.
        self._leak_suspected = True
        self._pressure_trend.restart()
        return await self._check_pumps()

    async def _check_pumps(self) -> Trip | None:
        """All pumps, each at most as long as patience lasts; the first new trip of them."""
        async with self._asking_pumps:
            for name in self._rig.pumps:
                trip = await self._look(name, name, partial(self._check_pump, name))
                if trip is not None and not self._known(trip):
                    return trip
        return None

    def _seen(self, device: str) -> None:
        self.seen_s[device] = asyncio.get_running_loop().time()

    def _known(self, trip: Trip) -> bool:
        return any((known.interlock, known.device) == (trip.interlock, trip.device) for known in self._trips)

    async def _check_pump(self, name: str) -> Trip | None:
        ordered = self._rig.ordered
        reading = await self._rig.pumps[name].status()
        self._seen(name)
        if reading.alarm:
            return Trip("pump alarm", name, reading.alarm, "none", "")
        if ordered is not self._rig.ordered:
            return None  # another order came while it was asked
        now = asyncio.get_running_loop().time()
        return tripped_by(name, self._deliveries[name].note(now, reading, ordered, self._periods.pumps_s))


async def _told(listener: OnTrip, trip: Trip) -> None:
    try:
        await listener(trip)
    except ReplayDivergence:
        return
    except Exception:  # noqa: BLE001 - one who fails at hearing it keeps nobody else from it
        _log.exception("a trip was not taken in: %s", trip)
