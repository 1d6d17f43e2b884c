"""kill -9 at seeded moments, then --resume. The long form is `python -m tests.crash.kill_sweep --kills 50`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kill -9 and fork are POSIX")


def sweep(kills: int, strategy: str, experiments: int) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", "tests.crash.kill_sweep", "--kills", str(kills)]
    words += ["--strategy", strategy, "--experiments", str(experiments)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def test_a_killed_run_loses_nothing_repeats_nothing_and_ends_like_the_uninterrupted_one() -> None:
    assert "6 kills: 0 acknowledged events lost, 0 experiments repeated, 6 ends equal" in sweep(6, "sobol", 5)


@pytest.mark.long
def test_fifty_kills_of_the_planners_own_campaign() -> None:
    assert "50 kills: 0 acknowledged events lost, 0 experiments repeated, 50 ends equal" in sweep(50, "ensemble", 25)


def daemon_sweep(*words: str) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.crash.daemon_kill_sweep", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def test_a_killed_daemon_loses_neither_its_queue_nor_its_campaign() -> None:
    found = daemon_sweep("--kills", "2", "--chain", "2", "--boundaries", "12", "--experiments", "2")
    assert "kills of the daemon over 2 campaigns: 0 acknowledged events lost, 0 of" in found
    assert "2 ends equal" in found


@pytest.mark.long
def test_two_hundred_kills_of_the_daemon_and_one_after_every_event() -> None:
    found = daemon_sweep("--kills", "200", "--boundaries", "1", "--experiments", "50")
    assert "0 acknowledged events lost" in found
    assert "0 experiments repeated" in found
