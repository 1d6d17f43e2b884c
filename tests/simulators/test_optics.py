"""Light: the mixture's spectrum, and the counts that a spectrometer makes of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from simulators import SpecError, SpectrometerSpec, SteadyRecipe, World, WorldSpec
from simulators.emission import HC_EV_NM, CellLight, emission_per_ev, line_centre_and_width


def line(peak_ev: float, fwhm_ev: float, share: float = 0.3) -> CellLight:
    one = np.ones(1)
    return CellLight(0.4, share * one, peak_ev * one, fwhm_ev * one, 2.4 * one, one)


def test_an_energy_line_keeps_its_photons_centre_and_width() -> None:
    energies = np.linspace(1.5, 3.0, 3001)
    spectrum = emission_per_ev(line(2.25, 0.1), energies)
    assert spectrum.sum() * (energies[1] - energies[0]) == pytest.approx(0.3, rel=1e-6)
    assert line_centre_and_width(energies, spectrum) == pytest.approx((2.25, 0.1), abs=1e-5)


def test_photons_per_wavelength_sum_to_photons_per_energy() -> None:
    nm = np.linspace(400.0, 900.0, 20_001)
    energies = HC_EV_NM / nm
    per_nm = emission_per_ev(line(2.0, 0.12), energies) * energies / nm
    assert per_nm.sum() * (nm[1] - nm[0]) == pytest.approx(0.3, rel=1e-5)


def test_darkness_has_no_centre() -> None:
    energies = np.linspace(1.5, 3.0, 301)
    assert np.isnan(line_centre_and_width(energies, np.zeros(301))).all()


def test_with_the_lamp_off_there_is_only_dark(bench_spec: Callable[..., WorldSpec]) -> None:
    world = World(bench_spec(), 1)
    spec = world.spec.spectrometer
    counts = world.optics("spectrometer").expose(5.0, 2.0)
    assert counts.shape == (spec.pixels,)
    assert counts.mean() == pytest.approx(spec.baseline_counts + 2.0 * spec.dark_counts_per_s, abs=10.0)
    assert counts.std() == pytest.approx(spec.read_noise_counts, rel=0.4)


def test_clear_solvent_shows_the_lamp_alone(silent_spec: Callable[..., WorldSpec]) -> None:
    world = World(silent_spec(), 1)
    cell = world.optics("spectrometer")
    dark = cell.expose(1.0, 0.1)
    cell.lamp(1.5, True)
    light = cell.expose(2.0, 0.1) - dark
    nm = np.array(world.spec.spectrometer.wavelengths_list_nm())
    assert nm[int(light.argmax())] == pytest.approx(405.0, abs=0.5)
    away = light[(nm > 450.0) & (nm < 900.0)]
    assert away.max() < 0.01 * light.max()
    assert away.min() > 0.0


def test_the_lamp_line_is_weakened_by_the_absorbance_of_the_sample(
    silent_spec: Callable[..., WorldSpec],
    recipe_for: Callable[..., SteadyRecipe],
    run_recipe: Callable[[World, SteadyRecipe, float], None],
) -> None:
    world = World(silent_spec(), 1)
    recipe = recipe_for(world.spec, 0.3, 1.3, 105.0, 120.0)
    cell = world.optics("spectrometer")
    dark = cell.expose(0.0, 0.1)
    cell.lamp(0.5, True)
    clear = cell.expose(1.0, 0.1) - dark
    run_recipe(world, recipe, 2.0)
    full = cell.expose(1500.0, 0.1) - dark
    top = int(clear.argmax())
    assert -np.log10(full[top] / clear[top]) == pytest.approx(world.truth(recipe).absorbance_405, abs=0.01)


def test_a_good_sample_reads_well_at_a_tenth_of_a_second(
    bench_spec: Callable[..., WorldSpec],
    recipe_for: Callable[..., SteadyRecipe],
    run_recipe: Callable[[World, SteadyRecipe, float], None],
) -> None:
    world = World(bench_spec(), 1)
    recipe = recipe_for(world.spec, 0.26, 1.3, 105.0, 180.0)
    run_recipe(world, recipe, 0.0)
    cell = world.optics("spectrometer")
    cell.lamp(1700.0, True)
    counts = cell.expose(1800.0, 0.1)
    assert 20_000.0 < counts.max() < 45_000.0
    assert counts.max() - 1_450.0 == pytest.approx(0.1 * world.truth(recipe).peak_counts_s, rel=0.05)


def test_shot_noise_follows_the_photoelectrons(bench_spec: Callable[..., WorldSpec]) -> None:
    world = World(bench_spec(), 1)
    cell = world.optics("spectrometer")
    cell.lamp(0.0, True)
    frames = np.array([cell.expose(1.0, 0.5) for _ in range(60)])
    top = int(frames.mean(axis=0).argmax())
    spec = world.spec.spectrometer
    signal = frames[:, top].mean() - spec.baseline_counts
    expected = np.sqrt(signal / spec.photoelectrons_per_count + spec.read_noise_counts**2)
    assert frames[:, top - 3 : top + 4].std(axis=0).mean() == pytest.approx(expected, rel=0.12)


def test_an_exposure_across_a_lamp_change_gets_part_of_the_light(silent_spec: Callable[..., WorldSpec]) -> None:
    world = World(silent_spec(), 1)
    cell = world.optics("spectrometer")
    dark = cell.expose(0.0, 1.0)
    cell.lamp(10.0, True)
    half = cell.expose(9.5, 1.0) - dark
    whole = cell.expose(11.0, 1.0) - dark
    assert half.max() == pytest.approx(0.5 * whole.max(), rel=1e-6)


def test_lamp_and_wavelengths_drift_slowly(bench_spec: Callable[..., WorldSpec]) -> None:
    world = World(bench_spec(), 1)
    cell = world.optics("spectrometer")
    cell.lamp(0.0, True)
    early = np.mean([cell.expose(1.0 + k, 0.2) for k in range(30)], axis=0)
    late = np.mean([cell.expose(8 * 3600.0 + k, 0.2) for k in range(30)], axis=0)
    base = world.spec.spectrometer.baseline_counts
    fall = (late[150:230] - base).sum() / (early[150:230] - base).sum()
    assert fall == pytest.approx(1.0 + 8.0 * world.spec.spectrometer.led_drift_per_h, abs=0.01)


def test_a_senseless_integration_time_is_refused(bench_spec: Callable[..., WorldSpec]) -> None:
    cell = World(bench_spec(), 1).optics("spectrometer")
    for duration_s in (0.0, -1.0, float("nan"), 1e9):
        with pytest.raises(SpecError):
            cell.expose(1.0, duration_s)


def test_pixels_run_from_the_ultraviolet_to_the_near_infrared() -> None:
    nm = SpectrometerSpec().wavelengths_list_nm()
    assert nm[0] == pytest.approx(339.5)
    assert 950.0 < nm[-1] < 1100.0
