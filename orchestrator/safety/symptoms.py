"""What readings say together that none of them says alone: a leak, a clog, a heater out of control, a pump that lies.

Each class is fed readings with their times and answers with a symptom or None. Nothing here talks to a device.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orchestrator.recipes.plumbing import pressure_drop_kpa

if TYPE_CHECKING:
    from orchestrator.config import RigConfig
    from orchestrator.rig.devices import HeaterReading, PumpReading
    from orchestrator.rig.rig import Ordered

HIGH_OUTPUT: Final = 0.95
LOOP_BREAK_S: Final = 60.0
LOOP_BREAK_RISE_K: Final = 1.0
"""At high output for so long, any heater that is still coupled to its sensor has made it warmer by more than this."""
LOOP_BREAK_GAP_K: Final = 5.0
NO_OUTPUT: Final = 0.005
COASTING_S: Final = 15.0
"""How long a sensor may go on rising after the output has gone to zero: heat is still on its way."""
RUNAWAY_K: Final = 3.0
BUDGET_GAP_K: Final = 5.0
BUDGET_K_S: Final = 600.0
PROGRESS_K: Final = 1.0
PROGRESS_S: Final = 60.0
STUCK_S: Final = 90.0
"""So long after a change of output any sensor that is still alive shows another digit."""
STUCK_OUTPUT: Final = 0.25
NOT_ORDERED_LOOKS: Final = 2
"""So many readings in a row must show power that nobody ordered: one alone may be a late or a damaged answer."""
FAST_RISE_S: Final = 4.0
"""A pressure that would pass its limit within so long, at the rate of its last two readings, has as good as passed."""
FAST_RISE_SHARE: Final = 0.2
"""At a steady flow, so much of the limit may not be gained from one reading to the next."""
PRESSURE_SETTLES_S: Final = 20.0
PRESSURE_LOOKS: Final = 8
PRESSURE_FLOOR_SHARE: Final = 0.0025
"""Differences below this share of the transmitter's span are its own error."""
DELIVERY_SHARE: Final = 0.10
DELIVERY_FLOOR_UL: Final = 12.0
COUNTER_DIGITS: Final = 1000.0
"""A pump counts with four digits, so its last one is up to a thousandth of what it shows."""


@dataclass(frozen=True)
class Symptom:
    """What is wrong, what was read, and what it was held against."""

    interlock: str
    value: float | str
    limit: float | str
    unit: str


class HeaterTrend:
    """The controller's output against what the temperature makes of it.

    A controller that does not tell its output (nan while it heats) is taken to heat with all it has.
    """

    def __init__(self) -> None:
        self._checks = (_LoopBreak(), _Coasting(), _Budget(), _Stuck())
        self._not_ordered = 0

    def note(self, t_s: float, reading: HeaterReading, *, off: bool = False) -> Symptom | None:
        """One reading. "heat not ordered": power, though it is to be ``off``. "loop break": hot output, cold sensor.
        "heater runaway": no output, and still warmer; or heating on although it is too hot. "temperature not held": it
        should get warmer and does not. "stuck sensor".
        """
        powered = not reading.output_fraction <= NO_OUTPUT
        self._not_ordered = self._not_ordered + 1 if off and powered else 0
        found = [check.note(t_s, reading) for check in self._checks]
        if self._not_ordered >= NOT_ORDERED_LOOKS:
            if math.isnan(reading.output_fraction):
                return Symptom("heat not ordered", "it heats", "off", "")
            return Symptom("heat not ordered", round(100.0 * reading.output_fraction, 1), 0.0, "% of its power")
        return next((symptom for symptom in found if symptom is not None), None)


class _LoopBreak:
    """The gain check: at high output the temperature must rise."""

    def __init__(self) -> None:
        self._high_since: tuple[float, float] | None = None

    def note(self, t_s: float, reading: HeaterReading) -> Symptom | None:
        # A controller that does not tell its output (nan) gives all it has while it is so far away.
        far = reading.set_point_c - reading.temperature_c > LOOP_BREAK_GAP_K
        if reading.output_fraction < HIGH_OUTPUT or not far:
            self._high_since = None
            return None
        if self._high_since is None:
            self._high_since = (t_s, reading.temperature_c)
        began_s, began_c = self._high_since
        rise = reading.temperature_c - began_c
        if rise >= LOOP_BREAK_RISE_K:
            self._high_since = (t_s, reading.temperature_c)
        elif t_s - began_s >= LOOP_BREAK_S:
            return Symptom("loop break", round(rise, 2), LOOP_BREAK_RISE_K, f"K in {LOOP_BREAK_S:g} s at full output")
        return None


