"""Campaigns on rigs in which something goes wrong: survived where it can be, tripped where it must, always safe."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from orchestrator.config import LoadedCampaign, load_rig
from orchestrator.errors import ConfigError
from orchestrator.history.fold import fold
from orchestrator.history.run_state import RunState
from orchestrator.journal.journal import Event, Journal
from orchestrator.sittings.replay import replay_run
from orchestrator.sittings.show import Show
from simulators.faults import FaultKind
from tests.orchestrator.rehearsal import CONFIGS, Rehearsed, rehearse, small


def faulty(*faults: str, experiments: int = 2) -> LoadedCampaign:
    """The quickstart campaign on a bench with these entries in its ``faults:``."""
    lines = "".join(f"    - {fault}\n" for fault in faults)
    return small(experiments, **{"  ambient: 25 degC\n": f"  ambient: 25 degC\n  fault_seed: 7\n  faults:\n{lines}"})


def run(path: Path, *faults: str, experiments: int = 2) -> Rehearsed:
    return rehearse(faulty(*faults, experiments=experiments), path / "run.sqlite")


def interlocks(state: RunState) -> list[str]:
    """The root cause: what tripped behind it is left out."""
    return [str(trip["interlock"]) for trip in state.trips if "behind" not in trip]


def heater_ended_off(ended: Rehearsed) -> bool:
    verbs = [call["v"] for event in ended.events for call in event.calls if call["d"] == "oven"]
    return verbs[::-1].index("heater_off") < verbs[::-1].index("set_temperature")


@pytest.mark.parametrize(
    "fault",
    [
        "{fault: silence, port: pumps, at: 10 min, duration: 20 s}",
        "{fault: port_loss, port: pumps, at: 10 min, duration: 20 s}",
        "{fault: silence, port: oven, at: 10 min, duration: 12 s}",
        "{fault: port_loss, port: oven, at: 10 min, duration: 20 s}",
        "{fault: usb_unplug, device: spectrometer, at: 21 min 10 s, every: 20 s, duration: 5 s}",
        "{fault: usb_hang, device: spectrometer, at: 5 min, every: 2 min, duration: 10 s}",
        "{fault: power_blip, device: solvent, at: 10 min}",
        "{fault: late, port: oven, at: 10 min, duration: 12 s}",
    ],
)
def test_a_short_outage_is_survived(tmp_path: Path, fault: str, caplog: pytest.LogCaptureFixture) -> None:
    if "21 min" in fault:
        fault = fault.replace("21 min 10 s", "5 min")
    ended = run(tmp_path, fault)
    assert ended.state.stop_reason == "budget_experiments"
    assert ended.state.trips == ()
    assert ended.state.safe is True
    assert len(ended.state.told) == 2
    assert ended.rig.faults.injected
    begun = [record for record in caplog.records if "outage:" in record.getMessage()]
    over = [record for record in caplog.records if "back after" in record.getMessage()]
    assert len(begun) == len(over) >= 1


def test_answers_that_come_late_for_a_few_seconds_are_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ended = run(tmp_path, "{fault: late, port: oven, at: 10 min, duration: 6 s}")
    assert ended.rig.faults.injected
    assert len(ended.state.told) == 2
    assert ended.state.trips == ()
    assert not [record for record in caplog.records if "outage:" in record.getMessage()]


@pytest.mark.parametrize("port", ["pumps", "oven"])
def test_an_outage_longer_than_its_bound_is_a_lost_device_and_ends_safely(tmp_path: Path, port: str) -> None:
    ended = run(tmp_path, f"{{fault: port_loss, port: {port}, at: 10 min, duration: 50 s}}")
    assert ended.state.stop_reason == "fault"
    assert interlocks(ended.state) == ["lost device"]
    assert 600.0 < ended.state.trips[0]["t_s"] < 650.0
    # The line was back in time for the safe sequence, or the sequence says which of its steps failed.
    failed = [step["step"] for step in ended.state.safe_steps if not step["ok"]]
    assert failed in ([], ["heaters_off"], ["pumps_stop"], ["flush", "pumps_stop"], ["heaters_off", "flush"])


def test_the_bound_of_an_outage_is_the_rig_files(tmp_path: Path) -> None:
    loaded = faulty("{fault: port_loss, port: oven, at: 10 min, duration: 50 s}")
    recovery = loaded.rig.recovery.model_copy(update={"outage_s": 90.0})
    rig = loaded.rig.model_copy(update={"recovery": recovery})
    patient = LoadedCampaign(**{**{f: getattr(loaded, f) for f in loaded.__dataclass_fields__}, "rig": rig})
    ended = rehearse(patient, tmp_path / "run.sqlite")
    assert (ended.state.stop_reason, ended.state.trips) == ("budget_experiments", ())


@pytest.mark.parametrize(
    ("fault", "interlock", "device"),
    [
        ("{fault: pump_stall, device: pb, at: 20 min}", "pump alarm", "pb"),
        ("{fault: leak, at: 20 min}", "leak", "mixer_pressure"),
        ("{fault: clog, at: 20 min}", "clog", "mixer_pressure"),
        ("{fault: sensor_break, device: oven, at: 20 min}", "heater fault", "oven"),
        ("{fault: sensor_detached, device: oven, at: 20 min}", "temperature not held", "oven"),
        ("{fault: broken_wire, device: mixer_pressure, at: 20 min}", "broken wire", "mixer_pressure"),
        ("{fault: syringe_empty, device: pb, at: 20 min}", "pump alarm", "pb"),
    ],
)
def test_what_no_driver_can_mend_trips_and_ends_in_the_safe_state(
    tmp_path: Path, fault: str, interlock: str, device: str
) -> None:
    ended = run(tmp_path, fault)
    assert ended.state.stop_reason == "fault"
    assert interlocks(ended.state) == [interlock]
    assert ended.state.trips[0]["device"] == device
    assert heater_ended_off(ended)


def test_a_welded_relay_trips_although_the_heater_is_told_to_be_off(tmp_path: Path) -> None:
    ended = run(tmp_path, "{fault: relay_welded, device: oven, at: 20 min}")
    assert interlocks(ended.state) == ["heater runaway"]
    assert heater_ended_off(ended)


def test_a_heater_that_is_lost_does_not_keep_pressure_from_being_watched(tmp_path: Path) -> None:
    # The oven's controller hangs on a bus of its own here, so that only it is silent when the line clogs.
    rig = {
        "    unit: 1\n": "    unit: 1\n",
        "  optics:\n    kind: usb": "  gauge:\n    kind: modbus_rtu\n    url: /dev/ttyUSB2\n  optics:\n    kind: usb",
        "    port: oven\n    unit: 2": "    port: gauge\n    unit: 2",
        "  ambient: 25 degC\n": "  ambient: 25 degC\n  faults:\n"
        "    - {fault: silence, port: oven, at: 20 min, duration: 5 min}\n"
        "    - {fault: clog, at: 20 min, doubling: 2 s}\n",
    }
    ended = rehearse(small(2, **rig), tmp_path / "run.sqlite")
    assert interlocks(ended.state)[0] in ("clog", "over-pressure", "fast pressure rise")
    assert ended.state.trips[0]["t_s"] < 1200.0 + 20.0


def test_faults_belong_to_their_seed_byte_for_byte(tmp_path: Path) -> None:
    faults = (
        "{fault: power_blip, device: pb, every: 3 min}",
        "{fault: garbage, port: oven, share: 0.5 %}",
        "{fault: usb_hang, device: spectrometer, every: 4 min, duration: 5 s}",
    )
    first, second = tmp_path / "1", tmp_path / "2"
    first.mkdir()
    second.mkdir()
    assert run(first, *faults).dump == run(second, *faults).dump


def test_a_run_with_outages_replays_to_the_same(tmp_path: Path) -> None:
    run(
        tmp_path,
        "{fault: silence, port: pumps, at: 10 min, duration: 20 s}",
        "{fault: port_loss, port: oven, at: 15 min, duration: 20 s}",
        "{fault: leak, at: 20 min}",
    )
    result = replay_run(tmp_path / "run.sqlite", Show(as_json=True))
    assert result.same, result.words()


@pytest.mark.parametrize("fault", ["usb_unplug", "usb_hang"])
def test_a_spectrometer_that_stays_away_is_the_one_root_cause(tmp_path: Path, fault: str) -> None:
    ended = run(tmp_path, f"{{fault: {fault}, device: spectrometer, at: 5 min, duration: 30 min}}")
    assert [(trip["interlock"], trip["device"]) for trip in ended.state.trips] == [("lost device", "spectrometer")]
    assert ended.state.stop_reason == "fault"
    assert ended.state.stop_detail.startswith("lost device on spectrometer")
    assert heater_ended_off(ended)
    assert replay_run(tmp_path / "run.sqlite", Show(as_json=True)).same


def test_a_pump_that_fails_the_campaigns_own_order_is_journalled_once(tmp_path: Path) -> None:
    ended = run(tmp_path, "{fault: port_loss, port: pumps, at: 1 min, duration: 10 min}")
    assert interlocks(ended.state) == ["lost device"]
    assert sum("behind" not in trip for trip in ended.state.trips) == 1


def test_a_port_that_is_not_there_at_the_start_is_no_trip(tmp_path: Path) -> None:
    ended = run(tmp_path, "{fault: port_loss, port: pumps, at: 0 s, duration: 10 min}")
    assert (ended.state.stop_reason, ended.state.trips) == ("fault", ())


def when(kind: str, n: int, act: Any, *, attempts: int = 1) -> Any:
    """Do something shortly after an event of experiment ``n``, at most so many times."""
    heard = 0

    def watch(campaign: Any, rig: Any, event: Event) -> None:
        nonlocal heard
        if event.kind == kind and event.data["n"] == n and heard < attempts:
            heard += 1
            asyncio.get_running_loop().call_later(30.0, act, rig)

    return watch


def written(experiments: int) -> LoadedCampaign:
    """A small campaign that says so in its text, as a replay reads it."""
    texts = {
        "experiments: 25": f"experiments: {experiments}",
        "strategy: ensemble": "strategy: sobol",
        "initial: 8": f"initial: {experiments}",
    }
    return small(experiments, **texts)


def blip(rig: Any) -> None:
    rig.faults.inject(asyncio.get_running_loop(), FaultKind.POWER_BLIP, "pb")


def flowing_blip(rig: Any) -> None:
    """Once the recipe flows, whenever that is."""
    loop = asyncio.get_running_loop()
    ordered = rig.ordered
    if ordered is None or ordered.flows_ul_min.get("pb", 0.0) <= 0.0:
        loop.call_later(5.0, flowing_blip, rig)
    else:
        blip(rig)


def test_an_experiment_during_which_a_pump_stood_still_is_not_told_but_run_again(tmp_path: Path) -> None:
    ended = rehearse(written(2), tmp_path / "run.sqlite", watch=when("dosing", 1, flowing_blip))
    mine = [event for event in ended.events if event.data.get("n") == 1]
    once = ["dosing", "settled", "measured"]
    assert [event.kind for event in mine] == ["proposed", *once, "disturbed", *once, "analysed", "told"]
    assert next(event.data["by"] for event in mine if event.kind == "disturbed") == ["pb did not run as told"]
    assert ended.state.experiments[0].accepted
    assert [e.attempts for e in ended.state.experiments] == [2, 1]
    # Both attempts are paid for, and what no counter saw is in the count.
    lost_ul = max(call["r"][5] for e in ended.events for call in e.calls if call["d"] == "pb" and call["v"] == "status")
    assert lost_ul > 0.0
    flow_ul_min = ended.state.experiments[0].flows_ul_min["pb"]
    dosed_s = sum(event.data["elapsed_s"] for event in mine if event.kind == "settled")
    assert ended.state.experiments[0].reagent_ul["pb"] > 0.97 * flow_ul_min * dosed_s / 60.0
    moved_ul = ended.rig.config.pump("pb").holds_ul - ended.rig.faults.world.syringe("pb").content_ul(1e9)
    assert 0.0 <= ended.state.reagent_ul["pb"] - moved_ul <= lost_ul + 1.0
    assert replay_run(tmp_path / "run.sqlite", Show(as_json=True)).same


def test_an_experiment_that_is_disturbed_again_and_again_is_told_as_failed(tmp_path: Path) -> None:
    ended = rehearse(small(1), tmp_path / "run.sqlite", watch=when("dosing", 1, flowing_blip, attempts=9))
    (experiment,) = ended.state.experiments
    assert ended.kinds.count("disturbed") == 2
    assert (experiment.told, experiment.failed, experiment.attempts) == (True, True, 3)
    assert "disturbed" in experiment.flags


def test_a_silent_line_whose_pumps_kept_their_flow_disturbs_nothing(tmp_path: Path) -> None:
    def silence(rig: Any) -> None:
        rig.faults.inject(asyncio.get_running_loop(), FaultKind.SILENCE, "pumps", duration_s=15.0)

    ended = rehearse(small(1), tmp_path / "run.sqlite", watch=when("dosing", 1, silence))
    assert ended.rig.faults.injected
    assert "disturbed" not in ended.kinds


def test_a_kill_after_a_disturbed_attempt_goes_on_with_the_same_proposal(tmp_path: Path) -> None:
    ended = rehearse(small(1), tmp_path / "run.sqlite", watch=when("dosing", 1, flowing_blip))
    state = fold(ended.events[: ended.kinds.index("disturbed") + 1])
    (experiment,) = state.experiments
    assert (experiment.dosing, experiment.told, state.in_doubt()) == (False, False, None)
    assert state.reagent_ul["pb"] > 0.0


def test_a_fault_is_injected_by_hand_too(tmp_path: Path) -> None:
    def watch(campaign: Any, rig: Any, event: Event) -> None:
        if event.kind == "dosing":
            loop = asyncio.get_running_loop()
            loop.call_later(60.0, rig.faults.inject, loop, FaultKind.PUMP_STALL, "solvent")

    ended = rehearse(small(1), tmp_path / "run.sqlite", watch=watch)
    assert interlocks(ended.state) == ["pump alarm"]
    with Journal.open(tmp_path / "run.sqlite", readonly=True) as journal:
        assert next(iter(journal.events())).kind == "run_started"


@pytest.mark.parametrize(
    ("entry", "word"),
    [
        ("{fault: pump_stal, device: pb}", "pump_stall"),
        ("{fault: pump_stall, device: oven}", "there is no device with a pump_stall"),
        ("{fault: sensor_break, device: pb}", "there is no device with a sensor_break"),
        ("{fault: silence, port: pump}", "pumps"),
        ("{fault: leak, share: 120 %}", "out of range"),
        ("{fault: leak, at: 20}", "20"),
        ("{fault: clog, device: pb}", "device"),
    ],
)
def test_a_fault_that_cannot_be_is_refused_with_its_line(tmp_path: Path, entry: str, word: str) -> None:
    text = (CONFIGS / "rigs" / "perovskite-bench.yaml").read_text() + f"  faults:\n    - {entry}\n"
    path = tmp_path / "rig.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_rig(path)
    assert word in str(caught.value)
    assert caught.value.problems[0].line == text.count("\n")
