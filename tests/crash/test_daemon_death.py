"""However the daemon or its guardian goes, the rig becomes safe: real processes, twins on real sockets."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.daemon.__main__ import EXIT_LEFT
from orchestrator.guardian.__main__ import guardian_command, guardian_words, make_safe_words
from orchestrator.guardian.diary import FILE, rescues
from orchestrator.journal.journal import Journal
from tests.crash.death_sweep import (
    HEATERS_BAR_S,
    PUMPS_BAR_S,
    WAYS,
    Campaigning,
    at_work,
    daemon_pid,
    die,
    holder_command,
    report,
    start_guardian,
    sweep,
)
from tests.crash.served_rig import PUMPS, ROOT, ServedRig

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the guardian needs POSIX processes")
PATIENCE_S = 60.0


@pytest.fixture
def served(tmp_path: Path) -> Iterator[ServedRig]:
    rig = ServedRig.start(tmp_path)
    yield rig
    rig.stop()


def held(served: ServedRig, folder: Path, restarts: int) -> subprocess.Popen[bytes]:
    """Under a guardian that a busy machine does not make act: silence is not what is shown here."""
    return start_guardian(folder, served.rig, restarts, holder_command(served.rig), silence_s=PATIENCE_S)


def kinds(folder: Path) -> list[str]:
    with Journal.open(folder / FILE, readonly=True) as journal:
        return [event.kind for event in journal.events()]


def safe(served: ServedRig) -> bool:
    return not served.heating and not served.pumping


def left_safe(served: ServedRig) -> bool:
    """Whether the rig is safe once nobody acts on it any more; what is true of it is told a moment after the fact."""
    return served.wait(safe, HEATERS_BAR_S)


def test_killed_stopped_and_blocked_daemons_leave_no_heater_on_and_no_pump_running(tmp_path: Path) -> None:
    deaths = sweep(1, 1, tmp_path)
    assert {death.way for death in deaths} == set(WAYS)
    assert max(death.heaters_s for death in deaths) < HEATERS_BAR_S
    assert max(death.pumps_s for death in deaths) < PUMPS_BAR_S
    assert report(deaths).count("worst") == 6


def test_the_daemon_itself_killed_in_the_middle_of_a_campaign_leaves_nothing_on(tmp_path: Path) -> None:
    (death, *_) = sweep(1, 2, tmp_path, daemon=True, ways=("blocked loop",))
    assert death.heaters_s < HEATERS_BAR_S
    assert death.pumps_s < PUMPS_BAR_S


def test_a_third_ctrl_c_ends_a_daemon_that_hangs_and_the_guardian_has_heater_and_pumps_off(
    served: ServedRig, tmp_path: Path
) -> None:
    campaigning = Campaigning(served, tmp_path)
    guardian = start_guardian(tmp_path, served.rig, 0, campaigning.command, silence_s=PATIENCE_S)
    try:
        campaigning.to_work()
        daemon = daemon_pid(guardian.pid)
        assert daemon is not None
        assert served.wait(lambda rig: rig.heating and bool(rig.pumping), PATIENCE_S)
        os.kill(daemon, signal.SIGUSR1)  # its control loop turns no more: it can make nothing safe by itself
        os.kill(daemon, signal.SIGSTOP)  # so that two are there when it looks, and the third is the last thing it hears
        os.kill(daemon, signal.SIGINT)
        os.kill(daemon, signal.SIGTERM)
        os.kill(daemon, signal.SIGCONT)
        while daemon_pid(guardian.pid) == daemon:
            os.kill(daemon, signal.SIGINT)
            time.sleep(0.01)
        left_s = time.monotonic()
        assert served.wait(safe, PATIENCE_S)
        assert served.state["heater"][0] - left_s < HEATERS_BAR_S
        assert max(served.state[pump][0] for pump in PUMPS if pump in served.state) - left_s < PUMPS_BAR_S
        assert guardian.wait(PATIENCE_S) == 3
    finally:
        guardian.kill()
        guardian.wait()
    (rescue,) = rescues(tmp_path / FILE)
    assert rescue.well
    assert rescue.cause == f"the daemon ended with status {EXIT_LEFT}"


@pytest.mark.long
def test_a_hundred_deaths_of_each_kind(tmp_path: Path) -> None:
    deaths = sweep(100, 4, tmp_path)
    assert max(death.heaters_s for death in deaths) < HEATERS_BAR_S
    assert max(death.pumps_s for death in deaths) < PUMPS_BAR_S


def test_a_daemon_that_keeps_dying_is_not_started_for_ever(served: ServedRig, tmp_path: Path) -> None:
    guardian = held(served, tmp_path, 1)
    die(served, guardian.pid, "SIGKILL", 0.0)
    die(served, guardian.pid, "SIGKILL", 0.0)
    assert guardian.wait(PATIENCE_S) == 3
    assert kinds(tmp_path)[-1] == "gave_up"
    assert [found.cause for found in rescues(tmp_path / FILE)] == ["the daemon was ended by SIGKILL"] * 2


def test_a_guardian_that_is_asked_to_stop_stops_the_daemon_in_good_order(served: ServedRig, tmp_path: Path) -> None:
    guardian = held(served, tmp_path, 3)
    assert served.wait(at_work, PATIENCE_S)
    guardian.terminate()
    assert guardian.wait(PATIENCE_S) == 0
    assert left_safe(served)
    assert kinds(tmp_path) == ["daemon_started", "began", "ready", "ended", "daemon_ended"]


def test_a_daemon_whose_guardian_is_gone_makes_safe_and_ends(served: ServedRig, tmp_path: Path) -> None:
    guardian = held(served, tmp_path, 3)
    assert served.wait(at_work, PATIENCE_S)
    guardian.kill()
    guardian.wait()
    assert served.wait(safe, PATIENCE_S)


def test_what_a_killed_guardian_and_daemon_left_hot_is_made_safe_before_anything_else(
    served: ServedRig, tmp_path: Path
) -> None:
    guardian = held(served, tmp_path, 3)
    assert served.wait(at_work, PATIENCE_S)
    daemon = daemon_pid(guardian.pid)
    assert daemon is not None
    os.kill(guardian.pid, signal.SIGSTOP)
    os.kill(daemon, signal.SIGKILL)
    guardian.kill()
    guardian.wait()
    assert served.heating
    again = guardian_command(make_safe_words(tmp_path, {"bench": served.rig}))
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(again, cwd=ROOT, env=environ, check=False, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert left_safe(served)
    assert rescues(tmp_path / FILE)[-1].cause == "left unsafe by an earlier guardian"


def test_a_declared_flush_cools_the_rig_and_is_cut_short_by_who_cannot_wait(tmp_path: Path) -> None:
    served = ServedRig.start(tmp_path, flush=True)
    command = [*holder_command(served.rig)[:-1], "300"]
    guardian = start_guardian(tmp_path, served.rig, 0, command, silence_s=PATIENCE_S)
    try:
        # Hot enough that the flush, which ends at 60 °C, goes on for a while.
        assert served.wait(lambda rig: at_work(rig) and rig.state["heater"][1] < 0.9, PATIENCE_S)
        daemon = daemon_pid(guardian.pid)
        assert daemon is not None
        os.kill(daemon, signal.SIGKILL)
        assert served.wait(lambda rig: not rig.heating and rig.state["solvent"][1] == 400.0, PATIENCE_S)
        guardian.terminate()
        guardian.send_signal(signal.SIGQUIT)
        assert guardian.wait(PATIENCE_S) == 3
        assert left_safe(served)
    finally:
        guardian.kill()
        guardian.wait()
        served.stop()
    steps = {step["step"]: step["detail"] for step in rescues(tmp_path / FILE)[-1].steps}
    assert "cut short: asked to hurry" in steps["flush"]


def test_a_rig_that_cannot_be_reached_keeps_no_other_from_being_made_safe(served: ServedRig, tmp_path: Path) -> None:
    away = tmp_path / "away.yaml"
    text = re.sub(r"tcp_port: \d+", "tcp_port: 9", served.rig.read_text())  # nobody listens there
    away.write_text(re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:9", text))
    holder = [*holder_command(served.rig), "--also", "away"]
    guardian = subprocess.Popen(
        guardian_command(guardian_words(tmp_path, {"away": away, "bench": served.rig}, holder, restarts=0)),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
    )
    try:
        death = die(served, guardian.pid, "SIGKILL", 0.0)
        assert death.heaters_s < HEATERS_BAR_S
        assert death.pumps_s < PUMPS_BAR_S
    finally:
        guardian.kill()
        guardian.wait()


def test_a_command_line_that_makes_no_sense_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "orchestrator.guardian", "--folder", str(tmp_path), "--rig", "bench"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "NAME=FILE" in done.stderr
