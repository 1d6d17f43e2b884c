"""Caesium lead halide quantum dots, CsPb(Br/I)3 and CsPb(Cl/Br)3, grown and halide-exchanged in one heated tube.

Published forms: diffusion-limited exchange by Vermeulen's approximation for a sphere (Ind. Eng. Chem. 1953, 45,
1664); lines of 12 to 40 nm and CsPbCl3 from 410 nm (Lignos et al., Nano Lett. 2016, 16, 1869). From memory, so to be
read as assumed: band gap of a cubic dot in the effective-mass picture with the constants of CsPbBr3 (mass 0.126 m0,
permittivity 7.3: 5 nm 477 nm, 8 nm 511 nm, 10 nm 519 nm) for all three halides; iodide limited by the surface and
chloride by diffusion (Koscher et al., Chem. Mater. 2016); Stokes shift of 82 to 20 meV from 4 to 13 nm (Brennan et
al., JACS 2017); yields of 50 to 90 % for Br and I, low for Cl. Every rate, activation energy, partition, width and
loss is assumed: no Arrhenius constants of this system could be verified. They are chosen to give peaks of 1.85 to 3.0
eV and useful temperatures of 60 to 160 °C.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

import numpy as np

from simulators.chemistry import Array, Parcels, arrhenius
from simulators.errors import SpecError, UnknownNameError

HBAR2_PI2_OVER_M0_EV_NM2 = 0.0761996 * math.pi**2
"""hbar^2 pi^2 / m0, eV nm^2."""
COULOMB_EV_NM = 1.439964
"""e^2 / (4 pi eps0), eV nm."""
FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))

SPECIES = ("Cs", "Pb", "Br", "I", "Cl", "ligand")
PROCESSES = ("growth", "iodide exchange", "chloride exchange", "ripening")


@dataclass(frozen=True)
class CesiumLeadHalideConstants:
    """Constants of `CesiumLeadHalide`; rates are 1/s at `reference_c`. The module says which are assumed."""

    reference_c: float = 110.0
    growth_rate: float = 0.020
    growth_activation_kj_mol: float = 38.0
    iodide_rate: float = 0.030
    iodide_activation_kj_mol: float = 50.0
    chloride_rate: float = 0.0012
    chloride_activation_kj_mol: float = 44.0
    ripening_rate: float = 4.0e-4
    ripening_activation_kj_mol: float = 75.0
    nucleus_nm: float = 4.6
    terminal_nm: float = 10.2
    bromide_gap_ev: float = 2.36
    iodide_gap_ev: float = 1.76
    chloride_gap_ev: float = 2.98
    bowing_ev: float = 0.05
    reduced_mass: float = 0.126
    permittivity: float = 7.3
    homogeneous_fwhm_ev: float = 0.070
    composition_spread: float = 0.24
    bromide_yield: float = 0.95
    iodide_yield: float = 0.90
    chloride_yield: float = 0.10
    best_cs_to_pb: float = 1.3
    absorptivity_mm_mm: float = 0.41
    """Decadic, per mM Pb and mm at 0.61 eV above the edge: an intrinsic coefficient of 7.7e4 /cm for CsPbBr3 at 405
    nm times its molar volume, 122 cm3/mol (the coefficient from memory of Maes et al., J. Phys. Chem. Lett. 2018:
    assumed)."""

    exciton_strength: float = 0.6
    """Height of the first exciton's band over ``absorptivity_mm_mm``. Assumed: a maximum some tenths above the valley
    behind it, as spectra of CsPbBr3 nanocrystals of 7 to 10 nm show."""

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not math.isfinite(value) or value <= 0.0:
                raise SpecError(f"chemistry parameter {name}", value, "a finite number above 0")

    @classmethod
    def from_overrides(cls, overrides: Mapping[str, float]) -> CesiumLeadHalideConstants:
        """The defaults with some values replaced. Raises: UnknownNameError, SpecError."""
        known = tuple(item.name for item in fields(cls))
        for name in overrides:
            if name not in known:
                raise UnknownNameError("cspbx3 parameter", name, known)
        return cls(**overrides)


class CesiumLeadHalide:
    """The `cspbx3` chemistry (see `simulators.chemistry.Chemistry` for shapes and units)."""

    species = SPECIES
    processes = PROCESSES

    def __init__(self, constants: CesiumLeadHalideConstants | None = None) -> None:
        self.constants = constants or CesiumLeadHalideConstants()

    def rates(self, temperature_c: Array) -> Array:
        """Arrhenius rates of growth, iodide exchange, chloride exchange and ripening, 1/s, shape (4, n)."""
        k = self.constants
        pairs = (
            (k.growth_rate, k.growth_activation_kj_mol),
            (k.iodide_rate, k.iodide_activation_kj_mol),
            (k.chloride_rate, k.chloride_activation_kj_mol),
            (k.ripening_rate, k.ripening_activation_kj_mol),
        )
        return np.stack([arrhenius(rate, energy, k.reference_c, temperature_c) for rate, energy in pairs])

    def parcels(self, concentrations_mm: Array, extents: Array) -> Parcels:
        """The dots in n parcels.

        Growth: first order towards a terminal edge length set by the supply of Cs, Pb and ligand. Size spread falls
        while growth focuses it and rises with ripening, so it has a minimum in time. Exchange: iodide first order,
        faster on small dots (surface / volume); chloride as the square root of time at first. The halide mixture
        approaches the fraction offered. Yield: lost to poor early crystals, off-stoichiometry, ripening, missing
        ligand or halide, near-pure iodide, and phase separation where chloride and iodide meet.
        """
        k = self.constants
        floor = 1e-9
        caesium, lead, bromide, iodide, chloride, ligand = np.maximum(concentrations_mm, 0.0)
        growth, surface, diffusion, ripening = extents
        halide = bromide + iodide + chloride + floor
        ratio = caesium / (lead + floor)
        ligand_to_lead = ligand / (lead + floor)

        supply = (lead + 0.02) / 2.0
        terminal = k.terminal_nm * supply**0.10 * ((ratio + 0.02) / k.best_cs_to_pb) ** 0.14
        terminal = terminal * ((ligand_to_lead + 1.0) / 11.0) ** -0.10
        ripe = ripening / (1.0 + ripening)
        grown = growth / (0.6 + 0.04 * ligand_to_lead) * supply**0.2
        edge = k.nucleus_nm + np.maximum(terminal - k.nucleus_nm, 0.2) * (1.0 - np.exp(-grown))
        edge = np.minimum(edge * (1.0 + 0.22 * ripe), 15.0)
        size_spread = 0.060 + 0.060 * np.exp(-grown / 0.6) + 0.10 * ripe

        langmuir = 0.35 + 0.65 * iodide / (iodide + 4.0)
        reached_i = 1.0 - np.exp(-surface * langmuir * (8.0 / edge))
        reached_cl = np.sqrt(1.0 - np.exp(-(math.pi**2) * diffusion * (8.0 / edge) ** 2))
        offered_i, offered_cl = iodide / halide, chloride / halide
        x_i, x_cl = offered_i * reached_i, offered_cl * reached_cl
        x_br = np.maximum(1.0 - x_i - x_cl, 0.0)
        spread_i = k.composition_spread * 2.0 * offered_i * reached_i * (1.0 - reached_i)
        spread_cl = k.composition_spread * 2.0 * offered_cl * reached_cl * (1.0 - reached_cl)

        confinement = 1.5 * HBAR2_PI2_OVER_M0_EV_NM2 / (k.reduced_mass * edge**2)
        coulomb = 3.05 * COULOMB_EV_NM / (k.permittivity * edge)
        bulk = x_br * k.bromide_gap_ev + x_i * k.iodide_gap_ev + x_cl * k.chloride_gap_ev
        bulk = bulk - k.bowing_ev * (x_br * (x_i + x_cl) + x_i * x_cl)
        peak = bulk + confinement - coulomb

        slope_edge = 2.0 * confinement - coulomb
        sigma_size = np.abs(slope_edge) * size_spread
        to_iodide_ev, to_chloride_ev = k.bromide_gap_ev - k.iodide_gap_ev, k.chloride_gap_ev - k.bromide_gap_ev
        sigma_x = np.hypot(spread_i * to_iodide_ev, spread_cl * to_chloride_ev)
        homogeneous = k.homogeneous_fwhm_ev * (1.0 + 0.12 * x_i)
        fwhm = np.sqrt(homogeneous**2 + FWHM_PER_SIGMA**2 * (sigma_size**2 + sigma_x**2))

        formed = 1.0 - np.exp(-((grown / 0.80) ** 2))
        caesium_share = ratio**4 / (ratio**4 + 0.75**4) / (1.0 + (ratio / 3.0) ** 4)
        halide_to_lead = halide / (lead + floor)
        halide_share = halide_to_lead / (halide_to_lead + 0.8)
        emitter = lead * formed * caesium_share * halide_share * np.exp(-0.25 * ripening)

        perfect = x_br * k.bromide_yield + x_i * k.iodide_yield
        perfect = perfect + x_cl * k.chloride_yield - 0.35 * x_cl * x_br
        crystalline = 1.0 - np.exp(-((grown / 0.55) ** 2))
        stoichiometric = np.exp(-0.5 * (np.log((ratio + 0.02) / k.best_cs_to_pb) / 0.75) ** 2)
        passivated = 0.25 + 0.75 * ligand_to_lead / (ligand_to_lead + 1.0)
        halide_rich = 0.88 + 0.12 * (1.0 - np.exp(-halide_to_lead / 3.0))
        one_phase = np.exp(-((x_i * x_cl) / 0.02)) / (1.0 + (x_i / 1.02) ** 9)
        unripened = np.exp(-((ripening / 0.8) ** 1.2))
        strained = 1.0 - 0.30 * 4.0 * offered_i * reached_i * (1.0 - reached_i)
        quality = crystalline * stoichiometric * passivated * halide_rich * one_phase * unripened * strained
        return Parcels(
            emitter_mm=emitter,
            edge_nm=edge,
            iodide_fraction=x_i,
            chloride_fraction=x_cl,
            peak_ev=peak,
            fwhm_ev=fwhm,
            quantum_yield=np.clip(perfect, 0.0, 1.0) * quality,
            edge_ev=peak + 0.082 * (4.0 / edge) ** 1.2,
        )

    def absorptivity(self, energy_ev: Array, edge_ev: Array) -> Array:
        """A smoothed step at the edge (width 25 meV, assumed) that then rises linearly; per mM and mm."""
        above = energy_ev - edge_ev
        step = 0.5 * (1.0 + np.tanh(above / 0.05))
        return np.asarray(self.constants.absorptivity_mm_mm * step * (0.35 + 1.065 * np.maximum(above, 0.0)))

    def exciton(self, energy_ev: Array, edge_ev: Array, fwhm_ev: Array) -> Array:
        """A Gaussian at the edge, as broad as the line of emission, since size and composition broaden both.

        Seen by white light only: at the wavelength of the excitation lamp it is far below.
        """
        offset = (energy_ev - edge_ev) / (fwhm_ev / FWHM_PER_SIGMA)
        height = self.constants.exciton_strength * self.constants.absorptivity_mm_mm
        return np.asarray(height * np.exp(-0.5 * offset**2))
