"""Recipes become pump flows by the algebra of the mixed stream, or are refused with the limit that they break."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.config import LoadedCampaign, Range, load_campaign, parse_campaign
from orchestrator.errors import Unreachable
from orchestrator.preflight.findings import sample_recipes
from orchestrator.recipes.many_recipes import feasible_mask
from orchestrator.recipes.plumbing import (
    concentrations_mm,
    duration,
    highest_flow_ul_min,
    pressure_drop_kpa,
    price,
    pump_flows,
)

CONFIGS = Path(__file__).resolve().parents[3] / "configs"
LOADED = load_campaign(CONFIGS / "campaigns" / "quickstart.yaml")
RECIPE = {"iodide_fraction": 0.5, "cs_to_pb": 1.5, "residence_time": 60.0, "temperature": 120.0}


def changed(*, campaign: tuple[str, str] = ("", ""), rig: tuple[str, str] = ("", "")) -> LoadedCampaign:
    """The quickstart with one text replaced in its campaign or its rig file."""
    assert campaign[0] in LOADED.campaign_text
    assert rig[0] in LOADED.rig_text
    return parse_campaign(LOADED.campaign_text.replace(*campaign), "c", LOADED.rig_text.replace(*rig), "r")


@given(
    iodide=st.floats(0.1, 0.9), caesium=st.floats(0.4, 2.5), time=st.floats(20.0, 300.0), celsius=st.floats(60.0, 160.0)
)
@settings(max_examples=50, deadline=None)
def test_the_mixed_stream_has_the_composition_that_was_asked_for(
    iodide: float, caesium: float, time: float, celsius: float
) -> None:
    recipe = {"iodide_fraction": iodide, "cs_to_pb": caesium, "residence_time": time, "temperature": celsius}
    plan = pump_flows(LOADED.config, LOADED.rig, recipe)
    stocks = concentrations_mm(LOADED.config, LOADED.rig)

    def feed_mm(species: str) -> float:
        amounts = (flow * stocks[pump].get(species, 0.0) for pump, flow in plan.flows_ul_min.items())
        return math.fsum(amounts) / plan.total_flow_ul_min

    assert math.fsum(plan.flows_ul_min.values()) == pytest.approx(plan.total_flow_ul_min)
    assert feed_mm("Pb") == pytest.approx(2.0)
    assert feed_mm("Cs") / feed_mm("Pb") == pytest.approx(caesium)
    assert feed_mm("I") / (feed_mm("I") + feed_mm("Br")) == pytest.approx(iodide)
    assert LOADED.rig.plumbing.reactor.volume_ul / plan.total_flow_ul_min * 60.0 == pytest.approx(time)
    assert plan.residence_time_s == pytest.approx(time)
    assert plan.temperature_c == celsius


def test_a_fraction_of_nothing_stops_the_pump() -> None:
    assert pump_flows(LOADED.config, LOADED.rig, {**RECIPE, "iodide_fraction": 0.0}).flows_ul_min["halide"] == 0.0


@pytest.mark.parametrize(
    ("change", "quantity"),
    [
        ({"temperature": 181.0}, "temperature"),
        ({"temperature": 19.0}, "temperature"),
        ({"residence_time": 10.0}, "total flow"),
        ({"residence_time": 2000.0}, "total flow"),
        ({"iodide_fraction": 0.001}, "halide"),
        ({"iodide_fraction": 0.95, "cs_to_pb": 2.5}, "solvent"),
        ({"cs_to_pb": -0.5}, "cs"),
        ({"iodide_fraction": 1.0}, "composition"),
    ],
)
def test_what_the_rig_cannot_do_is_refused_with_the_limit(change: dict[str, float], quantity: str) -> None:
    with pytest.raises(Unreachable) as caught:
        pump_flows(LOADED.config, LOADED.rig, {**RECIPE, **change})
    error = caught.value
    assert error.quantity == quantity
    assert not error.low <= error.value <= error.high


def test_what_rounding_carries_a_hair_beyond_a_limit_is_set_to_the_limit() -> None:
    plan = pump_flows(LOADED.config, LOADED.rig, RECIPE)
    fastest, hottest = max(plan.flows_ul_min.values()) * (1.0 - 5e-10), RECIPE["temperature"] * (1.0 - 5e-10)
    limits = {"pump_flow_ul_min": fastest, "temperature_c": Range(20.0, hottest)}
    rig = LOADED.rig.model_copy(update={"limits": LOADED.rig.limits.model_copy(update=limits)})
    plan = pump_flows(LOADED.config, rig, RECIPE)
    assert (max(plan.flows_ul_min.values()), plan.temperature_c) == (fastest, hottest)


def test_a_pressure_over_the_limit_is_refused() -> None:
    tight = changed(rig=("pressure: 300 kPa", "pressure: 10 kPa"))
    with pytest.raises(Unreachable) as caught:
        pump_flows(tight.config, tight.rig, RECIPE)
    assert caught.value.quantity == "pressure"
    assert pressure_drop_kpa(tight.rig, highest_flow_ul_min(tight.rig)) == pytest.approx(10.0)


def test_the_pressure_is_that_of_hagen_and_poiseuille() -> None:
    loaded = changed(rig=("viscosity: 1.5 mPa s", "viscosity: 1 mPa s"))
    two_point_six_metres = pressure_drop_kpa(loaded.rig, 100.0)
    assert two_point_six_metres / 2.6 == pytest.approx(1.087, abs=0.001)


def test_another_stock_in_a_syringe_changes_what_is_mixed() -> None:
    blue = load_campaign(CONFIGS / "campaigns" / "blue-2.60.yaml")
    assert concentrations_mm(blue.config, blue.rig)["halide"]["Cl"] == 100.0
    assert "I" not in concentrations_mm(blue.config, blue.rig)["halide"]


def test_total_flow_and_volume_fraction_set_the_pumps_directly() -> None:
    loaded = changed(
        campaign=(
            "  lead:\n    kind: concentration # in the mixed stream\n    of: Pb\n    value: 2 mM\n",
            "  lead:\n    kind: volume_fraction\n    of: pb\n    value: 10 %\n",
        )
    )
    plan = pump_flows(loaded.config, loaded.rig, RECIPE)
    assert plan.flows_ul_min["pb"] == pytest.approx(0.1 * plan.total_flow_ul_min)
    assert plan.flows_ul_min == pytest.approx(pump_flows(LOADED.config, LOADED.rig, RECIPE).flows_ul_min)


@pytest.mark.parametrize("limit", ["10 kPa", "300 kPa"])
def test_the_mask_over_many_recipes_agrees_with_each_single_one(limit: str) -> None:
    loaded = changed(rig=("pressure: 300 kPa", f"pressure: {limit}"))
    names = tuple(loaded.config.inputs)
    rng = np.random.default_rng(7)
    low = np.array([-0.05, 0.01, 5.0, 0.0])
    high = np.array([1.05, 6.0, 2000.0, 220.0])
    rows = low + rng.random((400, 4)) * (high - low)
    rows = np.vstack([rows, [[r[name] for name in names] for r in sample_recipes(loaded.config, 200)]])
    rows = np.vstack([rows, [[1.0, 1.0, 60.0, 100.0], [0.0, 1.0, 60.0, 100.0], [0.5, math.nan, 60.0, 100.0]]])

    def single(row: np.ndarray) -> bool:
        try:
            pump_flows(loaded.config, loaded.rig, dict(zip(names, map(float, row), strict=True)))
        except Unreachable:
            return False
        return True

    singles = np.array([single(row) for row in rows])
    assert 0 < singles.sum() < len(rows)
    np.testing.assert_array_equal(feasible_mask(loaded.config, loaded.rig, names)(rows), singles)


def test_the_mask_takes_columns_in_the_order_that_it_was_given() -> None:
    names = ("temperature", "residence_time", "cs_to_pb", "iodide_fraction")
    mask = feasible_mask(LOADED.config, LOADED.rig, names)
    assert mask(np.array([[120.0, 60.0, 1.5, 0.5], [200.0, 60.0, 1.5, 0.5]])).tolist() == [True, False]
    assert mask(np.empty((0, 4))).shape == (0,)


def test_an_experiment_costs_its_flows_for_as_long_as_it_lasts() -> None:
    plan = pump_flows(LOADED.config, LOADED.rig, RECIPE)
    time = duration(LOADED.config, LOADED.rig, plan)
    transit_s = LOADED.rig.plumbing.transit.volume_ul / plan.total_flow_ul_min * 60.0
    assert time.washout_s == pytest.approx(transit_s + 3.0 * 60.0)
    assert time.looks_s == pytest.approx(40.0 + 5 * 0.1)  # two waits; three spectra, and one exposure that is changed
    expected = price(LOADED.config, LOADED.rig, plan)
    assert math.fsum(expected.values()) == pytest.approx(plan.total_flow_ul_min * time.total_s / 60.0)
    assert all(price(LOADED.config, LOADED.rig, plan, worst=True)[pump] > expected[pump] for pump in expected)
