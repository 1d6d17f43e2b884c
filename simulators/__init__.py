"""Digital twins: the physical world (fluidics, heat, chemistry, light) and devices that answer on the wire."""

from __future__ import annotations

from simulators.errors import SimulatorError, SpecError, TimeReversalError, UnknownNameError
from simulators.specs import (
    ChemistrySpec,
    HeaterSpec,
    PressureSpec,
    PumpSpec,
    SpectrometerSpec,
    StockSpec,
    TubeSpec,
    WorldSpec,
)
from simulators.world import SteadyRecipe, SteadyTruth, World

__all__ = [
    "ChemistrySpec",
    "HeaterSpec",
    "PressureSpec",
    "PumpSpec",
    "SimulatorError",
    "SpecError",
    "SpectrometerSpec",
    "SteadyRecipe",
    "SteadyTruth",
    "StockSpec",
    "TimeReversalError",
    "TubeSpec",
    "UnknownNameError",
    "World",
    "WorldSpec",
]
