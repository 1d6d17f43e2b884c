"""The planner's process and what controls a reactor, on one machine."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SAY = "import os, orchestrator.campaign.planning_worker as w; w.make_way(); print(os.sched_getscheduler(0), os.nice(0))"


@pytest.mark.skipif(sys.platform != "linux", reason="classes of scheduling are Linux's")
@pytest.mark.parametrize("kind", ["ordinary", "real time"])
def test_however_the_daemon_is_scheduled_its_planner_makes_way(kind: str) -> None:
    def schedule() -> None:
        if kind == "real time":
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))

    try:
        done = subprocess.run(
            [sys.executable, "-c", SAY], check=True, preexec_fn=schedule, capture_output=True, text=True
        )
    except subprocess.CalledProcessError:
        raise
    except subprocess.SubprocessError:  # what was to be done before it began
        pytest.skip("real-time scheduling is not permitted here")
    scheduler, nice = done.stdout.split()
    assert int(scheduler) == os.SCHED_OTHER
    assert int(nice) >= 10
