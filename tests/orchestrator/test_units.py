"""Quantities with units become floats in the unit that was promised, or an error that shows how to write them."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import units
from orchestrator.units import DIMENSIONS, QuantityError, format_quantity, parse_quantity


@pytest.mark.parametrize(
    ("text", "dimension", "expected"),
    [
        ("80 µl/min", units.FLOW, 80.0),
        ("80 \u03bcl/min", units.FLOW, 80.0),
        ("80ul/min", units.FLOW, 80.0),
        ("6 ml/h", units.FLOW, 100.0),
        ("120 degC", units.TEMPERATURE, 120.0),
        ("393.15 K", units.TEMPERATURE, 120.0),
        ("0.5 K", units.TEMPERATURE_DIFFERENCE, 0.5),
        ("2.25 eV", units.ENERGY, 2.25),
        ("0.02 M", units.CONCENTRATION, 20.0),
        ("10 min", units.TIME, 600.0),
        ("1 bar", units.PRESSURE, 100.0),
        ("90 %", units.FRACTION, 0.9),
        (0.9, units.FRACTION, 0.9),
        ("  1.5e1 mPa s ", units.VISCOSITY, 15.0),
        ("5 meV", units.ENERGY_DIFFERENCE, 0.005),
        ("3 %/h", units.DRIFT, 0.03),
    ],
)
def test_a_quantity_is_converted_exactly(text: object, dimension: units.Dimension, expected: float) -> None:
    assert parse_quantity(text, dimension) == expected


def test_a_wavelength_is_a_photon_energy() -> None:
    planck, light, charge = 6.62607015e-34, 299792458.0, 1.602176634e-19
    assert parse_quantity("551 nm", units.ENERGY) == pytest.approx(planck * light / charge / 551e-9, rel=1e-14)


@pytest.mark.parametrize("text", [80, 80.5, "80", "-3e2"])
def test_a_bare_number_is_refused_and_shown_with_a_unit(text: object) -> None:
    with pytest.raises(QuantityError, match="bare number") as caught:
        parse_quantity(text, units.FLOW)
    assert caught.value.suggestion.endswith(' µl/min"')


@pytest.mark.parametrize(
    ("text", "dimension", "words", "suggestion"),
    [
        ("80 degC", units.FLOW, "makes a temperature", ""),
        ("5 degC", units.TEMPERATURE_DIFFERENCE, "temperature difference is wanted", '"5 K"'),
        ("24 hours", units.TIME, "no unit of time", '"24 h"'),
        ("60 C", units.TEMPERATURE, "no unit of temperature", '"60 degC"'),
        ("80 µl/mn", units.FLOW, "no unit of flow rate", '"80 µl/min"'),
        ("80 UL/Min", units.FLOW, "no unit of flow rate", '"80 µl/min"'),
        ("80 µl per hour", units.FLOW, "no unit of flow rate", '"80 µl/h"'),
        ("0.6 mPas", units.VISCOSITY, "no unit of viscosity", '"0.6 mPa s"'),
        ("20 MIN", units.TIME, "no unit of time", '"20 min"'),
        ("60 ℃", units.TEMPERATURE, "no unit of temperature", '"60 degC"'),
        ("140 degF", units.TEMPERATURE, "no unit of temperature", ""),
        ("140 F", units.TEMPERATURE, "no unit of temperature", ""),
        ("2 mg/ml", units.CONCENTRATION, "no unit of concentration", ""),
        ("2 mmol/ml", units.CONCENTRATION, "no unit of concentration", ""),
        ("2 g/l", units.CONCENTRATION, "no unit of concentration", ""),
        ("20 MM", units.CONCENTRATION, "no unit of concentration", ""),
        ("2 atm", units.PRESSURE, "no unit of pressure", ""),
        ("2 torr", units.PRESSURE, "no unit of pressure", ""),
        ("2 hbar", units.PRESSURE, "no unit of pressure", ""),
        ("300 mpa", units.PRESSURE, "no unit of pressure", ""),
        ("300 kpa", units.PRESSURE, "no unit of pressure", '"300 kPa"'),
        ("80 MW", units.POWER, "no unit of power", ""),
        ("500 ppm", units.FRACTION, "no unit of fraction", ""),
        ("0,5 mm", units.LENGTH, "decimal mark", '"0.5 mm"'),
        ("2,5 degF", units.TEMPERATURE, "decimal mark", ""),
        ("2,25", units.ENERGY, "decimal mark", '"2.25 eV"'),
        ("0,125", units.FRACTION, "decimal mark", "0.125"),
        ("86,400 s", units.TIME, "without a comma", ""),
        ("1,500 µl/min", units.FLOW, "without a comma", ""),
        ("1,234,567.5 s", units.TIME, "without a comma", ""),
        ("0.9", units.FRACTION, "in quotes", "0.9"),
        ("wide", units.LENGTH, "a length is wanted", ""),
        (None, units.LENGTH, "a length is wanted", ""),
        (True, units.FRACTION, "a fraction is wanted", ""),
        ([1], units.LENGTH, "a length is wanted", ""),
    ],
)
def test_what_is_no_quantity_is_refused_with_what_was_meant(
    text: object, dimension: units.Dimension, words: str, suggestion: str
) -> None:
    with pytest.raises(QuantityError, match=words) as caught:
        parse_quantity(text, dimension)
    assert caught.value.suggestion == suggestion


@pytest.mark.parametrize(
    ("text", "dimension"),
    [
        ("1e999 s", units.TIME),
        ("nan s", units.TIME),
        ("inf s", units.TIME),
        ("0 nm", units.ENERGY),
        (math.nan, units.FRACTION),
        (math.inf, units.FRACTION),
        (10**400, units.FRACTION),
    ],
)
def test_nothing_that_is_not_finite_passes(text: object, dimension: units.Dimension) -> None:
    with pytest.raises(QuantityError):
        parse_quantity(text, dimension)


def test_the_kept_scales_are_what_pint_computes() -> None:
    assert units.SCALES.read_text("utf-8") == units.scales_text()


@pytest.mark.parametrize("dimension", DIMENSIONS, ids=lambda dimension: dimension.name)
def test_every_spelling_and_example_of_a_dimension_is_read(dimension: units.Dimension) -> None:
    for text in (dimension.example, *(f"1.5 {spelling}" for spelling in dimension.spellings)):
        assert re.fullmatch(dimension.pattern, text)
        assert math.isfinite(parse_quantity(text, dimension))


@given(
    dimension=st.sampled_from([dimension for dimension in DIMENSIONS if not dimension.bare]),
    value=st.decimals(min_value="0.001", max_value="1000", places=3),
)
def test_a_quantity_that_is_written_out_reads_back(dimension: units.Dimension, value: Decimal) -> None:
    number = float(value)
    assert parse_quantity(format_quantity(number, dimension), dimension) == pytest.approx(number, rel=1e-5)


@given(st.text(max_size=30))
def test_any_text_is_a_number_or_a_clear_refusal(text: str) -> None:
    for dimension in (units.FLOW, units.ENERGY, units.FRACTION):
        try:
            assert math.isfinite(parse_quantity(text, dimension))
        except QuantityError as error:
            assert error.message


def test_reading_a_quantity_needs_neither_pint_nor_numpy() -> None:
    code = (
        "import sys; from orchestrator.units import FLOW, parse_quantity; parse_quantity('80 µl/min', FLOW);"
        "sys.exit(bool({'pint', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
