"""What the spectra of an experiment take: by the detector's own exposures, its files' pace and its lamp's patience."""

from __future__ import annotations

import math
from pathlib import Path
from typing import get_args

import pytest

from drivers.ocean_models import LONGEST_INTEGRATION_S, SEABREEZE_MODELS
from orchestrator.config import LoadedCampaign, load_campaign, parse_campaign
from orchestrator.config.spectrometers import OceanModelName, OceanOpticsConfig
from orchestrator.preflight.findings import preflight
from orchestrator.recipes import plumbing
from orchestrator.recipes.exposures import looking_s, measuring_s, spectrum_s
from orchestrator.recipes.plumbing import duration, pump_flows
from orchestrator.sittings.replay import replay_run
from orchestrator.sittings.show import Show
from simulators.ocean_models import MODELS
from tests.orchestrator.rehearsal import CONFIGS, rehearse, small

RECIPE = {"iodide_fraction": 0.5, "cs_to_pb": 1.5, "residence_time": 60.0, "temperature": 120.0}
SLOW_FILES = {"exposure: 100 ms": "exposure: 60 s", "every: 5 s": "every: 60 s"}


def on(rig: str, **edits: str) -> LoadedCampaign:
    """The quickstart with random recipes on a shipped rig; ``edits`` replace texts of the two files."""
    campaign = (CONFIGS / "campaigns" / "quickstart.yaml").read_text().replace("strategy: ensemble", "strategy: random")
    text = (CONFIGS / "rigs" / f"{rig}.yaml").read_text()
    for old, new in edits.items():
        assert old in campaign + text, f"the files do not say {old!r}"
        campaign, text = campaign.replace(old, new), text.replace(old, new)
    return parse_campaign(campaign, "c.yaml", text, "r.yaml")


def spectra(loaded: LoadedCampaign) -> float:
    """What all spectra of an experiment take besides the two waits between looks, in s."""
    return looking_s(loaded.config, loaded.rig) + measuring_s(loaded.config, loaded.rig) - 40.0


@pytest.mark.parametrize(
    ("rig", "edits", "one_s"),
    [
        ("perovskite-bench", {}, math.sqrt(0.005 * 2.0)),
        ("ika-hdx", {}, math.sqrt(0.006 * 2.0)),  # an HDX exposes for 6 ms at least
        ("ika-hdx", {"integration: [5 ms, 2 s]": "integration: [3 s, 65 s]"}, math.sqrt(3.0 * 10.0)),
        ("perovskite-bench", {"integration: [5 ms, 2 s]": "integration: [3 s, 65 s]", "USB2000+": "STS"}, 195.0**0.5),
        ("cavro-julabo", {}, 5.0),
        ("cavro-julabo", SLOW_FILES, 60.0),
        ("cavro-julabo", {"exposure: 100 ms": "exposure: 20 s"}, 20.0),
        ("cavro-julabo", {"every: 5 s": "every: 5 s\n    rests: 12 s"}, 15.0),  # two files come while one rests
    ],
)
def test_a_spectrum_takes_what_the_detector_takes_for_it(rig: str, edits: dict[str, str], one_s: float) -> None:
    loaded = on(rig, **edits)
    assert spectrum_s(loaded.config, loaded.rig) == pytest.approx(one_s)


def test_darks_are_counted_only_where_they_are_taken_and_so_is_the_time_that_the_lamp_needs() -> None:
    settling = on("perovskite-bench", **{"    model: USB2000+": "    model: USB2000+\n    lamp_line: {settle: 30 s}"})
    # One to look at, one thrown away, three repeats; the first look of a folder's fixed exposure needs no other.
    assert spectra(on("cavro-julabo")) == pytest.approx((3 + 1 + 1 + 3) * 5.0)
    assert spectra(on("cavro-julabo", **SLOW_FILES)) == pytest.approx((3 + 1 + 1 + 3) * 60.0 - 40.0)
    # Where it can be changed it is changed once; three darks, and a spectrum thrown away after each switch.
    assert spectra(on("perovskite-bench")) == pytest.approx((3 + 2 + 1 + 1 + 3 + 1 + 3 + 1) * 0.1)
    assert spectra(settling) == pytest.approx(spectra(on("perovskite-bench")) + 2.0 * 30.0)


