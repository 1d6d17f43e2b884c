"""Lines of few pixels: on the axis of a file with a step of a nanometre or two they are read as on a fine one."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from orchestrator.spectra import absorption, emission_line
from orchestrator.spectra.analysis import Analysis, Frames, OpticalLayout, QualityRules, analyse
from orchestrator.spectra.shape import target_of
from orchestrator.units import HC_EV_NM

Array = NDArray[np.float64]
EMISSION = OpticalLayout(dark_subtracted=True)
ABSORPTION = OpticalLayout(740.0, 820.0, 440.0, 730.0, mode="absorption")
RULES = QualityRules()


def axis(step_nm: float, first_nm: float = 340.0) -> Array:
    return np.arange(first_nm, 900.0, step_nm)


def line(wavelengths_nm: Array, middle_nm: float = 520.0, fwhm_nm: float = 10.0) -> Array:
    """Counts per nm of a line that is Gaussian in wavelength, 1 at its middle."""
    return np.asarray(np.exp(-4.0 * np.log(2.0) * ((wavelengths_nm - middle_nm) / fwhm_nm) ** 2))


def truth(middle_nm: float, fwhm_nm: float) -> tuple[float, float]:
    """Peak and width in eV of that line per energy, from its values at very many wavelengths."""
    wavelengths = np.linspace(middle_nm - 3.0 * fwhm_nm, middle_nm + 3.0 * fwhm_nm, 200_001)
    spectral = line(wavelengths, middle_nm, fwhm_nm) * wavelengths**2
    above = HC_EV_NM / wavelengths[spectral >= 0.5 * spectral.max()]
    return HC_EV_NM / float(wavelengths[np.argmax(spectral)]), float(np.ptp(above))


def emission(
    wavelengths_nm: Array, shape: Array, *, signal_to_noise: float = 1000.0, seed: int = 1, repeats: int = 3
) -> Analysis:
    rng = np.random.default_rng(seed)
    size = (repeats, wavelengths_nm.size)
    samples = 30000.0 * (shape + rng.normal(0.0, 1.0 / signal_to_noise, size))
    return analyse(Frames(wavelengths_nm, samples, np.zeros((1, wavelengths_nm.size)), 0.1, None), EMISSION, RULES)


def absorbed(wavelengths_nm: Array, absorbance: Array, *, noise_counts: float = 20.0) -> Analysis:
    rng = np.random.default_rng(1)
    white = 45000.0 * np.exp(-0.5 * ((wavelengths_nm - 640.0) / 140.0) ** 2)
    samples = white * 10.0**-absorbance + rng.normal(0.0, noise_counts, (3, wavelengths_nm.size))
    dark = np.zeros((1, wavelengths_nm.size))
    return analyse(Frames(wavelengths_nm, samples, dark, 0.1, white / 0.1), ABSORPTION, RULES)


def exciton(wavelengths_nm: Array, fwhm_ev: float, continuum: float = 0.3, behind_ev: float = 0.25) -> Array:
    """A Gaussian at 2.35 eV of absorbance 0.3, and a continuum that begins behind it."""
    energy = HC_EV_NM / wavelengths_nm - 2.35
    return np.asarray(
        0.3 * np.exp(-4.0 * np.log(2.0) * (energy / fwhm_ev) ** 2)
        + continuum / (1.0 + np.exp(-(energy - behind_ev) / 0.05))
    )


@pytest.mark.parametrize("first_nm", [340.0, 340.3, 340.7])
@pytest.mark.parametrize(
    ("step_nm", "fwhm_nm"),
    [(0.38, 10.0), (0.75, 10.0), (1.0, 10.0), (1.0, 20.0), (2.0, 10.0), (2.0, 15.0), (2.5, 20.0), (5.0, 20.0)],
)
def test_the_width_of_a_line_does_not_depend_on_how_many_pixels_it_has(
    step_nm: float, fwhm_nm: float, first_nm: float
) -> None:
    wavelengths = axis(step_nm, first_nm)
    result = emission(wavelengths, line(wavelengths, 520.0, fwhm_nm))
    peak_ev, fwhm_ev = truth(520.0, fwhm_nm)
    assert result.flags == ()
    assert result.peak_ev == pytest.approx(peak_ev, abs=2e-4)
    assert result.fwhm_ev == pytest.approx(fwhm_ev, rel=0.03)


def test_a_line_of_five_pixels_is_read_near_the_gate_and_its_stated_error_is_its_scatter() -> None:
    wavelengths = axis(2.0)
    shape = line(wavelengths)
    results = [emission(wavelengths, shape, signal_to_noise=50.0, seed=seed, repeats=1) for seed in range(40)]
    assert all(result.accepted for result in results)
    peaks = np.array([result.peak_ev for result in results])
    stated = np.array([result.peak_sd_ev for result in results])
    assert abs(peaks.mean() - truth(520.0, 10.0)[0]) < 5e-4
    assert 0.4 < np.median(stated) / peaks.std(ddof=1) < 2.5


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
@pytest.mark.parametrize("apart_nm", [15.0, 20.0, 30.0])
def test_two_lines_of_five_pixels_each_are_told_from_one_broad_line(apart_nm: float, share: float) -> None:
    wavelengths = axis(2.0)
    result = emission(wavelengths, line(wavelengths) + share * line(wavelengths, 520.0 + apart_nm))
    assert result.flags == ("multi-peak",)
    assert result.fwhm_ev == pytest.approx(truth(520.0, 10.0)[1], rel=0.1)


def test_a_line_of_hardly_more_than_two_pixels_is_coarse_and_still_has_its_peak() -> None:
    wavelengths = axis(4.0)
    result = emission(wavelengths, line(wavelengths))
    assert result.flags == ("coarse",)
    assert not result.accepted
    assert result.peak_ev == pytest.approx(truth(520.0, 10.0)[0], abs=1e-3)


@pytest.mark.parametrize("step_nm", [0.38, 2.0])
def test_a_hot_pixel_is_no_line(step_nm: float) -> None:
    wavelengths = axis(step_nm)
    hot = np.zeros(wavelengths.size)
    hot[wavelengths.size // 3] = 1.0
    result = emission(wavelengths, hot)
    assert result.flags == ("no line",)
    assert result.peak_ev is None


def test_a_hot_pixel_beside_a_coarse_line_is_not_taken_for_it() -> None:
    wavelengths = axis(2.0)
    shape = line(wavelengths)
    shape[np.argmin(np.abs(wavelengths - 560.0))] += 2.0
    result = emission(wavelengths, shape)
    assert result.flags == ("multi-peak",)
    assert result.peak_ev == pytest.approx(truth(520.0, 10.0)[0], abs=5e-4)


@pytest.mark.parametrize("given", ["rounded", "with a line missing"])
def test_an_uneven_axis_does_not_bend_a_line(given: str) -> None:
    pixels = axis(1.13)
    counts = line(pixels, 520.0, 20.0)
    if given == "rounded":
        wavelengths = np.round(pixels, 1)
    else:
        at = int(np.argmin(np.abs(pixels - 525.0)))
        wavelengths, counts = np.delete(pixels, at), np.delete(counts, at)
    result = emission(wavelengths, counts)
    peak_ev, fwhm_ev = truth(520.0, 20.0)
    assert result.flags == ()
    assert result.peak_ev == pytest.approx(peak_ev, abs=5e-4)
    assert result.fwhm_ev == pytest.approx(fwhm_ev, rel=0.03)


def test_a_line_of_many_pixels_is_read_from_the_pixels_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (emission_line, absorption):
        monkeypatch.setattr(module, "between_pixels", lambda *_: pytest.fail("something was put between the pixels"))
    wavelengths = axis(0.38)
    assert emission(wavelengths, line(wavelengths, 520.0, 15.0)).accepted
    assert absorbed(wavelengths, exciton(wavelengths, 0.09)).accepted


def test_a_target_spectrum_with_a_coarse_axis_has_its_peak_between_the_pixels() -> None:
    wavelengths = axis(2.0, 460.7)[:60]
    text = "".join(f"{nm:.1f},{value:.6f}\n" for nm, value in zip(wavelengths, line(wavelengths), strict=True))
    assert target_of(text).peak_ev == pytest.approx(truth(520.0, 10.0)[0], abs=2e-4)


# ---- absorption ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("continuum", [0.0, 0.3])
@pytest.mark.parametrize(
    ("step_nm", "fwhm_ev"), [(0.38, 0.06), (1.0, 0.06), (1.0, 0.1), (2.0, 0.06), (2.0, 0.1), (5.0, 0.1), (5.0, 0.15)]
)
def test_the_width_of_an_absorption_line_does_not_depend_on_how_many_pixels_it_has(
    step_nm: float, fwhm_ev: float, continuum: float
) -> None:
    wavelengths = axis(step_nm)
    result = absorbed(wavelengths, exciton(wavelengths, fwhm_ev, continuum))
    assert result.flags == ()
    assert result.peak_ev == pytest.approx(2.35, abs=5e-3 if fwhm_ev == 0.15 and continuum else 1e-3)
    assert result.fwhm_ev == pytest.approx(fwhm_ev, rel=0.05)
    assert result.absorbance == pytest.approx(0.3, rel=0.05)


def test_an_exciton_close_before_its_continuum_is_seen_on_a_coarse_axis_too() -> None:
    wavelengths = axis(2.0)
    result = absorbed(wavelengths, exciton(wavelengths, 0.06, 0.9, 0.12))
    assert result.flags == ()
    assert result.peak_ev == pytest.approx(2.35, abs=5e-3)


@pytest.mark.parametrize("step_nm", [1.0, 2.0])
@pytest.mark.parametrize("noise_counts", [20.0, 200.0])
def test_noise_on_a_shoulder_is_no_narrow_line(step_nm: float, noise_counts: float) -> None:
    wavelengths = axis(step_nm)
    shoulder = exciton(wavelengths, 0.12, 0.9, 0.03)
    assert absorbed(wavelengths, shoulder, noise_counts=noise_counts).flags == ("no line",)


def test_a_spike_of_absorbance_is_no_line() -> None:
    wavelengths = axis(2.0)
    spike = np.where(np.abs(wavelengths - 560.0) < 1.0, 0.5, 0.0)
    assert absorbed(wavelengths, spike).flags == ("no line",)


def test_an_absorption_line_of_hardly_more_than_two_pixels_is_coarse() -> None:
    wavelengths = axis(5.0)
    result = absorbed(wavelengths, exciton(wavelengths, 0.056, 0.0))
    assert result.flags == ("coarse",)
    assert result.peak_ev == pytest.approx(2.35, abs=2e-3)