class _Coasting:
    """Without output it must not go on getting warmer."""

    def __init__(self) -> None:
        self._zero_since_s: float | None = None
        self._coasted_c: float | None = None

    def note(self, t_s: float, reading: HeaterReading) -> Symptom | None:
        if not reading.output_fraction <= NO_OUTPUT:
            self._zero_since_s = self._coasted_c = None
            return None
        if self._zero_since_s is None:
            self._zero_since_s = t_s
        if t_s - self._zero_since_s < COASTING_S:
            return None
        if self._coasted_c is None or reading.temperature_c < self._coasted_c:
            self._coasted_c = reading.temperature_c
        rise = reading.temperature_c - self._coasted_c
        if rise < RUNAWAY_K:
            return None
        return Symptom("heater runaway", round(rise, 2), RUNAWAY_K, "K without output")


class _Budget:
    """Degrees times seconds by which a heater under power is wrong and does not get better.

    What lies within ``BUDGET_GAP_K`` of the set-point counts nothing, nor does a temperature that is on its way there:
    ``PROGRESS_K`` nearer than it was, within ``PROGRESS_S``. Anything else adds up until it comes back into the band.
    """

    def __init__(self) -> None:
        self._spent_k_s = 0.0
        self._side = 0
        self._set_point_c = math.nan
        self._last_s = 0.0
        self._best: tuple[float, float] = (0.0, math.inf)

    def note(self, t_s: float, reading: HeaterReading) -> Symptom | None:
        error = reading.temperature_c - reading.set_point_c
        side = 1 if error > BUDGET_GAP_K else -1 if error < -BUDGET_GAP_K else 0
        powered = not reading.output_fraction <= NO_OUTPUT
        since_s, self._last_s = t_s - self._last_s, t_s
        if side != self._side or reading.set_point_c != self._set_point_c or not powered:
            self._side, self._set_point_c = side, reading.set_point_c
            self._spent_k_s, self._best = 0.0, (t_s, abs(error))
            return None
        if side == 0 or self._progressing(t_s, abs(error)):
            return None
        self._spent_k_s += (abs(error) - BUDGET_GAP_K) * since_s
        if self._spent_k_s < BUDGET_K_S:
            return None
        name = "heater runaway" if side > 0 else "temperature not held"
        return Symptom(name, round(self._spent_k_s, 1), BUDGET_K_S, "K s under power")

    def _progressing(self, t_s: float, gap_k: float) -> bool:
        best_s, best_k = self._best
        if gap_k <= best_k - PROGRESS_K:
            self._best = (t_s, gap_k)
            return True
        # Getting worse is no progress from the first moment on; standing still becomes none after a while.
        return gap_k <= best_k + PROGRESS_K and t_s - best_s < PROGRESS_S


class _Stuck:
    """A reading that stays the same to the last digit long after the controller's output has moved."""

    def __init__(self) -> None:
        self._same: tuple[float, float] | None = None
        self._moved_s: float | None = None

    def note(self, t_s: float, reading: HeaterReading) -> Symptom | None:
        unheard = self._same is None or math.isnan(self._same[1])  # it does not tell its output, or did not until now
        if self._same is None or unheard or reading.temperature_c != self._same[0]:
            self._same, self._moved_s = (reading.temperature_c, reading.output_fraction), None
            return None
        if self._moved_s is None and abs(reading.output_fraction - self._same[1]) >= STUCK_OUTPUT:
            self._moved_s = t_s
        if self._moved_s is None or t_s - self._moved_s < STUCK_S:
            return None
        return Symptom("stuck sensor", reading.temperature_c, "a change", f"°C, {STUCK_S:g} s after the output moved")


