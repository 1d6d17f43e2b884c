"""The campaign file: what to look for on which rig, in the chemist's variables, and when to stop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from orchestrator import units
from orchestrator.config.archives import Archive
from orchestrator.config.inputs import Fixed, Input
from orchestrator.config.objective import ObjectiveConfig
from orchestrator.config.quantities import (
    EnergyDifference,
    Fraction,
    Line,
    Name,
    Quantity,
    Range,
    RangeOf,
    Section,
    TemperatureDifference,
    Text,
    Time,
    Volume,
)


class Chemistry(Section):
    """Which chemistry the twin runs, and those of its constants that are not the twin's own."""

    twin: Literal["cspbx3"] = "cspbx3"
    parameters: Mapping[Name, float] = Field(default_factory=dict)


WEIGHS_COST = ("ensemble", "gp", "gp_scalar")
"""The strategies whose acquisition is the logarithm of an improvement."""
CHOOSES_BY = ("ensemble",)
"""The strategies that can be told what to choose by."""


class PlannerConfig(Section):
    """Who chooses the next experiment, after how many that only spread out.

    ``acquisition``: what the ensemble chooses by; left to itself it takes expected improvement. ``settings``: whole
    numbers that the strategy is made with.
    ``cost``: what improvement is held against, the µL of all stocks but pure solvents, or the minutes of dosing.
    """

    strategy: Literal[
        "ensemble",
        "gp",
        "gp_scalar",
        "kriging",
        "forest",
        "boosting",
        "support_vectors",
        "snobfit",
        "genetic",
        "cma_es",
        "nelder_mead",
        "baybe",
        "ax",
        "bofire",
        "latin",
        "sobol",
        "random",
    ] = "ensemble"
    initial: int = Field(default=8, ge=1, le=500)
    acquisition: Literal["automatic", "expected_improvement", "upper_confidence", "thompson"] = "automatic"
    cost: Literal["none", "per_ul", "per_minute"] = "none"
    settings: Mapping[Name, int] = Field(default_factory=dict)


class Budget(Section):
    """What may be spent: experiments, reactor time, and optionally reagent by pump."""

    experiments: int = Field(ge=1, le=10_000)
    reactor_time_s: Time
    reagent_ul: Mapping[Name, Volume] | None = None


class Settle(Section):
    """When the reactor counts as steady: residence times have passed, temperature and emission line stand still.

    ``timeout_s``: how long the temperature may take to reach its band, and the line to stand still after washing out.
    """

    residence_times: float = Field(default=3.0, gt=0.0, le=50.0)
    temperature_band_k: TemperatureDifference = 0.5
    drift_ev: EnergyDifference = 0.001
    looks: int = Field(default=3, ge=2, le=50)
    look_interval_s: Time = 20.0
    timeout_s: Time = 900.0


class Measure(Section):
    """How a spectrum is taken: repeats, spectra thrown away after a change, wanted brightness, exposure.

    ``spectra``: what the campaign is about; it runs on no rig whose detector looks at the other. None: on either.
    ``reference_interval_s``: the lamp's own line is read through solvent at least so often between experiments, and
    whenever the line is swept anyway; beyond ``reference_shift`` the blank is taken again.
    """

    spectra: Literal["emission", "absorption"] | None = None
    repeats: int = Field(default=3, ge=1, le=100)
    discard: int = Field(default=1, ge=1, le=20)
    dark_repeats: int = Field(default=3, ge=1, le=100)
    target_fraction_of_full_scale: Annotated[float, Quantity(units.FRACTION, ge=0.05, le=0.9)] = 0.7
    integration_s: Annotated[Range, RangeOf(Quantity(units.TIME, ge=0.001, le=65.0))] = Range(0.005, 2.0)
    reference_interval_s: Time = 7200.0
    reference_shift: Annotated[float, Quantity(units.FRACTION, ge=0.01, le=0.5)] = 0.1


class Quality(Section):
    """What a spectrum must satisfy before its numbers are believed.

    ``max_light_step``: share of the lamp's light that may come or go between the last looks and the measurement.
    """

    saturation_fraction: Annotated[float, Quantity(units.FRACTION, gt=0.0, le=1.0)] = 0.98
    min_signal_to_noise: float = Field(default=20.0, gt=0.0, le=1.0e6)
    max_fwhm_ev: EnergyDifference = 0.4
    min_absorbance: float = Field(default=0.003, ge=0.0, le=10.0)
    second_peak_fraction: Fraction = 0.25
    max_repeat_scatter_ev: EnergyDifference = 0.02
    max_light_step: Fraction = 0.05


class Plateau(Section):
    """Give up when the best has not improved by this much in this many experiments.

    ``improvement_ev``: of the distance from the target. ``desirability``: of the overall desirability, where that is
    the objective.
    """

    experiments: int = Field(ge=1, le=10_000)
    improvement_ev: EnergyDifference | None = None
    desirability: Fraction | None = None


class Stop(Section):
    """When to stop before the budget is spent.

    ``reproduce``: how many further replicates of an experiment on target must be on target too. ``out_of_reach``: end
    once the planner has said of so many proposals in a row that no allowed recipe reaches the target.
    """

    reproduce: int = Field(default=2, ge=0, le=20)
    plateau: Plateau | None = None
    out_of_reach: int | None = Field(default=None, ge=1, le=100)


MOST_SEED = 2**31 - 1

Inequality = Annotated[
    str,
    Field(min_length=1, max_length=200, examples=["residence_time * total_flow <= 2 ml", "flow(halide) >= 5 µl/min"]),
]
"""Two sides with <= or >= between them, see `orchestrator.recipes.constraints`."""


class CampaignConfig(Section):
    """A campaign file. Every name of a pump, stock or species has been checked against the rig by whoever loaded it.

    ``constraints``: what every recipe must hold to besides the ranges of its inputs.
    """

    kind: Literal["campaign"]
    name: Line
    description: Text = ""
    rig: Line
    seed: int = Field(default=1, ge=0, le=MOST_SEED)
    chemistry: Chemistry = Field(default_factory=Chemistry)
    syringes: Mapping[Name, Name] = Field(default_factory=dict)
    inputs: Mapping[Name, Input] = Field(min_length=1, max_length=20)
    fixed: Mapping[Name, Fixed] = Field(default_factory=dict)
    constraints: tuple[Inequality, ...] = Field(default=(), max_length=30)
    objective: ObjectiveConfig
    planner: PlannerConfig = Field(default_factory=PlannerConfig)
    archives: Mapping[Name, Archive] = Field(default_factory=dict, max_length=8)
    budget: Budget
    settle: Settle = Field(default_factory=Settle)
    measure: Measure = Field(default_factory=Measure)
    quality: Quality = Field(default_factory=Quality)
    stop: Stop = Field(default_factory=Stop)
