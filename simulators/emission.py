"""From parcels of emitters to photons: what the cell absorbs from the LED, and what it sends out.

Absorbances add over the mixture in the cell. Absorbed light is shared between the parcels in proportion to their
absorbance, and each returns its quantum yield as a Gaussian photon line in energy. Re-absorption of emission is
neglected (thin cell). A spectrum per energy becomes one per wavelength with the Jacobian |dE/dlambda| = hc /
lambda^2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from simulators.chemistry import Array, Chemistry, Parcels

HC_EV_NM = 1239.841984
"""Planck constant times speed of light, eV nm (CODATA 2018)."""

_SIGMA_PER_FWHM = 1.0 / (2.0 * math.sqrt(2.0 * math.log(2.0)))
_WINDOW_SIGMAS = 6.0


@dataclass(frozen=True)
class CellLight:
    """What the mixture in the cell does with unit excitation.

    `absorbance` at the LED's centre; `shares` (n,) emitted photons per incident LED photon of each parcel;
    `peaks_ev`, `fwhms_ev` (n,) their lines; `edges_ev`, `strengths` (n,) absorption edges and mM*mm of emitter of each.
    """

    absorbance: float
    shares: Array
    peaks_ev: Array
    fwhms_ev: Array
    edges_ev: Array
    strengths: Array

    @property
    def quantum_yield(self) -> float:
        """Emitted over absorbed photons of the mixture; 0 where nothing is absorbed."""
        absorbed = 1.0 - 10.0**-self.absorbance
        return float(self.shares.sum()) / absorbed if absorbed > 0.0 else 0.0


def cell_light(
    chemistry: Chemistry, parcels: Parcels, weights: Array, path_mm: float, excitation_ev: float
) -> CellLight:
    """Excite a mixture of n parcels with flux weights (n,) that sum to 1."""
    strengths = weights * parcels.emitter_mm * path_mm
    absorbances = strengths * chemistry.absorptivity(np.asarray(excitation_ev), parcels.edge_ev)
    total = float(absorbances.sum())
    absorbed = 1.0 - 10.0**-total
    # (1 - 10^-A) / A tends to ln 10 for a clear cell.
    per_absorbance = absorbed / total if total > 1e-12 else math.log(10.0)
    return CellLight(
        absorbance=total,
        shares=absorbances * per_absorbance * parcels.quantum_yield,
        peaks_ev=parcels.peak_ev,
        fwhms_ev=parcels.fwhm_ev,
        edges_ev=parcels.edge_ev,
        strengths=strengths,
    )


def emission_per_ev(light: CellLight, energies_ev: Array) -> Array:
    """Emitted photons per incident LED photon and eV, in the shape of `energies_ev` (monotone, either way)."""
    sigmas = light.fwhms_ev * _SIGMA_PER_FWHM
    out = np.zeros_like(energies_ev)
    shining = light.shares > 0.0
    if not shining.any():
        return out
    peaks, sigmas, shares = light.peaks_ev[shining], sigmas[shining], light.shares[shining]
    reach = _WINDOW_SIGMAS * sigmas
    inside = np.flatnonzero((energies_ev >= (peaks - reach).min()) & (energies_ev <= (peaks + reach).max()))
    if inside.size:
        window = slice(int(inside[0]), int(inside[-1]) + 1)
        z = (energies_ev[None, window] - peaks[:, None]) / sigmas[:, None]
        heights = shares / (sigmas * math.sqrt(2.0 * math.pi))
        out[window] = heights @ np.exp(-0.5 * z * z)
    return out


def absorbance(chemistry: Chemistry, light: CellLight, energies_ev: Array) -> Array:
    """Decadic absorbance of the cell at each energy."""
    return np.asarray(light.strengths @ chemistry.absorptivity(energies_ev[None, :], light.edges_ev[:, None]))


def white_absorbance(chemistry: Chemistry, light: CellLight, energies_ev: Array) -> Array:
    """Decadic absorbance of the cell at each energy with the lowest exciton, shape of ``energies_ev``."""
    energies, edges, widths = energies_ev[None, :], light.edges_ev[:, None], light.fwhms_ev[:, None]
    coefficient = chemistry.absorptivity(energies, edges) + chemistry.exciton(energies, edges, widths)
    return np.asarray(light.strengths @ coefficient)


def line_centre_and_width(energies_ev: Array, spectrum: Array) -> tuple[float, float]:
    """(position of the maximum, full width at half maximum) in eV of a single-humped spectrum on a rising grid.

    The maximum is the vertex of the parabola through the three highest points, the half-height crossings are linear
    between grid points. (nan, nan) where there is no light.
    """
    top = int(np.argmax(spectrum))
    if spectrum[top] <= 0.0:
        return math.nan, math.nan
    if not 0 < top < len(spectrum) - 1:
        return float(energies_ev[top]), math.nan
    before, at, after = (float(v) for v in spectrum[top - 1 : top + 2])
    step = float(energies_ev[top + 1] - energies_ev[top])
    curvature = before - 2.0 * at + after
    shift = 0.5 * (before - after) / curvature if curvature < 0.0 else 0.0
    height = at - 0.25 * (before - after) * shift
    half = 0.5 * height
    below = np.flatnonzero(spectrum[:top] < half)
    above = np.flatnonzero(spectrum[top:] < half)
    if not below.size or not above.size:
        return float(energies_ev[top]) + shift * step, math.nan
    low, high = int(below[-1]), top + int(above[0])
    left = energies_ev[low] + step * (half - spectrum[low]) / (spectrum[low + 1] - spectrum[low])
    right = energies_ev[high] - step * (half - spectrum[high]) / (spectrum[high - 1] - spectrum[high])
    return float(energies_ev[top]) + shift * step, float(right - left)
