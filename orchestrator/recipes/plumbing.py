"""From a recipe in chemist's variables to the flow of every pump, and what that costs in reagent, time and pressure.

With phi_p the share of pump p in the total flow Q and c_ps the concentration of species s in its syringe, the mixed
stream holds n_s = sum_p phi_p c_ps. Each condition on the composition is linear in phi for a given value v:

    molar ratio of A to B             n_A - v n_B       = 0
    molar fraction of A among S       n_A - v sum_S n_s = 0
    concentration of A                n_A - v           = 0
    volume fraction of pump p         phi_p - v         = 0
    choice of one pump among several  phi_q             = 0 for each of the others, q

With sum_p phi_p = 1 they must be as many as there are pumps. Q follows from the residence time or is given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from orchestrator.config.campaign import CampaignConfig
from orchestrator.config.inputs import Fixed, Input
from orchestrator.config.rig import RigConfig
from orchestrator.errors import Unreachable
from orchestrator.recipes.constraints import coherent_values, constraints_of
from orchestrator.recipes.exposures import looking_s, measuring_s
from orchestrator.recipes.hydraulics import highest_flow_ul_min, pressure_drop_kpa, sweep_s

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "APPROACH_S",
    "Duration",
    "FlowPlan",
    "Recipe",
    "Unreachable",
    "concentrations_mm",
    "constraint_check",
    "duration",
    "flow_planner",
    "highest_flow_ul_min",
    "pressure_drop_kpa",
    "price",
    "pump_flows",
    "stock_in",
    "sweep_s",
    "system_faults",
    "washout_s",
]

APPROACH_S = 180.0
"""Assumed time for a change of temperature between two experiments."""

Recipe = Mapping[str, float]
"""Input name to value in the input's base unit."""

Times = TypeVar("Times", float, "NDArray[np.float64]")
"""One experiment's, or those of many in one array."""

SINGULAR = 1e-9
NEGLIGIBLE = 1e-9
"""Shares of the stream smaller than this are rounding errors of a pump that stands still."""
SLACK = 1e-9
"""Relative width by which limits are met when a value lies on them."""


@dataclass(frozen=True)
class FlowPlan:
    """What the rig is set to for one recipe. ``flows_ul_min`` names every pump; 0 is a pump that stands still."""

    flows_ul_min: Mapping[str, float]
    temperature_c: float
    residence_time_s: float
    total_flow_ul_min: float


@dataclass(frozen=True)
class Duration:
    """How long an experiment at steady temperature takes: washing out, looking whether it stands still, measuring."""

    washout_s: float
    looks_s: float
    measure_s: float

    @property
    def total_s(self) -> float:
        return self.washout_s + self.looks_s + self.measure_s


@dataclass(frozen=True)
class Row:
    """One condition on the composition: sum_p (constant_p + v slope_p) phi_p = 0; ``fixed``: v if it is no input.

    Of a choice between pumps, ``table`` holds the coefficients for v = 0, 1, 2 ... instead.
    """

    name: str
    constant: tuple[float, ...]
    slope: tuple[float, ...]
    fixed: float | None
    table: tuple[tuple[float, ...], ...] = ()

    def coefficients(self, value: float) -> list[float]:
        """What multiplies each pump's share."""
        if self.table:
            return list(self.table[min(max(round(value), 0), len(self.table) - 1)])
        return [constant + value * slope for constant, slope in zip(self.constant, self.slope, strict=True)]


@dataclass(frozen=True)
class Knob:
    """The total flow, residence time or temperature: an input's name, or a fixed value."""

    name: str
    kind: str
    fixed: float | None

    def value(self, recipe: Recipe) -> float:
        return recipe[self.name] if self.fixed is None else self.fixed


@dataclass(frozen=True)
class System:
    """What the inputs and fixed quantities of a campaign set: the conditions on the composition, one flow, one
    temperature."""

    pumps: tuple[str, ...]
    rows: tuple[Row, ...]
    flow: Knob
    temperature: Knob


