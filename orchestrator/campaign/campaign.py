"""The campaign: the one mutable object, which carries a recipe from proposal to told until a stop rule holds.

Every step writes its intent to the journal before it acts and its outcome after. Whatever ends the campaign (a stop
rule, the operator, an interlock, a defect), the rig's safe sequence runs before anything else is said.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from orchestrator.campaign import planning
from orchestrator.campaign.steering import Steering, Wish, end_of, rest
from orchestrator.campaign.targets import Done, decide, replicate, targets_of
from orchestrator.errors import JournalError
from orchestrator.experiment.measuring import Detector
from orchestrator.experiment.performing import Performer
from orchestrator.experiment.quality import rules_of
from orchestrator.experiment.syringes import Syringes
from orchestrator.experiment.upkeep import Upkeep
from orchestrator.history.run_log import RunLog
from orchestrator.history.run_state import Experiment, RunState, Stop
from orchestrator.rig.rig import make_safe
from orchestrator.rig.tracing import unreported
from orchestrator.safety.interlocks import Interlocks
from orchestrator.safety.trips import Trip, behind, trip_of

if TYPE_CHECKING:
    from orchestrator.clock.virtual_time import UtcClock
    from orchestrator.config import LoadedCampaign
    from orchestrator.journal.journal import Event, Journal
    from orchestrator.rig.rig import Rig

Data = dict[str, Any]


class Decider(Protocol):
    """Who answers the planner's two questions: the planner now, or the record of when it was asked."""

    async def propose(self, state: RunState, n: int) -> Data:
        """The data of the next ``proposed`` event."""
        ...

    async def recommend(self, state: RunState) -> Data | None:
        """The data of the next ``recommended`` event, one for each target; None when there is nothing to recommend."""
        ...


