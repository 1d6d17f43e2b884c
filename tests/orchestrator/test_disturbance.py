"""What makes a reading stand for another recipe than the one that was set."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.devices import HeaterReading, PumpReading
from orchestrator.disturbance import disturbances, interruptions
from tests.orchestrator.rehearsal import small

CAMPAIGN = small(1).config


def rig(**counts: int) -> Any:
    pumps = {
        name: SimpleNamespace(newest=PumpReading("infusing", 0.0, 0.0, None, count)) for name, count in counts.items()
    }
    return SimpleNamespace(pumps=pumps, heater=SimpleNamespace(name="oven"))


def heater(temperature_c: float) -> HeaterReading:
    return HeaterReading(temperature_c, 120.0, 0.4, ())


def test_a_pump_that_stood_still_before_the_recipe_flowed_does_not_matter() -> None:
    assert disturbances(rig(pb=2, cs=0), {"pb": 2, "cs": 0}, heater(120.0), 120.0, CAMPAIGN) == ()


def test_a_pump_that_stood_still_since_is_named() -> None:
    before = interruptions(rig(pb=2, cs=0))
    assert disturbances(rig(pb=3, cs=0), before, heater(120.0), 120.0, CAMPAIGN) == ("pb did not run as told",)


@pytest.mark.parametrize(("temperature_c", "count"), [(120.4, 0), (120.6, 1), (119.4, 1)])
def test_a_reactor_outside_its_band_is_not_the_recipes(temperature_c: float, count: int) -> None:
    assert len(disturbances(rig(), {}, heater(temperature_c), 120.0, CAMPAIGN)) == count


def test_nobody_is_disturbed_by_a_heater_that_was_not_read() -> None:
    assert disturbances(rig(), {}, None, 120.0, CAMPAIGN) == ()
