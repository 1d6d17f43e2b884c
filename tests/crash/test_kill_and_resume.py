"""kill -9 at seeded moments, then --resume. The long form is `python -m tests.crash.kill_sweep --kills 50`."""

from __future__ import annotations

import os
import re
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
    assert "6 kills: 0 acknowledged events lost, 0 experiments repeated, 6 ends equal" in sweep(6, "sobol", 3)


@pytest.mark.long
def test_fifty_kills_of_the_planners_own_campaign() -> None:
    assert "50 kills: 0 acknowledged events lost, 0 experiments repeated, 50 ends equal" in sweep(50, "ensemble", 25)


def daemon_sweep(folder: Path, *words: str) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.crash.daemon_kill_sweep", *words]
    command += ["--folder", str(folder), "--results", str(folder / "found.jsonl")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def test_a_killed_daemon_loses_neither_its_queue_nor_its_campaign(tmp_path: Path) -> None:
    found = daemon_sweep(tmp_path, "--kills", "1", "--boundaries", "12", "--share", "0.5", "--experiments", "2")
    # How many campaigns it takes is the wall's affair: the seeded kill may come after a campaign's end.
    said = re.search(r"29 kills of the daemon over (\d+) campaigns of 2 experiments: 0 acknowledged events lost", found)
    assert said
    assert f"0 experiments repeated, {said[1]} ends equal to the uninterrupted run" in found
    assert "how they struck: acknowledged 12, before 8, committed 8, from outside 1;" in found
    assert not list(tmp_path.glob("lumiflow-kills-*"))


@pytest.mark.long
def test_two_hundred_kills_of_the_daemon_and_one_at_every_event(tmp_path: Path) -> None:
    found = daemon_sweep(tmp_path, "--kills", "200", "--ensemble", "20", "--boundaries", "--jobs", "2")
    assert "0 acknowledged events lost" in found
    assert "0 experiments repeated" in found
