"""Specifications refuse what cannot exist, and say where and what would be allowed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import pytest

from simulators import (
    ChemistrySpec,
    HeaterSpec,
    PumpSpec,
    SimulatorError,
    SpecError,
    SpectrometerSpec,
    SteadyRecipe,
    StockSpec,
    TubeSpec,
    UnknownNameError,
    World,
    WorldSpec,
)
from simulators.specs import Regime


@pytest.mark.parametrize(
    "build",
    [
        lambda: StockSpec("", {}),
        lambda: StockSpec("lead", {"Pb": -1.0}),
        lambda: StockSpec("lead", {"Pb": math.nan}),
        lambda: PumpSpec("a", "lead", syringe_volume_ul=0.0),
        lambda: PumpSpec("a", "lead", syringe_volume_ul=100.0, fill_ul=200.0),
        lambda: PumpSpec("a", "lead", ripple_cv=0.9),
        lambda: TubeSpec(100.0, 0.0),
        lambda: TubeSpec(100.0, 0.5, cast(Regime, "turbulent")),
        lambda: TubeSpec(100.0, 0.5, "tanks", 0.5),
        lambda: HeaterSpec(power_w=math.inf),
        lambda: SpectrometerSpec(pixels=3),
        lambda: SpectrometerSpec(wavelength_coefficients_nm=(900.0, -0.3)),
        lambda: ChemistrySpec(parameters={"growth_rate": math.nan}),
        lambda: SteadyRecipe({"a": 0.0}, 100.0),
        lambda: SteadyRecipe({"a": -1.0}, 100.0),
        lambda: WorldSpec((StockSpec("lead"),), ()),
        lambda: WorldSpec((StockSpec("lead"),), (PumpSpec("a", "zinc"),)),
        lambda: WorldSpec((StockSpec("lead"),), (PumpSpec("a", "lead"), PumpSpec("a", "lead"))),
        lambda: WorldSpec((StockSpec("lead"),), (PumpSpec("heater", "lead"),)),
    ],
)
def test_an_impossible_specification_is_refused_at_construction(build: Callable[[], object]) -> None:
    with pytest.raises(SpecError) as caught:
        build()
    assert caught.value.where
    assert caught.value.allowed


def test_an_unknown_chemistry_or_constant_gets_a_suggestion(bench_spec: Callable[..., WorldSpec]) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'cspbx3'"):
        World(replace(bench_spec(), chemistry=ChemistrySpec("cspbx")), 1)
    with pytest.raises(UnknownNameError, match="did you mean 'growth_rate'"):
        World(replace(bench_spec(), chemistry=ChemistrySpec(parameters={"growth_rates": 1.0})), 1)
    with pytest.raises(SpecError, match="reduced_mass"):
        World(replace(bench_spec(), chemistry=ChemistrySpec(parameters={"reduced_mass": -1.0})), 1)


def test_a_device_that_the_world_lacks_is_named_with_those_it_has(bench_spec: Callable[..., WorldSpec]) -> None:
    world = World(bench_spec(), 1)
    for ask in (world.pump, world.heater, world.pressure, world.optics):
        with pytest.raises(UnknownNameError, match="known: "):
            ask("nobody")
    with pytest.raises(UnknownNameError, match=r"'solvnt'.*did you mean 'solvent'"):
        world.truth(SteadyRecipe({"solvnt": 10.0}, 60.0))


def test_every_error_shares_one_root(bench_spec: Callable[..., WorldSpec]) -> None:
    with pytest.raises(SimulatorError):
        World(bench_spec(), 1).pump("nobody")
    with pytest.raises(SimulatorError):
        TubeSpec(-1.0, 0.5)


def test_a_stock_keeps_its_own_copy_of_its_concentrations() -> None:
    given = {"Pb": 10.0}
    stock = StockSpec("lead", given)
    given["Pb"] = 99.0
    assert stock.concentrations_mm["Pb"] == 10.0