class Campaign:
    """One run of one campaign file on one rig, beginning wherever its journal ends."""

    def __init__(
        self,
        loaded: LoadedCampaign,
        rig: Rig,
        journal: Journal,
        decider: Decider,
        *,
        header: Mapping[str, Any],
        history: tuple[Event, ...] = (),
        on_event: Callable[[Event], None] | None = None,
        steering: Steering | None = None,
        held_open: bool = False,
        interlocks: Interlocks | None = None,
        missing_ul: Mapping[str, float] | None = None,
    ) -> None:
        """``held_open``: the rig is somebody else's to close. ``interlocks``: those that watch it already, then.

        ``missing_ul``: what the syringes lack beside this run by now, where it is taken up; None: what it says itself.
        """
        self._config = loaded.config
        self._rig = rig
        self._journal = journal
        self._log = RunLog(journal, history, on_event)
        self._decider = decider
        self._header = header
        self._interlocks = interlocks or Interlocks(rig)
        shape = self._config.objective.shape
        target = None if shape is None else shape.spectrum.light
        self._detector = Detector(rig.spectrometer, rig.layout, self._config.measure, rules_of(self._config), target)
        self._upkeep = Upkeep(rig, self._detector, self._config)
        self._syringes = Syringes(rig.config, self._log, header.get("reserve_ul"))
        self._performer = Performer(
            self._config,
            rig,
            self._log,
            self._detector,
            self._upkeep,
            self._interlocks,
            self._syringes,
            reactor_s=lambda: self.reactor_s,
            root_cause=self._root_cause,
        )
        self._missing_ul = missing_ul
        self._steering = steering or Steering()
        self._held_open = held_open
        self._connected = False
        self._blank_taken = False
        self._urgent: Wish | None = None
        self._earlier_s = self.state.reactor_s
        self._began_s = 0.0
        self._conducting: asyncio.Task[Stop] | None = None
        self._making_safe: asyncio.Task[bool] | None = None
        self._interrupts = 0
        self._hurry = False
        self._waiting = False

    @property
    def state(self) -> RunState:
        """What the journal says so far."""
        return self._log.state

    @property
    def reactor_s(self) -> float:
        """Reactor time since the campaign began, in s, of all its sittings, without pauses and holds."""
        return self._earlier_s + asyncio.get_running_loop().time() - self._began_s - self._steering.idle_s

    def interrupt(self) -> None:
        """The operator wants it to end: first politely, the second time without flushes."""
        self._interrupts += 1
        if self._conducting is not None and not self._conducting.done():
            self._conducting.cancel()
        elif self._making_safe is not None and not self._making_safe.done():
            self._making_safe.cancel()

    def interrupt_as_recorded(self, recorded: Iterable[Event], clock: UtcClock) -> None:
        """Let the operator of an earlier run interrupt this repetition of it at the same moments."""
        loop = asyncio.get_running_loop()
        recorded = tuple(recorded)
        for event in recorded:
            if event.kind == "stopping" and event.data["stop_reason"] == "operator" and "how" not in event.data:
                loop.call_at(clock.loop_time(event.t_s), self.interrupt)
        self._steering.repeat(recorded, clock)

    def _heard(self, wish: Wish) -> None:
        """The operator wants something that cannot wait for the end of an experiment."""
        if wish.verb == "hold" and (self._waiting or self._making_safe is not None):
            return
        self._hurry = self._hurry or wish.verb == "abort"
        if self._making_safe is not None:
            self._making_safe.cancel()
            return
        self._urgent = wish
        if self._conducting is not None:
            self._conducting.cancel()

    async def run(self) -> RunState:
        """Conduct the campaign to its end and leave the rig safe. Returns the final state."""
        self._began_s = asyncio.get_running_loop().time()
        self._steering.bind(self._journal, self._heard)
        if self.state.sittings:
            now_ul = self._missing_ul
            news = {} if now_ul is None or now_ul == self.state.missing_ul else {"missing_ul": dict(now_ul)}
            await self._log.append("resumed", news)
        else:
            await self._log.append("run_started", dict(self._header))
        try:
            stop = await self._guarded()
        except BaseException:
            # The journal itself failed, or the loop is going down: nothing can be written, the rig still goes safe.
            await make_safe(self._rig, unreported, hurry=True)
            with contextlib.suppress(Exception):
                await self._let_go()
            raise
        try:
            await self._finish(stop)
        except BaseException:
            with contextlib.suppress(Exception):
                await self._let_go()
            raise
        return self.state

    async def _guarded(self) -> Stop:
        """The experiments under the interlocks; every way out becomes a stop with its reason, or is a hold."""
        held: Wish | None = None
        while True:
            self._conducting = asyncio.ensure_future(self._conduct(held))
            if self._interrupts or self._urgent is not None:
                self._conducting.cancel()
            try:
                return await self._conducting
            except asyncio.CancelledError:
                if self._interlocks.trip is not None:
                    return Stop("fault", str(self._interlocks.trip))
                held, self._urgent = self._urgent, None
                if held is None and self._interrupts:
                    return Stop("operator", "interrupted by the operator")
                if held is None or held.verb == "cut":
                    raise
                if held.verb != "hold":
                    return end_of(held)
            except JournalError:
                raise
            except Exception as error:  # noqa: BLE001 - a defect must end in the safe state, with its words in the journal
                trip = self._interlocks.trip
                return Stop("fault", f"{type(error).__name__}: {error}" if trip is None else str(trip))

    async def _conduct(self, held: Wish | None) -> Stop:
        """From where the journal stands to a stop; ``held``: first stand still, in the middle of an experiment."""
        if not self._connected:
            await self._log.append("connected", {"devices": await self._rig.connect()})
            self._connected = True
            self._interlocks.begin_anew()
        self._interlocks.start(self._tripped)
        if self._interlocks.trip is not None:
            return Stop("fault", str(self._interlocks.trip))
        try:
            if held is not None:
                stop = await self._rest(held)
                if stop is not None:
                    return stop
            short = None if self._blank_taken else await self._take_blank()
            return short or await self._experiments()
        except Exception as error:
            if self._rig.failed_in(error):
                # A device that fails the campaign itself is as much a root cause as one that fails an interlock.
                await self._root_cause(trip_of(error))
            raise

    async def _rest(self, wish: Wish) -> Stop | None:
        """Pause or hold; returns the end that it has come to, None to go on."""
        self._waiting = True
        try:
            counts = self.state.reckoning >= 2
            say, forbids = self._log.append, self._forbids_flush
            then = await rest(self._rig, self._steering, wish, say, forbids, counts_in_hold=counts)
        finally:
            self._waiting = False
        if then.verb == "cut":
            self._urgent = then
            raise asyncio.CancelledError
        self._hurry = self._hurry or then.verb == "abort"
        if then.verb != "continue":
            return end_of(then)
        if wish.verb == "pause" and self._blank_taken:
            self._blank_taken = False  # the safe idle has switched the lamp off: now it gives another reference
            return await self._take_blank()
        return None

    async def _take_blank(self) -> Stop | None:
        """Fill the line with solvent and read the blank; returns a stop when there is too little solvent for it."""
        short = self._syringes.unfilled(self._upkeep.fill_ul)
        if short is not None:
            return Stop("reagent", short)
        # Solvent flows long before anybody counts it: should nobody live to do so, the next sitting debits this.
        await self._log.append("filling", {"expected_ul": self._upkeep.fill_ul})
        await self._upkeep.fill()
        await self._log.append("blank_taken", await self._upkeep.blank())
        self._blank_taken = True
        return None

    def _forbids_flush(self, pump: str) -> str | None:
        """Why a pump must not flush the line now; None where it may."""
        return self._interlocks.forbids_flush(pump) or self._syringes.forbids_flush(pump)

    async def _steered(self) -> Stop | None:
        """Between two experiments: pause or end, if that is wanted."""
        wish = self._steering.between()
        while wish is not None:
            if wish.verb == "stop":
                return end_of(wish)
            stop = await self._rest(wish)
            if stop is not None:
                return stop
            wish = self._steering.between()
        return None

    async def _tripped(self, trip: Trip) -> None:
        """Write down what has tripped, then end the experiments; they end even if it cannot be written."""
        try:
            await self._journal_trip(trip)
        finally:
            if self._conducting is not None:
                self._conducting.cancel()

    async def _root_cause(self, trip: Trip) -> None:
        """Latch and journal what the campaign itself has come upon."""
        if self._interlocks.latch(trip):
            await self._journal_trip(trip)

    async def _journal_trip(self, trip: Trip) -> None:
        """One event for every trip; each but the first names the root cause that it came behind."""
        data = {"interlock": trip.interlock, "device": trip.device, "value": trip.value}
        more = behind(trip, self._interlocks.trip)
        await self._log.append("trip", {**data, "limit": trip.limit, "unit": trip.unit, **more})

    async def _experiments(self) -> Stop:
        while True:
            wanted = await self._steered()
            if wanted is not None:
                return wanted
            state = self.state
            unfinished = next((e for e in state.experiments if not e.told and e.refused is None), None)
            if unfinished is None:
                stop = decide(self._config, state, self.reactor_s)
                if isinstance(stop, Done):
                    await self._log.append("target_done", stop.data)
                    continue
                if stop is not None:
                    return stop
                unfinished = await self._propose(state)
                wanted = await self._steered()
                if wanted is not None:
                    return wanted
            elif unfinished.dosing:
                await self._performer.doubt(unfinished)
            short = await self._performer.perform(unfinished)
            if short is not None:
                return short

    async def _propose(self, state: RunState) -> Experiment:
        n = len(state.experiments) + 1
        original = replicate(self._config, state)
        if original is not None:
            data = planning.replicate_data(self._config, self._rig.config, state, n, original)
        else:
            await self._upkeep.idle()  # solvent follows the last recipe while the planner thinks
            data = await self._decider.propose(state, n)
        await self._log.append("proposed", data)
        return self.state.experiments[-1]

    async def _finish(self, stop: Stop) -> None:
        """Safe first, then the words."""
        journal_error: Exception | None = None
        try:
            await self._log.append("stopping", stop.data)
            await self._log.append("safe_begin", {"reason": stop.reason})
        except Exception as error:  # noqa: BLE001 - kept and raised once the rig is safe
            journal_error = error
        if stop.how and not self._connected:
            # Ended before it had begun: whatever an earlier sitting has left is made safe all the same.
            with contextlib.suppress(Exception):  # each step of the safe sequence says for itself what does not answer
                await self._rig.connect()
        well = await self._make_safe(journal_error is None)
        if journal_error is not None:
            raise journal_error
        await self._interlocks.stop(self._tripped)
        used, lost = await self._syringes.last_count(self._rig)
        uncounted = {"uncounted": list(lost)} if lost else {}
        if stop.reason == "suspended":
            await self._log.append("safe_done", {"ok": well, "reagent_ul": used, **uncounted})
            await self._let_go()
            return
        await self._log.append("safe_done", {"ok": well})
        unrecommended = await self._recommend()
        await self._log.append(
            "ended",
            {
                "stop_reason": stop.reason,
                "detail": stop.detail,
                "experiments": len(self.state.told),
                "reactor_s": self.reactor_s,
                "reagent_ul": used,
                **uncounted,
                **({"unrecommended": unrecommended} if unrecommended else {}),
            },
        )
        await self._let_go()

    async def _recommend(self) -> str:
        """A recommendation for each target. Why the planner failed, if it did: the run ends all the same."""
        for _ in targets_of(self._config):
            try:
                recommended = await self._decider.recommend(self.state)
            except Exception as error:  # noqa: BLE001 - whatever fails in the planner, the rig is safe and the run is over
                return f"{type(error).__name__}: {error}"
            if recommended is not None:
                await self._log.append("recommended", recommended)
        return ""

    async def _let_go(self) -> None:
        await self._interlocks.stop(self._tripped)
        if not self._held_open:
            await self._rig.close()

    async def _make_safe(self, journalled: bool) -> bool:
        report = self._report_step if journalled else unreported
        # Without a journal nothing new is ordered, so no flush either.
        hurry = self._hurry or self._interrupts > 1 or not journalled
        safe = make_safe(self._rig, report, hurry=hurry, forbids_flush=self._forbids_flush)
        self._making_safe = asyncio.ensure_future(safe)
        try:
            return await self._making_safe
        except asyncio.CancelledError:
            return await make_safe(self._rig, report, hurry=True)

    async def _report_step(self, step: str, ok: bool, detail: str) -> None:
        await self._log.append("safe_step", {"step": step, "ok": ok, "detail": detail})
