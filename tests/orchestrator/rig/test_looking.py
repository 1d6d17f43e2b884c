"""What `lumiflow devices` says, and that it changes nothing by asking."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path

import pytest

from drivers import Look, NewEraPump
from orchestrator.clock.virtual_time import blocking_clock, run_real
from orchestrator.config import load_rig
from orchestrator.rig.looking import LONGEST_LOOK_S, identify_port, look_around, look_at
from orchestrator.twins import Setting
from orchestrator.twins.serving import rewritten_rig, serve_rig
from tests.orchestrator.rehearsal import CONFIGS

RIGS = sorted((CONFIGS / "rigs").glob("*.yaml"))


@pytest.mark.parametrize("path", RIGS, ids=lambda path: path.stem)
def test_every_device_of_every_shipped_rig_is_seen_on_twins(path: Path) -> None:
    found = look_at(path, hardware=False)
    assert [each.name for each in found.seen] == list(load_rig(path).devices)
    assert all(each.quality == "good" and each.firmware and each.age_s is not None for each in found.seen), found
    assert found.exit_code == 0
    assert json.loads(json.dumps(found.as_dict()))["mode"] == "twins"
    assert all(each.name in found.text() for each in found.seen)


def test_looking_at_a_rig_that_runs_leaves_it_running(tmp_path: Path) -> None:
    path = CONFIGS / "rigs" / "harvard-watlow.yaml"
    rig = load_rig(path)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        served = await serve_rig(rig, Setting(), blocking_clock(loop), ptys=False)
        try:
            written = tmp_path / "served.yaml"
            written.write_text(rewritten_rig(path.read_text(), served, 1.0))
            now_s = loop.time()
            served.stage.world.heater("oven").command(now_s, 80.0, True)
            served.stage.world.pump("cs").drive(now_s, 100.0)
            before = served.stage.state(now_s)
            found = await asyncio.to_thread(look_at, written, hardware=True)
            after = served.stage.state(loop.time())
        finally:
            served.close()
        assert {each.name: each.error for each in found.seen if each.error} == {}
        assert [each.name for each in found.seen] == list(rig.devices)
        for name, heater in after["heaters"].items():
            assert heater["set_point_c"] == before["heaters"][name]["set_point_c"]
        flows = {name: pump["flow_ul_min"] for name, pump in after["pumps"].items()}
        assert flows == {**dict.fromkeys(rig.pumps, 0.0), "cs": 100.0}
        assert after["valves"] == before["valves"]
        assert after["lamp_on"] is before["lamp_on"]

    run_real(main())


def test_at_a_rig_that_is_served_faster_a_device_has_as_long_to_answer_as_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = CONFIGS / "rigs" / "perovskite-bench.yaml"
    pace = 1000.0

    async def slow(self: NewEraPump) -> Look:
        await asyncio.to_thread(threading.Event().wait, 1.5 * LONGEST_LOOK_S / pace)
        return Look("NE1000", "stopped", "0 µL infused")

    monkeypatch.setattr(NewEraPump, "look", slow)

    async def main() -> None:
        served = await serve_rig(load_rig(path), Setting(), blocking_clock(asyncio.get_running_loop()), ptys=False)
        try:
            written = tmp_path / "served.yaml"
            written.write_text(rewritten_rig(path.read_text(), served, pace))
            found = await asyncio.to_thread(look_at, written, hardware=True)
        finally:
            served.close()
        pumps = [each for each in found.seen if each.kind == "new_era"]
        assert [each.error for each in pumps] == [""] * 4

    run_real(main())


def test_ports_where_nobody_is_are_named_and_the_others_are_asked_all_the_same() -> None:
    found = look_at(CONFIGS / "rigs" / "cavro-julabo.yaml", hardware=True)
    assert found.exit_code == 1
    assert all(each.quality == "bad" and each.age_s is None and each.error for each in found.seen)
    assert "NO ANSWER" in found.text()


def test_a_port_is_identified(tmp_path: Path) -> None:
    rig = load_rig(CONFIGS / "rigs" / "perovskite-bench.yaml")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        served = await serve_rig(rig, Setting(), blocking_clock(loop), ptys=False)
        try:
            address = served.ports["oven"].addresses["modbus_tcp"]
            found = await asyncio.to_thread(identify_port, address)
        finally:
            served.close()
        assert "eurotherm" in {each.kind for each in found.outcome.found}
        assert found.exit_code == 0
        assert "eurotherm" in found.text()

    run_real(main())


def test_without_a_rig_the_kinds_are_listed() -> None:
    around = look_around()
    assert around.kinds["watlow"] == "heater"
    assert json.loads(json.dumps(around.as_dict()))["broken_plugins"] == []
