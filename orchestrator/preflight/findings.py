"""What a campaign would ask of its rig, before any of it is asked: what it cannot reach, and what it would use up.

The space of recipes is sampled at its corners and at points of an additive recurrence (Roberts' generalisation of the
golden ratio), which spread evenly and are always the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import product
from statistics import fmean
from typing import Any

from orchestrator.config.campaign import CampaignConfig
from orchestrator.config.devices import NewEraPumpConfig
from orchestrator.config.inputs import Input
from orchestrator.config.load import LoadedCampaign
from orchestrator.config.planner_rules import check_installed
from orchestrator.config.quantities import Range
from orchestrator.config.rig import Flush, RigConfig
from orchestrator.errors import PreflightError, Problem, Unreachable
from orchestrator.preflight.lasting import Use, runs_dry, too_little, uses
from orchestrator.preflight.little_room import at_odds, no_beginning
from orchestrator.preflight.many_samples import MOST_SAMPLES, ManySamples, strides
from orchestrator.preflight.reagent_budget import beyond_syringes, other_stocks, soon_used, used_at_once
from orchestrator.preflight.steps import ends_left_out
from orchestrator.recipes.exposures import undecided_s
from orchestrator.recipes.plumbing import (
    APPROACH_S,
    FlowPlan,
    constraint_check,
    duration,
    flow_planner,
    highest_flow_ul_min,
    pressure_drop_kpa,
    price,
    stock_in,
)
from orchestrator.safety.heater_reach import too_hot_for_twins

SAMPLES = 512
MAX_CORNERS = 256


@dataclass(frozen=True)
class PumpFigures:
    """One pump over the sampled space. Volumes in µL for the whole budget; flows in µL/min where the pump runs.

    ``expected_ul``: every experiment an average one. ``worst_ul``: every experiment the one that takes most of it.
    ``once_ul``: the part of both that does not depend on how many experiments there are.
    """

    stock: str
    syringe_ul: float
    expected_ul: float
    worst_ul: float
    once_ul: float
    lowest_flow_ul_min: float
    highest_flow_ul_min: float


@dataclass(frozen=True)
class Figures:
    """What the campaign would do. ``unreachable``: reason to its share of the sampled recipes.

    Times are expected ones, without time-outs and with changes of temperature: ``experiment_s`` shortest, mean and
    longest; ``reactor_s`` for the whole budget of experiments.
    """

    sampled: int
    reachable_fraction: float
    unreachable: Mapping[str, float]
    pumps: Mapping[str, PumpFigures]
    reactor_volume_ul: float
    dead_volume_ul: float
    experiment_s: tuple[float, float, float]
    reactor_s: float
    pressure_kpa: float


@dataclass(frozen=True)
class PreflightReport:
    """``problems`` keep a campaign from running; ``warnings`` only deserve to be known.

    ``short``: those of the problems that say what a campaign with full syringes is too short of.
    """

    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    figures: Figures
    short: tuple[Problem, ...] = ()

    @property
    def ok(self) -> bool:
        """True when nothing keeps the campaign from running."""
        return not self.problems

    def require(self, *, begun: bool = False) -> None:
        """Raises PreflightError with the problems, if there are any.

        ``begun``: the run has, and no forecast ends it: before each experiment it looks at what is left by itself.
        """
        problems = tuple(problem for problem in self.problems if not (begun and problem in self.short))
        if problems:
            raise PreflightError(problems)

    def as_dict(self) -> dict[str, Any]:
        """The report for ``--json``."""
        return {
            "ok": self.ok,
            "problems": [problem.as_dict() for problem in self.problems],
            "warnings": [warning.as_dict() for warning in self.warnings],
            "figures": asdict(self.figures),
        }


def preflight(loaded: LoadedCampaign) -> PreflightReport:
    """Check a campaign against its rig and work out what it would use.

    Takes some tens of milliseconds, and some tenths of a second where none of the first recipes can be set.
    """
    return _Preflight(loaded).report()


def sample_recipes(campaign: CampaignConfig, count: int = SAMPLES) -> Iterator[dict[str, float]]:
    """``count`` recipes that fill the space evenly, each input on its own scale; always the same ones."""
    steps = strides(len(campaign.inputs))
    for index in range(1, count + 1):
        yield {
            name: _at(entry, (0.5 + index * step) % 1.0)
            for (name, entry), step in zip(campaign.inputs.items(), steps, strict=True)
        }


def corner_recipes(campaign: CampaignConfig) -> Iterator[dict[str, float]]:
    """The corners of the space; the first 256 of them where there are more."""
    names = tuple(campaign.inputs)
    ends = [(entry.low, entry.high) for entry in campaign.inputs.values()]
    for _, corner in zip(range(MAX_CORNERS), product(*ends), strict=False):
        yield dict(zip(names, corner, strict=True))


def _at(entry: Input, fraction: float) -> float:
    if entry.choices:
        return entry.choices[min(int(fraction * len(entry.choices)), len(entry.choices) - 1)]
    if entry.scale == "log":
        return float(entry.low * (entry.high / entry.low) ** fraction)
    return entry.low + fraction * (entry.high - entry.low)


class _Preflight:
    def __init__(self, loaded: LoadedCampaign) -> None:
        self._loaded = loaded
        self._campaign: CampaignConfig = loaded.config
        self._rig: RigConfig = loaded.rig
        self._campaign_file = loaded.campaign_source
        self._rig_file = loaded.rig_source
        self._many = ManySamples(loaded.config, loaded.rig)
        self._problems: list[Problem] = []
        self._short: list[Problem] = []
        self._warnings: list[Problem] = []
        self._uses: dict[str, Use] = {}

    def report(self) -> PreflightReport:
        self._check_ranges()
        self._warnings += ends_left_out(self._loaded)
        self._check_constraints()
        told_why = bool(self._problems)
        self._check_rig()
        self._problems += check_installed(self._campaign_file, self._campaign)
        self._check_constants()
        figures = self._sample()
        if figures.reachable_fraction == 0.0:
            if not told_why:
                self._nothing(figures)
        elif figures.reachable_fraction < 1.0:
            why = ", ".join(f"{reason} ({share:.1%})" for reason, share in list(figures.unreachable.items())[:3])
            missed = 1.0 - figures.reachable_fraction
            share = f"{missed:.1%}" if missed <= 0.999 else "more than 99.9%"
            self._warn(("inputs",), f"{share} of the space cannot be set, for example because {why}")
        if figures.reachable_fraction > 0.0:
            self._problems += no_beginning(self._loaded, figures.reachable_fraction)
            self._check_budget(figures)
        problems = (*self._problems, *self._short)
        return PreflightReport(problems, tuple(self._warnings), figures, tuple(self._short))

    def _nothing(self, figures: Figures) -> None:
        found = at_odds(self._loaded, self._many)
        if not found:
            why = next(iter(figures.unreachable), "")
            self._problem(("inputs",), f"none of {figures.sampled} sampled recipes can be set: {why}")
        self._problems += found

    def _problem(self, path: tuple[str | int, ...], message: str, allowed: str = "") -> None:
        offending = None if allowed else ""
        at_key = not allowed
        self._problems.append(
            self._campaign_file.problem(path, message, at_key=at_key, offending=offending, allowed=allowed)
        )

    def _warn(self, path: tuple[str | int, ...], message: str) -> None:
        self._warnings.append(self._campaign_file.problem(path, message, at_key=True, offending=""))

    def _warn_rig(self, path: tuple[str | int, ...], message: str) -> None:
        self._warnings.append(self._rig_file.problem(path, message, at_key=True, offending=""))

    def _check_ranges(self) -> None:
        """Temperature and total flow of every input and fixed quantity against the limits, end by end."""
        limits = self._rig.limits
        volume = self._rig.plumbing.reactor.volume_ul
        by_pressure = highest_flow_ul_min(self._rig)
        flow = Range(limits.total_flow_ul_min.low, min(limits.total_flow_ul_min.high, by_pressure))
        what = "pressure" if by_pressure < limits.total_flow_ul_min.high else "total flow"
        spans: list[tuple[tuple[str, ...], str, float, float]] = [
            (("inputs", name, "values" if entry.given.range is None else "range"), entry.kind, entry.low, entry.high)
            for name, entry in self._campaign.inputs.items()
        ]
        spans += [
            (("fixed", name, "value"), each.kind, each.value, each.value) for name, each in self._campaign.fixed.items()
        ]
        for path, kind, low, high in spans:
            if kind == "temperature":
                reach, unit, limit = limits.temperature_c, "degC", "temperature"
            elif kind == "total_flow":
                reach, unit, limit = flow, "µl/min", what
            elif kind == "residence_time":
                reach, unit, limit = Range(60.0 * volume / flow.high, 60.0 * volume / flow.low), "s", what
            else:
                continue
            slack_low, slack_high = (1e-9 * (1.0 + abs(end)) for end in reach)
            if low < reach.low - slack_low or high > reach.high + slack_high:
                allowed = f"{reach.low:.4g} {unit} to {reach.high:.4g} {unit}"
                self._problem(path, f"beyond the rig's limit of {limit}", allowed=allowed)
        hottest_c = max(high for _, kind, _, high in spans if kind == "temperature")
        self._warnings += too_hot_for_twins(self._rig_file, self._rig, hottest_c)

    def _check_constraints(self) -> None:
        """Each constraint by itself against what else the rig can be set to: one never met, or one always met."""
        if not self._campaign.constraints:
            return
        plan = flow_planner(self._campaign.model_copy(update={"constraints": ()}), self._rig)
        recipes = [*corner_recipes(self._campaign), *sample_recipes(self._campaign)]
        made: list[tuple[dict[str, float], FlowPlan]] = []
        for recipe in recipes:
            try:
                made.append((recipe, plan(recipe)))
            except Unreachable:
                continue
        holds = constraint_check(self._campaign, self._rig)
        for index, text in enumerate(self._campaign.constraints):
            met = sum(holds(index, recipe, its) is None for recipe, its in made)
            path = ("constraints", index)
            if made and not met and not self._many.settable(text).any():
                count = max(len(made), int(self._many.settable().sum()))
                self._problem(path, f"none of {count} sampled recipes that the rig can be set to meets {text}")
            elif made and met == len(made):
                self._warn(path, f"every sampled recipe meets {text}: it rules nothing out")

    def _check_constants(self) -> None:
        if self._campaign.chemistry.parameters:
            from orchestrator.twins.chemistry import refused_constants  # here: the twins are heavy, and seldom asked

            self._problems += refused_constants(self._campaign_file, self._campaign.chemistry)

    def _check_rig(self) -> None:
        rig = self._rig
        self._warnings += other_stocks(self._campaign_file, self._campaign, rig)
        solvent = rig.plumbing.solvent_pump
        stock = stock_in(self._campaign, rig, solvent)
        if rig.stocks[stock].species:
            self._warn_rig(("plumbing", "solvent_pump"), f"the solvent pump holds {stock!r}, which is no pure solvent")
        low, highest = rig.pump_range_ul_min(solvent)
        flush = 0.5 * (rig.limits.total_flow_ul_min.low + rig.limits.total_flow_ul_min.high)
        if flush > highest or rig.limits.total_flow_ul_min.low < low:
            message = f"the solvent pump gives {low:.3g} to {highest:.5g} µl/min, too narrow for flushes and idling"
            self._problems.append(self._rig_file.problem(("plumbing", "solvent_pump"), message))
        for name, pump in rig.pumps.items():
            if pump.pauses:
                message = f"{name!r} pauses its flow while it refills; two modules that take turns would not"
                self._warn_rig(("devices", name), message)
        seen, window = rig.detector.sees_nm, rig.detector.emission_nm
        if window.high <= seen[0] or window.low >= seen[1]:
            message = f"a window from {window.low:g} nm to {window.high:g} nm is beyond what this spectrometer can see"
            path, allowed = ("devices", rig.plumbing.detector, "emission"), f"within {seen[0]:g} nm to {seen[1]:g} nm"
            self._problems.append(self._rig_file.problem(path, message, allowed=allowed))
        if rig.pressure is None:
            self._warn_rig(("plumbing",), "no pressure transmitter: a clogged tube would only show as a stalled pump")
        unguarded: dict[str, list[str]] = {}
        for name, pump in rig.pumps.items():
            if isinstance(pump, NewEraPumpConfig) and pump.safe_mode_timeout_s is None:
                unguarded.setdefault(pump.port, []).append(name)
        shared = Counter(pump.port for pump in rig.pumps.values())
        for port, names in unguarded.items():
            if shared[port] > 1:
                message = (
                    f"{', '.join(names)} on the shared line {port!r} without a checksum: a byte gone wrong in an "
                    "address sets another pump until that is read back; give each a safe_mode_timeout, or its own line"
                )
                self._warn_rig(("devices", names[0]), message)
        for index, step in enumerate(rig.safe_sequence):
            if isinstance(step, Flush) and step.pump != solvent:
                self._warn_rig(("safe_sequence", index, "pump"), f"the safe sequence flushes with {step.pump!r}")

    def _sample(self) -> Figures:
        plan = flow_planner(self._campaign, self._rig)
        plans: list[FlowPlan] = []
        reasons: Counter[str] = Counter()
        examples: dict[str, str] = {}
        for recipe in sample_recipes(self._campaign):
            try:
                plans.append(plan(recipe))
            except Unreachable as error:
                reasons[error.quantity] += 1
                examples.setdefault(error.quantity, error.reason)
        sampled = SAMPLES
        if not plans:
            sampled = MOST_SAMPLES
            for recipe in self._many.recipes():
                with suppress(Unreachable):  # at a limit, where one recipe is rounded otherwise than many
                    plans.append(plan(recipe))
        missed: Counter[str] = Counter()
        for recipe in corner_recipes(self._campaign):
            try:
                plan(recipe)
            except Unreachable as error:
                missed[error.quantity] += 1
                examples.setdefault(error.quantity, error.reason)
        self._corners(missed)
        return self._figures(plans, sampled, {examples[name]: n / SAMPLES for name, n in reasons.most_common()})

    def _corners(self, missed: Mapping[str, int]) -> None:
        if missed:
            count = min(2 ** len(self._campaign.inputs), MAX_CORNERS)
            why = ", ".join(f"{quantity} in {number}" for quantity, number in missed.items())
            self._warn(("inputs",), f"{sum(missed.values())} of {count} corners of the space cannot be set: {why}")

    def _figures(self, plans: list[FlowPlan], sampled: int, unreachable: Mapping[str, float]) -> Figures:
        campaign, rig = self._campaign, self._rig
        count = campaign.budget.experiments
        reactor, dead = rig.plumbing.reactor.volume_ul, rig.plumbing.transit.volume_ul + rig.plumbing.reactor.volume_ul
        times = [duration(campaign, rig, plan).total_s + APPROACH_S for plan in plans]
        prices = [price(campaign, rig, plan) for plan in plans]
        self._uses = uses(campaign, rig, plans)
        pumps = {}
        for pump, use in self._uses.items():
            flows = [plan.flows_ul_min[pump] for plan in plans if plan.flows_ul_min[pump] > 0.0]
            costs_ul = [cost[pump] for cost in prices] or [0.0]
            expected_ul = use.total_ul(count)
            pumps[pump] = PumpFigures(
                stock=stock_in(campaign, rig, pump),
                syringe_ul=rig.pump(pump).holds_ul,
                expected_ul=expected_ul,
                worst_ul=expected_ul + count * (max(costs_ul) - fmean(costs_ul)),
                once_ul=use.once_ul,
                lowest_flow_ul_min=min(flows, default=0.0),
                highest_flow_ul_min=max(flows, default=0.0),
            )
        return Figures(
            sampled=sampled,
            reachable_fraction=len(plans) / sampled,
            unreachable=unreachable,
            pumps=pumps,
            reactor_volume_ul=reactor,
            dead_volume_ul=dead,
            experiment_s=(min(times), fmean(times), max(times)) if times else (0.0, 0.0, 0.0),
            reactor_s=count * fmean(times) if times else 0.0,
            pressure_kpa=max((pressure_drop_kpa(rig, plan.total_flow_ul_min) for plan in plans), default=0.0),
        )

    def _check_budget(self, figures: Figures) -> None:
        budget, settle = self._campaign.budget, self._campaign.settle
        count = budget.experiments
        campaign, file, rig = self._campaign, self._campaign_file, self._rig
        self._short += too_little(file, self._rig_file, campaign, rig, self._uses)
        self._short += beyond_syringes(file, campaign, rig)
        self._warnings += runs_dry(file, campaign, rig, self._uses)
        self._short += used_at_once(file, campaign, self._uses)
        self._warnings += soon_used(file, campaign, self._uses)
        if figures.reactor_s > budget.reactor_time_s:
            wanted, given = figures.reactor_s / 3600.0, budget.reactor_time_s / 3600.0
            self._warn(
                ("budget", "reactor_time"),
                f"{count} experiments take about {wanted:.1f} h, and {given:g} h are allowed",
            )
        looks_s = undecided_s(self._campaign, self._rig)
        if looks_s >= settle.timeout_s:
            message = (
                f"{settle.looks - 1} of the {settle.looks} looks take {looks_s:.0f} s, so that every experiment would "
                "time out before the last"
            )
            self._warn(("settle", "timeout"), message)
