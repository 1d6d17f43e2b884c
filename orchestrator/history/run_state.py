"""What a journal says, as frozen data: a run, its experiments, its recommendation. `fold` makes it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Data = Mapping[str, Any]
Volumes = Mapping[str, float]


@dataclass(frozen=True)
class Experiment:
    """One proposal and what became of it. Numbers that were not (or not yet) had are None.

    `cost`: what the proposal was expected to take (`reagent_ul` by pump, `dosing_s`). `out_of_reach`: the planner's
    verdict before it, where it said that no recipe reaches the target: a sentence.
    `target`: which of the campaign's targets it was for, from 1.
    `dosing`: dosing has begun and nobody has said how it ended; after a restart that makes it in doubt. `told`: it is
    done, well or badly. `shape`: how its light compares with a target spectrum, where the campaign has one (see
    `orchestrator.spectra.shape.ShapeReading`). `accepted`: its numbers passed the quality gate. `reagent_ul`: used for
    it by pump, in all attempts. `expected_ul`: the most that the newest attempt counts as having taken until the pumps
    were asked. `disturbed`: what disturbed the newest attempt that was given up.
    """

    n: int
    kind: str
    of: int | None
    recipe: Mapping[str, float]
    phase: str
    predicted: Mapping[str, Mapping[str, float]]
    probability_feasible: float | None
    acquisition: str
    acquisition_value: float | None
    compared: int
    why: str
    strategy: str
    proposed_s: float
    cost: Mapping[str, Any] | None = None
    out_of_reach: str = ""
    target: int = 1
    refused: str | None = None
    dosing: bool = False
    attempts: int = 0
    disturbed: tuple[str, ...] = ()
    dosed_s: float | None = None
    flows_ul_min: Volumes = field(default_factory=dict)
    set_temperature_c: float | None = None
    total_flow_ul_min: float | None = None
    residence_time_s: float | None = None
    expected_ul: Volumes = field(default_factory=dict)
    settle_outcome: str | None = None
    settle_s: float | None = None
    looks_ev: tuple[float | None, ...] = ()
    measured_s: float | None = None
    integration_s: float | None = None
    spectra: tuple[str, ...] = ()
    dark: str | None = None
    temperature_c: float | None = None
    pressure_kpa: float | None = None
    analysed: bool = False
    peak_ev: float | None = None
    peak_sd_ev: float | None = None
    fwhm_ev: float | None = None
    fwhm_sd_ev: float | None = None
    quantum_yield: float | None = None
    quantum_yield_sd: float | None = None
    flags: tuple[str, ...] = ()
    shape: Data | None = None
    accepted: bool = False
    quality: str = ""
    told: bool = False
    told_s: float | None = None
    failed: bool = False
    reagent_ul: Volumes = field(default_factory=dict)

    def error_ev(self, target_ev: float) -> float | None:
        """Accepted peak minus target."""
        return self.peak_ev - target_ev if self.accepted and self.peak_ev is not None else None

    def reading(self, output: str) -> float | None:
        """What was accepted of one of the planner's outputs, by its name."""
        if not self.accepted:
            return None
        known = {"peak_ev": self.peak_ev, "fwhm_ev": self.fwhm_ev, "quantum_yield": self.quantum_yield}
        if output in known or self.shape is None:
            return known.get(output)
        value = self.shape["light"].get(output)
        return None if value is None else float(value)

    def miss_ev(self, target_ev: float) -> float | None:
        """How far it is from what is wanted: the displacement of its light, or the distance of its accepted peak."""
        error = self.error_ev(target_ev)
        if error is None or self.shape is None:
            return None if error is None else abs(error)
        return float(self.shape["distance_ev"])

    @property
    def miss_sd_ev(self) -> float | None:
        """The standard error of `miss_ev`."""
        return self.peak_sd_ev if self.shape is None else float(self.shape["distance_sd_ev"])


@dataclass(frozen=True)
class Blank:
    """The solvent's own spectrum: its exposure, and the addresses of its dark, itself, and its pixels' wavelengths."""

    integration_s: float
    dark: str
    blank: str
    wavelengths: str


@dataclass(frozen=True)
class Recommendation:
    """The recipe that the run ends with. `measured` is None for a recipe known from the model alone."""

    recipe: Mapping[str, float]
    basis: str
    predicted: Mapping[str, Mapping[str, float]]
    measured: Mapping[str, float | None] | None
    error_ev: float | None
    reason: str
    target: int = 1