class PressureTrend:
    """The pressure against what the ordered flow should need.

    Where a pump pauses to refill, too little pressure says nothing, and a leak cannot be told.
    """

    def __init__(self, config: RigConfig) -> None:
        self._config = config
        sensor = config.pressure
        span_kpa = 0.0 if sensor is None else sensor.range_kpa.high - sensor.range_kpa.low
        self._floor_kpa = PRESSURE_FLOOR_SHARE * span_kpa
        self._steady = not any(pump.pauses for pump in config.pumps.values())
        self._readings: deque[float] = deque(maxlen=PRESSURE_LOOKS)
        self._order_s: float | None = None
        self._last: tuple[float, float] | None = None

    @property
    def complete(self) -> bool:
        """Whether there are enough readings to judge by."""
        return len(self._readings) == PRESSURE_LOOKS

    def restart(self) -> None:
        """Forget the readings: what the pumps did meanwhile is not known."""
        self._readings.clear()

    def note(self, t_s: float, pressure_kpa: float, ordered: Ordered | None) -> Symptom | None:
        """One reading. "leak": below the model, "clog": above it, both at a flow that has been steady."""
        order_s = None if ordered is None else ordered.since_s
        if order_s != self._order_s:
            self._order_s = order_s
            self._readings.clear()
        if ordered is None or t_s - ordered.since_s < PRESSURE_SETTLES_S or _over(ordered, t_s):
            self._readings.clear()
            return None
        if ordered.total_ul_min <= 0.0:
            return None  # what a line holds back that nothing flows through says nothing
        self._readings.append(pressure_kpa)
        if len(self._readings) < PRESSURE_LOOKS:
            return None
        middle_kpa = statistics.median(self._readings)
        expected_kpa = pressure_drop_kpa(self._config, ordered.total_ul_min)
        low, high = self._config.limits.pressure_band
        back_kpa = self._config.twin.back_pressure_kpa
        below_kpa = back_kpa + low * (expected_kpa - back_kpa) - self._floor_kpa * (1.0 - low)
        above_kpa = back_kpa + high * (expected_kpa - back_kpa) + self._floor_kpa
        telling = self._steady and expected_kpa - back_kpa > 2.0 * self._floor_kpa
        if telling and middle_kpa < below_kpa:
            return Symptom("leak", round(middle_kpa, 2), round(below_kpa, 2), "kPa")
        if middle_kpa > above_kpa:
            return Symptom("clog", round(middle_kpa, 2), round(above_kpa, 2), "kPa")
        return None

    def rise(self, t_s: float, pressure_kpa: float, ordered: Ordered | None) -> Symptom | None:
        """One reading, of any moment. "fast pressure rise": faster than any order explains, and towards the limit."""
        last, self._last = self._last, (t_s, pressure_kpa)
        if last is None or not 0.0 < t_s - last[0] <= 2.0 * FAST_RISE_S:
            return None
        gained_kpa = pressure_kpa - last[1]
        limits = self._config.limits
        flow = limits.total_flow_ul_min[1] if ordered is None else ordered.total_ul_min
        back_kpa = self._config.twin.back_pressure_kpa
        needed_kpa = pressure_drop_kpa(self._config, flow) - back_kpa if flow > 0.0 else 0.0
        explained_kpa = back_kpa + limits.pressure_band[1] * needed_kpa + self._floor_kpa
        if gained_kpa <= self._floor_kpa or pressure_kpa <= explained_kpa:
            return None
        ahead_kpa = pressure_kpa + gained_kpa / (t_s - last[0]) * FAST_RISE_S
        steady = ordered is not None and last[0] - ordered.since_s >= PRESSURE_SETTLES_S
        if ahead_kpa > limits.pressure_kpa or (steady and gained_kpa > FAST_RISE_SHARE * limits.pressure_kpa):
            return Symptom("fast pressure rise", round(gained_kpa / (t_s - last[0]), 2), "steady", "kPa/s")
        return None


class Delivery:
    """What a pump says it has delivered against what it was told to, and against what it holds.

    ``pauses``: it stops now and then to refill; what it delivers is counted anew after each refill.
    """

    def __init__(self, pump: str, holds_ul: float, earlier_ul: float, *, pauses: bool = False) -> None:
        self._pump = pump
        self._capacity_ul = holds_ul - earlier_ul
        self._pauses = pauses
        self._withdrawn_ul = 0.0
        self._order_s: float | None = None
        self._first: tuple[float, float] | None = None

    def note(self, t_s: float, reading: PumpReading, ordered: Ordered | None, next_look_s: float) -> Symptom | None:
        """One status. "flow not delivered", "not ordered"; "empty syringe": by the ledger, before the next look."""
        order_s = None if ordered is None else ordered.since_s
        refilled = self._pauses and reading.withdrawn_ul != self._withdrawn_ul
        self._withdrawn_ul = reading.withdrawn_ul
        if order_s != self._order_s or self._first is None or refilled:
            self._order_s = order_s
            self._first = (t_s, reading.infused_ul)
        flow = 0.0 if ordered is None else ordered.flows_ul_min.get(self._pump, 0.0)
        if ordered is None:
            return None
        if flow <= 0.0:
            if reading.state == "infusing" and t_s > ordered.since_s:
                return Symptom("flow not ordered", reading.state, "stopped", "")
            return None
        left_ul = self._capacity_ul - reading.infused_ul
        if left_ul <= flow * next_look_s / 60.0:
            return Symptom("empty syringe", round(left_ul, 1), round(flow * next_look_s / 60.0, 1), "µL")
        if flow * (t_s - ordered.since_s) / 60.0 >= 0.98 * ordered.bounds_ul[self._pump]:
            return None  # it may have reached its bound
        if self._pauses and reading.state == "withdrawing":
            return None
        if reading.state != "infusing":
            return Symptom("flow not delivered", reading.state, "infusing", "")
        first_s, first_ul = self._first
        due_ul = flow * (t_s - first_s) / 60.0
        got_ul = reading.infused_ul - first_ul
        if abs(got_ul - due_ul) > DELIVERY_SHARE * due_ul + DELIVERY_FLOOR_UL + reading.infused_ul / COUNTER_DIGITS:
            return Symptom("flow not delivered", round(got_ul, 1), round(due_ul, 1), "µL")
        return None


def _over(ordered: Ordered, t_s: float) -> bool:
    """Whether a pump may have reached its bound since the order."""
    elapsed_min = (t_s - ordered.since_s) / 60.0
    return any(
        flow > 0.0 and flow * elapsed_min >= 0.98 * ordered.bounds_ul[pump]
        for pump, flow in ordered.flows_ul_min.items()
    )
