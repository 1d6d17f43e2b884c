"""A chemistry twin without its rig: steady states of five or eight inputs, with noise, failures, limits and drift.

The chemistry, the residence-time distribution and the light are those of `simulators`; what the whole rig adds in time
(settling, drivers, wires) is left out, so that thousands of campaigns can be run. Synthetic: a recipe's *truth* is its
noiseless steady state.

Five inputs are the four flows and the temperature of `configs/rigs/perovskite-bench.yaml`, in a chemist's variables.
Eight inputs are two heated tubes in a row, with residence time and temperature of their own (synthesis, then halide
exchange, as Abdel-Latif et al. 2021 do it) and a fifth pump for further ligand; there the salt flows in between the
tubes. The edge length that growth tends to is then that of the mixture after the salt, which is an approximation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from planners import Observation, SearchSpace, Variable
from simulators.chemistry import Chemistry, Parcels, build_chemistry
from simulators.emission import HC_EV_NM, cell_light, emission_per_ev, line_centre_and_width
from simulators.rtd import age_classes
from simulators.specs import ChemistrySpec, TubeSpec

Array = NDArray[np.float64]
Salt = Literal["iodide", "chloride"]

PEAK_NOISE_EV = 0.001
"""Standard deviation of a reading of the peak: 1 meV is 0.22 nm at 520 nm."""
FWHM_NOISE_EV = 0.002
YIELD_NOISE = 0.02
FAILURE_RATE = 0.03
"""Share of experiments that fail by chance (a bubble, a spectrum at odds with its repeats)."""
LEAST_LIGHT = 0.004
"""Emitted over incident photons below which a spectrum is too weak to be read."""

_STOCK_MM = {"caesium": 20.0, "lead": 20.0, "salt": 100.0, "ligand": 500.0}
_LIGAND_WITH = {"caesium": 2.0, "lead": 10.0, "salt": 1.0}
_BROMIDE_PER_LEAD = 2.0
_TUBE = TubeSpec(length_mm=2000.0, bore_mm=0.5)
_TRANSIT_UL = 118.0
_PUMP_UL_MIN = (1.0, 1500.0)
_TOTAL_UL_MIN = (20.0, 1500.0)
_SETTLING = 3.0
_MEASURING_S = 60.0
_HEATING_S = 120.0
_PATH_MM = 0.5
_LAMP_EV = HC_EV_NM / 405.0
_ENERGIES_EV = np.arange(1.5, 3.4, 0.002)
_CLASSES = 16

FIVE = SearchSpace(
    (
        Variable("salt_fraction", 0.0, 0.95),
        Variable("cs_to_pb", 0.4, 2.5, scale="log"),
        Variable("lead_mm", 1.0, 4.0, scale="log", unit="mM"),
        Variable("residence_s", 20.0, 300.0, scale="log", unit="s"),
        Variable("temperature_c", 60.0, 160.0, unit="°C"),
    )
)
EIGHT = SearchSpace(
    (
        Variable("salt_fraction", 0.0, 0.95),
        Variable("cs_to_pb", 0.4, 2.5, scale="log"),
        Variable("lead_mm", 1.0, 4.0, scale="log", unit="mM"),
        Variable("added_ligand_to_pb", 0.0, 30.0),
        Variable("synthesis_s", 20.0, 300.0, scale="log", unit="s"),
        Variable("synthesis_c", 60.0, 160.0, unit="°C"),
        Variable("exchange_s", 20.0, 300.0, scale="log", unit="s"),
        Variable("exchange_c", 60.0, 160.0, unit="°C"),
    )
)
SPACES = {5: FIVE, 8: EIGHT}


@dataclass(frozen=True)
class Batch:
    """How one batch of stocks on one rig differs from what its labels say; the defaults are exact.

    `strengths` multiply the concentrations of the stocks, `warmer_k` is what the tube is hotter than its controller
    says, `slower` multiplies residence times, and the spectrometer reads `shift_ev` too high.
    """

    strengths: dict[str, float] = field(default_factory=dict)
    warmer_k: float = 0.0
    slower: float = 1.0
    shift_ev: float = 0.0

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Batch:
        """Another batch on another rig: 4 % on each stock, 2 K, 3 % on the tube's volume, 3 meV (all assumed)."""
        strengths = {name: float(np.exp(0.04 * rng.standard_normal())) for name in _STOCK_MM}
        warmer, slower, shift = rng.standard_normal(3)
        return cls(strengths, 2.0 * float(warmer), float(np.exp(0.03 * slower)), 0.003 * float(shift))


@dataclass(frozen=True)
class Truth:
    """The noiseless steady state of a recipe; `light` is emitted over incident photons."""

    peak_ev: float
    fwhm_ev: float
    quantum_yield: float
    light: float


