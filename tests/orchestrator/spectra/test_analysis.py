"""Counts to peak, width and yield: exact on exact input, honest about its error on noisy input, silent on rubbish."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from orchestrator.spectra.analysis import (
    Analysis,
    Frames,
    OpticalLayout,
    QualityRules,
    analyse,
    with_steady_light,
    with_wander,
)
from orchestrator.units import HC_EV_NM

Array = NDArray[np.float64]
LAYOUT = OpticalLayout()
RULES = QualityRules()
WAVELENGTHS: Array = np.polynomial.Polynomial([340.0, 0.38, -1.4e-5])(np.arange(2048.0))
ELECTRONS_PER_COUNT = 2.44


def line_counts(peak_ev: float, fwhm_ev: float, height: float) -> Array:
    """Counts per pixel of a line that is Gaussian in energy, its tallest pixel at ``height``."""
    energy = HC_EV_NM / WAVELENGTHS
    spectral = np.exp(-4 * np.log(2) * ((energy - peak_ev) / fwhm_ev) ** 2)
    counts = spectral * np.gradient(WAVELENGTHS) / WAVELENGTHS**2
    return np.asarray(height * counts / counts.max())


def lamp_counts(height: float) -> Array:
    return np.asarray(height * np.exp(-4 * np.log(2) * ((WAVELENGTHS - 405.0) / 6.0) ** 2))


def frames(emission: Array, *, transmitted: float = 0.8, noise_seed: int | None = None, repeats: int = 3) -> Frames:
    dark = np.full(2048, 1500.0)
    lamp = lamp_counts(30000.0)
    clean = dark + lamp * transmitted + emission
    samples = np.repeat(clean[None, :], repeats, axis=0)
    if noise_seed is not None:
        generator = np.random.default_rng(noise_seed)
        samples = generator.poisson(samples * ELECTRONS_PER_COUNT) / ELECTRONS_PER_COUNT
        samples = samples + generator.normal(0.0, 8.0, samples.shape)
    return Frames(WAVELENGTHS, np.clip(samples, 0, 65535), dark[None, :], 0.1, lamp / 0.1)


def analysed(emission: Array, **options: object) -> Analysis:
    return analyse(frames(emission, **options), LAYOUT, RULES)  # type: ignore[arg-type]


@pytest.mark.parametrize("peak_ev", [1.85, 1.95, 2.25, 2.40, 2.60, 2.85])
def test_a_noiseless_gaussian_line_is_found_within_a_hundredth_of_a_mev(peak_ev: float) -> None:
    result = analysed(line_counts(peak_ev, 0.09, 40000.0))
    assert result.flags == ()
    assert result.peak_ev == pytest.approx(peak_ev, abs=1e-5)
    assert result.fwhm_ev == pytest.approx(0.09, rel=0.02)


def test_the_stated_error_of_the_peak_is_the_scatter_that_noise_gives() -> None:
    results = [analysed(line_counts(2.25, 0.1, 20000.0), noise_seed=seed) for seed in range(40)]
    peaks = np.array([result.peak_ev for result in results])
    stated = np.array([result.peak_sd_ev for result in results])
    assert abs(peaks.mean() - 2.25) < 3e-4
    assert 0.4 < np.median(stated) / peaks.std(ddof=1) < 2.5


def test_the_relative_yield_is_emitted_over_absorbed_times_the_instruments_factor() -> None:
    emission = line_counts(2.3, 0.1, 30000.0)
    lamp = lamp_counts(30000.0)
    window = (LAYOUT.lamp_low_nm <= WAVELENGTHS) & (LAYOUT.lamp_high_nm >= WAVELENGTHS)
    expected = emission.sum() / (lamp[window].sum() * 0.2)
    result = analysed(emission, transmitted=0.8)
    assert result.quantum_yield == pytest.approx(expected, rel=0.01)
    assert result.absorbance == pytest.approx(-np.log10(0.8), abs=1e-3)


def test_no_yield_is_invented_where_nothing_is_absorbed() -> None:
    result = analysed(line_counts(2.3, 0.1, 30000.0), transmitted=1.0)
    assert result.quantum_yield is None
    assert result.peak_ev is not None


def test_a_flat_top_is_flagged_as_saturated() -> None:
    assert "saturated" in analysed(line_counts(2.3, 0.1, 90000.0)).flags


def test_an_empty_cell_is_dark_and_has_no_numbers() -> None:
    result = analysed(np.zeros(2048), noise_seed=3)
    assert "dark" in result.flags
    assert result.peak_ev is None and result.fwhm_ev is None and result.quantum_yield is None


def test_two_lines_are_flagged_as_multi_peak() -> None:
    both = line_counts(2.0, 0.08, 30000.0) + line_counts(2.5, 0.08, 20000.0)
    assert "multi-peak" in analysed(both).flags


def test_repeats_that_disagree_are_flagged_as_drifting() -> None:
    shifted = [frames(line_counts(2.2 + 0.03 * k, 0.1, 30000.0), repeats=1).samples[0] for k in range(3)]
    taken = frames(line_counts(2.2, 0.1, 30000.0))
    moving = Frames(taken.wavelengths_nm, np.array(shifted), taken.darks, taken.integration_s, taken.blank_rate)
    assert "drifting" in analyse(moving, LAYOUT, RULES).flags


def test_a_cell_that_lets_through_more_light_than_solvent_holds_a_bubble() -> None:
    assert "bubble" in analysed(line_counts(2.2, 0.1, 30000.0), transmitted=1.4).flags


def test_a_line_cut_off_by_the_edge_of_the_window_is_not_scored() -> None:
    result = analysed(line_counts(3.1, 0.3, 20000.0))
    assert not result.accepted


def test_a_saturated_lamp_line_still_tells_the_absorbance_by_its_flanks() -> None:
    dark, lamp = np.full(2048, 1500.0), lamp_counts(200000.0)
    sample = np.clip(dark + 0.8 * lamp + line_counts(2.2, 0.1, 30000.0), 0, 65535)
    taken = Frames(WAVELENGTHS, sample[None, :], dark[None, :], 0.7, lamp / 0.7)
    assert analyse(taken, LAYOUT, RULES).absorbance == pytest.approx(-np.log10(0.8), abs=2e-3)


def test_a_line_that_wandered_while_it_was_watched_is_known_no_better_than_that() -> None:
    still = analysed(line_counts(2.25, 0.1, 40000.0))
    assert with_wander(still, [2.250, 2.250, 2.250]).peak_sd_ev == pytest.approx(still.peak_sd_ev, abs=1e-5)
    wandering = with_wander(still, [2.246, 2.249, 2.254])
    assert wandering.peak_sd_ev == pytest.approx(np.std([2.246, 2.249, 2.254, 2.25], ddof=1), abs=1e-5)
    assert wandering.peak_ev == still.peak_ev


@pytest.mark.parametrize(("share", "flags"), [(0.0, ()), (0.04, ()), (0.1, ("bubble",)), (0.5, ("bubble",))])
def test_a_bubble_between_the_looks_and_the_measurement_is_told_by_the_lamp_light_it_takes(
    share: float, flags: tuple[str, ...]
) -> None:
    emission = line_counts(2.3, 0.1, 30000.0)
    looks = [analysed(emission, transmitted=0.8, repeats=1) for _ in range(3)]
    measured = analysed((1.0 - share) * emission, transmitted=0.8 * (1.0 - share))
    assert measured.flags == ()
    assert with_steady_light(measured, looks, RULES).flags == flags


def test_a_bubble_that_comes_between_two_repeats_is_flagged_by_the_measurement_alone() -> None:
    whole = frames(line_counts(2.3, 0.1, 30000.0))
    samples = whole.samples.copy()
    samples[2] = 1500.0 + 0.8 * (samples[2] - 1500.0)
    bent = Frames(whole.wavelengths_nm, samples, whole.darks, whole.integration_s, whole.blank_rate)
    assert analyse(bent, LAYOUT, RULES).flags == ("bubble",)


def test_without_a_blank_the_lamps_light_says_nothing() -> None:
    whole = frames(line_counts(2.3, 0.1, 30000.0))
    unlit = Frames(whole.wavelengths_nm, whole.samples, whole.darks, whole.integration_s, None)
    result = analyse(unlit, LAYOUT, RULES)
    assert result.transmitted == ()
    assert with_steady_light(result, [result], RULES) == result
