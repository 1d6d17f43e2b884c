"""The preflight finds what a campaign cannot do on its rig before anything is spent, and foretells what it spends."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from orchestrator.config import LoadedCampaign, load_campaign, parse_campaign
from orchestrator.errors import EXIT_REFUSED, ConfigError, PreflightError
from orchestrator.preflight.findings import PreflightReport, corner_recipes, preflight, sample_recipes
from orchestrator.recipes.plumbing import pump_flows

CONFIGS = Path(__file__).resolve().parents[3] / "configs"
LOADED = load_campaign(CONFIGS / "campaigns" / "quickstart.yaml")


def changed(*, campaign: tuple[str, str] = ("", ""), rig: tuple[str, str] = ("", "")) -> LoadedCampaign:
    """The quickstart with one text replaced in its campaign or its rig file."""
    assert campaign[0] in LOADED.campaign_text
    assert rig[0] in LOADED.rig_text
    return parse_campaign(LOADED.campaign_text.replace(*campaign), "c.yaml", LOADED.rig_text.replace(*rig), "r.yaml")


def line_of(text: str, words: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if words in line)


def test_pumps_that_share_a_line_without_a_checksum_are_warned_of() -> None:
    unguarded = preflight(changed(rig=("    safe_mode_timeout: 30 s\n", "")))
    (warning,) = (each for each in unguarded.warnings if "checksum" in each.message)
    assert "safe_mode_timeout" in warning.message
    assert all(pump in warning.message for pump in LOADED.rig.pumps)
    assert not any("checksum" in each.message for each in preflight(LOADED).warnings)


def test_a_window_beyond_what_the_spectrometer_can_see_is_a_problem_of_the_rig_file() -> None:
    infrared = changed(
        campaign=("target: 2.25 eV", "target: 1300 nm"),
        rig=("emission: [418 nm, 800 nm]", "emission: [1100 nm, 1600 nm]"),
    )
    (problem,) = preflight(infrared).problems
    assert problem.line == line_of(infrared.rig_text, "emission: [1100 nm, 1600 nm]")
    assert "beyond what this spectrometer can see" in problem.message
    assert problem.allowed == "within 165 nm to 1100 nm"


@pytest.mark.parametrize(
    ("said", "where", "allowed", "suggestion"),
    [
        ("growth_rat: 0.5", "chemistry.parameters.growth_rat", "growth_rate", "growth_rate"),
        ("growth_rate: -1", "chemistry.parameters.growth_rate", "a finite number above 0", ""),
        ("growth_rate: 1e300", "chemistry.parameters.growth_rate", "1e+12", ""),
    ],
)
def test_a_constant_that_the_twins_chemistry_does_not_take_is_refused_before_the_run(
    said: str, where: str, allowed: str, suggestion: str
) -> None:
    given = changed(campaign=("  twin: cspbx3", f"  twin: cspbx3\n  parameters: {{{said}}}"))
    (problem,) = preflight(given).problems
    assert (problem.path, problem.suggestion) == (where, suggestion)
    assert allowed in problem.allowed
    assert problem.line == line_of(given.campaign_text, "parameters:")


def test_constants_that_the_twins_chemistry_takes_are_no_problem() -> None:
    assert not preflight(changed(campaign=("  twin: cspbx3", "  parameters: {growth_rate: 0.5}"))).problems


@pytest.mark.parametrize("name", ["quickstart", "blue-2.60"])
def test_a_shipped_campaign_can_run(name: str) -> None:
    report = preflight(load_campaign(CONFIGS / "campaigns" / f"{name}.yaml"))
    report.require()
    assert report.figures.reachable_fraction > 0.95
    assert all(pump.expected_ul < pump.syringe_ul for pump in report.figures.pumps.values())


def test_a_syringe_that_has_to_be_changed_for_the_campaign_is_told_at_its_line() -> None:
    blue = load_campaign(CONFIGS / "campaigns" / "blue-2.60.yaml")
    (note,) = [warning for warning in preflight(blue).warnings if warning.path == "syringes.halide"]
    assert "is to hold 'zinc_chloride', where the rig file has 'zinc_iodide'" in note.message
    assert note.line == line_of(blue.campaign_text, "halide: zinc_chloride")
    assert not [warning for warning in preflight(LOADED).warnings if warning.path.startswith("syringes")]


def test_the_same_campaign_gives_the_same_report() -> None:
    assert preflight(LOADED) == preflight(LOADED)


def test_the_sample_fills_the_space_evenly() -> None:
    recipes = list(sample_recipes(LOADED.config, 256))
    for name, entry in LOADED.config.inputs.items():
        log = entry.scale == "log"
        low, high = (math.log(entry.low), math.log(entry.high)) if log else (entry.low, entry.high)
        places = sorted(((math.log(r[name]) if log else r[name]) - low) / (high - low) for r in recipes)
        assert all(abs(place - (index + 0.5) / 256) < 0.04 for index, place in enumerate(places))
    assert len(list(corner_recipes(LOADED.config))) == 16


def test_figures_are_those_of_the_recipes() -> None:
    figures = preflight(LOADED).figures
    corner = pump_flows(
        LOADED.config,
        LOADED.rig,
        {"iodide_fraction": 0.9, "cs_to_pb": 2.5, "residence_time": 20.0, "temperature": 60.0},
    )
    for pump, its in figures.pumps.items():
        assert its.lowest_flow_ul_min <= its.highest_flow_ul_min
        assert its.expected_ul <= its.worst_ul
        if pump != "solvent":
            assert its.highest_flow_ul_min <= corner.flows_ul_min[pump] * (1.0 + 1e-9)
    shortest, mean, longest = figures.experiment_s
    assert 180.0 < shortest < mean < longest  # a change of temperature is in each
    assert figures.reactor_s == pytest.approx(25 * mean)
    assert figures.dead_volume_ul == pytest.approx(510.5, abs=0.1)


@pytest.mark.parametrize(
    ("old", "new", "words", "allowed"),
    [
        ("range: [60 degC, 160 degC]", "range: [60 degC, 200 degC]", "limit of temperature", "20 degC to 180 degC"),
        ("range: [20 s, 300 s]", "range: [10 s, 300 s]", "limit of total flow", "15.71 s to 1178 s"),
        ("range: [20 s, 300 s]", "range: [20 s, 2000 s]", "limit of total flow", "15.71 s to 1178 s"),
    ],
)
def test_a_range_beyond_the_rigs_limits_is_a_problem_at_that_line(old: str, new: str, words: str, allowed: str) -> None:
    loaded = changed(campaign=(old, new))
    (problem,) = preflight(loaded).problems
    assert words in problem.message
    assert problem.allowed == allowed
    assert (problem.file, problem.line) == ("c.yaml", line_of(loaded.campaign_text, new))


def test_a_range_that_ends_at_a_limit_below_zero_is_within_it() -> None:
    cold = ("[60 degC, 160 degC]", "[-40 degC, -20 degC]")
    assert preflight(changed(campaign=cold, rig=("[20 degC, 180 degC]", "[-40 degC, -20 degC]"))).problems == ()


def test_a_tube_too_thin_for_the_pressure_limit_is_a_problem() -> None:
    loaded = changed(rig=("pressure: 300 kPa", "pressure: 20 kPa"))
    (problem,) = preflight(loaded).problems
    assert "limit of pressure" in problem.message


def test_stocks_too_dilute_for_any_recipe_are_a_problem() -> None:
    loaded = changed(rig=("{Pb: 20 mM, Br: 40 mM", "{Pb: 1 mM, Br: 2 mM"))
    report = preflight(loaded)
    assert report.figures.reachable_fraction == 0.0
    (problem,) = report.problems
    assert "none of 65536 sampled recipes" in problem.message
    assert "too dilute" in problem.message
    with pytest.raises(PreflightError) as caught:
        report.require()
    assert caught.value.exit_code == EXIT_REFUSED


def test_a_part_of_the_space_out_of_reach_is_a_warning_with_its_share_and_reason() -> None:
    report = preflight(changed(rig=("Zn: 50 mM, I: 100 mM", "Zn: 10 mM, I: 20 mM")))
    assert report.ok
    assert 0.5 < report.figures.reachable_fraction < 0.95
    assert sum(report.figures.unreachable.values()) == pytest.approx(1.0 - report.figures.reachable_fraction)
    text = " ".join(warning.message for warning in report.warnings)
    assert "of the space cannot be set" in text
    assert "16 corners" in text


def warnings_of(report: PreflightReport) -> str:
    return " ".join(warning.summary() for warning in report.warnings)


def test_more_reagent_allowed_than_a_syringe_holds_is_a_problem() -> None:
    loaded = changed(campaign=("  reactor_time: 24 h", "  reactor_time: 24 h\n  reagent: {cs: 60 ml}"))
    (problem,) = preflight(loaded).problems
    assert (problem.path, problem.allowed) == ("budget.reagent.cs", "up to 50 ml")


def test_too_little_reactor_time_is_a_warning() -> None:
    report = preflight(changed(campaign=("reactor_time: 24 h", "reactor_time: 2 h")))
    assert report.ok
    assert "25 experiments take about 3.9 h, and 2 h are allowed" in warnings_of(report)


def test_a_transmitter_that_cannot_see_the_pressure_limit_is_a_problem_of_the_rig() -> None:
    with pytest.raises(ConfigError) as caught:
        changed(rig=("range: [0 kPa, 1000 kPa]", "range: [0 kPa, 100 kPa]"))
    (problem,) = caught.value.problems
    assert (problem.file, problem.path) == ("r.yaml", "limits.pressure")


@pytest.mark.parametrize(
    ("oven", "limit", "allowed"),
    [
        ("decimals: 2", "318 degC", "from -327.68 degC to below 317.67 degC"),
        ("driver: novus\n    decimals: 3", "180 degC", "from -32.768 degC to below 22.767 degC"),
        ("driver: ika", "445 degC", "from -50 degC to below 440 degC"),
    ],
)
def test_limits_that_the_heater_cannot_tell_are_a_problem_of_the_rig(oven: str, limit: str, allowed: str) -> None:
    loaded = changed()
    entry = "    driver: eurotherm\n    port: oven\n    unit: 1\n    registers: integer\n    decimals: 1\n"
    assert entry in loaded.rig_text
    if oven.startswith("driver"):
        port = "line" if "ika" in oven else "oven\n    unit: 1"
        lines = "ports:\n  line: {kind: serial, url: /dev/ttyUSB9}\n"
        rig = loaded.rig_text.replace(entry, f"    {oven}\n    port: {port}\n").replace("ports:\n", lines, 1)
    else:
        rig = loaded.rig_text.replace("decimals: 1", oven)
    rig = rig.replace("[20 degC, 180 degC]", f"[20 degC, {limit}]")
    with pytest.raises(ConfigError) as caught:
        parse_campaign(loaded.campaign_text, "c.yaml", rig, "r.yaml")
    (problem,) = caught.value.problems
    assert (problem.file, problem.path, problem.allowed) == ("r.yaml", "limits.temperature", allowed)
    assert "'oven' tells temperatures" in problem.message


def test_a_twin_whose_heater_does_not_get_as_hot_as_the_campaign_wants_is_warned_of() -> None:
    hot = changed(
        campaign=("[60 degC, 160 degC]", "[60 degC, 330 degC]"), rig=("20 degC, 180 degC]", "20 degC, 340 degC]")
    )
    report = preflight(hot)
    assert report.ok
    assert "on twins 120 W heat to 322 degC" in warnings_of(report)
    rig = hot.rig_text.replace("\ntwin:\n", "\ntwin:\n  power: 200 W\n")
    assert "on twins" not in warnings_of(preflight(parse_campaign(hot.campaign_text, "c.yaml", rig, "r.yaml")))


def test_a_rig_without_a_pressure_transmitter_or_a_clean_solvent_is_warned_of() -> None:
    assert "no pressure transmitter" in warnings_of(preflight(changed(rig=("  pressure: mixer_pressure\n", ""))))
    loaded = changed(rig=("  toluene:\n", "  toluene:\n    species: {ligand: 1 mM}\n"))
    assert "no pure solvent" in warnings_of(preflight(loaded))


def test_a_report_is_plain_data_for_machines() -> None:
    report = preflight(LOADED).as_dict()
    assert report["ok"] is True
    assert report["figures"]["pumps"]["cs"]["stock"] == "caesium_oleate"


def test_values_beyond_the_rigs_limits_are_shown_where_they_stand() -> None:
    hot = changed(campaign=("range: [60 degC, 160 degC]", "values: [100 degC, 190 degC]"))
    (problem,) = preflight(hot).problems
    assert (problem.path, problem.offending) == ("inputs.temperature.values", "[100 degC, 190 degC]")
    assert problem.line == line_of(hot.campaign_text, "190 degC")


@pytest.mark.parametrize(
    "edit",
    [
        ("range: [60 degC, 160 degC]", "range: [185 degC, 190 degC]"),
        ("objective:\n", "constraints:\n  - temperature <= 10 degC\nobjective:\n"),
    ],
)
def test_one_mistake_that_leaves_no_recipe_is_one_problem(edit: tuple[str, str]) -> None:
    (problem,) = preflight(changed(campaign=edit)).problems
    assert "none of" not in problem.message or "temperature <= 10 degC" in problem.message