@dataclass(frozen=True)
class TwinReactor:
    """A reactor of five or eight inputs, with one salt in its syringe."""

    inputs: Literal[5, 8]
    salt: Salt
    batch: Batch = field(default_factory=Batch)

    @property
    def space(self) -> SearchSpace:
        """The variables of a recipe."""
        return SPACES[self.inputs]

    @cached_property
    def _parts(self) -> tuple[Chemistry, Array, Array]:
        ages = age_classes(_TUBE, _CLASSES)
        return build_chemistry(ChemistrySpec()), ages.ages, ages.weights

    def flows_ul_min(self, x: Array) -> Array:
        """Flows (caesium, lead, salt, ligand, solvent) [n, 5] for recipes [n, d]; solvent may be negative."""
        lead_mm, cs_to_pb, fraction = x[:, 2], x[:, 1], x[:, 0]
        ligand_mm = x[:, 3] * lead_mm if self.inputs == 8 else np.zeros(len(x))
        salt_mm = fraction / (1.0 - fraction) * _BROMIDE_PER_LEAD * lead_mm
        wanted = np.column_stack([cs_to_pb * lead_mm, lead_mm, salt_mm, ligand_mm])
        shares = wanted / np.array([_STOCK_MM[name] for name in ("caesium", "lead", "salt", "ligand")])
        total = _TUBE.volume_ul / (x[:, 6] if self.inputs == 8 else x[:, 3]) * 60.0
        return np.column_stack([shares, 1.0 - shares.sum(1)]) * total[:, None]

    def feasible(self, x: Array) -> NDArray[np.bool_]:
        """Which recipes [n, d] the pumps can run: shares add up to one, and each flow is zero or within range."""
        flows = self.flows_ul_min(x)
        low, high = _PUMP_UL_MIN
        runs = (flows[:, :4] == 0.0) | ((flows[:, :4] >= low) & (flows[:, :4] <= high))
        total = flows.sum(1)
        inside = (total >= _TOTAL_UL_MIN[0]) & (total <= _TOTAL_UL_MIN[1])
        if self.inputs == 8:
            # Before the salt less flows, so the first tube must be of a length of its own: anything up to 10 m.
            before = (total - flows[:, 2]) * x[:, 4] / 60.0
            inside &= before <= 5.0 * _TUBE.volume_ul
        return np.asarray(runs.all(1) & (flows[:, 4] >= 0.0) & inside, dtype=np.bool_)

    def truth(self, x: tuple[float, ...]) -> Truth:
        """The noiseless steady state of a recipe in raw units."""
        chemistry, ages, weights = self._parts
        fraction, cs_to_pb, lead_mm = x[:3]
        strength = {name: self.batch.strengths.get(name, 1.0) for name in _STOCK_MM}
        salt_mm = fraction / (1.0 - fraction) * _BROMIDE_PER_LEAD * lead_mm * strength["salt"]
        caesium_mm, lead = cs_to_pb * lead_mm * strength["caesium"], lead_mm * strength["lead"]
        added = x[3] * lead_mm * strength["ligand"] if self.inputs == 8 else 0.0
        amounts = {"caesium": caesium_mm, "lead": lead, "salt": salt_mm}
        ligand = added + sum(_LIGAND_WITH[name] * amount for name, amount in amounts.items())
        iodide, chloride = (salt_mm, 0.0) if self.salt == "iodide" else (0.0, salt_mm)
        mixed = np.array([caesium_mm, lead, _BROMIDE_PER_LEAD * lead, iodide, chloride, ligand])
        stages = ((x[4], x[5]), (x[6], x[7])) if self.inputs == 8 else ((x[3], x[4]),)
        extents = np.zeros((4, len(ages)))
        for number, (residence_s, temperature_c) in enumerate(stages):
            rates = chemistry.rates(np.array([temperature_c + self.batch.warmer_k]))
            if number < len(stages) - 1:
                rates = rates * np.array([[1.0], [0.0], [0.0], [1.0]])  # no exchange before the salt
            extents += rates * residence_s * self.batch.slower * ages
        parcels: Parcels = chemistry.parcels(np.repeat(mixed[:, None], len(ages), axis=1), extents)
        light = cell_light(chemistry, parcels, weights, _PATH_MM, _LAMP_EV)
        peak, width = line_centre_and_width(_ENERGIES_EV, emission_per_ev(light, _ENERGIES_EV))
        return Truth(peak + self.batch.shift_ev, width, light.quantum_yield, float(light.shares.sum()))

    def observe(self, x: tuple[float, ...], rng: np.random.Generator, drift_ev: float = 0.0) -> Observation:
        """One experiment with its noise. Every experiment draws as many numbers, whatever comes of it."""
        noise, chance = rng.standard_normal(3), rng.random()
        truth = self.truth(x)
        readable = truth.light >= LEAST_LIGHT and math.isfinite(truth.peak_ev) and math.isfinite(truth.fwhm_ev)
        if chance < FAILURE_RATE or not readable:
            return Observation(x, failed=True)
        return Observation(
            x,
            truth.peak_ev + drift_ev + PEAK_NOISE_EV * float(noise[0]),
            truth.fwhm_ev + FWHM_NOISE_EV * float(noise[1]),
            max(truth.quantum_yield + YIELD_NOISE * float(noise[2]), 0.0),
            PEAK_NOISE_EV,
        )

    def price(self, x: tuple[float, ...]) -> tuple[float, float]:
        """What an experiment costs: mL that flow and hours that pass, flushing, settling and measuring included."""
        total_ul_min = float(self.flows_ul_min(np.array([x])).sum())
        residence_s = x[4] + x[6] if self.inputs == 8 else x[3]
        flowing_s = _SETTLING * residence_s + 60.0 * _TRANSIT_UL / total_ul_min + _MEASURING_S
        return total_ul_min * flowing_s / 60e3, (flowing_s + _HEATING_S) / 3600.0