def stock_in(campaign: CampaignConfig, rig: RigConfig, pump: str) -> str:
    """The stock in a pump's syringe: the campaign's choice, else the rig file's."""
    return campaign.syringes.get(pump, rig.pump(pump).stock)


def concentrations_mm(campaign: CampaignConfig, rig: RigConfig) -> dict[str, Mapping[str, float]]:
    """Pump to the concentrations in its syringe (species to mM)."""
    return {pump: rig.stocks[stock_in(campaign, rig, pump)].species for pump in rig.pumps}


def pump_flows(campaign: CampaignConfig, rig: RigConfig, recipe: Recipe) -> FlowPlan:
    """Set the rig for a recipe.

    Raises:
        Unreachable: the composition cannot be mixed from the stocks; a flow, the temperature or the pressure leaves the
            limits of the rig or of a pump; or a constraint of the campaign does not hold.
        KeyError: the recipe lacks an input.
    """
    return flow_planner(campaign, rig)(recipe)


def flow_planner(campaign: CampaignConfig, rig: RigConfig) -> Callable[[Recipe], FlowPlan]:
    """:func:`pump_flows` of one campaign on one rig, for many recipes."""
    system = system_of(campaign, rig)
    limits = {pump: rig.pump_range_ul_min(pump) for pump in system.pumps}
    volume = rig.plumbing.reactor.volume_ul
    breaks = constraint_check(campaign, rig)

    def plan(recipe: Recipe) -> FlowPlan:
        temperature = _within("temperature", system.temperature.value(recipe), rig.limits.temperature_c, "°C")
        knob = system.flow.value(recipe)
        total = 60.0 * volume / knob if system.flow.kind == "residence_time" else knob
        _within("total flow", total, rig.limits.total_flow_ul_min, "µL/min")
        shares = _shares(system, [row.fixed if row.fixed is not None else recipe[row.name] for row in system.rows])
        flows: dict[str, float] = {}
        for pump, share in zip(system.pumps, shares, strict=True):
            if share < -NEGLIGIBLE:
                reason = (
                    f"{pump} would have to flow backwards at {-share:.1%} of the stream: other stocks are too dilute"
                )
                raise Unreachable(reason, quantity=pump, value=share * total, low=0.0, high=total, unit="µL/min")
            flows[pump] = share * total if share > NEGLIGIBLE else 0.0
            if flows[pump] > 0.0:
                flows[pump] = _within(pump, flows[pump], limits[pump], "µL/min")
        _within("pressure", pressure_drop_kpa(rig, total), (-math.inf, rig.limits.pressure_kpa), "kPa")
        made = FlowPlan(flows, temperature, 60.0 * volume / total, total)
        for index in range(len(campaign.constraints)):
            broken = breaks(index, recipe, made)
            if broken is not None:
                raise broken
        return made

    return plan


def constraint_check(campaign: CampaignConfig, rig: RigConfig) -> Callable[[int, Recipe, FlowPlan], Unreachable | None]:
    """A function of a constraint's index, a recipe and its plan: how the recipe breaks it, None if it does not."""
    stocks = concentrations_mm(campaign, rig)
    constraints = constraints_of(campaign, stocks)

    def check(index: int, recipe: Recipe, plan: FlowPlan) -> Unreachable | None:
        constraint = constraints[index]
        values = coherent_values(
            campaign,
            stocks,
            constraint.names,
            recipe=recipe,
            total_flow=plan.total_flow_ul_min,
            residence_time=plan.residence_time_s,
            temperature=plan.temperature_c,
            flows=plan.flows_ul_min,
        )
        broken = constraint.broken(values)
        if broken is None:
            return None
        bounds = {"value": broken.lower, "low": -math.inf, "high": broken.upper}
        return Unreachable(broken.reason, quantity=constraint.text, unit="", **bounds)

    return check


def washout_s(campaign: CampaignConfig, rig: RigConfig, flow_ul_min: Times, residence_time_s: Times) -> Times:
    """Transit from the reactor to the detector at this total flow plus the wanted number of residence times, in s."""
    transit_s = 60.0 * rig.plumbing.transit.volume_ul / flow_ul_min
    return transit_s + campaign.settle.residence_times * residence_time_s


