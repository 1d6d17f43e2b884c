"""One experiment from its proposal to told, or to refused: dosing, settling, measuring, and what each writes down."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from orchestrator.experiment.disturbance import disturbances, interruptions
from orchestrator.experiment.quality import analysed_data, rules_of, unread_data
from orchestrator.experiment.reference import LOST_SHARE
from orchestrator.experiment.settling import BOUND_MARGIN, reach_temperature, settle
from orchestrator.experiment.syringes import Syringes
from orchestrator.experiment.upkeep import Upkeep
from orchestrator.history.run_state import Experiment, Stop, added
from orchestrator.recipes.exposures import dim_s, measuring_allowance_s
from orchestrator.recipes.plumbing import FlowPlan, Unreachable, price, pump_flows, washout_s
from orchestrator.safety.interlocks import Interlocks
from orchestrator.safety.trips import Trip
from orchestrator.spectra.analysis import with_flag, with_steady_light, with_wander

if TYPE_CHECKING:
    from orchestrator.config import CampaignConfig
    from orchestrator.experiment.measuring import Detector
    from orchestrator.history.run_log import RunLog
    from orchestrator.journal.journal import Event
    from orchestrator.rig.rig import Rig

Data = dict[str, Any]
MOST_ATTEMPTS = 3
"""An experiment that was disturbed as often as this is told as it is, and flagged."""


class Performer:
    """Carries one proposal after the other on a rig that is connected and watched.

    ``reactor_s``: the run's time by now. ``root_cause``: takes a trip that comes up here rather than in an interlock.
    """

    def __init__(
        self,
        config: CampaignConfig,
        rig: Rig,
        log: RunLog,
        detector: Detector,
        upkeep: Upkeep,
        interlocks: Interlocks,
        syringes: Syringes,
        *,
        reactor_s: Callable[[], float],
        root_cause: Callable[[Trip], Awaitable[None]],
    ) -> None:
        self._config = config
        self._rig = rig
        self._log = log
        self._detector = detector
        self._upkeep = upkeep
        self._interlocks = interlocks
        self._syringes = syringes
        self._reactor_s = reactor_s
        self._root_cause = root_cause

    async def doubt(self, experiment: Experiment) -> None:
        """Nobody saw how this experiment ended: its reagent counts as spent, the line is flushed, it runs again.

        Where the sitting that broke it off has counted to its end, nothing is left to debit. Where a hold broke it off,
        the pumps still count: the debit stands until their counters are next journalled.
        """
        debited = {} if self._log.state.counted_out else dict(experiment.expected_ul)
        await self._log.append("in_doubt", {"n": experiment.n, "attempt": experiment.attempts, "debited_ul": debited})

    async def perform(self, experiment: Experiment) -> Stop | None:
        """Carry one proposal to told, or refuse it. Returns a stop when there is too little reagent for it.

        One that was disturbed on its way is left as it was proposed, to be carried again.
        """
        try:
            plan = pump_flows(self._config, self._rig.config, experiment.recipe)
        except Unreachable as error:
            await self._log.append("refused", {"n": experiment.n, "reason": str(error)})
            return None
        # What it was proposed with, so that a record is followed by its own prices.
        cost = experiment.cost
        expected = price(self._config, self._rig.config, plan) if cost is None else dict(cost["reagent_ul"])
        needed, unseen = expected, {}
        if self._log.state.reckoning >= 2:
            between = self._upkeep.between_ul(plan.total_flow_ul_min)
            needed = added(expected, between)
            # Debited with the price should nobody live to count: what flows before, and longer where light is dim.
            longer_s = dim_s(self._config, self._rig.config)
            dim = {pump: flow * longer_s / 60.0 for pump, flow in plan.flows_ul_min.items()}
            unseen = {"unseen_ul": added(between, dim)}
        lacking = self._syringes.lacking(needed)
        if lacking is not None:
            await self._log.append("refused", {"n": experiment.n, "reason": lacking})
            return Stop("reagent", lacking)
        dosing = await self._log.append(
            "dosing",
            {
                "n": experiment.n,
                "attempt": experiment.attempts + 1,
                "flows_ul_min": dict(plan.flows_ul_min),
                "temperature_c": plan.temperature_c,
                "total_flow_ul_min": plan.total_flow_ul_min,
                "residence_time_s": plan.residence_time_s,
                "expected_ul": expected,
                **unseen,
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
        last_s = self._log.state.reference_s
        late = last_s is None or now.t_s - last_s >= self._config.measure.reference_interval_s
        return late and self._upkeep.has_reference

    async def _sweep(self, plan: FlowPlan) -> Stop | None:
        """Sweep the line with solvent and look at the reference; returns a stop when that is lost.

        Beyond its bound the blank is read again: it is what absorbance and yield are held against.
        """
        await self._upkeep.sweep(plan.total_flow_ul_min)
        if not self._upkeep.has_reference:
            return None
        state = self._log.state
        since_s = state.reference_s or 0.0
        covers = [e.n for e in state.told if e.measured_s is not None and e.measured_s > since_s]
        checked = await self._upkeep.check_reference()
        await self._log.append("reference_checked", {**checked, "covers": covers})
        if checked["outcome"] == "shifted":
            await self._log.append("blank_taken", await self._upkeep.blank())
        if checked["outcome"] != "lost":
            return None
        shift, limit = round(100.0 * checked["shift_in_all"], 1), round(100.0 * (LOST_SHARE - 1.0), 1)
        trip = Trip("reference lost", self._rig.spectrometer.name, shift, limit, "%")
        await self._root_cause(trip)
        return Stop("fault", str(trip))

    async def _dose_and_read(self, n: int, plan: FlowPlan) -> None:
        washed_s = washout_s(self._config, self._rig.config, plan.total_flow_ul_min, plan.residence_time_s)
        wait_s = washed_s + self._config.settle.timeout_s
        measuring_s = measuring_allowance_s(self._config, self._rig.config)
        await self._rig.flow(plan.flows_ul_min, BOUND_MARGIN * (wait_s + measuring_s))
        before = interruptions(self._rig)
        settled = await settle(self._rig, self._detector, self._config, plan)
        await self._log.append(
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
        heater = await self._interlocks.fresh_heater()
        await self._log.append(
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
        if disturbed and self._log.state.experiment(n).attempts < MOST_ATTEMPTS:
            await self._log.append("disturbed", {"n": n, "by": list(disturbed), **self._volumes(used)})
            return
        looks = settled.looks[-self._config.settle.looks :]
        analysis = with_wander(measurement.analysis, [look.peak_ev for look in looks])
        analysis = with_steady_light(analysis, looks, rules_of(self._config))
        if bubble:
            analysis = with_flag(analysis, "bubble")
        drifting = settled.outcome == "timeout"
        await self._log.append("analysed", analysed_data(n, analysis, drifting=drifting, disturbed=disturbed))
        await self._tell(n, used)

    async def _sees_gas(self) -> bool:
        """Whether the bubble sensor in front of the cell sees gas; False where there is none."""
        return self._rig.phase is not None and await self._rig.phase.read() == "gas"

    async def _unread(self, n: int, flag: str, reason: str) -> None:
        await self._log.append("analysed", unread_data(n, flag, reason))

    async def _tell(self, n: int, used_ul: Mapping[str, float]) -> None:
        failed = not self._log.state.experiment(n).accepted
        await self._log.append("told", {"n": n, "failed": failed, **self._volumes(used_ul)})

    def _volumes(self, used_ul: Mapping[str, float]) -> Data:
        """The pumps' counters as they stand, what they have moved since they were last journalled, and the time."""
        before = self._log.state.counted_ul
        return {
            "reagent_ul": {pump: used_ul[pump] - before.get(pump, 0.0) for pump in used_ul},
            "counted_ul": dict(used_ul),
            "reactor_s": self._reactor_s(),
        }
