"""What a chemistry is to the world: rates that depend on temperature only, and what a parcel of fluid has become.

A chemistry is written in *extents*. Each process j of it runs at a rate k_j(T), and everything that a parcel becomes
depends on its mixed composition and on the extents e_j = integral of k_j(T(t)) dt over its stay in the heated tube.
So one parcel needs no time stepping, whatever its temperature history was, and a steady state is simply e_j = k_j(T)
* t.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from simulators.errors import UnknownNameError
from simulators.specs import ChemistrySpec

Array = NDArray[np.float64]

GAS_CONSTANT_KJ_MOL_K = 8.314462618e-3
ZERO_CELSIUS_K = 273.15


@dataclass(frozen=True)
class Parcels:
    """Emitters in n parcels of fluid; every field has shape (n,).

    `emitter_mm` is lead bound in emissive dots; `peak_ev` and `fwhm_ev` describe a Gaussian photon line in energy;
    `edge_ev` is the absorption edge and `edge_nm` the edge length of the dots.
    """

    emitter_mm: Array
    edge_nm: Array
    iodide_fraction: Array
    chloride_fraction: Array
    peak_ev: Array
    fwhm_ev: Array
    quantum_yield: Array
    edge_ev: Array


class Chemistry(Protocol):
    """A reaction network with the optical properties of its product."""

    @property
    def species(self) -> tuple[str, ...]:
        """The m symbols that it reads from the stocks, in the order of `parcels`' rows."""

    @property
    def processes(self) -> tuple[str, ...]:
        """Names of its k rate processes, in the order of `rates`' rows."""

    def rates(self, temperature_c: Array) -> Array:
        """Rate of each process, 1/s, shape (k, n), at n temperatures."""

    def parcels(self, concentrations_mm: Array, extents: Array) -> Parcels:
        """The product of n parcels, from concentrations (m, n) in mM and extents (k, n)."""

    def absorptivity(self, energy_ev: Array, edge_ev: Array) -> Array:
        """Decadic absorption coefficient per mM of emitter and mm of path; the arguments broadcast."""

    def exciton(self, energy_ev: Array, edge_ev: Array, fwhm_ev: Array) -> Array:
        """What the lowest exciton adds to the absorption coefficient around the edge; the arguments broadcast."""


def arrhenius(rate_at_reference: float, activation_kj_mol: float, reference_c: float, temperature_c: Array) -> Array:
    """k(T) = k_ref exp(-Ea/R (1/T - 1/T_ref)), 1/s, in the shape of `temperature_c`."""
    inverse = 1.0 / (temperature_c + ZERO_CELSIUS_K) - 1.0 / (reference_c + ZERO_CELSIUS_K)
    return np.asarray(rate_at_reference * np.exp(-activation_kj_mol / GAS_CONSTANT_KJ_MOL_K * inverse))


def _cspbx3(parameters: Mapping[str, float]) -> Chemistry:
    from simulators.perovskite import CesiumLeadHalide, CesiumLeadHalideConstants

    return CesiumLeadHalide(CesiumLeadHalideConstants.from_overrides(parameters))


_CHEMISTRIES: Mapping[str, Callable[[Mapping[str, float]], Chemistry]] = {"cspbx3": _cspbx3}


def chemistry_names() -> tuple[str, ...]:
    """The chemistries that a `ChemistrySpec` can name."""
    return tuple(_CHEMISTRIES)


def build_chemistry(spec: ChemistrySpec) -> Chemistry:
    """The chemistry that a specification names.

    Raises: UnknownNameError for a chemistry or a constant of it that does not exist, SpecError for a value out of
    range.
    """
    builder = _CHEMISTRIES.get(spec.name)
    if builder is None:
        raise UnknownNameError("chemistry", spec.name, _CHEMISTRIES)
    return builder(spec.parameters)