def duration(campaign: CampaignConfig, rig: RigConfig, plan: FlowPlan) -> Duration:
    """How long dosing lasts when all goes well; `orchestrator.recipes.exposures` for what spectra take of it."""
    return Duration(
        washout_s=washout_s(campaign, rig, plan.total_flow_ul_min, plan.residence_time_s),
        looks_s=looking_s(campaign, rig),
        measure_s=measuring_s(campaign, rig),
    )


def price(campaign: CampaignConfig, rig: RigConfig, plan: FlowPlan, *, worst: bool = False) -> dict[str, float]:
    """Reagent that an experiment takes from each syringe, in µL.

    Expected: the plan's flows for its :func:`duration`. ``worst``: it settles only when its time-out is reached.
    The lines from pump to mixer cost nothing, they hold what the syringe holds.
    """
    expected = duration(campaign, rig, plan)
    dosing_s = expected.total_s
    if worst:
        dosing_s = expected.washout_s + max(expected.looks_s, campaign.settle.timeout_s) + expected.measure_s
    return {pump: flow * dosing_s / 60.0 for pump, flow in plan.flows_ul_min.items()}


def system_faults(campaign: CampaignConfig, rig: RigConfig) -> list[tuple[tuple[str, ...], str]]:
    """Why the campaign's inputs and fixed quantities do not determine all pump flows: (path in the file, message).

    Empty when they do. Names must have been checked before.
    """
    flow = _knobs(campaign, ("residence_time", "total_flow"))
    temperature = _knobs(campaign, ("temperature",))
    faults: list[tuple[tuple[str, ...], str]] = []
    for knobs, wanted in ((flow, "residence_time or total_flow"), (temperature, "temperature")):
        if not knobs:
            faults.append((("inputs",), f"nothing sets the {wanted}: add it to inputs or to fixed"))
        for knob in knobs[1:]:
            section = "fixed" if knob.name in campaign.fixed else "inputs"
            faults.append(((section, knob.name), f"{knobs[0].name!r} sets the {wanted} already"))
    rows = _rows(campaign, rig)
    wanted_rows = len(rig.pumps) - 1
    if len(rows) != wanted_rows:
        names = ", ".join(row.name for row in rows) or "none"
        advice = "add one" if len(rows) < wanted_rows else "take one away"
        faults.append(
            (
                ("inputs",),
                f"{len(rig.pumps)} pumps need {wanted_rows} conditions on the composition (ratios, fractions, "
                f"concentrations), and there are {len(rows)} ({names}): {advice}",
            )
        )
    if faults:
        return faults
    system = system_of(campaign, rig)
    names = ", ".join(row.name for row in rows)
    for fraction in (0.5, 0.31, 0.77):
        try:
            shares = _shares(system, [_between(campaign, row, fraction) for row in rows])
        except Unreachable:
            continue
        flowing = [pump for pump, share in zip(system.pumps, shares, strict=True) if abs(share) > NEGLIGIBLE]
        if len(flowing) == 1 and len(system.pumps) > 1:
            message = f"the conditions {names} leave only {flowing[0]!r} flowing: one of them must set an amount"
            return [(("inputs",), message)]
        return []
    return [(("inputs",), f"the conditions {names} do not determine all flows: one follows from others or the stocks")]


def _between(campaign: CampaignConfig, row: Row, fraction: float) -> float:
    if row.fixed is not None:
        return row.fixed
    entry = campaign.inputs[row.name]
    return entry.low + fraction * (entry.high - entry.low)


def system_of(campaign: CampaignConfig, rig: RigConfig) -> System:
    """The conditions that a campaign sets on this rig; `system_faults` has found none missing."""
    return System(
        tuple(rig.pumps),
        tuple(_rows(campaign, rig)),
        _knobs(campaign, ("residence_time", "total_flow"))[0],
        _knobs(campaign, ("temperature",))[0],
    )


