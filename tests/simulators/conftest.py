"""A four-pump bench for the tests of the physical world, with or without its noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from simulators import (
    HeaterSpec,
    PressureSpec,
    PumpSpec,
    SteadyRecipe,
    StockSpec,
    World,
    WorldSpec,
)

STOCKS = (
    StockSpec("caesium", {"Cs": 20.0, "ligand": 20.0}),
    StockSpec("lead", {"Pb": 10.0, "Br": 20.0, "ligand": 100.0}),
    StockSpec("iodide", {"I": 120.0, "Zn": 60.0}),
    StockSpec("chloride", {"Cl": 120.0, "Zn": 60.0}),
    StockSpec("toluene"),
)


def bench(halide: str = "iodide") -> WorldSpec:
    pumps = (
        PumpSpec("cs", "caesium"),
        PumpSpec("pb", "lead"),
        PumpSpec("halide", halide),
        PumpSpec("solvent", "toluene"),
    )
    return WorldSpec(STOCKS, pumps)


def silence(spec: WorldSpec) -> WorldSpec:
    """The same rig without ripple, jitter, noise or drift."""
    return replace(
        spec,
        pumps=tuple(replace(pump, ripple_cv=0.0) for pump in spec.pumps),
        heater=HeaterSpec(sensor_noise_k=0.0),
        pressure=replace(spec.pressure, noise_kpa=0.0),
        spectrometer=replace(
            spec.spectrometer,
            photoelectrons_per_count=1e15,
            read_noise_counts=0.0,
            led_drift_per_h=0.0,
            wavelength_drift_nm_per_h=0.0,
        ),
        composition_jitter=0.0,
        residence_jitter=0.0,
    )


def mix(spec: WorldSpec, fraction: float, cs_to_pb: float, temperature_c: float, residence_s: float) -> SteadyRecipe:
    """Nominal flows for an offered halide fraction, Cs:Pb, temperature and residence time at 2 mM lead."""
    total = spec.reactor.volume_ul / residence_s * 60.0
    flows = {
        "pb": 0.2 * total,
        "cs": cs_to_pb * 0.1 * total,
        "halide": fraction / (1.0 - fraction) * 4.0 / 120.0 * total,
    }
    return SteadyRecipe({**flows, "solvent": total - sum(flows.values())}, temperature_c)


def start(world: World, recipe: SteadyRecipe, t_s: float) -> None:
    world.heater("heater").command(t_s, recipe.temperature_c, True)
    for name, flow in recipe.flows_ul_min.items():
        world.pump(name).drive(t_s, flow)


@pytest.fixture
def bench_spec() -> Callable[..., WorldSpec]:
    return bench


@pytest.fixture
def silent_spec() -> Callable[..., WorldSpec]:
    return lambda halide="iodide": silence(bench(halide))


@pytest.fixture
def recipe_for() -> Callable[..., SteadyRecipe]:
    return mix


@pytest.fixture
def run_recipe() -> Callable[[World, SteadyRecipe, float], None]:
    return start


@pytest.fixture
def clear_pressure() -> PressureSpec:
    return PressureSpec(viscosity_mpa_s=1.0, back_pressure_kpa=0.0, noise_kpa=0.0)
