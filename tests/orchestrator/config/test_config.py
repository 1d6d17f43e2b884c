"""Rig and campaign files: the shipped ones load, broken ones are refused with the right lines, and nothing escapes."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from orchestrator.config import (
    CampaignConfig,
    LoadedCampaign,
    NewEraPumpConfig,
    RigConfig,
    TwinConfig,
    load_campaign,
    load_rig,
    parse_campaign,
)
from orchestrator.daemon.config import load_daemon
from orchestrator.errors import EXIT_REFUSED, ConfigError
from orchestrator.pool.spec import load_spec

ROOT = Path(__file__).resolve().parents[3]
CAMPAIGNS = sorted((ROOT / "configs" / "campaigns").glob("*.yaml"))
RIGS = sorted((ROOT / "configs" / "rigs").glob("*.yaml"))
BROKEN = sorted((Path(__file__).parent / "broken").glob("*.yaml"))
EXPECTED = re.compile(r"^# expect line (\d+): ?(.*)$", re.MULTILINE)


LOADERS: dict[str, Callable[[Path], object]] = {
    "rig": load_rig,
    "campaign": load_campaign,
    "pool": load_spec,
    "daemon": load_daemon,
}


@pytest.fixture(scope="module")
def quickstart() -> LoadedCampaign:
    return load_campaign(ROOT / "configs" / "campaigns" / "quickstart.yaml")


@pytest.mark.parametrize("path", CAMPAIGNS, ids=lambda path: path.stem)
def test_a_shipped_campaign_loads_with_its_rig(path: Path) -> None:
    loaded = load_campaign(path)
    assert loaded.campaign_text == path.read_text("utf-8")
    assert loaded.rig_text == loaded.rig_path.read_text("utf-8")


@pytest.mark.parametrize("path", RIGS, ids=lambda path: path.stem)
def test_a_shipped_rig_loads(path: Path) -> None:
    assert load_rig(path).pumps


@pytest.mark.parametrize("path", [*CAMPAIGNS, *RIGS], ids=lambda path: path.stem)
def test_a_shipped_file_tells_editors_its_schema(path: Path) -> None:
    modeline = path.read_text("utf-8").splitlines()[0]
    assert modeline.startswith("# yaml-language-server: $schema=")
    assert (path.parent / modeline.partition("$schema=")[2]).is_file()


def test_values_arrive_in_the_units_that_their_names_promise(quickstart: LoadedCampaign) -> None:
    rig, campaign = quickstart.rig, quickstart.config
    pump = rig.pump("cs")
    assert isinstance(pump, NewEraPumpConfig)
    assert campaign.objective.peak is not None
    assert rig.plumbing.reactor.length_mm == 2000.0
    assert rig.plumbing.reactor.volume_ul == pytest.approx(392.70, abs=0.01)
    assert rig.limits.temperature_c == (20.0, 180.0)
    assert pump.syringe.volume_ul == 50_000.0
    assert pump.safe_mode_timeout_s == 30
    assert rig.stocks["lead_bromide"].species["Br"] == 40.0
    assert rig.twin.ripple_cv == pytest.approx(0.03)
    assert (campaign.inputs["residence_time"].low, campaign.inputs["residence_time"].high) == (20.0, 300.0)
    assert campaign.inputs["residence_time"].scale == "log"
    assert campaign.fixed["lead"].value == 2.0
    assert campaign.objective.peak.tolerance_ev == 0.005
    assert campaign.objective.quantum_yield.weight == 0.25
    assert campaign.budget.reactor_time_s == 86_400.0
    assert campaign.measure.integration_s == (0.005, 2.0)


def test_the_flow_range_of_a_pump_is_its_makers() -> None:
    text = {"volume": "10 ml", "diameter": "14.43 mm"}
    pump = NewEraPumpConfig.model_validate(
        {"driver": "new_era", "port": "p", "address": 0, "syringe": text, "stock": "s"}
    )
    low, high = pump.flow_range_ul_min
    assert low * 60.0 == pytest.approx(6.88, abs=0.01)
    assert high / 1000.0 == pytest.approx(8.34, abs=0.01)


def test_a_pump_gives_what_its_maker_says_and_the_rig_allows(quickstart: LoadedCampaign) -> None:
    rig = quickstart.rig
    low, high = rig.pump("cs").flow_range_ul_min
    ranges = [
        rig.model_copy(update={"limits": rig.limits.model_copy(update={"pump_flow_ul_min": limit})}).pump_range_ul_min(
            "cs"
        )
        for limit in (None, 2.0 * high, 0.5 * high)
    ]
    assert ranges == [(low, high), (low, high), (low, 0.5 * high)]


def test_a_campaign_parses_again_from_the_texts_that_were_kept(quickstart: LoadedCampaign) -> None:
    again = parse_campaign(quickstart.campaign_text, "campaign.yaml", quickstart.rig_text, "rig.yaml")
    assert again.config == quickstart.config
    assert again.rig == quickstart.rig


def test_models_are_frozen_all_the_way_down(quickstart: LoadedCampaign) -> None:
    with pytest.raises(ValidationError):
        quickstart.rig.limits.pressure_kpa = 1.0
    models: list[type[BaseModel]] = [CampaignConfig, RigConfig]
    while models:
        model = models.pop()
        assert model.model_config.get("frozen")
        assert model.model_config.get("extra") == "forbid"
        assert model.model_config.get("strict")
        models += [
            part
            for field in model.model_fields.values()
            for part in (field.annotation, *getattr(field.annotation, "__args__", ()))
            if isinstance(part, type) and issubclass(part, BaseModel)
        ]


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_a_broken_file_is_refused_at_the_right_lines(path: Path) -> None:
    expected = [(int(line), words) for line, words in EXPECTED.findall(path.read_text("utf-8", "replace"))]
    assert expected, "the file does not say what is wrong with it"
    with pytest.raises(ConfigError) as caught:
        if path.name.startswith("rig-"):
            load_rig(path)
        else:
            load_campaign(path)
    problems = caught.value.problems
    assert [problem.line for problem in problems] == [line for line, _ in expected]
    for problem, (line, words) in zip(problems, expected, strict=True):
        assert words in problem.summary()
        assert problem.file == str(path)
        assert f"{line:>5} | " in str(problem) or problem.offending.startswith("byte")
    assert caught.value.exit_code == EXIT_REFUSED
    assert "Traceback" not in str(caught.value)


def test_there_are_enough_broken_files() -> None:
    assert len(BROKEN) >= 60


def test_without_the_rig_key_the_rest_of_the_campaign_is_still_checked(
    quickstart: LoadedCampaign, tmp_path: Path
) -> None:
    text = re.sub(r"(?m)^rig:.*$", "", quickstart.campaign_text).replace("reproduce: 2", "reproduce: two")
    path = tmp_path / "campaign.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigError) as caught:
        load_campaign(path)
    assert [problem.path for problem in caught.value.problems] == ["rig", "stop.reproduce"]


def test_a_broken_rig_and_a_broken_campaign_are_reported_together(quickstart: LoadedCampaign) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_campaign(
            quickstart.campaign_text.replace("reproduce: 2", "reproduce: -2"),
            "campaign.yaml",
            quickstart.rig_text.replace("length: 2 m", "length: 2 kg"),
            "rig.yaml",
        )
    assert [problem.file for problem in caught.value.problems] == ["campaign.yaml", "rig.yaml"]


def test_a_budget_below_the_initial_experiments_that_nobody_asked_for_is_the_mistake(
    quickstart: LoadedCampaign,
) -> None:
    text = quickstart.campaign_text.replace("experiments: 25", "experiments: 1")
    with pytest.raises(ConfigError) as caught:
        parse_campaign(re.sub(r"(?m)^  initial: 8.*\n", "", text), "c", quickstart.rig_text, "r")
    (problem,) = caught.value.problems
    assert (problem.path, problem.offending) == ("budget.experiments", "1")
    assert "fewer than the 8 initial experiments" in problem.message
    assert problem.allowed == "8 or more, or planner: {initial: 1}"


def test_problems_are_complete_for_machines(quickstart: LoadedCampaign) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_campaign(
            quickstart.campaign_text.replace("strategy: ensemble", "strategy: ensembel"), "c", quickstart.rig_text, "r"
        )
    (problem,) = caught.value.as_dict()["problems"]
    assert problem["path"] == "planner.strategy"
    assert problem["offending"] == "ensembel"
    assert problem["suggestion"] == "ensemble"
    assert problem["allowed"].startswith("ensemble, gp, gp_scalar")


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_file_with_any_line_spoilt_loads_or_is_refused_clearly(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from([*CAMPAIGNS, *RIGS]))
    lines = path.read_text("utf-8").splitlines()
    index = data.draw(st.integers(0, len(lines) - 1))
    spoil = data.draw(st.sampled_from(["", "?", "- x", "a: b", "  : :", "null", "x: [", "1e400", "{}", "name: 3"]))
    keep = data.draw(st.sampled_from(["indentation", "key", "nothing"]))
    line = lines[index]
    kept = line[: len(line) - len(line.lstrip())] if keep == "indentation" else line.partition(":")[0] + ": "
    lines[index] = ("" if keep == "nothing" else kept) + spoil
    text = "\n".join(lines)
    rig_text = RIGS[0].read_text("utf-8")
    try:
        if path in RIGS:
            parse_campaign(CAMPAIGNS[0].read_text("utf-8"), "c", text, "r")
        else:
            parse_campaign(text, "c", rig_text, "r")
    except ConfigError as error:
        assert error.problems
        assert all(problem.line > 0 and problem.message for problem in error.problems)


def test_the_twins_defaults_are_those_of_the_simulators() -> None:
    from simulators.specs import HeaterSpec, PressureSpec, PumpSpec, SpectrometerSpec, WorldSpec

    heater, pressure, optics = HeaterSpec(), PressureSpec(), SpectrometerSpec()
    pump, world = PumpSpec("p", "s"), {field.name: field.default for field in fields(WorldSpec)}
    assert TwinConfig() == TwinConfig.model_construct(
        ambient_c=heater.ambient_c,
        heat_capacity_j_k=heater.heat_capacity_j_k,
        loss_w_k=heater.loss_w_k,
        power_w=heater.power_w,
        sensor_lag_s=heater.sensor_lag_s,
        ripple_cv=pump.ripple_cv,
        compliance_s=pump.compliance_s,
        viscosity_mpa_s=pressure.viscosity_mpa_s,
        back_pressure_kpa=pressure.back_pressure_kpa,
        pressure_noise_kpa=pressure.noise_kpa,
        led_wavelength_nm=optics.led_wavelength_nm,
        led_drift_per_h=optics.led_drift_per_h,
        wavelength_drift_nm_per_h=optics.wavelength_drift_nm_per_h,
        composition_jitter=world["composition_jitter"],
        residence_jitter=world["residence_jitter"],
    )


def test_loading_a_campaign_imports_nothing_heavy() -> None:
    code = (
        "import sys; from orchestrator.config import load_campaign; load_campaign(sys.argv[1]);"
        "sys.exit(', '.join({'pint', 'numpy', 'scipy', 'torch'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(CAMPAIGNS[0])], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("wanted", LOADERS)
@pytest.mark.parametrize(
    ("file", "its"),
    [
        ("rigs/perovskite-bench.yaml", "rig"),
        ("campaigns/quickstart.yaml", "campaign"),
        ("pools/alkox.yaml", "pool"),
        ("daemon.yaml", "daemon"),
    ],
)
def test_a_file_of_another_kind_is_refused_in_one_line(wanted: str, file: str, its: str, tmp_path: Path) -> None:
    path = ROOT / "configs" / file
    if its == "daemon":
        path = tmp_path / file
        path.write_text(f"kind: daemon\nrigs:\n  bench: {{file: {RIGS[0]}}}\n")
    if its == wanted:
        LOADERS[wanted](path)
        return
    with pytest.raises(ConfigError) as caught:
        LOADERS[wanted](path)
    (problem,) = caught.value.problems
    assert problem.message == f"this is a {its} file, and a {wanted} file is wanted here"