@pytest.mark.parametrize("edits", [{}, SLOW_FILES], ids=["as shipped", "a minute each"])
def test_an_experiment_takes_as_long_as_it_was_expected_to_where_files_come_at_their_own_pace(
    edits: dict[str, str], tmp_path: Path
) -> None:
    one = {"experiments: 25": "experiments: 1", "initial: 8 ": "initial: 1 ", "drift: 1 meV": "drift: 500 meV"}
    ended = rehearse(on("cavro-julabo", **edits, **one), tmp_path / "run.sqlite")
    (experiment,) = ended.state.experiments
    assert len(experiment.looks_ev) == 3
    assert experiment.reagent_ul["cs"] == pytest.approx(experiment.expected_ul["cs"], rel=0.1)


@pytest.mark.parametrize(
    ("edits", "interval", "too_late"),
    [
        ({}, "890 s", False),
        ({}, "900 s", True),
        (SLOW_FILES, "700 s", False),
        (SLOW_FILES, "850 s", True),
    ],
)
def test_looks_that_outlast_the_time_out_are_a_warning_and_only_those(
    edits: dict[str, str], interval: str, too_late: bool, tmp_path: Path
) -> None:
    wide = {"drift: 1 meV": "drift: 500 meV", "look_interval: 20 s": f"look_interval: {interval}"}
    one = {"experiments: 25": "experiments: 1", "initial: 8 ": "initial: 1 "}
    loaded = on("cavro-julabo" if edits else "perovskite-bench", **edits, **wide, **one)
    warned = any("would time out" in warning.message for warning in preflight(loaded).warnings)
    settled = [event.data for event in rehearse(loaded, tmp_path / "run.sqlite").events if event.kind == "settled"]
    assert warned == too_late
    assert [each["outcome"] for each in settled] == ["timeout" if too_late else "steady"]


def test_a_syringe_that_slow_spectra_would_empty_is_said_before_anything_runs() -> None:
    small_syringe = {"volume: 50 ml": "volume: 8 ml"}
    assert preflight(on("cavro-julabo", **small_syringe)).ok
    slow = preflight(on("cavro-julabo", **small_syringe, **SLOW_FILES, **{"repeats: 3\n": "repeats: 12\n"}))
    assert not slow.ok
    assert "in the syringe of 'cs'" in slow.problems[0].summary()


def test_the_blank_of_slow_spectra_is_in_the_solvent_that_is_expected() -> None:
    quick, slow = (preflight(on("cavro-julabo", **edits)).figures for edits in ({}, SLOW_FILES))
    longer_s = (slow.experiment_s[1] - quick.experiment_s[1]) * 25
    by_experiments_ul = longer_s / 60.0 * (quick.pumps["solvent"].highest_flow_ul_min)
    assert 5_000.0 < slow.pumps["solvent"].expected_ul - quick.pumps["solvent"].expected_ul < by_experiments_ul


def test_the_shipped_quickstart_is_expected_to_take_what_its_waits_take() -> None:
    loaded = load_campaign(CONFIGS / "campaigns" / "quickstart.yaml")
    plan = pump_flows(loaded.config, loaded.rig, RECIPE)
    time = duration(loaded.config, loaded.rig, plan)
    assert time.washout_s + 40.0 < time.total_s < 1.01 * (time.washout_s + 40.0)


def test_a_record_made_with_other_prices_is_followed_by_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    easy = {"tolerance: 5 meV": "tolerance: 40 meV", "reproduce: 2": "reproduce: 1", "[20 s, 300 s]": "[20 s, 40 s]"}
    with monkeypatch.context() as then:
        then.setattr(plumbing, "looking_s", lambda campaign, rig: 40.0)
        run = rehearse(small(12, **easy), tmp_path / "run.sqlite")
    assert "replicate" in [experiment.kind for experiment in run.state.experiments]
    assert replay_run(tmp_path / "run.sqlite", Show(as_json=True)).same


@pytest.mark.parametrize("model", get_args(OceanModelName))
def test_a_rig_file_allows_the_exposures_that_its_spectrometer_takes_and_counts_to_the_same_end(
    model: OceanModelName,
) -> None:
    name = SEABREEZE_MODELS[model]
    built = MODELS[name]
    config = OceanOpticsConfig(driver="ocean_optics", port="usb", model=model)
    longest_s = min(built.longest_us / 1e6, LONGEST_INTEGRATION_S.get(name, math.inf))
    assert config.exposure_range_s == (built.shortest_us / 1e6, longest_s)
    assert config.full_scale_counts == built.full_scale_counts
