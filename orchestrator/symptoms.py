"""What readings say together that none of them says alone: a leak, a clog, a heater out of control, a pump that lies.

Each class is fed readings with their times and answers with a symptom or None. Nothing here talks to a device.
"""

from __future__ import annotations

import statistics
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orchestrator.plumbing import pressure_drop_kpa

if TYPE_CHECKING:
    from orchestrator.config import RigConfig
    from orchestrator.devices import HeaterReading, PumpReading
    from orchestrator.rig import Ordered

HIGH_OUTPUT: Final = 0.95
LOOP_BREAK_S: Final = 60.0
LOOP_BREAK_RISE_K: Final = 1.0
"""At high output for so long, any heater that is still coupled to its sensor has made it warmer by more than this."""
LOOP_BREAK_GAP_K: Final = 5.0
NO_OUTPUT: Final = 0.005
COASTING_S: Final = 15.0
"""How long a sensor may go on rising after the output has gone to zero: heat is still on its way."""
RUNAWAY_K: Final = 3.0
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
    """The controller's output against what the temperature makes of it."""

    def __init__(self) -> None:
        self._high_since: tuple[float, float] | None = None
        self._zero_since_s: float | None = None
        self._coasted_c: float | None = None

    def note(self, t_s: float, reading: HeaterReading) -> Symptom | None:
        """One reading. "loop break": hot output, cold sensor. "heater runaway": no output, and still warmer."""
        return self._loop_break(t_s, reading) or self._runaway(t_s, reading)

    def _loop_break(self, t_s: float, reading: HeaterReading) -> Symptom | None:
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

    def _runaway(self, t_s: float, reading: HeaterReading) -> Symptom | None:
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
        """One status. "flow not delivered" or "empty syringe": dry before the next look, by the ledger."""
        order_s = None if ordered is None else ordered.since_s
        refilled = self._pauses and reading.withdrawn_ul != self._withdrawn_ul
        self._withdrawn_ul = reading.withdrawn_ul
        if order_s != self._order_s or self._first is None or refilled:
            self._order_s = order_s
            self._first = (t_s, reading.infused_ul)
        flow = 0.0 if ordered is None else ordered.flows_ul_min.get(self._pump, 0.0)
        if ordered is None or flow <= 0.0:
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
