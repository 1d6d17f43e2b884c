"""The campaign: the one mutable object, which carries a recipe from proposal to told until a stop rule holds.

Every step writes its intent to the journal before it acts and its outcome after. Whatever ends the campaign (a stop
rule, the operator, an interlock, a defect), the rig's safe sequence runs before anything else is said.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from orchestrator import planning
from orchestrator.disturbance import disturbances, interruptions
from orchestrator.errors import JournalError
from orchestrator.fold import fold
from orchestrator.measuring import Detector
from orchestrator.plumbing import FlowPlan, Unreachable, price, pump_flows
from orchestrator.quality import analysed_data, rules_of, unread_data
from orchestrator.reference import LOST_SHARE
from orchestrator.rig import make_safe
from orchestrator.run_state import Experiment, RunState, added
from orchestrator.safety import Interlocks, Trip, behind, trip_of
from orchestrator.settling import BOUND_MARGIN, reach_temperature, settle, washout_s
from orchestrator.spectra import with_flag, with_steady_light, with_wander
from orchestrator.steering import Steering, Wish, end_of, rest
from orchestrator.stopping import Stop, decide_stop, wanted_replicate
from orchestrator.upkeep import MEASURING_ALLOWANCE_S, Upkeep

if TYPE_CHECKING:
    from orchestrator.config import LoadedCampaign
    from orchestrator.journal import Event, Journal
    from orchestrator.rig import Rig
    from orchestrator.virtual_time import UtcClock

Data = dict[str, Any]
MOST_ATTEMPTS = 3
"""An experiment that was disturbed as often as this is told as it is, and flagged."""


class Decider(Protocol):
    """Who answers the planner's two questions: the planner now, or the record of when it was asked."""

    async def propose(self, state: RunState, n: int) -> Data:
        """The data of the next ``proposed`` event."""
        ...

    async def recommend(self, state: RunState) -> Data | None:
        """The data of the ``recommended`` event; None when there is nothing to recommend."""
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
    ) -> None:
        """``held_open``: the rig is somebody else's to close. ``interlocks``: those that watch it already, then."""
        self._config = loaded.config
        self._rig = rig
        self._journal = journal
        self._decider = decider
        self._header = header
        self._events: list[Event] = list(history)
        self._on_event = on_event
        self._interlocks = interlocks or Interlocks(rig)
        self._detector = Detector(rig.spectrometer, rig.layout, self._config.measure, rules_of(self._config))
        self._upkeep = Upkeep(rig, self._detector, self._config)
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
        return fold(self._events)

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
        if self._events:
            await self._append("resumed", {})
        else:
            await self._append("run_started", dict(self._header))
        try:
            stop = await self._guarded()
        except BaseException:
            # The journal itself failed, or the loop is going down: nothing can be written, the rig still goes safe.
            await make_safe(self._rig, _unreported, hurry=True)
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
            await self._append("connected", {"devices": await self._rig.connect()})
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
            if not self._blank_taken:
                await self._take_blank()
            return await self._experiments()
        except Exception as error:
            if self._rig.failed_in(error):
                # A device that fails the campaign itself is as much a root cause as one that fails an interlock.
                await self._root_cause(trip_of(error))
            raise

    async def _rest(self, wish: Wish) -> Stop | None:
        """Pause or hold; returns the end that it has come to, None to go on."""
        self._waiting = True
        try:
            then = await rest(self._rig, self._steering, wish, self._append, self._interlocks.forbids_flush)
        finally:
            self._waiting = False
        if then.verb == "cut":
            self._urgent = then
            raise asyncio.CancelledError
        self._hurry = self._hurry or then.verb == "abort"
        if then.verb != "continue":
            return end_of(then)
        if wish.verb == "pause" and self._blank_taken:
            await self._take_blank()  # the safe idle has switched the lamp off: what it gives now is another reference
        return None

    async def _take_blank(self) -> None:
        await self._upkeep.fill()
        await self._append("blank_taken", await self._upkeep.blank())
        self._blank_taken = True

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
        await self._append("trip", {**data, "limit": trip.limit, "unit": trip.unit, **more})

    async def _experiments(self) -> Stop:
        while True:
            wanted = await self._steered()
            if wanted is not None:
                return wanted
            state = self.state
            unfinished = next((e for e in state.experiments if not e.told and e.refused is None), None)
            if unfinished is None:
                stop = decide_stop(self._config, state, self.reactor_s)
                if stop is not None:
                    return stop
                unfinished = await self._propose(state)
                wanted = await self._steered()
                if wanted is not None:
                    return wanted
            elif unfinished.dosing:
                await self._doubt(unfinished)
            short = await self._perform(unfinished)
            if short is not None:
                return short

    async def _propose(self, state: RunState) -> Experiment:
        n = len(state.experiments) + 1
        original = wanted_replicate(self._config, state)
        if original is not None:
            data = planning.replicate_data(n, original)
        else:
            data = await self._decider.propose(state, n)
        await self._append("proposed", data)
        return self.state.experiments[-1]

    async def _doubt(self, experiment: Experiment) -> None:
        """Nobody saw how this experiment ended: its reagent counts as spent, the line is flushed, it runs again."""
        await self._append(
            "in_doubt",
            {"n": experiment.n, "attempt": experiment.attempts, "debited_ul": dict(experiment.expected_ul)},
        )

    async def _perform(self, experiment: Experiment) -> Stop | None:
        """Carry one proposal to told, or refuse it. Returns a stop when there is too little reagent for it.

        One that was disturbed on its way is left as it was proposed, to be carried again.
        """
        try:
            plan = pump_flows(self._config, self._rig.config, experiment.recipe)
        except Unreachable as error:
            await self._append("refused", {"n": experiment.n, "reason": str(error)})
            return None
        expected = price(self._config, self._rig.config, plan)
        lacking = self._lacking(expected)
        if lacking is not None:
            await self._append("refused", {"n": experiment.n, "reason": lacking})
            return Stop("reagent", lacking)
        dosing = await self._append(
            "dosing",
            {
                "n": experiment.n,
                "attempt": experiment.attempts + 1,
                "flows_ul_min": dict(plan.flows_ul_min),
                "temperature_c": plan.temperature_c,
                "total_flow_ul_min": plan.total_flow_ul_min,
                "residence_time_s": plan.residence_time_s,
                "expected_ul": expected,
            },
        )
        if experiment.of is not None or experiment.attempts > 0 or self._reference_due(dosing):
            stop = await self._sweep(plan)
            if stop is not None:
                return stop
        await self._upkeep.idle()
        if not await reach_temperature(self._rig, self._interlocks, self._config, plan.temperature_c):
            await self._unread(experiment.n, "temperature", f"{plan.temperature_c:g} °C was not reached in time")
            await self._tell(experiment.n, await self._rig.count())
        else:
            await self._dose_and_read(experiment.n, plan)
        return None

    def _reference_due(self, now: Event) -> bool:
        """Whether the reference has not been looked at for its interval, by the journal's own times."""
        last_s = self.state.reference_s
        late = last_s is None or now.t_s - last_s >= self._config.measure.reference_interval_s
        return late and self._upkeep.has_reference

    async def _sweep(self, plan: FlowPlan) -> Stop | None:
        """Sweep the line with solvent and look at the reference; returns a stop when that is lost.

        Beyond its bound the blank is read again: it is what absorbance and yield are held against.
        """
        await self._upkeep.sweep(plan.total_flow_ul_min)
        if not self._upkeep.has_reference:
            return None
        state = self.state
        since_s = state.reference_s or 0.0
        covers = [e.n for e in state.told if e.measured_s is not None and e.measured_s > since_s]
        checked = await self._upkeep.check_reference()
        await self._append("reference_checked", {**checked, "covers": covers})
        if checked["outcome"] == "shifted":
            await self._append("blank_taken", await self._upkeep.blank())
        if checked["outcome"] != "lost":
            return None
        shift, limit = round(100.0 * checked["shift_in_all"], 1), round(100.0 * (LOST_SHARE - 1.0), 1)
        trip = Trip("reference lost", self._rig.spectrometer.name, shift, limit, "%")
        await self._root_cause(trip)
        return Stop("fault", str(trip))

    async def _dose_and_read(self, n: int, plan: FlowPlan) -> None:
        wait_s = washout_s(self._config, self._rig.config, plan) + self._config.settle.timeout_s
        await self._rig.flow(plan.flows_ul_min, BOUND_MARGIN * (wait_s + MEASURING_ALLOWANCE_S))
        before = interruptions(self._rig)
        settled = await settle(self._rig, self._detector, self._config, plan)
        await self._append(
            "settled",
            {
                "n": n,
                "elapsed_s": settled.elapsed_s,
                "looks_ev": list(settled.looks_ev),
                "outcome": settled.outcome,
            },
        )
        bubble = await self._sees_gas()
        measurement = await self._detector.measure()
        bubble = await self._sees_gas() or bubble
        heater = self._interlocks.heater
        await self._append(
            "measured",
            {
                "n": n,
                "integration_s": measurement.integration_s,
                "spectra": list(measurement.spectra),
                "dark": measurement.dark,
                "temperature_c": None if heater is None else heater.temperature_c,
                "pressure_kpa": self._interlocks.pressure_kpa,
            },
        )
        used = await self._rig.count()
        disturbed = disturbances(self._rig, before, heater, plan.temperature_c, self._config)
        if disturbed and self.state.experiment(n).attempts < MOST_ATTEMPTS:
            await self._append("disturbed", {"n": n, "by": list(disturbed), **self._volumes(used)})
            return
        looks = settled.looks[-self._config.settle.looks :]
        analysis = with_wander(measurement.analysis, [look.peak_ev for look in looks])
        analysis = with_steady_light(analysis, looks, rules_of(self._config))
        if bubble:
            analysis = with_flag(analysis, "bubble")
        drifting = settled.outcome == "timeout"
        await self._append("analysed", analysed_data(n, analysis, drifting=drifting, disturbed=disturbed))
        await self._tell(n, used)

    async def _sees_gas(self) -> bool:
        """Whether the bubble sensor in front of the cell sees gas; False where there is none."""
        return self._rig.phase is not None and await self._rig.phase.read() == "gas"

    async def _unread(self, n: int, flag: str, reason: str) -> None:
        await self._append("analysed", unread_data(n, flag, reason))

    async def _tell(self, n: int, used_ul: Mapping[str, float]) -> None:
        failed = not self.state.experiment(n).accepted
        await self._append("told", {"n": n, "failed": failed, **self._volumes(used_ul)})

    def _volumes(self, used_ul: Mapping[str, float]) -> Data:
        """The pumps' counters as they stand, what they have moved since they were last journalled, and the time."""
        before = self.state.counted_ul
        return {
            "reagent_ul": {pump: used_ul[pump] - before.get(pump, 0.0) for pump in used_ul},
            "counted_ul": dict(used_ul),
            "reactor_s": self.reactor_s,
        }

    async def _finish(self, stop: Stop) -> None:
        """Safe first, then the words."""
        journal_error: Exception | None = None
        try:
            await self._append("stopping", stop.data)
            await self._append("safe_begin", {"reason": stop.reason})
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
        used, lost = await self._last_count()
        await self._append("safe_done", {"ok": well})
        if stop.reason == "suspended":
            await self._let_go()
            return
        state = self.state
        recommended = await self._decider.recommend(state)
        if recommended is not None:
            await self._append("recommended", recommended)
        await self._append(
            "ended",
            {
                "stop_reason": stop.reason,
                "detail": stop.detail,
                "experiments": sum(e.told for e in state.experiments),
                "reactor_s": self.reactor_s,
                "reagent_ul": used,
                **({"uncounted": list(lost)} if lost else {}),
            },
        )
        await self._let_go()

    async def _let_go(self) -> None:
        await self._interlocks.stop(self._tripped)
        if not self._held_open:
            await self._rig.close()

    async def _make_safe(self, journalled: bool) -> bool:
        report = self._report_step if journalled else _unreported
        # Without a journal nothing new is ordered, so no flush either.
        hurry = self._hurry or self._interrupts > 1 or not journalled
        forbids = self._interlocks.forbids_flush
        self._making_safe = asyncio.ensure_future(make_safe(self._rig, report, hurry=hurry, forbids_flush=forbids))
        try:
            return await self._making_safe
        except asyncio.CancelledError:
            return await make_safe(self._rig, report, hurry=True)

    async def _report_step(self, step: str, ok: bool, detail: str) -> None:
        await self._append("safe_step", {"step": step, "ok": ok, "detail": detail})

    async def _last_count(self) -> tuple[dict[str, float], tuple[str, ...]]:
        """What every pump has infused, and the pumps that could not be asked.

        Of those, all that their last order allowed counts as infused, and what the experiment that was under way should
        have needed if that is more: a ledger may promise too little, never too much.
        """
        state, ordered = self.state, self._rig.ordered_last
        used, lost = await self._rig.count_what_answers()
        doubt = state.in_doubt()
        for name in lost:
            more = max(ordered.get(name, 0.0), 0.0 if doubt is None else doubt.expected_ul.get(name, 0.0))
            full = self._rig.config.pump(name).holds_ul
            used[name] = min(max(used.get(name, 0.0), state.counted_ul.get(name, 0.0) + more), full)
        return used, lost

    def _lacking(self, expected_ul: Mapping[str, float]) -> str | None:
        """Which syringe cannot give what an experiment needs, in words; None when all can."""
        used = added(self.state.spent_ul, self._header.get("missing_ul", {}))
        for pump, needed in expected_ul.items():
            full = self._rig.config.pump(pump).holds_ul
            left = full - used.get(pump, 0.0)
            if needed > left:
                return f"{pump} holds {left / 1000:.2f} mL and the experiment needs {needed / 1000:.2f} mL"
        return None

    async def _append(self, kind: str, data: Data) -> Event:
        """Write an event. A caller that is cancelled meanwhile goes, the event is written and known all the same."""
        return await asyncio.shield(asyncio.ensure_future(self._write(kind, data)))

    async def _write(self, kind: str, data: Data) -> Event:
        event = await self._journal.append(kind, data)
        self._events.append(event)
        if self._on_event is not None:
            self._on_event(event)
        return event


async def _unreported(step: str, ok: bool, detail: str) -> None:
    """For the moment when there is no journal left to tell."""
