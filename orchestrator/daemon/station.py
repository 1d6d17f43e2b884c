"""One rig in the daemon: its queue, its commands, its latched trip, and the bench where its campaigns run.

Everything here happens in the daemon's own loop. The bench speaks from its thread through ``Ears``, which only passes
on; a command passes to the bench as a wish. The rig's journal is the state: whatever is decided is written there first.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from orchestrator.campaign.header import brief
from orchestrator.campaign.steering import Wish
from orchestrator.daemon.assigning import assignment
from orchestrator.daemon.bench import Assignment, Bench, Finished
from orchestrator.daemon.commands import Actor, Outcome
from orchestrator.daemon.ears import Ears
from orchestrator.daemon.ledger import Job, Volumes
from orchestrator.daemon.present import (
    Place,
    Present,
    bad_end,
    interrupted,
    lost_journal,
    root_trip,
    unreadable,
    was_cleared,
)
from orchestrator.daemon.standing import Standing
from orchestrator.daemon.verdict import Verdict
from orchestrator.errors import JournalError, LumiflowError
from orchestrator.guardian.diary import rescues_since
from orchestrator.history.fold import advance
from orchestrator.history.run_state import RunState
from orchestrator.journal.journal import JournalLocked
from orchestrator.journal.store import Event

if TYPE_CHECKING:
    from orchestrator.daemon.feed import Feed
    from orchestrator.daemon.telemetry import Reading
    from orchestrator.guardian.diary import Rescue

Data = Mapping[str, Any]

_log = logging.getLogger("lumiflow.station")


class Station(Standing):
    """One rig. ``make_bench`` builds its bench for a listener; ``next_id`` gives a campaign's name its job's."""

    def __init__(
        self,
        place: Place,
        feed: Feed,
        make_bench: Callable[[Ears], Bench],
        next_id: Callable[[str], str],
        now: Callable[[], tuple[float, str]],
    ) -> None:
        super().__init__(place, feed, now)
        self.readings: dict[str, Reading] = {}
        self._next_id = next_id
        self._bench = make_bench(Ears(self, asyncio.get_running_loop()))
        self._commands = asyncio.Lock()
        self._started = False
        self._closing = False
        self._closed = False
        self._tasks: set[asyncio.Task[None]] = set()

    # -- life ---------------------------------------------------------------------------------------------------

    async def start(self, boot_id: str, version: str, *, paused: bool, rescues: Sequence[Rescue] = ()) -> None:
        """Take up what the journal says; nothing begins where a person is to look first. Raises JournalError.

        ``rescues``: all that the guardian has ever done for this rig, oldest first.
        """
        if self.damaged is not None:  # what it holds and what has tripped is not known: its devices are left alone
            self._lose(self.damaged)
            return
        await self._write("booted", {"boot_id": boot_id, "version": version, "paused": paused})
        for rescue in rescues_since(rescues, self.ledger.rescued_mark, self.ledger.rescued_utc):
            flushed = {"utc": rescue.utc, "infused_ul": dict(rescue.infused_ul), "mark": rescue.mark}
            await self._write("rescued", flushed)
        if paused and not self.ledger.waits:
            await self._enter(Actor("guardian", "guardian"), {"verb": "pause", "rig": self.place.name}, _after_death)
        present = self.ledger.present
        if present is not None:
            await self._take_in(present)
        self._bench.start()
        self._started = True
        await self.advance()

    async def close(self) -> None:
        """Leave the rig safe and what sits to be resumed; ends when the bench has let go."""
        self._closing = True
        if self._started:
            await asyncio.get_running_loop().run_in_executor(None, self._bench.close)
        for _ in range(3):  # what the bench said last is on its way through the loop
            await asyncio.sleep(0)
        if self._tasks:
            await asyncio.wait(self._tasks)
        async with self._commands:  # what was decided meanwhile is written down
            self._closed = True
            await asyncio.get_running_loop().run_in_executor(None, self._journal.close)

    def let_go(self) -> None:
        """Close the journal of a station that was never started."""
        self._journal.close()

    def hurry(self) -> None:
        """The operator has asked a second time for the end: no flushes."""
        self._bench.ask(Wish("suspend" if self.place.hardware else "cut", "the daemon"))

    # -- commands -----------------------------------------------------------------------------------------------

    async def enter(
        self,
        actor: Actor,
        command: Data,
        act: Callable[[Station], Verdict],
        before: Callable[[Station], Awaitable[None]] | None = None,
    ) -> Outcome:
        """Decide on a command, write it down with its actor, then do it. Raises JournalError; then nothing is done.

        ``before``: what is to be looked at before it is decided.
        """
        async with self._commands:
            if self._closed:
                return Outcome(accepted=False, detail="the daemon is down")
            if before is not None and not self._closing:
                try:
                    await before(self)
                except JournalError as error:
                    self._lose(error)
                    raise
            return await self._enter(actor, command, act)

    async def _enter(self, actor: Actor, command: Data, act: Callable[[Station], Verdict]) -> Outcome:
        verdict = Verdict(False, "the daemon is going down") if self._closing else act(self)
        data = {"actor": asdict(actor), "command": dict(command), "accepted": verdict.accepted}
        try:
            await self._write("command", {**data, "detail": verdict.detail, "job": verdict.job, **verdict.more})
        except JournalError as error:
            self._lose(error)
            raise
        said = {"actor": asdict(actor), "verb": command["verb"], "accepted": verdict.accepted}
        self._publish("command", {**said, "detail": verdict.detail, "job": verdict.job})
        if verdict.then is not None:
            await verdict.then()
        self.changed()
        return Outcome(accepted=verdict.accepted, detail=verdict.detail, job=verdict.job)

    def wish(self, wish: Wish) -> None:
        """Pass on to the campaign what somebody wants."""
        if self._sitting is not None and self._sitting.live:
            self._sitting.wish = None if wish.verb == "continue" else wish
            self._bench.ask(wish)

    def new_job(self, campaign: str) -> str:
        """A name for a job that nothing has had yet."""
        return self._next_id(campaign)

    async def clear_bench(self) -> None:
        """The trip is cleared: the bench may work again."""
        self._bench.clear()
        await self.advance()

    # -- the queue ------------------------------------------------------------------------------------------------

    async def advance(self) -> None:
        """Begin the next campaign if nothing stands in its way. Called after whatever could have changed that."""
        ledger = self.ledger
        busy = self._sitting is not None or self._fault is not None or ledger.waits or ledger.trip is not None
        if not self._started or self._closing or busy or not ledger.queue:
            return
        job = ledger.queue[0]
        if self.wants_a_person():
            return
        wanted = self.wanted(job.stocks)
        self._sitting = Present(job, RunState(), live=True)  # before anything is awaited: one at a time
        try:
            if wanted:  # twins have every stock at hand
                await self._write("exchanged", {"job": job.job, "stocks": wanted})
            await self._write("begun", {"job": job.job, "missing_ul": dict(self.ledger.missing_ul)})
        except JournalError as error:
            self._sitting = None
            self._lose(error)
            return
        await self._hand_over(job)

    async def look_again(self, first: Wish | None) -> None:
        """Look anew at what the daemon's end has interrupted, since somebody wants to go on with it or to end it.

        What keeps it from being taken up is then its `Present.refused`. ``first``: the wish to end it.
        """
        sitting = self._sitting
        if sitting is None or sitting.live:
            return
        found = await self._take_in(sitting.job)
        if found is None or found.unread or self._fault is not None or self.ledger.trip is not None:
            return
        resume = self.place.journal_of(found.job.job).exists()
        try:
            found.ready = await self._assigned(found.job, resume=resume, first=first)
        except JournalLocked as error:
            found.refused = str(error)
        except JournalError as error:
            self._sitting = unreadable(found.job, error)
        except LumiflowError as error:
            _log.error("%s: %s is not taken up: %s", self.place.name, found.job.job, error)
            if resume and first is None:  # what it has used up and measured waits with it
                found.refused = str(error)
            else:
                await self._settle(found.job.job, found.run, str(error), reason="refused")

    async def take_up(self, first: Wish | None) -> None:
        """Go on with what the daemon's end has interrupted, as was looked at; ``first``: with a wish to end it."""
        sitting = self._sitting
        if sitting is None or sitting.live or sitting.ready is None:
            return
        self._sitting = Present(sitting.job, sitting.run, live=True, wish=first, doubted=sitting.doubted)
        self._begin(sitting.ready)

    async def give_up(self, by: str) -> None:
        """End an interrupted campaign whose journal cannot be read: the syringes may hold nothing any more."""
        sitting = self._sitting
        if sitting is None or not sitting.unread:
            return
        left = {name: pump.holds_ul for name, pump in self.place.rig.pumps.items()}
        spent = {name: max(left_ul - self.ledger.missing_ul.get(name, 0.0), 0.0) for name, left_ul in left.items()}
        words = f"given up by {by}: {sitting.refused}"
        await self._settle(sitting.job.job, sitting.run, words, reason="operator", spent_ul=spent)

    async def _take_in(self, job: Job) -> Present | None:
        """What was interrupted, as its journal tells it now. None if it had come to its end: that is written down."""
        path = self.place.journal_of(job.job)
        found = await asyncio.get_running_loop().run_in_executor(None, interrupted, job, path)
        self._sitting, run = found, found.run
        tripped = bool(run.trips) and run.stop_reason == "fault" and self.ledger.trip is None
        if tripped and not was_cleared(run, self.ledger.cleared):
            await self._latch(root_trip(run))
        if run.ended:
            await self._settle(job.job, run, run.stop_detail)
            return None
        _log.warning("%s: %s waits to be resumed: %s", self.place.name, job.job, found.interrupted)
        return found

    async def _hand_over(self, job: Job) -> None:
        """Give the bench a campaign that begins."""
        try:
            ready = await self._assigned(job, resume=False, first=None)
        except LumiflowError as error:
            await self._settle(job.job, RunState(), str(error), reason="refused")
            return
        self._begin(ready)

    async def _assigned(self, job: Job, *, resume: bool, first: Wish | None) -> tuple[Assignment, int]:
        """Raises ConfigError, JournalError."""
        taken = partial(assignment, self.place, job, dict(self.ledger.missing_ul), resume=resume, first=first)
        return await asyncio.get_running_loop().run_in_executor(None, taken)

    def _begin(self, ready: tuple[Assignment, int]) -> None:
        sitting = self._sitting
        if sitting is None or self._closing or self.ledger.trip is not None:  # tripped while it was handed over
            self._sitting = None if sitting is None else replace(sitting, live=False, wish=None)
            self.changed()
            return
        handed, sitting.seen = ready
        self._bench.begin(handed)
        if sitting.wish is not None and sitting.wish != handed.first:  # somebody asked before there was a bench to ask
            self._bench.ask(sitting.wish)
        self.changed()

    async def _settle(
        self, job: str, run: RunState, detail: str, *, reason: str | None = None, spent_ul: Volumes | None = None
    ) -> None:
        """The run is over: write that down, with what it has used up and whether it left the rig safe.

        ``spent_ul``: what it counts as having used up; None: all that may have left the syringes by its own record.
        """
        why, sitting = reason or run.stop_reason or "fault", self._sitting
        spent_ul = run.drawn_ul if spent_ul is None else spent_ul
        data = {"job": job, "stop_reason": why, "detail": detail, "safe": run.safe, "spent_ul": dict(spent_ul)}
        if sitting is not None:
            unheard = reason == "refused" and sitting.wish is not None and sitting.wish.verb in ("pause", "hold")
            # A person looks first: the syringes may hold less, a pause was asked for, or the next would be short too.
            if sitting.doubted or unheard or why == "reagent":
                data["waits"] = True
        await self._write("ended", data)
        if (why == "fault" or run.safe is False) and self.ledger.trip is None:
            await self._latch(bad_end(run, detail))
        _log.info("%s: %s ended: %s", self.place.name, job, why, extra={"rig": self.place.name, "job": job})
        self._sitting = None
        await self.advance()
        self.changed()

    # -- what the bench says, in the daemon's loop ------------------------------------------------------------------

    def heard_event(self, job: str, event: Event) -> None:
        """An event of the campaign that sits."""
        sitting = self._sitting
        if sitting is None or sitting.job.job != job:
            return
        sitting.stage = event.kind
        if event.seq <= sitting.seen:
            return  # lived through again: what it tells is known already, and so is what came after it
        sitting.run = advance(sitting.run, event)
        data = brief(event.data) if event.kind == "run_started" else dict(event.data)
        said = {"run": job, "seq": event.seq, "kind": event.kind, "data": data}
        self._feed.publish(self.place.name, "event", said, t_s=event.t_s, utc=event.utc)
        if event.kind == "trip":
            self._later(self._latch(event.data))
        self.changed()

    def heard_waiting(self, job: str, waiting: bool) -> None:
        """The campaign that sits has come to wait, or goes on."""
        if self._sitting is not None and self._sitting.job.job == job:
            self._sitting.waiting = waiting
            if not waiting and self._sitting.wish is not None and self._sitting.wish.verb in ("pause", "hold"):
                self._sitting.wish = None
            self.changed()

    def heard_finished(self, finished: Finished) -> None:
        """The sitting is over."""
        self._later(self._finish(finished))

    def heard_trip(self, trip: Data) -> None:
        """An interlock has tripped while no campaign sat."""
        self._later(self._latch(trip))

    def heard_reading(self, device: str, reading: Reading, due: bool) -> None:
        """What a device says; in the bench's thread."""
        self.readings = {**self.readings, device: reading}
        if due:
            said = {"device": device, "values": dict(reading.values)}
            self._feed.publish(self.place.name, "reading", said, t_s=reading.t_s, utc=reading.utc)

    def heard_rig(self, fault: str | None) -> None:
        """The rig can be worked with, or not: why."""
        if fault == self._fault:
            return
        if fault is None:
            _log.info("%s: the rig is up", self.place.name)
        else:
            _log.error("%s: %s", self.place.name, fault)
        if self._lost:
            return
        self._fault = fault
        self.changed()
        self._later(self.advance())

    async def _finish(self, finished: Finished) -> None:
        sitting = self._sitting
        if sitting is None or sitting.job.job != finished.job:
            return
        if finished.left or (finished.lost and self._closing):
            refused = finished.detail if finished.left and finished.state is None else ""
            self._sitting = replace(sitting, live=False, wish=None, waiting=False, refused=refused)
            if finished.lost:
                _log.error("%s: %s", self.place.name, finished.detail)
                await self._latch(lost_journal(finished.detail))
            self.changed()
            return
        run = finished.state or sitting.run
        await self._settle(finished.job, run, finished.detail, reason="fault" if finished.state is None else None)

    def _later(self, coroutine: Awaitable[None]) -> None:
        async def guarded() -> None:
            try:
                await coroutine
            except JournalError as error:
                self._lose(error)

        task = asyncio.ensure_future(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _after_death(station: Station) -> Verdict:
    words = "started again after the daemon's death: nothing begins until it is resumed"
    return Verdict(True, words, more={"waits": True})
