"""The whole rig: ground truth, its dynamic limit, its reach, and one seed one result."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from simulators import SpectrometerSpec, SteadyRecipe, TimeReversalError, TubeSpec, World, WorldSpec
from simulators.chemistry import Array
from simulators.emission import HC_EV_NM, line_centre_and_width
from simulators.specs import Regime

OFFERED = np.linspace(0.0, 0.9, 10)


def measured_line(world: World, t_s: float) -> tuple[float, float, float]:
    """(peak, width, photons above dark) of a noiseless exposure, by the definitions of the truth."""
    cell = world.optics("spectrometer")
    nm = np.array(world.spec.spectrometer.wavelengths_list_nm())
    cell.lamp(t_s, True)
    lit = cell.expose(t_s + 1.0, 0.1)
    cell.lamp(t_s + 2.0, False)
    light = lit - cell.expose(t_s + 3.0, 0.1)
    window = (nm > 430.0) & (nm < 800.0)
    light = light[window] - light[(nm > 850.0) & (nm < 1000.0)].mean()
    per_ev = light / np.gradient(nm)[window] * nm[window] ** 2
    energies = np.linspace(1.56, 2.87, 1311)
    peak_ev, fwhm_ev = line_centre_and_width(energies, np.interp(energies, (HC_EV_NM / nm[window])[::-1], per_ev[::-1]))
    return peak_ev, fwhm_ev, float(light.sum())


@pytest.mark.parametrize("regime", ["tanks", "laminar", "plug"])
@pytest.mark.parametrize(
    ("fraction", "ratio", "temperature_c", "residence_s"), [(0.3, 1.2, 100.0, 60.0), (0.7, 1.5, 90.0, 200.0)]
)
def test_the_long_time_limit_of_the_noiseless_world_is_its_truth(
    silent_spec: Callable[..., WorldSpec],
    recipe_for: Callable[..., SteadyRecipe],
    run_recipe: Callable[[World, SteadyRecipe, float], None],
    regime: Regime,
    fraction: float,
    ratio: float,
    temperature_c: float,
    residence_s: float,
) -> None:
    spec = replace(silent_spec(), reactor=TubeSpec(2000.0, 0.5, regime))
    fine = replace(spec.spectrometer, pixels=8192, wavelength_coefficients_nm=(340.0, 0.08), optically_dark_pixels=0)
    world = World(replace(spec, spectrometer=fine), 1)
    recipe = recipe_for(spec, fraction, ratio, temperature_c, residence_s)
    run_recipe(world, recipe, 0.0)
    truth = world.truth(recipe)
    settled_s = 600.0 + (60.0 if regime == "laminar" else 6.0) * residence_s
    peak_ev, fwhm_ev, photons = measured_line(world, settled_s)
    assert peak_ev == pytest.approx(truth.peak_ev, abs=3e-4)
    assert fwhm_ev == pytest.approx(truth.fwhm_ev, abs=1e-3)
    emitted = 6.0e7 * 0.1 * (1.0 - 10.0**-truth.absorbance_405) * truth.quantum_yield
    assert photons == pytest.approx(emitted, rel=0.02)


@pytest.mark.parametrize(
    ("halide", "target_ev"), [("iodide", 1.95), ("iodide", 2.25), ("iodide", 2.40), ("chloride", 2.60)]
)
def test_each_target_is_within_reach_and_narrow_and_bright_is_a_choice(
    bench_spec: Callable[..., WorldSpec], recipe_for: Callable[..., SteadyRecipe], halide: str, target_ev: float
) -> None:
    world = World(bench_spec(halide), 1)
    random = np.random.default_rng(0)
    hits = []
    for _ in range(700):
        ratio, residence_s = np.exp(random.uniform(np.log([0.4, 20.0]), np.log([2.5, 300.0])))
        recipe = recipe_for(world.spec, random.uniform(0.0, 0.9), ratio, random.uniform(60.0, 160.0), residence_s)
        truth = world.truth(recipe)
        if abs(truth.peak_ev - target_ev) < 0.03 and truth.peak_counts_s > 5_000.0:
            hits.append((truth.fwhm_ev, truth.quantum_yield))
    widths, yields = np.array(hits).T
    assert len(hits) >= 12
    assert widths.max() > 1.3 * widths.min()
    assert yields.max() > 2.0 * yields.min()


def test_the_reach_of_each_exchange_halide(
    bench_spec: Callable[..., WorldSpec], recipe_for: Callable[..., SteadyRecipe]
) -> None:
    for halide, low_ev, high_ev in (("iodide", 1.83, 2.42), ("chloride", 2.38, 3.0)):
        world = World(bench_spec(halide), 1)
        peaks = [world.truth(recipe_for(world.spec, f, 1.3, 120.0, 250.0)).peak_ev for f in OFFERED]
        assert low_ev < min(peaks) < low_ev + 0.07
        assert high_ev - 0.1 < max(peaks) < high_ev
        assert np.all(np.diff(peaks) < 0.0) or np.all(np.diff(peaks) > 0.0)


def test_some_recipes_give_nothing_to_see(
    bench_spec: Callable[..., WorldSpec], recipe_for: Callable[..., SteadyRecipe]
) -> None:
    world = World(bench_spec(), 1)
    assert world.truth(recipe_for(world.spec, 0.3, 1.2, 60.0, 20.0)).peak_counts_s < 200.0
    assert world.truth(recipe_for(world.spec, 0.3, 0.4, 65.0, 30.0)).peak_counts_s < 200.0
    blank = world.truth(SteadyRecipe({"solvent": 100.0}, 80.0))
    assert np.isnan(blank.peak_ev)
    assert blank.quantum_yield == 0.0
    assert blank.absorbance_405 == 0.0


def test_a_fitted_peak_repeats_to_about_a_millielectronvolt(
    bench_spec: Callable[..., WorldSpec],
    recipe_for: Callable[..., SteadyRecipe],
    run_recipe: Callable[[World, SteadyRecipe, float], None],
) -> None:
    world = World(bench_spec(), 4)
    run_recipe(world, recipe_for(world.spec, 0.3, 1.3, 105.0, 150.0), 0.0)
    cell = world.optics("spectrometer")
    nm = np.array(world.spec.spectrometer.wavelengths_list_nm())
    cell.lamp(1400.0, True)
    energies, peaks = HC_EV_NM / nm, []
    for k in range(25):
        light = (cell.expose(1500.0 + 2.0 * k, 0.08) - 1_454.8) * nm**2 / np.gradient(nm)
        top = energies[int(np.where(nm > 450.0, light, 0.0).argmax())]
        near = np.abs(energies - top) < 0.04
        curve = np.polynomial.Polynomial.fit(energies[near], np.log(light[near]), 2)
        peaks.append(float(curve.deriv().roots()[0]))
    assert 0.3e-3 < np.std(peaks) < 1.6e-3


def test_one_seed_gives_one_result_and_another_seed_another(
    bench_spec: Callable[..., WorldSpec],
    recipe_for: Callable[..., SteadyRecipe],
    run_recipe: Callable[[World, SteadyRecipe, float], None],
) -> None:
    def frame(seed: int) -> Array:
        world = World(bench_spec(), seed)
        run_recipe(world, recipe_for(world.spec, 0.3, 1.3, 105.0, 60.0), 0.0)
        world.optics("spectrometer").lamp(200.0, True)
        return world.optics("spectrometer").expose(400.0, 0.1)

    assert np.array_equal(frame(1), frame(1))
    assert not np.array_equal(frame(1), frame(2))


def test_extra_readings_change_nothing(
    bench_spec: Callable[..., WorldSpec],
    recipe_for: Callable[..., SteadyRecipe],
    run_recipe: Callable[[World, SteadyRecipe, float], None],
) -> None:
    frames = []
    for nosy in (False, True):
        world = World(bench_spec(), 9)
        run_recipe(world, recipe_for(world.spec, 0.3, 1.3, 105.0, 60.0), 0.0)
        world.optics("spectrometer").lamp(50.0, True)
        if nosy:
            for k in range(900):
                world.heater("heater").process_value_c(50.0 + 0.31 * k)
                world.pressure("pressure").pressure_kpa(50.0 + 0.31 * k)
                world.pump("cs").displaced_ul(50.0 + 0.31 * k)
        run_recipe(world, recipe_for(world.spec, 0.4, 1.3, 125.0, 80.0), 330.0)
        if nosy:
            world.pressure("pressure").pressure_kpa(480.0)
        frames.append(world.optics("spectrometer").expose(500.0, 0.1))
        heater, tap = world.heater("heater"), world.pressure("pressure")
        frames.append(np.array([heater.process_value_c(510.0), tap.pressure_kpa(510.0)]))
    assert np.array_equal(frames[0], frames[2])
    assert np.array_equal(frames[1], frames[3])


def test_a_change_of_recipe_reaches_the_detector_after_the_transit(
    silent_spec: Callable[..., WorldSpec],
    recipe_for: Callable[..., SteadyRecipe],
    run_recipe: Callable[[World, SteadyRecipe, float], None],
) -> None:
    spec = replace(silent_spec(), transit=TubeSpec(3000.0, 0.5))
    world = World(spec, 1)
    before, after = (recipe_for(spec, f, 1.3, 100.0, 60.0) for f in (0.2, 0.5))
    run_recipe(world, before, 0.0)
    run_recipe(world, after, 1200.0)
    transit_s = spec.transit.volume_ul / spec.reactor.volume_ul * 60.0
    peaks = [measured_line(world, 1200.0 + t)[0] for t in (transit_s - 2.0, transit_s + 60.0, transit_s + 240.0)]
    old, new = world.truth(before).peak_ev, world.truth(after).peak_ev
    assert peaks[0] == pytest.approx(old, abs=1e-3)
    assert new < peaks[1] < old
    assert peaks[2] == pytest.approx(new, abs=1e-3)


def test_fluid_that_waits_in_the_heat_reacts_on(
    silent_spec: Callable[..., WorldSpec],
    recipe_for: Callable[..., SteadyRecipe],
    run_recipe: Callable[[World, SteadyRecipe, float], None],
) -> None:
    world = World(silent_spec(), 1)
    recipe = recipe_for(world.spec, 0.6, 1.3, 90.0, 40.0)
    run_recipe(world, recipe, 0.0)
    flowing = measured_line(world, 900.0)[0]
    for name in recipe.flows_ul_min:
        world.pump(name).drive(905.0, 0.0)
    run_recipe(world, recipe, 1505.0)
    waited = measured_line(world, 1525.0)[0]
    assert waited < flowing - 0.05


def test_an_empty_syringe_shows_in_the_product(
    silent_spec: Callable[..., WorldSpec],
    recipe_for: Callable[..., SteadyRecipe],
    run_recipe: Callable[[World, SteadyRecipe, float], None],
) -> None:
    spec = silent_spec()
    short = replace(spec.pumps[2], syringe_volume_ul=60.0)
    world = World(replace(spec, pumps=(*spec.pumps[:2], short, spec.pumps[3])), 1)
    recipe = recipe_for(spec, 0.5, 1.3, 100.0, 60.0)
    run_recipe(world, recipe, 0.0)
    assert not world.pump("halide").stalled(100.0)
    assert world.pump("halide").stalled(1000.0)
    assert world.syringe("halide").content_ul(1000.0) == pytest.approx(0.0, abs=1e-9)
    assert measured_line(world, 1000.0)[0] > world.truth(recipe).peak_ev + 0.1


def test_a_world_may_begin_at_any_reading_of_the_clock(
    bench_spec: Callable[..., WorldSpec],
    recipe_for: Callable[..., SteadyRecipe],
    run_recipe: Callable[[World, SteadyRecipe, float], None],
) -> None:
    frames = []
    for start_s in (0.0, 65_536.0):
        world = World(bench_spec(), 3, start_s)
        run_recipe(world, recipe_for(world.spec, 0.3, 1.3, 105.0, 60.0), start_s)
        world.optics("spectrometer").lamp(start_s + 200.0, True)
        frames.append(world.optics("spectrometer").expose(start_s + 400.0, 0.25))
    assert frames[0] == pytest.approx(frames[1], rel=1e-6)
    with pytest.raises(TimeReversalError):
        World(bench_spec(), 3, 100.0).pressure("pressure").pressure_kpa(50.0)


def test_importing_the_room_stays_light() -> None:
    code = "import sys, simulators; print(sorted({'scipy', 'torch', 'seabreeze', 'pymodbus'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_another_detector_fits_the_same_world(bench_spec: Callable[..., WorldSpec]) -> None:
    small = SpectrometerSpec(pixels=1024, wavelength_coefficients_nm=(350.0, 0.5), full_scale=16_383.0)
    world = World(replace(bench_spec(), spectrometer=small), 1)
    assert world.optics("spectrometer").expose(0.0, 0.1).shape == (1024,)
