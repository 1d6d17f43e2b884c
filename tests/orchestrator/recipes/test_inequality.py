"""Inequalities are read with their units, refused at the character that is wrong, and hold for one as for many."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.recipes.dimensions import CONCENTRATION, DIFFERENCE, FLOW, NUMBER, TEMPERATURE, TIME
from orchestrator.recipes.inequality import InequalityError, parse_inequality

KNOWN = {
    "time": TIME,
    "total_flow": FLOW,
    "temperature": TEMPERATURE,
    "a": NUMBER,
    "b": NUMBER,
    "a-b": NUMBER,
    "in": NUMBER,
    "flow(halide)": FLOW,
    "concentration(Pb)": CONCENTRATION,
}


@pytest.mark.parametrize(
    ("text", "values", "holds"),
    [
        ("a + b <= 1", {"a": 0.4, "b": 0.5}, True),
        ("a + b <= 90 %", {"a": 0.5, "b": 0.5}, False),
        ("time * total_flow <= 2 ml", {"time": 60.0, "total_flow": 33.0}, True),
        ("time * total_flow <= 2 ml", {"time": 60.0, "total_flow": 34.0}, False),
        ("temperature - 100 degC <= 0.2 K/s * (300 s - time)", {"temperature": 150.0, "time": 50.0}, True),
        ("temperature - 100 degC <= 12 K/min * (300 s - time)", {"temperature": 151.0, "time": 50.0}, False),
        ("temperature >= -5 degC", {"temperature": -4.0}, True),
        ("-5 °C <= temperature <= +20 degC", {"temperature": -6.0}, False),
        ("temperature - -5 degC <= 10 K", {"temperature": 6.0}, False),
        ("temperature >= -5 degC + 2 K", {"temperature": -3.5}, False),
        ("1 min <= time <= 2 min", {"time": 121.0}, False),
        ("1 min ≤ time", {"time": 60.0}, True),
        ("time >= 1 min", {"time": 60.0 * (1 - 1e-12)}, True),
        ("a-b <= 1", {"a-b": 2.0}, False),
        ("a - b >= 0", {"a": 0.3, "b": 0.1 + 0.2}, True),
        ("in < 1", {"in": 0.5}, True),
        ("flow(halide) >= 6 ml/h", {"flow(halide)": 99.0 / 60.0}, False),
        ("concentration(Pb) <= 0.002 M", {"concentration(Pb)": 1.9}, True),
        ("a >= 1e-3", {"a": 0.002}, True),
        ("2E+1 * a <= .5e-1 + b", {"a": 0.01, "b": 0.1}, False),
        ("time <= 1e2s", {"time": 101.0}, False),
        ("a <= 1e-400", {"a": 0.0}, True),
        ("sqrt(a) <= log10(b)", {"a": 4.0, "b": 101.0}, True),
        ("a**2 <= exp(b) / 2", {"a": 1.0, "b": 0.0}, False),
        ("abs(a - b) <= 0.1", {"a": 0.0, "b": 0.2}, False),
        ("time - 60 s >= 0", {"time": 61.0}, True),
        ("1 / a <= 3", {"a": 0.0}, False),
        ("log(a) <= 0", {"a": -1.0}, False),
        ("exp(-0.1 / a) <= 0.9", {"a": 0.0}, True),
        ("1 / (1 + 1 / a) <= 0.9", {"a": 0.0}, True),
        ("a / exp(400 * a) <= 0.5", {"a": 2.0}, True),
        ("exp(-exp(400 * a)) <= 0.5", {"a": 2.0}, True),
        ("a * log(a) <= 0.5", {"a": 0.0}, False),
        ("a ** -1 >= 0.5", {"a": 0.0}, False),
        ("a ** 0.5 <= 1", {"a": -1.0}, False),
    ],
)
def test_an_inequality_holds_or_not_for_one_recipe_as_for_many(
    text: str, values: dict[str, float], holds: bool
) -> None:
    inequality = parse_inequality(text, KNOWN)
    assert (inequality.broken(values) is None) is holds
    rows = {name: np.array([value, value]) for name, value in values.items()}
    assert inequality.met(rows, 2).tolist() == [holds, holds]
    assert inequality.names == set(values)


@pytest.mark.parametrize(
    ("text", "at", "words", "hint"),
    [
        ("time <= 60", 8, "a time cannot be held against a pure number", "60 s"),
        ("tim <= 60 s", 0, "there is no 'tim'", "time"),
        ("a <= flow(halid)", 5, "there is no 'flow(halid)'", "flow(halide)"),
        ("time <= 60 sec", 8, "'sec' is no unit", "60 s"),
        ("a <= 1e-3 sec", 5, "'sec' is no unit", "1e-3 s"),
        ("a <= 5 e", 5, "'e' is no unit", ""),
        ("a <= 1e400", 5, "this number is too large", ""),
        ("time <= 1e400 s", 8, "this number is too large", ""),
        ("time <= 60 MIN", 8, "'MIN' is no unit", "60 min"),
        ("temperature <= 212 degF", 15, "'degF' is no unit", ""),
        ("time + 5 ml <= 1 s", 7, "a volume cannot be added to a time", ""),
        ("2 * temperature <= 100 degC", 4, "has no zero to count from", ""),
        ("-temperature <= 5 degC", 1, "has no zero to count from", ""),
        ("temperature >= 2 * -5 degC", 19, "has no zero to count from", ""),
        ("temperature >= -(5 degC + 1 K)", 17, "has no zero to count from", ""),
        ("temperature <= 400 K", 15, "a temperature cannot be held against a temperature difference", "126.85 degC"),
        ("273.15 K <= temperature", 12, "a temperature difference cannot be held against a temperature", "0 degC"),
        ("temperature + temperature <= 9 degC", 14, "cannot be added", ""),
        ("time = 60 s", 5, "an equality leaves nothing to search", ""),
        ("a == b", 2, "an equality leaves nothing to search", ""),
        ("a ^ 2 <= b", 2, "a power is written **", ""),
        ("a ** b <= 2", 5, "the power must be a number", ""),
        ("time <= 100 s / (1 - 1)", 17, "this is zero, and nothing can be divided by it", ""),
        ("a * (2/0) <= 1", 7, "this is zero, and nothing can be divided by it", ""),
        ("a / (2 - 2) <= 1", 5, "this is zero, and nothing can be divided by it", ""),
        ("a <= 0 ** -1", 5, "this has no value that is a number", ""),
        ("a + sqrt(1 - 2) >= 0", 4, "this has no value that is a number", ""),
        ("a * exp(999) <= 1", 4, "this has no value that is a number", ""),
        ("a <= 1e200 * 1e200", 5, "this has no value that is a number", ""),
        ("log(time) <= 3", 4, "log is of pure numbers", ""),
        ("(a + b <= 1", 0, "this is no inequality", ""),
        ("a + b", 0, "two sides", ""),
        ("1 s <= 2 s", 0, "no name stands in it", ""),
        ("a.real <= 1", 0, "does not belong into an inequality", ""),
        ("__import__('os') <= a", 0, "there is no '__import__()'", ""),
        ("a if b else a <= 1", 0, "two sides", ""),
        ("[a] <= 1", 0, "does not belong into an inequality", ""),
        ("a in b", 0, "this is no inequality", ""),
    ],
)
def test_what_is_no_inequality_is_refused_at_its_character(text: str, at: int, words: str, hint: str) -> None:
    with pytest.raises(InequalityError) as caught:
        parse_inequality(text, KNOWN)
    assert words in caught.value.message
    assert caught.value.at == at
    assert caught.value.suggestion == hint


def test_a_broken_one_says_both_sides_in_their_units() -> None:
    broken = parse_inequality("time * total_flow <= 2 ml", KNOWN).broken({"time": 60.0, "total_flow": 50.0})
    assert broken is not None
    assert broken.reason == "time * total_flow <= 2 ml does not hold: 3000 µl is above 2000 µl"
    flow = parse_inequality("flow(halide) >= 5 µl/min", KNOWN).broken({"flow(halide)": 2.0 / 60.0})
    assert flow is not None
    assert flow.reason.endswith("5 µl/min is above 2 µl/min")


def test_dimensions_multiply() -> None:
    assert TIME.times(FLOW).words == "a volume"
    assert FLOW.times(CONCENTRATION).unit == "s^-1 nmol"
    assert DIFFERENCE.times(DIFFERENCE, -1.0) == NUMBER


@given(text=st.text(alphabet="ab+-*/<>=().^ 0129smlK%_[]'\"", max_size=30))
@settings(max_examples=300, deadline=None)
def test_any_text_is_an_inequality_or_a_clear_refusal(text: str) -> None:
    try:
        inequality = parse_inequality(text, KNOWN)
    except InequalityError as error:
        assert error.message
        assert 0 <= error.at <= max(len(text), 1)
        return
    inequality.broken(dict.fromkeys(inequality.names, 0.5))
    assert inequality.met({name: np.array([0.5, math.inf]) for name in inequality.names}, 2).shape == (2,)