def _entries(campaign: CampaignConfig) -> list[tuple[str, Input | Fixed, float | None]]:
    free: list[tuple[str, Input | Fixed, float | None]] = [
        (name, entry, None) for name, entry in campaign.inputs.items()
    ]
    return free + [(name, entry, entry.value) for name, entry in campaign.fixed.items()]


def _knobs(campaign: CampaignConfig, kinds: Sequence[str]) -> list[Knob]:
    return [Knob(name, entry.kind, fixed) for name, entry, fixed in _entries(campaign) if entry.kind in kinds]


def _rows(campaign: CampaignConfig, rig: RigConfig) -> list[Row]:
    stocks = concentrations_mm(campaign, rig)
    pumps = tuple(rig.pumps)

    def held(species: str) -> tuple[float, ...]:
        return tuple(stocks[pump].get(species, 0.0) for pump in pumps)

    nothing = (0.0,) * len(pumps)
    rows: list[Row] = []
    for name, entry, fixed in _entries(campaign):
        if entry.kind == "molar_ratio":
            rows.append(Row(name, held(entry.of), tuple(-c for c in held(entry.to)), fixed))
        elif entry.kind == "molar_fraction":
            total = [sum(each) for each in zip(*(held(species) for species in entry.among), strict=True)]
            rows.append(Row(name, held(entry.of), tuple(-c for c in total), fixed))
        elif entry.kind == "concentration":
            rows.append(Row(name, held(entry.of), (-1.0,) * len(pumps), fixed))
        elif entry.kind == "volume_fraction":
            rows.append(Row(name, tuple(float(pump == entry.of) for pump in pumps), (-1.0,) * len(pumps), fixed))
        elif entry.kind == "pump_choice":
            # Of k pumps k - 1 stand still, whichever is chosen: row j is about the j-th of those that are not.
            idle = [[pump for pump in entry.among if pump != chosen] for chosen in entry.among]
            for place in range(len(entry.among) - 1):
                table = tuple(tuple(float(pump == each[place]) for pump in pumps) for each in idle)
                rows.append(Row(name, nothing, nothing, fixed, table))
    return rows


def _shares(system: System, values: Sequence[float]) -> list[float]:
    """Solve for the pumps' shares by elimination with pivoting; Unreachable where the conditions determine none."""
    size = len(system.pumps)
    matrix = [[1.0] * size + [1.0]]
    for row, value in zip(system.rows, values, strict=True):
        line = row.coefficients(value)
        largest = max(abs(entry) for entry in line)
        matrix.append([entry / largest if largest > 0.0 else 0.0 for entry in line] + [0.0])
    determinant = 1.0
    for step in range(size):
        best = max(range(step, size), key=lambda index: abs(matrix[index][step]))
        matrix[step], matrix[best] = matrix[best], matrix[step]
        pivot = matrix[step][step]
        determinant *= pivot
        if not abs(determinant) > SINGULAR:
            reason = "the conditions on the composition contradict each other here, or leave a flow open"
            raise Unreachable(reason, quantity="composition", value=determinant, low=SINGULAR, high=math.inf, unit="")
        for index in range(step + 1, size):
            factor = matrix[index][step] / pivot
            for place in range(step, size + 1):
                matrix[index][place] -= factor * matrix[step][place]
    shares = [0.0] * size
    for step in reversed(range(size)):
        rest = math.fsum(matrix[step][place] * shares[place] for place in range(step + 1, size))
        shares[step] = (matrix[step][size] - rest) / matrix[step][step]
    return shares


def _within(quantity: str, value: float, limits: tuple[float, float], unit: str) -> float:
    """The value; the limit itself where rounding carried it a hair beyond: devices hold limits to the last digit."""
    low, high = limits
    slack_low, slack_high = (0.0 if math.isinf(end) else SLACK * abs(end) for end in limits)
    if not low - slack_low <= value <= high + slack_high:
        allowed = f"up to {high:.4g}" if math.isinf(low) else f"{low:.4g} to {high:.4g}"
        reason = f"{quantity} would be {value:.4g} {unit}, and the rig allows {allowed} {unit}"
        raise Unreachable(reason, quantity=quantity, value=value, low=low, high=high, unit=unit)
    return min(max(value, low), high)
