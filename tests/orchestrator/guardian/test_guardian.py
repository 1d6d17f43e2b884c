"""The guardian's parts: what it concludes from beats, how it keeps trying, what it writes down, what systemd hears."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest

from drivers import PortError
from orchestrator.clock.virtual_time import run_real, run_virtual
from orchestrator.guardian.diary import Diary, Rescue, rescues, rescues_since, unsafe_rigs
from orchestrator.guardian.pulse import Pulse, Restarts
from orchestrator.guardian.rescue import Persistence, Report, Rescued, rescue
from orchestrator.guardian.service import ServiceManager
from orchestrator.guardian.watcher import LOOK_S, Guardian, Orders
from orchestrator.journal.journal import JournalLocked
from orchestrator.rig.rig import Rig
from tests.orchestrator.rehearsal import rig_on_twins

ROOT = Path(__file__).resolve().parents[3]


def looked(pulse: Pulse, from_s: float, to_s: float) -> tuple[str, float] | None:
    """What is concluded from looks at the guardian's period."""
    found = None
    for index in range(int((to_s - from_s) / LOOK_S) + 1):
        found = found or pulse.silent(from_s + index * LOOK_S, LOOK_S)
    return found


def test_a_rig_that_beats_is_fine_and_one_that_stops_is_told_after_its_limit() -> None:
    pulse = Pulse(1.5)
    assert looked(pulse, 0.0, 5.0) is None
    pulse.note(5.0, ("begin", "bench"))
    pulse.note(5.0, ("begin", "other"))
    assert looked(pulse, 5.0, 6.4) is None
    pulse.note(6.4, ("beat", "other"))
    found = looked(pulse, 6.45, 7.0)
    assert found is not None
    assert found[0] == "bench"
    assert found[1] == pytest.approx(1.5, abs=2.0 * LOOK_S)


def test_a_rig_that_ended_may_be_silent() -> None:
    pulse = Pulse(1.5)
    pulse.note(0.0, ("begin", "bench"))
    pulse.note(1.0, ("end", "bench"))
    assert looked(pulse, 1.0, 10.0) is None
    assert pulse.rigs == ()


def test_nothing_is_concluded_from_a_look_that_came_late() -> None:
    pulse = Pulse(1.5)
    pulse.note(0.0, ("begin", "bench"))
    assert pulse.silent(0.05, LOOK_S) is None
    assert pulse.silent(4.0, LOOK_S) is None
    assert pulse.silent(4.0 + LOOK_S, LOOK_S) is not None


def test_words_of_a_later_version_are_passed_over() -> None:
    pulse = Pulse(1.5)
    pulse.note(0.0, ("dance", "bench", "now"))
    pulse.note(0.0, ("beat",))
    assert pulse.rigs == ()


def test_restarts_are_limited_within_their_time() -> None:
    restarts = Restarts(2, 600.0)
    assert [restarts.allowed(t_s) for t_s in (0.0, 10.0, 20.0, 599.0, 601.0, 602.0)] == [
        True,
        True,
        False,
        False,
        True,
        False,
    ]


