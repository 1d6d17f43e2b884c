"""The proof test: sound rigs pass, broken interlocks are found out, and the evidence stays."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.clock.virtual_time import run_virtual
from orchestrator.journal.journal import Journal
from orchestrator.rig.rig import Rig
from orchestrator.safety.interlocks import Interlocks
from orchestrator.safety_test import Evidence, as_text, run_safety_test
from orchestrator.safety_test.drills import SHOWN_S, Drill, Scene, drills, play
from orchestrator.safety_test.run import DrillsEnded, safely_ended
from tests.orchestrator.rehearsal import CONFIGS, rig_on_twins

ROOT = Path(__file__).resolve().parents[3]
BENCH = CONFIGS / "rigs" / "perovskite-bench.yaml"


def test_every_interlock_of_the_shipped_bench_acts_and_the_evidence_is_kept(tmp_path: Path) -> None:
    told: list[Evidence] = []
    test = run_safety_test(BENCH, tmp_path, told.append, guardian=False)
    assert [(one.drill, one.seen) for one in test.evidence if one.outcome != "passed"] == []
    assert test.exit_code == 0
    assert len(told) == len(test.evidence) >= 18
    assert all(one.after_s is not None and one.bound_s is not None and one.after_s <= one.bound_s for one in told)
    with Journal.open(test.journal, readonly=True) as journal:
        events = tuple(journal.events())
    assert [event.kind for event in events] == ["safety_test_began", *["drill"] * len(told), "safety_test_ended"]
    assert events[-1].data == {"passed": True}
    assert "rig_text" in events[0].data


def played(drill: Drill) -> Evidence:
    async def main() -> Evidence:
        return await play(drill, rig_on_twins())

    return run_virtual(main())


def test_an_interlock_that_does_not_act_fails_its_drill(monkeypatch: pytest.MonkeyPatch) -> None:
    async def blind(self: Interlocks) -> None:
        return None

    monkeypatch.setattr(Interlocks, "_check_pressure", blind)

    async def listed() -> tuple[Drill, ...]:
        return drills(rig_on_twins())

    drill = next(one for one in run_virtual(listed()) if one.name == "over-pressure")
    evidence = played(drill)
    assert (evidence.outcome, evidence.seen) == ("failed", "nothing tripped")


def test_a_rig_that_does_not_become_safe_after_the_trip_fails_the_drill() -> None:
    async def harm(scene: Scene) -> None:
        rig: Rig = scene.rig

        async def nothing() -> None:
            """A heater that says yes and goes on."""

        rig.heater.heater_off = nothing  # type: ignore[method-assign]
        scene.fault("broken_wire", "mixer_pressure")

    evidence = played(Drill("deaf heater", "", ("broken wire",), 10.0, harm))
    assert evidence.outcome == "failed"
    assert "the heater still gives" in evidence.seen


def test_a_rig_that_trips_before_anything_was_done_fails_the_drill() -> None:
    async def harm(scene: Scene) -> None:
        raise AssertionError("nothing may be done to a rig that has tripped")

    async def main(begins_s: float) -> Evidence:
        loop = asyncio.get_running_loop()
        rig = rig_on_twins()
        loop.call_later(begins_s, lambda: rig.faults.inject(loop, "broken_wire", "mixer_pressure"))
        return await play(Drill("", "", ("broken wire",), 10.0, harm, heats=False), rig)

    at_work, at_connecting = run_virtual(main(60.0)), run_virtual(main(0.0))
    assert (at_work.outcome, at_connecting.outcome) == ("failed", "failed")
    assert "before anything was done" in at_work.seen


def test_the_table_names_what_failed() -> None:
    rows = as_text(
        [
            Evidence("one", "", "x", 5.0, "passed", "x on y", 1.25),
            Evidence("two", "", "x", 5.0, "failed", "nothing tripped"),
        ]
    ).splitlines()
    assert rows[1].split() == ["ok", "one", "x", "on", "y", "1.2", "s", "5", "s"]
    assert rows[2].split() == ["FAILED", "two", "nothing", "tripped", "5", "s"]


def lumiflow(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    code = "from orchestrator.cli import main; main()"
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, cwd=cwd, env=environ, check=False
    )


def test_on_hardware_a_person_must_be_there(tmp_path: Path) -> None:
    done = lumiflow("safety-test", str(BENCH), "--hardware", "--json", cwd=tmp_path)
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["error"] == "UsageRefused"
    assert not (tmp_path / "runs").exists()


@pytest.mark.long
def test_the_whole_of_it_with_the_guardian_on_served_twins(tmp_path: Path) -> None:
    done = lumiflow("safety-test", str(BENCH), "--json", cwd=tmp_path)
    found = json.loads(done.stdout)
    assert done.returncode == 0, found
    assert {"daemon killed", "daemon stopped", "loop frozen", "guardian killed"} <= {
        d["drill"] for d in found["drills"]
    }


@pytest.mark.skipif(sys.platform == "win32", reason="signals of this kind are POSIX")
@pytest.mark.parametrize("kind", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_who_asks_for_an_end_in_the_middle_of_a_drill_finds_the_rig_safe(kind: str) -> None:
    async def harm(scene: Scene) -> None:
        heating = (await scene.rig.heater.read()).output_fraction
        assert heating > 0.1
        for _ in range(3):
            signal.raise_signal(signal.Signals[kind])
            await asyncio.sleep(1.0)

    async def main() -> None:
        rig = rig_on_twins()
        with pytest.raises(DrillsEnded, match="safe sequence"):
            await safely_ended(play(Drill("asked to end", "", (), 10.0, harm), rig))
        await asyncio.sleep(SHOWN_S)
        world = rig.faults.world
        assert world.block.output_fraction(asyncio.get_running_loop().time()) == 0.0
        assert not any(world.syringe(name).commanded_ul_min for name in rig.pumps)

    run_virtual(main())
