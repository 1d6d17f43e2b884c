"""How a rig in the daemon stands: its journal, its present campaign, what keeps it from working; and telling of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from orchestrator.daemon.facade import StationState
from orchestrator.daemon.ledger import Job, Ledger
from orchestrator.daemon.present import Place, Present, trip_words
from orchestrator.daemon.rig_journal import DamagedRigJournal, RigJournal
from orchestrator.errors import JournalError
from orchestrator.history.run_state import RunState
from orchestrator.journal.store import Event, JournalDamaged

if TYPE_CHECKING:
    from orchestrator.daemon.feed import Feed, Topic

Data = Mapping[str, Any]

_log = logging.getLogger("lumiflow.station")


def wanted_words(wanted: Mapping[str, str], holds: Callable[[str], str]) -> str:
    """What a campaign wants in other syringes than hold it, and what a person does about it."""
    parts = [
        f"{stock} in {pump}, which holds {holds(pump)} (lumiflow refill {pump} --stock {stock}, once it does not)"
        for pump, stock in wanted.items()
    ]
    return f"wants {' and '.join(parts)}"


class Standing:
    """What is true of a rig now. What changes it is written to its journal first."""

    def __init__(self, place: Place, feed: Feed, now: Callable[[], tuple[float, str]]) -> None:
        self.place = place
        self._feed = feed
        self._now = now
        self._journal: RigJournal | DamagedRigJournal
        try:
            self._journal = RigJournal(place.journal)
        except JournalDamaged as error:
            self._journal = DamagedRigJournal(error)
        self._sitting: Present | None = None
        self._fault: str | None = "the rig is not connected yet" if place.hardware else None
        self._lost = False

    @property
    def ledger(self) -> Ledger:
        """What the rig's journal says."""
        return self._journal.ledger

    @property
    def damaged(self) -> JournalError | None:
        """Why the rig's journal could not be opened, where it is damaged: nothing is known of the rig then."""
        return self._journal.why if isinstance(self._journal, DamagedRigJournal) else None

    @property
    def run(self) -> RunState | None:
        """The present campaign as its journal says, sitting or interrupted."""
        return None if self._sitting is None else self._sitting.run

    @property
    def sits(self) -> bool:
        """Whether a campaign sits at the bench now."""
        return self._sitting is not None and self._sitting.live

    @property
    def stage(self) -> str:
        """Kind of the present campaign's last event."""
        return "" if self._sitting is None else self._sitting.stage

    @property
    def present(self) -> Job | None:
        """The present campaign."""
        return None if self._sitting is None else self._sitting.job

    @property
    def unread(self) -> bool:
        """Whether the present campaign waits for a journal that cannot be read, or the rig's own cannot."""
        return self.damaged is not None or (self._sitting is not None and self._sitting.unread)

    @property
    def refused(self) -> str:
        """Why the present campaign could not be taken up when somebody last asked for that."""
        return "" if self._sitting is None else self._sitting.refused

    def standing(self) -> tuple[StationState, str]:
        """The state and why, in words."""
        sitting, trip = self._sitting, self.ledger.trip
        if sitting is not None and sitting.live:
            if sitting.run.stop_reason is not None:
                return "ending", sitting.run.stop_detail
            wish = sitting.wish
            if wish is not None and wish.verb in ("stop", "abort", "suspend", "cut"):
                return "ending", f"{wish.verb} by {wish.by}"
            if sitting.waiting:
                return ("held" if sitting.run.waiting == "held" else "paused"), "waits to be resumed"
            if wish is not None and wish.verb in ("pause", "hold"):
                return "pausing", f"{wish.verb} by {wish.by}"
            return "running", ""
        if trip is not None:
            return "tripped", trip_words(trip)
        if self._fault is not None:
            return "fault", self._fault
        if sitting is not None:
            return "paused", sitting.interrupted
        if self.ledger.waits:
            return "paused", self._waits_words()
        wanted = self.wants_a_person()
        return ("paused", wanted) if wanted else ("idle", "")

    def _waits_words(self) -> str:
        """Why nothing begins although nothing is wrong: somebody wants it so, or a campaign ended for reagent."""
        words, why = "nothing begins until it is resumed", self.ledger.short
        if not why:
            return words
        since = f"filled since: {', '.join(sorted(self.ledger.filled))}; " if self.ledger.filled else ""
        return f"{why}; {since}{words}, once the syringe holds enough (lumiflow refill)"

    def wants_a_person(self) -> str:
        """What keeps the next campaign waiting for a person to change or fill syringes; "" where nothing does."""
        if not self.ledger.queue:
            return ""
        job = self.ledger.queue[0]
        waits = self.waits_for(job.stocks)
        return f"{job.job} {waits}" if waits else ""

    def waits_for(self, stocks: Mapping[str, str] | None) -> str:
        """What a campaign that names these stocks would wait for, in words; "" where it could begin."""
        wanted = self.wanted(stocks)
        if wanted and self.place.hardware:
            return wanted_words(wanted, self.holds)
        pumps, missing = self.place.rig.pumps, self.ledger.missing_ul
        empty = [name for name, pump in pumps.items() if missing.get(name, 0.0) >= pump.holds_ul]
        # Twins are given a full syringe with another stock.
        parts = [f"{name} (lumiflow refill {name}, once it is filled)" for name in empty if name not in wanted]
        return f"waits for what counts as empty: {' and '.join(parts)}" if parts else ""

    def holds(self, pump: str) -> str:
        """The stock in a pump's syringe."""
        return self.ledger.stocks.get(pump) or self.place.rig.pump(pump).stock

    def wanted(self, stocks: Mapping[str, str] | None) -> dict[str, str]:
        """Those syringes that hold another stock than is wanted there, with what is: by a campaign that names
        ``stocks``, and elsewhere wants what the rig file says. None: it did not say."""
        if stocks is None:
            return {}
        wanted = {pump: stocks.get(pump, entry.stock) for pump, entry in self.place.rig.pumps.items()}
        # One that wants what the rig no longer has is not held up here: it is refused when its turn comes.
        known = self.place.rig.stocks
        return {pump: stock for pump, stock in wanted.items() if stock in known and stock != self.holds(pump)}

    def changed(self) -> None:
        """Tell whoever listens how the rig stands."""
        state, detail = self.standing()
        job = self.present
        self._publish("state", {"state": state, "detail": detail, "job": None if job is None else job.job})

    def _publish(self, topic: Topic, data: Data) -> None:
        t_s, utc = self._now()
        self._feed.publish(self.place.name, topic, data, t_s=t_s, utc=utc)

    async def _write(self, kind: str, data: Data) -> None:
        written: Future[Event] = self._journal.append(kind, data)
        await asyncio.wrap_future(written)

    def _lose(self, error: JournalError) -> None:
        """The rig's own journal is lost: nothing new begins, and what sits ends for the same reason or goes on."""
        self._lost = True
        self._fault = f"the rig's journal cannot be {'written' if self.damaged is None else 'read'}: {error}"
        _log.critical("%s: %s", self.place.name, self._fault)
        self.changed()

    async def _latch(self, trip: Data) -> None:
        await self._write("trip", trip)
        self._publish("alarm", {"trip": dict(trip)})
        _log.error("%s: tripped: %s", self.place.name, trip_words(trip))
        self.changed()