def test_the_guardian_is_small_and_knows_no_planner_and_no_web_server() -> None:
    code = (
        "import sys, orchestrator.guardian.__main__ as m; m._load_in_advance();"
        "heavy = ('torch', 'botorch', 'fastapi', 'uvicorn', 'scipy', 'numpy', 'planners');"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


# -- rescue ------------------------------------------------------------------------------------------------------

Said = list[tuple[str, bool, str]]


def saved(change: Callable[[Rig], None], how: Persistence, **edits: str) -> tuple[bool, Said, float]:
    """A rescue of a rig of twins in virtual time: whether all was confirmed, what was reported, how long it took."""
    said: Said = []

    async def scenario() -> tuple[bool, float]:
        rig = rig_on_twins(**edits)
        change(rig)
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        rescued = await rescue(rig, lambda *words: said.append(words), how=how)
        return rescued.well, loop.time() - began_s

    well, took_s = run_virtual(scenario())
    return well, said, took_s


def failing(times: int, verb: Callable[[], Awaitable[str]]) -> Callable[[], Coroutine[Any, Any, str]]:
    left = times

    async def act() -> str:
        nonlocal left
        left -= 1
        if left >= 0:
            raise PortError("busy")
        return await verb()

    return act


def test_a_rescue_switches_heaters_off_first_then_stops_every_pump_then_runs_the_declared_sequence() -> None:
    well, said, _ = saved(lambda rig: None, Persistence())
    steps = [step for step, ok, _ in said if ok]
    assert well
    assert steps == [
        "oven off",
        *("cs stopped", "pb stopped", "halide stopped", "solvent stopped"),
        *("heaters_off", "flush", "pumps_stop", "lamp_off"),
    ]


def test_a_busy_port_is_tried_until_it_is_free_and_holds_up_no_other() -> None:
    def busy(rig: Rig) -> None:
        rig.heater.connect = failing(6, rig.heater.connect)  # type: ignore[method-assign]

    well, said, took_s = saved(busy, Persistence())
    assert well
    stopped = [step for step, ok, _ in said if ok]
    assert stopped.index("solvent stopped") < stopped.index("oven off")
    assert "try 7" in next(detail for step, ok, detail in said if step == "oven off" and ok)
    assert took_s < 30.0


def test_a_device_that_never_answers_is_given_up_and_said_and_the_others_are_safe() -> None:
    def dead(rig: Rig) -> None:
        rig.pumps["pb"].connect = failing(10**6, rig.pumps["pb"].connect)  # type: ignore[method-assign]

    well, said, took_s = saved(dead, Persistence(give_up_s=60.0))
    assert not well
    assert ("oven off", True) in [(step, ok) for step, ok, _ in said]
    assert next(detail for step, ok, detail in said if step == "pb stopped" and "given up" in detail)
    assert {step for step, ok, _ in said if ok} >= {"cs stopped", "halide stopped", "solvent stopped", "lamp_off"}
    assert took_s < 100.0


def test_a_rescue_counts_what_it_took_to_flush_a_hot_line() -> None:
    async def scenario() -> tuple[float, float]:
        rig = rig_on_twins()
        await rig.heater.connect()
        await rig.heater.set_temperature(100.0)
        await asyncio.sleep(900.0)
        syringe = rig.faults.world.syringe("solvent")
        loop = asyncio.get_running_loop()
        before_ul = syringe.infused_ul(loop.time())
        rescued = await rescue(rig, lambda *words: None)
        assert rescued.well
        assert set(rescued.infused_ul) == {"solvent"}
        return rescued.infused_ul["solvent"], syringe.infused_ul(loop.time()) - before_ul

    counted_ul, moved_ul = run_virtual(scenario())
    assert moved_ul > 100.0
    assert counted_ul == pytest.approx(moved_ul, abs=1.0)


# -- diary -------------------------------------------------------------------------------------------------------


def kept(folder: Path, *notes: tuple[str, dict[str, object]]) -> None:
    async def scenario() -> None:
        diary = Diary(folder)
        for kind, data in notes:
            diary.note(kind, **data)
        await diary.close()

    run_real(scenario())


def test_the_diary_tells_the_next_guardian_which_rigs_were_left_unsafe(tmp_path: Path) -> None:
    kept(tmp_path, ("began", {"rig": "a"}), ("began", {"rig": "b"}), ("began", {"rig": "c"}), ("ended", {"rig": "b"}))
    kept(tmp_path, ("made_safe", {"rig": "c", "well": False}))

    async def scenario() -> tuple[str, ...]:
        diary = Diary(tmp_path)
        left = unsafe_rigs(diary.events)
        with pytest.raises(JournalLocked):
            Diary(tmp_path)
        await diary.close()
        return left

    assert run_real(scenario()) == ("a", "c")


def test_rescues_are_read_back_with_cause_and_steps(tmp_path: Path) -> None:
    step = {"rig": "a", "step": "heaters_off", "ok": True, "detail": "oven", "after_s": 0.1}
    kept(
        tmp_path,
        ("rescue", {"rig": "a", "cause": "killed"}),
        ("safe_step", step),
        ("made_safe", {"rig": "a", "well": True, "infused_ul": {"solvent": 81.5}}),
    )
    (found,) = rescues(tmp_path / "guardian.sqlite")
    assert (found.rig, found.cause, found.well, found.steps) == ("a", "killed", True, (step,))
    assert found.infused_ul == {"solvent": 81.5}
    assert rescues(tmp_path / "nothing.sqlite") == ()


def test_what_was_entered_before_is_known_by_its_mark_and_where_there_is_none_by_its_time() -> None:
    found = tuple(
        Rescue("bench", utc, "", True, (), {}, mark) for utc, mark in (("03", "aa"), ("04", "bb"), ("01", "cc"))
    )
    assert [rescue.mark for rescue in rescues_since(found, "bb", "04")] == ["cc"]
    assert [rescue.mark for rescue in rescues_since(found, "", "03")] == ["bb"]
    assert [rescue.mark for rescue in rescues_since(found, "gone", "03")] == ["bb"]
    assert rescues_since(found, "", "") == found


def test_a_folder_that_cannot_be_written_keeps_nobody_from_guarding(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")

    async def scenario() -> None:
        diary = Diary(blocked)
        assert not diary.readable
        diary.note("rescue", rig="a", cause="?")
        await diary.close()

    run_real(scenario())


def test_a_damaged_diary_says_nothing_about_what_is_safe(tmp_path: Path) -> None:
    kept(tmp_path, ("began", {"rig": "a"}))
    path = tmp_path / "guardian.sqlite"
    path.write_bytes(b"\0" * path.stat().st_size)

    async def scenario() -> bool:
        diary = Diary(tmp_path)
        await diary.close()
        return diary.readable

    assert run_real(scenario()) is False


# -- systemd -----------------------------------------------------------------------------------------------------


def test_systemd_hears_ready_alive_and_stopping(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        service = ServiceManager({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "20000000"})
        assert service.watchdog_s == 20.0
        service.ready()
        service.alive()
        service.status("two\nlines")
        service.stopping()
        heard = [manager.recv(100).decode() for _ in range(4)]
    assert heard == ["READY=1", "WATCHDOG=1", "STATUS=two lines", "STOPPING=1"]


def test_without_systemd_nobody_is_told_and_a_watchdog_that_is_for_another_process_is_not_ours() -> None:
    service = ServiceManager({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"})
    assert service.watchdog_s is None
    service.ready()


# -- make-safe ---------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="signals of this kind are POSIX")
@pytest.mark.parametrize(
    ("asks", "how"),
    [
        ([signal.SIGHUP, signal.SIGHUP], (True, "flushed")),
        ([signal.SIGTERM], (True, "in a hurry")),
        ([signal.SIGQUIT], (True, "in a hurry")),
        ([signal.SIGHUP, signal.SIGINT], (True, "in a hurry")),
        ([signal.SIGINT, signal.SIGINT], (False, "left")),
    ],
)
def test_make_safe_outlives_its_terminal_hurries_when_asked_and_leaves_when_asked_again(
    tmp_path: Path, asks: Sequence[signal.Signals], how: tuple[bool, str]
) -> None:
    became = "left"

    async def rescuer(rig: str, report: Report, hurry: asyncio.Event) -> Rescued:
        nonlocal became
        for kind in asks:
            signal.raise_signal(kind)
            await asyncio.sleep(0.01)
        became = "in a hurry" if hurry.is_set() else "flushed"
        return Rescued(well=True)

    async def main() -> bool | None:
        guardian = Guardian(Orders(("bench",), ()), rescuer, Diary(tmp_path), ServiceManager())
        return await guardian.make_safe_and_end(everything=True)

    before = signal.signal(signal.SIGHUP, lambda *heard: None)
    try:
        assert (run_real(main()), became) == how
    finally:
        signal.signal(signal.SIGHUP, before)
