"""What makes a reading stand for another recipe than the one that was set."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.campaign.campaign import Campaign
from orchestrator.config import load_campaign, parse_campaign
from orchestrator.experiment import performing
from orchestrator.experiment.disturbance import disturbances, interruptions
from orchestrator.journal.journal import Event
from orchestrator.recipes.exposures import LEAST_ALLOWANCE_S, blank_allowance_s, measuring_allowance_s
from orchestrator.rig.devices import HeaterReading, PumpReading
from orchestrator.rig.rig import Ordered, Rig
from simulators.faults import FaultKind
from tests.orchestrator.rehearsal import CONFIGS, rehearse, small

CAMPAIGN = small(1).config


def rig(**counts: int) -> Any:
    pumps = {
        name: SimpleNamespace(newest=PumpReading("infusing", 0.0, 0.0, None, count)) for name, count in counts.items()
    }
    return SimpleNamespace(pumps=pumps, heater=SimpleNamespace(name="oven"), ordered=None)


def delivering(state: str, flow_ul_min: float, *, pauses: bool = False) -> Any:
    """A rig with one pump that was ordered to give a flow."""
    return SimpleNamespace(
        pumps={"cs": SimpleNamespace(newest=PumpReading(state, 0.0, 0.0, None))},
        heater=SimpleNamespace(name="oven"),
        ordered=Ordered({"cs": flow_ul_min}, {"cs": 1000.0}, 0.0),
        config=SimpleNamespace(pump=lambda name: SimpleNamespace(pauses=pauses)),
    )


def heater(temperature_c: float) -> HeaterReading:
    return HeaterReading(temperature_c, 120.0, 0.4, ())


def test_a_pump_that_stood_still_before_the_recipe_flowed_does_not_matter() -> None:
    assert disturbances(rig(pb=2, cs=0), {"pb": 2, "cs": 0}, heater(120.0), 120.0, CAMPAIGN) == ()


def test_a_pump_that_stood_still_since_is_named() -> None:
    before = interruptions(rig(pb=2, cs=0))
    assert disturbances(rig(pb=3, cs=0), before, heater(120.0), 120.0, CAMPAIGN) == ("pb did not run as told",)


@pytest.mark.parametrize(
    ("state", "flow_ul_min", "pauses", "words"),
    [
        ("infusing", 80.0, False, ()),
        ("stopped", 80.0, False, ("cs had stopped before the end",)),
        ("stopped", 80.0, True, ("cs had stopped before the end",)),
        ("stopped", 0.0, False, ()),
        ("withdrawing", 80.0, False, ("cs had stopped before the end",)),
        ("withdrawing", 80.0, True, ()),
    ],
)
def test_a_pump_that_is_wanted_must_run_until_the_end(
    state: str, flow_ul_min: float, pauses: bool, words: tuple[str, ...]
) -> None:
    rig = delivering(state, flow_ul_min, pauses=pauses)
    assert disturbances(rig, {}, heater(120.0), 120.0, CAMPAIGN) == words


@pytest.mark.parametrize(("temperature_c", "count"), [(120.4, 0), (120.6, 1), (119.4, 1)])
def test_a_reactor_outside_its_band_is_not_the_recipes(temperature_c: float, count: int) -> None:
    assert len(disturbances(rig(), {}, heater(temperature_c), 120.0, CAMPAIGN)) == count


def test_a_heater_that_was_silent_at_the_end_is_told() -> None:
    assert disturbances(rig(), {}, None, 120.0, CAMPAIGN) == ("oven did not say how warm it was",)


def test_what_is_read_after_the_pumps_have_reached_their_bound_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(performing, "BOUND_MARGIN", 0.1)
    ended = rehearse(small(1, **{"[20 s, 300 s]": "[20 s, 60 s]", "timeout: 15 min": "timeout: 8 min"}), tmp_path / "r")
    assert ended.state.trips == ()
    (experiment,) = ended.state.told
    assert (experiment.attempts, experiment.accepted) == (performing.MOST_ATTEMPTS, False)
    assert "disturbed" in experiment.flags
    assert "cs had stopped before the end" in experiment.quality


def test_a_heater_that_went_out_unheard_while_the_spectra_were_taken_is_asked_before_they_are_believed(
    tmp_path: Path,
) -> None:
    def power_cut(campaign: Campaign, rig: Rig, event: Event) -> None:
        if event.kind == "settled" and not rig.faults.injected:
            loop = asyncio.get_running_loop()
            rig.faults.inject(loop, FaultKind.PORT_LOSS, "oven", duration_s=25.0)
            rig.faults.world.block.command(loop.time(), 20.0, False)

    ended = rehearse(small(1, **{"[20 s, 300 s]": "[20 s, 60 s]"}), tmp_path / "r", watch=power_cut)
    first, second = [event.data["temperature_c"] for event in ended.events if event.kind == "measured"]
    (disturbed,) = [event.data["by"] for event in ended.events if event.kind == "disturbed"]
    (experiment,) = ended.state.told
    assert first < experiment.recipe["temperature"] - 1.0
    assert [words.split(" at ")[0] for words in disturbed] == ["oven"]
    assert second == pytest.approx(experiment.recipe["temperature"], abs=0.5)
    assert experiment.accepted
    assert ended.state.trips == ()


def test_pumps_run_until_the_end_of_a_measurement_however_long_its_spectra_take(tmp_path: Path) -> None:
    slow = {"exposure: 100 ms": "exposure: 60 s", "every: 5 s": "every: 60 s", "repeats: 3\n": "repeats: 12\n"}
    one = {"experiments: 25": "experiments: 1", "initial: 8 ": "initial: 1 ", "[20 s, 300 s]": "[20 s, 60 s]"}
    campaign = (CONFIGS / "campaigns" / "quickstart.yaml").read_text()
    rig = (CONFIGS / "rigs" / "cavro-julabo.yaml").read_text()
    for old, new in {**slow, **one, "timeout: 15 min": "timeout: 5 min"}.items():
        assert old in campaign + rig
        campaign, rig = campaign.replace(old, new), rig.replace(old, new)
    ended = rehearse(parse_campaign(campaign, "c.yaml", rig, "r.yaml"), tmp_path / "run.sqlite")
    (measured,) = [event for event in ended.events if event.kind == "measured"]
    states = [call["r"][0] for call in measured.calls if call["d"] == "cs" and call["v"] == "status"]
    assert len(states) > 50
    assert set(states) == {"infusing"}
    assert [event.kind for event in ended.events].count("disturbed") == 0


@pytest.mark.parametrize("campaign", ["quickstart", "blue-2.60", "in-order-2.15", "absorption-2.40"])
def test_the_shipped_campaigns_leave_their_pumps_the_least_that_there_is(campaign: str) -> None:
    loaded = load_campaign(CONFIGS / "campaigns" / f"{campaign}.yaml")
    assert measuring_allowance_s(loaded.config, loaded.rig) == LEAST_ALLOWANCE_S
    assert blank_allowance_s(loaded.config, loaded.rig) == LEAST_ALLOWANCE_S


def test_the_allowance_covers_every_spectrum_at_the_longest_exposure() -> None:
    wide = small(1, **{"integration: [5 ms, 2 s]": "integration: [5 ms, 65 s]"})
    # The last look and the measurement may each change the exposure five times; a spectrum is thrown away each time.
    spectra = 2 * (1 + 5 * 2) + 1 + 3 + 1 + 3 + 1
    assert measuring_allowance_s(wide.config, wide.rig) == 20.0 + spectra * 65.0
