"""The rows of the fault matrix: what goes wrong, which sign must tell of it, and how soon by the rig's own periods.

Every bound is a sum of periods, time-outs and limits that code or configuration states, worked out here and printed
beside what was measured; none is chosen after the result.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from inspect import signature

from drivers import Line, ModbusBus, OceanSpectrometer, RecoveryRules
from drivers.new_era_wire import ATTEMPTS, GARBLED_ATTEMPTS
from orchestrator.config import LoadedCampaign
from orchestrator.recipes import exposures
from orchestrator.recipes.plumbing import pressure_drop_kpa, sweep_s, washout_s
from orchestrator.safety import interlocks as safety
from orchestrator.safety import symptoms
from simulators.faults import NATURE, FaultKind
from tests.orchestrator.rehearsal import small

K = FaultKind
PUMPS = ("cs", "pb", "halide", "solvent")
FLOW_UL_MIN = (250.0, 1200.0)
"""The total flow of a row on the bench is drawn between these."""
RUNWAY_S = 40.0
"""How long before the syringe is dry the ledger's row begins to count."""
LOOK_S, LOOK_INTEGRATION_S = 1.0, 0.1
USB_TIMEOUT_S = 1.0
"""Of one transfer, as the spectrometer's driver sets it."""
REFERENCE_INTERVAL_S = 600.0
BRIGHT = {
    "range: [0.0, 0.9]": "range: [0.2, 0.5]",
    "range: [0.4, 2.5]": "range: [0.8, 1.4]",
    "range: [20 s, 300 s]": "range: [60 s, 120 s]",
    "range: [60 degC, 160 degC]": "range: [100 degC, 130 degC]",
}
"""Edits of the quickstart campaign that leave only recipes with a clear line."""
CLOG_S, SUDDEN_CLOG_S, DRIFT_PER_H, FILM_PER_H = 30.0, 1.0, -0.3, 0.5


@dataclass(frozen=True)
class Bound:
    """How soon a sign must show, in s, and the sum that it comes from."""

    s: float
    why: str


@dataclass(frozen=True)
class Row:
    """One fault of the matrix. ``signs``: interlocks or other signs that count; ``how``: where it is looked for.

    ``how``: "bench" (a rig that flows and heats under its interlocks), "measured" (it comes before a measurement and
    the quality gate must flag it) or "reference" (the conductor's look at the lamp must tell).
    """

    name: str
    kind: FaultKind
    target: str
    signs: tuple[str, ...]
    bound: Bound
    size: float | None = None
    duration_s: float | None = None
    survived: bool = False
    how: str = "bench"


def _default(of: object, name: str) -> float:
    return float(signature(of).parameters[name].default)  # type: ignore[arg-type]


