"""Absorbance from white light through the cell: of computed light, of the twin's light, and over a whole campaign."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from orchestrator.config import load_campaign, load_rig, parse_campaign
from orchestrator.errors import ConfigError
from orchestrator.report import render_report
from orchestrator.report.gather import gather
from orchestrator.spectra.absorption import analyse_absorption
from orchestrator.spectra.analysis import (
    Analysis,
    Frames,
    OpticalLayout,
    QualityRules,
    analyse,
    with_steady_light,
)
from orchestrator.units import HC_EV_NM
from simulators.chemistry import build_chemistry
from simulators.emission import CellLight
from simulators.optics import FlowCell
from simulators.specs import ChemistrySpec, SpectrometerSpec
from tests.orchestrator.rehearsal import CONFIGS, rehearse

LAYOUT = OpticalLayout(740.0, 820.0, 440.0, 730.0, mode="absorption")
RULES = QualityRules(max_repeat_scatter_ev=0.02)
NM = np.linspace(340.0, 1000.0, 2000)
DARK = np.full(NM.size, 1000.0)
WHITE = 4.0e5 * np.exp(-0.5 * ((NM - 640.0) / 140.0) ** 2)


def exciton(peak_ev: float, height: float, fwhm_ev: float = 0.1, continuum: float = 0.0) -> NDArray[np.float64]:
    """A Gaussian line, and if wanted a continuum that rises behind it."""
    energy = HC_EV_NM / NM
    line = height * np.exp(-4.0 * np.log(2.0) * ((energy - peak_ev) / fwhm_ev) ** 2)
    above = energy - peak_ev - 0.05
    rise = continuum * height * (1.0 + np.tanh(above / 0.05)) * (0.3 + np.maximum(above, 0.0))
    return np.asarray(line + rise, dtype=np.float64)


def frames(absorbance: np.ndarray, *, grey: float = 1.0, noise: bool = True, factor: float = 1.0) -> Frames:
    """Three repeats with shot noise at 0.1 s; ``grey`` weakens all colours, ``factor`` brightens lamp and blank."""
    rng = np.random.default_rng(1)
    light = factor * WHITE * 0.1 * grey * 10.0**-absorbance
    samples = [light + DARK + noise * rng.normal(0.0, np.sqrt(light / 2.4 + 45.0**2)) for _ in range(3)]
    return Frames(NM, np.array(samples), np.array([DARK]), 0.1, factor * WHITE)


def seen(absorbance: np.ndarray, **options: float) -> Analysis:
    return analyse(frames(absorbance, **options), LAYOUT, RULES)  # type: ignore[arg-type]


@pytest.mark.parametrize("peak_ev", [1.9, 2.2, 2.5])
@pytest.mark.parametrize("height", [0.05, 0.3, 1.0])
def test_peak_width_and_absorbance_of_a_line_are_found(peak_ev: float, height: float) -> None:
    result = seen(exciton(peak_ev, height))
    assert result.accepted
    assert result.peak_ev == pytest.approx(peak_ev, abs=0.004)
    assert result.peak_sd_ev is not None
    assert abs(result.peak_ev - peak_ev) < 5.0 * max(result.peak_sd_ev, 2e-4)  # type: ignore[operator]
    assert result.fwhm_ev == pytest.approx(0.1, rel=0.1)
    assert result.absorbance == pytest.approx(height, rel=0.05)
    assert result.quantum_yield is None


def test_the_lowest_maximum_counts_and_not_the_continuum_behind_it() -> None:
    result = seen(exciton(2.2, 0.3, continuum=0.9))
    assert result.accepted
    assert result.peak_ev == pytest.approx(2.2, abs=0.02)  # the continuum's foot moves the maximum
    assert result.fwhm_ev == pytest.approx(0.1, rel=0.3)


def test_a_shoulder_without_a_maximum_is_no_line() -> None:
    assert seen(exciton(2.2, 0.1, fwhm_ev=0.12, continuum=6.0)).flags == ("no line",)


def test_what_weakens_all_colours_alike_changes_nothing_but_the_clear_band() -> None:
    clear, film = seen(exciton(2.2, 0.3)), seen(exciton(2.2, 0.3), grey=0.93)
    assert film.accepted
    assert film.peak_ev == pytest.approx(clear.peak_ev, abs=0.001)
    assert film.absorbance == pytest.approx(clear.absorbance, abs=0.005)
    assert film.transmitted == pytest.approx([0.93] * 3, abs=0.005)


def test_a_cell_that_passes_little_light_of_any_colour_holds_a_bubble() -> None:
    assert "bubble" in seen(exciton(2.2, 0.3), grey=0.3).flags


def test_a_bubble_that_comes_between_the_looks_and_the_repeats_is_noticed() -> None:
    before, after = seen(exciton(2.2, 0.3)), seen(exciton(2.2, 0.3), grey=0.9)
    assert after.accepted
    assert with_steady_light(after, [before], RULES).flags == ("bubble",)


def test_clear_solvent_is_faint_and_an_opaque_sample_says_so() -> None:
    clear = seen(np.zeros(NM.size))
    assert clear.flags == ("faint",)
    assert clear.peak_ev is None
    opaque = seen(exciton(2.2, 6.0, fwhm_ev=0.3))
    assert opaque.flags == ("opaque",)
    assert opaque.peak_ev is None


def test_a_saturated_spectrum_is_not_scored() -> None:
    assert "saturated" in seen(exciton(2.2, 0.3), factor=1.8).flags


def test_a_closed_shutter_is_opaque_or_a_bubble_and_never_a_line() -> None:
    taken = replace(frames(exciton(2.2, 0.3)), samples=np.array([DARK, DARK, DARK]))
    result = analyse(taken, LAYOUT, RULES)
    assert not result.accepted
    assert result.peak_ev is None


def test_absorbance_needs_a_blank() -> None:
    with pytest.raises(ValueError, match="blank"):
        analyse_absorption(replace(frames(exciton(2.2, 0.3)), blank_rate=None), LAYOUT, RULES)


# ---- the twin --------------------------------------------------------------------------------------------------------


def test_the_twins_white_light_obeys_beer_and_lambert() -> None:
    spec = SpectrometerSpec(mode="absorption", read_noise_counts=0.0, stray_fraction=0.0, photoelectrons_per_count=1e9)
    chemistry = build_chemistry(ChemistrySpec())
    one = np.array([1.0])

    def counts(strength: float) -> np.ndarray:
        light = CellLight(0.0, 0.0 * one, 2.3 * one, 0.1 * one, 2.35 * one, strength * one)
        cell = FlowCell(spec, chemistry, lambda t_s, noise: light, 1, 0.0)
        dark = cell.expose(0.0, 0.1)
        cell.lamp(1.0, True)
        return cell.expose(2.0, 0.1) - dark

    clear, single, double = counts(0.0), counts(0.3), counts(0.6)
    nm = np.array(spec.wavelengths_list_nm())
    band = (nm > 450.0) & (nm < 700.0)
    first, second = (-np.log10(each[band] / clear[band]) for each in (single, double))
    assert second == pytest.approx(2.0 * first, abs=2e-3)
    energy = HC_EV_NM / nm[band]
    red = energy < 2.4
    assert energy[red][np.argmax(first[red])] == pytest.approx(2.35, abs=0.03)
    assert np.abs(first[energy < 2.0]).max() < 1e-3


def test_without_the_lamp_there_is_no_light_in_absorption_either() -> None:
    spec = SpectrometerSpec(mode="absorption")
    cell = FlowCell(spec, build_chemistry(ChemistrySpec()), lambda t_s, noise: pytest.fail("no light"), 1, 0.0)
    assert cell.expose(0.0, 0.1).max() < 3.0 * spec.baseline_counts


# ---- rig files and a campaign ----------------------------------------------------------------------------------------

CAMPAIGN = (CONFIGS / "campaigns" / "absorption-2.40.yaml").read_text()
RIG = (CONFIGS / "rigs" / "perovskite-white-light.yaml").read_text()


def test_a_weight_on_the_yield_is_refused_in_absorption() -> None:
    with pytest.raises(ConfigError, match="sees no yield"):
        parse_campaign(CAMPAIGN.replace("weight: 0 #", "weight: 0.1 #"), "c.yaml", RIG, "r.yaml")


@pytest.mark.parametrize("wanted", ["absorption", "emission"])
def test_a_campaign_about_one_kind_of_spectrum_is_refused_on_a_rig_that_looks_at_the_other(wanted: str) -> None:
    text = CAMPAIGN.replace("  spectra: absorption", f"  spectra: {wanted}")
    bench = (CONFIGS / "rigs" / "perovskite-bench.yaml").read_text()
    for rig, seen in ((RIG, "absorption"), (bench, "emission")):
        if seen == wanted:
            parse_campaign(text, "c.yaml", rig, "r.yaml")
        else:
            with pytest.raises(ConfigError, match=f"measure.spectra: the detector 'spectrometer' .* looks at {seen}"):
                parse_campaign(text, "c.yaml", rig, "r.yaml")


def test_the_clear_band_may_lie_on_either_side_of_the_window_and_not_in_it(tmp_path: Path) -> None:
    for band, fine in (("[740 nm, 820 nm]", True), ("[400 nm, 430 nm]", True), ("[700 nm, 760 nm]", False)):
        (tmp_path / "rig.yaml").write_text(RIG.replace("[740 nm, 820 nm]", band))
        if fine:
            load_rig(tmp_path / "rig.yaml")
        else:
            with pytest.raises(ConfigError, match="where the sample is clear"):
                load_rig(tmp_path / "rig.yaml")


def test_a_campaign_by_absorption_reaches_its_target_on_the_twin(tmp_path: Path) -> None:
    loaded = load_campaign(CONFIGS / "campaigns" / "absorption-2.40.yaml")
    rehearsed = rehearse(loaded, tmp_path / "run.db")
    ended = rehearsed.events[-1].data
    assert ended["stop_reason"] == "target_reproduced", ended
    analysed = [event.data for event in rehearsed.events if event.kind == "analysed"]
    hits = [data for data in analysed if data["accepted"] and abs(data["peak_ev"] - 2.40) <= 0.005]
    assert len(hits) >= 2
    assert all(data["quantum_yield"] is None for data in analysed)
    said = [event.data["predicted"] for event in rehearsed.events if event.kind in ("proposed", "recommended")]
    assert any(said)
    assert all(set(predicted) <= {"peak_ev", "fwhm_ev"} for predicted in said)
    assert all(0.03 <= data["absorbance"] < 1.0 for data in hits)
    page = render_report(tmp_path / "run.db", {"cannot": "nobody asked"})
    assert "Absorption spectra of all experiments" in page
    assert "coloured as the light that it absorbs" in page
    words = re.sub(r"(?s)<(style|script|pre|svg)\b.*?</\1>|<[^>]*>", " ", page)
    assert not re.search(r"\bemi(ssion|ts|tted)\b", words)
    assert "yield" not in words
    read = [spectrum for spectrum in gather(tmp_path / "run.db").spectra if spectrum.n == hits[0]["n"]]
    assert 0.03 < max(read[0].values) < 2.0, "what is drawn is absorbance, and no count"