@dataclass(frozen=True)
class Stop:
    """Why a campaign ends. ``detail`` is a sentence for a person.

    ``reason``: target_reproduced, budget_experiments, budget_time, budget_reagent (what the file allows is used),
    reagent (a syringe is short), plateau, out_of_reach, operator, suspended or fault.
    ``how``, ``by`` and ``asked_s``: of an end that an operator wanted through the daemon, the verb, the name, and the
    run's time at which it took effect if that was in the middle of something.
    """

    reason: str
    detail: str
    how: str = ""
    by: str = ""
    asked_s: float | None = None

    @property
    def data(self) -> dict[str, Any]:
        """What the ``stopping`` event says."""
        said = {"stop_reason": self.reason, "detail": self.detail}
        return {**said, "how": self.how, "by": self.by, "asked_s": self.asked_s} if self.how else said


RECKONING = 3
"""How runs that begin now reckon. From 2 on (`docs/decisions/0057`): what flows before an experiment belongs to it, a
hold is followed by a count, and an allowance that is used up is no lack of reagent. From 3 on (`docs/decisions/0059`):
the initial design is no part of a plateau."""


@dataclass(frozen=True)
class RunState:
    """A run as its journal tells it, finished or not.

    Volumes are µL by pump: `counted_ul` as the pumps' counters stood when last journalled in this sitting (empty after
    `resumed`), `reagent_ul` counted over all sittings, `spent_ul` that plus what was debited because nobody counted it.
    `filling_ul`: the solvent of a blank that is under way. `doubted_ul`: debited for attempts that this sitting broke
    off, until the counters that have seen them are journalled. `dosed_here`: the newest dosing began in this sitting.
    `counted_out`: the sitting in which it began has ended with a count, so an experiment that it broke off is in it.
    `missing_ul`: what the syringes lacked beside this run, as it began or as was known when it was last taken up.
    `header`: the data of `run_started`. `targets_done`: of several targets those that are done with, and why.
    `waiting`: "paused" or "held" while an operator wants it so. `ended`: the run
    has said its last word. `references`: the lamp's own line through solvent, each time it was looked at;
    `reference_s`: when it was last, the blank included.
    """

    header: Data = field(default_factory=dict)
    devices: Mapping[str, str] = field(default_factory=dict)
    blank: Blank | None = None
    experiments: tuple[Experiment, ...] = ()
    reactor_s: float = 0.0
    counted_ul: Volumes = field(default_factory=dict)
    earlier_ul: Volumes = field(default_factory=dict)
    debited_ul: Volumes = field(default_factory=dict)
    missing_ul: Volumes = field(default_factory=dict)
    filling_ul: Volumes = field(default_factory=dict)
    doubted_ul: Volumes = field(default_factory=dict)
    dosed_here: bool = False
    counted_out: bool = False
    sittings: int = 0
    references: tuple[Data, ...] = ()
    reference_s: float | None = None
    trips: tuple[Data, ...] = ()
    safe_steps: tuple[Data, ...] = ()
    safe: bool | None = None
    waiting: str | None = None
    stop_reason: str | None = None
    stop_detail: str = ""
    recommendations: tuple[Recommendation, ...] = ()
    targets_done: tuple[Data, ...] = ()
    ended: bool = False
    last_seq: int = 0
    last_s: float = 0.0

    @property
    def targets(self) -> tuple[Data, ...]:
        """The campaign's targets in their order: mappings with target_ev and tolerance_ev."""
        several: tuple[Data, ...] = tuple(self.header.get("targets", ()))
        if several or self.header.get("target_ev") is None:
            return several
        return ({"target_ev": self.header["target_ev"], "tolerance_ev": self.header.get("tolerance_ev")},)

    @property
    def of_light(self) -> bool:
        """Whether recipes are judged by all of their light, not by the peak: then the tolerance is no width about the
        target's peak, but how far a photon may be displaced on average."""
        return self.header.get("judged_by") == "light"

    @property
    def of_absorption(self) -> bool:
        """Whether the rig looks at absorption, of which there is no yield."""
        return self.header.get("spectra") == "absorption"

    @property
    def target(self) -> int:
        """The target that the campaign is at, or ended with, from 1."""
        return max(1, min(len(self.targets_done) + 1, len(self.targets)))

    @property
    def target_ev(self) -> float | None:
        """The peak that is wanted now; None before the run has begun."""
        return self.aim(self.target, "target_ev")

    @property
    def tolerance_ev(self) -> float | None:
        """How close to it counts as there."""
        return self.aim(self.target, "tolerance_ev")

    @property
    def recommendation(self) -> Recommendation | None:
        """The recipe recommended for the target that the campaign is at."""
        return self.recommended(self.target)

    def recommended(self, target: int) -> Recommendation | None:
        """The recipe recommended for one of the targets (from 1)."""
        return next((advice for advice in self.recommendations if advice.target == target), None)

    def target_of(self, experiment: Experiment) -> float | None:
        """The peak that an experiment was to have."""
        return self.aim(experiment.target, "target_ev")

    def aim(self, target: int, key: str) -> float | None:
        """A number of one of the targets (from 1); None where there is no such target."""
        targets = self.targets
        value = targets[target - 1].get(key) if 0 < target <= len(targets) else None
        return None if value is None else float(value)

    @property
    def inputs(self) -> tuple[Data, ...]:
        """The search space: mappings with name, unit, low, high, scale, and values or levels where there are few."""
        return tuple(self.header.get("inputs", ()))

    def named(self, name: str, value: float) -> float | str:
        """The value of an input, as the name that it stands for where it is a choice."""
        levels = next((entry.get("levels", ()) for entry in self.inputs if entry["name"] == name), ())
        return str(levels[int(value)]) if 0 <= value < len(levels) else value

    @property
    def reckoning(self) -> int:
        """How the run reckons: `RECKONING` as it was when it began, 1 where it does not say."""
        return int(self.header.get("reckoning", 1))

    @property
    def reagent_ul(self) -> Volumes:
        return added(self.earlier_ul, self.counted_ul)

    @property
    def spent_ul(self) -> Volumes:
        return added(added(self.reagent_ul, self.debited_ul), self.doubted_ul)

    @property
    def drawn_ul(self) -> Volumes:
        """What may have left the syringes when the record ended: `spent_ul`, and what was under way and not counted."""
        broken_off = self.in_doubt()
        unseen_ul = {} if broken_off is None or self.counted_out else broken_off.expected_ul
        return added(added(self.spent_ul, self.filling_ul), unseen_ul)

    @property
    def told(self) -> tuple[Experiment, ...]:
        """Experiments that are done."""
        return tuple(experiment for experiment in self.experiments if experiment.told)

    def out_of_reach(self, target: int) -> str:
        """The planner's verdict that one of the targets (from 1) is out of reach, as it stands: empty where it has not
        said so, no longer does, or a reading has met the target all the same."""
        explored = [each for each in self.experiments if each.target == target and each.of is None]
        verdict = explored[-1].out_of_reach if explored else ""
        target_ev, tolerance_ev = self.aim(target, "target_ev"), self.aim(target, "tolerance_ev")
        if verdict and target_ev is not None and tolerance_ev is not None:
            misses = [miss for each in self.experiments if (miss := each.miss_ev(target_ev)) is not None]
            if min(misses, default=math.inf) <= tolerance_ev:
                return ""
        return verdict

    @property
    def has_reading(self) -> bool:
        """Whether the planner was told of an experiment whose numbers passed the quality gate."""
        return any(experiment.accepted for experiment in self.told)

    @property
    def best(self) -> Experiment | None:
        """The accepted experiment nearest to the present target; the earliest of equals."""
        return self.best_for(self.target)

    def best_for(self, target: int) -> Experiment | None:
        """The accepted experiment nearest to one of the targets (from 1), whichever it was for."""
        target_ev = self.aim(target, "target_ev")
        if target_ev is None:
            return None
        scored = [(miss, e.n, e) for e in self.experiments if (miss := e.miss_ev(target_ev)) is not None]
        return min(scored, key=lambda item: item[:2])[2] if scored else None

    def in_doubt(self) -> Experiment | None:
        """The experiment whose dosing had begun and whose end nobody saw."""
        return next((e for e in self.experiments if e.dosing and not e.told and e.refused is None), None)

    def experiment(self, n: int) -> Experiment:
        """Experiment number `n`. Raises KeyError."""
        for experiment in reversed(self.experiments):
            if experiment.n == n:
                return experiment
        raise KeyError(f"experiment {n}")

    def by_stock(self, volumes_ul: Volumes) -> dict[str, float]:
        """Volumes by pump as volumes by the stock in each pump's syringe."""
        stocks = self.header.get("stocks", {})
        result: dict[str, float] = {}
        for pump, volume in sorted(volumes_ul.items()):
            name = str(stocks.get(pump, {}).get("stock", pump))
            result[name] = result.get(name, 0.0) + volume
        return result


def added(left: Volumes, right: Volumes) -> dict[str, float]:
    """Volumes added by name, in the order of the names."""
    return {name: left.get(name, 0.0) + right.get(name, 0.0) for name in sorted({*left, *right})}