def rows() -> tuple[Row, ...]:
    """The matrix with its bounds."""
    loaded = small(1, **BRIGHT)
    rig, campaign = loaded.rig, loaded.config
    watch, patience, period = safety.WATCH_PERIOD_S, safety.PATIENCE_S, safety.PUMP_PERIOD_S
    rules = RecoveryRules(bound_s=rig.recovery.outage_s)
    again = rules.first_wait_s * (1.0 + rules.jitter)
    exchange = _default(Line.__init__, "timeout_s") + _default(Line.__init__, "quiet_s")
    request = _default(ModbusBus.__init__, "timeout_s") + _default(ModbusBus.__init__, "quiet_s")
    requests = _default(ModbusBus.__init__, "attempts")
    deadline = _default(OceanSpectrometer.__init__, "margin_s")

    heater = Bound(watch + patience, "watch + patience")
    pump = Bound(period + watch + patience, "pump period + watch + patience")
    oven = Bound(
        watch + patience + 2.0 * (2.0 * (requests + 1.0) * request) + again,
        "watch + patience + 2 devices x 2 tries x (attempts + 1) x (time-out + quiet) + wait",
    )
    silent = Bound(
        period + watch + len(PUMPS) * 2.0 * ATTEMPTS * exchange + again,
        "pump period + watch + 4 pumps x 2 tries x attempts x (time-out + quiet) + wait",
    )
    garbled = Bound(
        period + watch + len(PUMPS) * 2.0 * GARBLED_ATTEMPTS * exchange + again,
        "pump period + watch + 4 pumps x 2 tries x garbled attempts x (time-out + quiet) + wait",
    )
    looks = symptoms.PRESSURE_LOOKS
    leak = Bound((looks // 2 + 1 + looks) * watch + watch + patience, "half the looks, then all again, + patience")
    slow_kpa = pressure_drop_kpa(rig, FLOW_UL_MIN[0])
    span = rig.pressure.range_kpa if rig.pressure is not None else None
    floor_kpa = symptoms.PRESSURE_FLOOR_SHARE * (span.high - span.low if span is not None else 0.0)
    doublings = math.log2(rig.limits.pressure_band[1] + floor_kpa / slow_kpa)
    clog = Bound(
        CLOG_S * doublings + (looks // 2 + 1) * watch + watch + patience,
        "doublings up to the band + half the looks + watch + patience",
    )
    sudden = Bound(
        SUDDEN_CLOG_S * math.log2(rig.limits.pressure_kpa / slow_kpa) + watch + patience,
        "doublings up to the limit + watch + patience",
    )
    twin = rig.twin
    loop_break = Bound(
        symptoms.LOOP_BREAK_S + 10.0 * twin.sensor_lag_s + watch + patience,
        "loop break + 10 sensor lags + watch + patience",
    )
    hot_c = rig.limits.temperature_c[1]
    rise_k_s = (twin.power_w - twin.loss_w_k * (hot_c - twin.ambient_c)) / twin.heat_capacity_j_k
    welded = Bound(
        10.0 * twin.sensor_lag_s + symptoms.COASTING_S + symptoms.RUNAWAY_K / rise_k_s + 2.0 * watch + patience,
        "10 sensor lags + coasting + 3 K of full power + 2 watches + patience",
    )
    rules_of = campaign.measure
    spectra = exposures.RANGE_ATTEMPTS * (rules_of.discard + 1) + 3 * rules_of.discard + 1
    spectra += rules_of.repeats + rules_of.dark_repeats
    measured = Bound(spectra * rules_of.integration_s.high, "all spectra at the longest exposure")
    lost = Bound(
        watch + rules.bound_s + rules.longest_wait_s * (1.0 + rules.jitter) + patience + watch,
        "outage + longest wait + 2 watches + patience",
    )
    held_s = _experiment_s(loaded)
    shift = campaign.measure.reference_shift
    drift = Bound(
        shift / -DRIFT_PER_H * 3600.0 + REFERENCE_INTERVAL_S + held_s,
        "time to the bound + interval + longest experiment",
    )
    film = Bound(-math.log10(1.0 - shift) / FILM_PER_H * 3600.0 + REFERENCE_INTERVAL_S + held_s, "the same")
    unplugged = Bound(LOOK_S + LOOK_INTEGRATION_S + 2.0 * USB_TIMEOUT_S + again, "look + 2 USB time-outs + wait")
    hung = Bound(LOOK_S + 2.0 * (LOOK_INTEGRATION_S + deadline) + again, "look + 2 x (exposure + host deadline) + wait")
    return (
        Row("pump stall", K.PUMP_STALL, "pb", ("pump alarm", "flow not delivered"), pump),
        Row("empty syringe, unknown to the ledger", K.SYRINGE_EMPTY, "pb", ("pump alarm",), pump),
        Row("empty syringe, by the ledger", K.SYRINGE_EMPTY, "pb", ("empty syringe",), Bound(0.0, "before it is dry")),
        Row("pump power blip", K.POWER_BLIP, "pb", ("outage",), pump, survived=True),
        Row("leak", K.LEAK, "reactor", ("leak",), leak),
        Row("clog", K.CLOG, "reactor", ("clog", "over-pressure", "fast pressure rise"), clog, CLOG_S),
        Row(
            "clog, sudden",
            K.CLOG,
            "reactor",
            ("fast pressure rise", "over-pressure", "pump alarm"),
            sudden,
            SUDDEN_CLOG_S,
        ),
        Row("bubble", K.BUBBLE, "spectrometer", ("bubble",), measured, 1.0, 600.0, how="measured"),
        Row(
            "bubble, a quarter of the cell",
            K.BUBBLE,
            "spectrometer",
            ("bubble",),
            measured,
            0.25,
            600.0,
            how="measured",
        ),
        Row("thermocouple break", K.SENSOR_BREAK, "oven", ("heater fault",), heater),
        Row("thermocouple detached", K.SENSOR_DETACHED, "oven", ("loop break", "temperature not held"), loop_break),
        Row("relay welded", K.RELAY_WELDED, "oven", ("heater runaway", "over-temperature"), welded),
        Row("saturation", K.SATURATION, "spectrometer", ("saturated",), measured, how="measured"),
        Row("lamp drift", K.LAMP_DRIFT, "spectrometer", ("shifted", "lost"), drift, DRIFT_PER_H, how="reference"),
        Row("fouled flow cell", K.FOULING, "spectrometer", ("shifted", "lost"), film, FILM_PER_H, how="reference"),
        Row("broken wire of the pressure sensor", K.BROKEN_WIRE, "mixer_pressure", ("broken wire",), heater),
        Row("garbage on the pumps' line", K.GARBAGE, "pumps", ("outage",), garbled, 0.3, 28.0, survived=True),
        Row("garbage on the oven's bus", K.GARBAGE, "oven", ("outage",), oven, 0.3, 20.0, survived=True),
        Row("late replies", K.LATE, "oven", ("outage",), oven, None, 20.0, survived=True),
        Row("silence on the pumps' line", K.SILENCE, "pumps", ("outage",), silent, None, 20.0, survived=True),
        Row("pumps' port lost", K.PORT_LOSS, "pumps", ("outage",), pump, None, 20.0, survived=True),
        Row("oven's port lost", K.PORT_LOSS, "oven", ("outage",), heater, None, 20.0, survived=True),
        Row("oven's port lost for good", K.PORT_LOSS, "oven", ("lost device",), lost, None, 3600.0),
        Row("spectrometer unplugged", K.USB_UNPLUG, "spectrometer", ("outage",), unplugged, survived=True),
        Row("spectrometer hangs", K.USB_HANG, "spectrometer", ("outage",), hung, survived=True),
    )


def _experiment_s(loaded: LoadedCampaign) -> float:
    """The longest that an experiment may take between two looks at the reference: every wait to its time-out."""
    rig, campaign = loaded.rig, loaded.config
    residence_s = max(entry.high for entry in campaign.inputs.values() if entry.kind == "residence_time")
    flow = 60.0 * rig.plumbing.reactor.volume_ul / residence_s
    spectra = 20 * campaign.measure.integration_s.high
    return 2.0 * campaign.settle.timeout_s + washout_s(campaign, rig, flow, residence_s) + spectra + sweep_s(rig, flow)


ROWS = rows()
assert all(row.kind in NATURE for row in ROWS)
