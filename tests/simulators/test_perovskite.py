"""The perovskite chemistry: published anchors, sensible trends, realistic failures."""

from __future__ import annotations

import numpy as np
import pytest

from simulators.chemistry import Parcels, arrhenius
from simulators.emission import HC_EV_NM
from simulators.perovskite import CesiumLeadHalide, CesiumLeadHalideConstants

CHEMISTRY = CesiumLeadHalide()


def product(
    *,
    iodide: float = 0.0,
    chloride: float = 0.0,
    ratio: float = 1.3,
    temperature_c: float = 100.0,
    residence_s: float = 180.0,
) -> Parcels:
    """One parcel at 2 mM lead with the offered fractions of exchange halides among all halides."""
    extra = 4.0 / (1.0 - iodide - chloride)
    concentrations = np.array([[2.0 * ratio], [2.0], [4.0], [iodide * extra], [chloride * extra], [20.0]])
    return CHEMISTRY.parcels(concentrations, CHEMISTRY.rates(np.array([temperature_c])) * residence_s)


def dot_peak_nm(edge_nm: float) -> float:
    """Peak of a pure bromide dot of a given size, through constants that make every dot that size."""
    fixed = CesiumLeadHalide(CesiumLeadHalideConstants(nucleus_nm=edge_nm, terminal_nm=1e-9, ripening_rate=1e-12))
    concentrations = np.array([[2.6], [2.0], [4.0], [0.0], [0.0], [20.0]])
    parcel = fixed.parcels(concentrations, np.full((4, 1), 1e-9))
    assert parcel.edge_nm[0] == pytest.approx(edge_nm, rel=1e-6)
    return HC_EV_NM / float(parcel.peak_ev[0])


@pytest.mark.parametrize(("edge_nm", "peak_nm"), [(5.0, 477.0), (8.0, 511.0), (10.0, 519.0)])
def test_bromide_dots_have_the_known_size_dependence(edge_nm: float, peak_nm: float) -> None:
    assert dot_peak_nm(edge_nm) == pytest.approx(peak_nm, abs=1.0)


def test_rates_follow_arrhenius() -> None:
    rates = arrhenius(0.02, 40.0, 100.0, np.array([100.0, 120.0]))
    assert rates[0] == pytest.approx(0.02)
    assert rates[1] / rates[0] == pytest.approx(np.exp(40.0 / 8.314462618e-3 * (1 / 373.15 - 1 / 393.15)))


def test_iodide_shifts_to_the_red_and_chloride_to_the_blue() -> None:
    red = [float(product(iodide=f).peak_ev[0]) for f in (0.0, 0.2, 0.4, 0.6, 0.8)]
    blue = [float(product(chloride=f).peak_ev[0]) for f in (0.0, 0.2, 0.4, 0.6, 0.8)]
    assert np.all(np.diff(red) < -0.05)
    assert np.all(np.diff(blue) > 0.05)


def test_iodide_exchange_starts_linearly_and_chloride_exchange_as_a_square_root() -> None:
    def reached(name: str, residence_s: float) -> float:
        parcel = product(**{name: 0.5}, temperature_c=60.0, residence_s=residence_s)
        return float(parcel.iodide_fraction[0] + parcel.chloride_fraction[0])

    assert reached("iodide", 0.4) / reached("iodide", 0.1) == pytest.approx(4.0, rel=0.05)
    assert reached("chloride", 0.4) / reached("chloride", 0.1) == pytest.approx(2.0, rel=0.05)


def test_small_dots_exchange_faster() -> None:
    def reached(nucleus_nm: float, halide: int) -> float:
        chemistry = CesiumLeadHalide(CesiumLeadHalideConstants(nucleus_nm=nucleus_nm, terminal_nm=1e-9))
        concentrations = np.array([[2.6], [2.0], [4.0], [0.0], [0.0], [20.0]])
        concentrations[halide] = 4.0
        parcel = chemistry.parcels(concentrations, np.full((4, 1), 1e-4))
        return float(parcel.iodide_fraction[0] + parcel.chloride_fraction[0])

    assert reached(5.0, 3) / reached(10.0, 3) == pytest.approx(2.0, rel=0.02)
    assert reached(5.0, 4) / reached(10.0, 4) == pytest.approx(2.0, rel=0.02)


def test_dots_grow_with_time_and_their_line_has_a_best_moment() -> None:
    times = np.geomspace(10.0, 3000.0, 40)
    parcels = [product(temperature_c=120.0, residence_s=float(t)) for t in times]
    edges = np.array([float(p.edge_nm[0]) for p in parcels])
    yields = np.array([float(p.quantum_yield[0]) for p in parcels])
    assert np.all(np.diff(edges) > 0.0)
    assert 3 < int(yields.argmax()) < 36


def test_yield_has_an_interior_optimum_in_temperature_and_in_stoichiometry() -> None:
    by_temperature = [float(product(temperature_c=t).quantum_yield[0]) for t in (60, 80, 100, 120, 140, 160)]
    by_ratio = [float(product(ratio=r).quantum_yield[0]) for r in (0.4, 0.7, 1.0, 1.3, 1.8, 2.5)]
    for row in (by_temperature, by_ratio):
        assert 0 < int(np.argmax(row)) < len(row) - 1
        assert max(row) > 1.8 * min(row)


def test_bromide_and_iodide_shine_and_chloride_does_not() -> None:
    assert 0.5 < float(product().quantum_yield[0]) < 0.9
    assert 0.5 < float(product(iodide=0.5, residence_s=250.0).quantum_yield[0]) < 0.9
    assert float(product(chloride=0.9, residence_s=300.0).quantum_yield[0]) < 0.2


def test_chloride_and_iodide_together_kill_the_yield() -> None:
    apart = min(float(product(iodide=0.3).quantum_yield[0]), float(product(chloride=0.3).quantum_yield[0]))
    assert float(product(iodide=0.3, chloride=0.3).quantum_yield[0]) < 0.1 * apart


def test_too_cold_or_too_little_caesium_gives_hardly_any_light() -> None:
    def light(**where: float) -> float:
        parcel = product(**where)
        return float(parcel.emitter_mm[0] * parcel.quantum_yield[0])

    assert light(temperature_c=60.0, residence_s=20.0) < 0.001 * light()
    assert light(ratio=0.4) < 0.06 * light()


def test_no_reagent_gives_no_emitter_and_no_nan() -> None:
    parcel = CHEMISTRY.parcels(np.zeros((6, 1)), CHEMISTRY.rates(np.array([100.0])) * 60.0)
    assert parcel.emitter_mm[0] == 0.0
    for value in (parcel.peak_ev, parcel.fwhm_ev, parcel.quantum_yield, parcel.edge_nm):
        assert np.isfinite(value).all()


def test_two_mm_of_lead_absorb_about_two_fifths_of_a_decade_across_the_cell() -> None:
    edge_ev = product().edge_ev
    absorptivity = float(CHEMISTRY.absorptivity(np.array([HC_EV_NM / 405.0]), edge_ev)[0])
    assert 0.5 * 2.0 * absorptivity == pytest.approx(0.4, abs=0.05)
