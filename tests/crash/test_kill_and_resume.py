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
