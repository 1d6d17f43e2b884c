"""What the command line says of a daemon that it has asked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from orchestrator.cli.commands import app

ROOT = Path(__file__).resolve().parents[3]


def state_at(stage: str) -> dict[str, Any]:
    """A daemon with a campaign whose first experiment is at a stage."""
    bench: dict[str, Any] = {
        "state": "paused",
        "detail": "the daemon ended",
        "mode": "twin",
        "trip": None,
        "job": "green-0001",
        "told": 0,
        "best_error_mev": None,
        "experiment": {"n": 1, "stage": stage, "recipe": {"temperature": 120.0}, "attempts": 1},
        "queue": [],
        "syringes": {},
    }
    return {"boot_id": "b", "started_utc": "today", "version": "0.1.0", "rigs": {"bench": bench}}


@pytest.mark.parametrize(("stage", "said"), [("", "interrupted"), ("dosing", "dosing")])
def test_an_experiment_that_a_restart_has_broken_off_is_said_to_be_interrupted(
    monkeypatch: pytest.MonkeyPatch, stage: str, said: str
) -> None:
    asked = SimpleNamespace(state=lambda: state_at(stage))
    monkeypatch.setattr("orchestrator.cli.daemon._client", lambda daemon, name: asked)
    done = CliRunner().invoke(app, ["status"])
    assert done.exit_code == 0
    assert f"  experiment 1 ({said}): temperature 120" in done.stdout


def test_a_reader_that_has_left_does_not_change_why_a_daemon_is_not_asked(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", "from orchestrator.cli import main; main()", "pause", "--daemon", "none.yaml", "--json"],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    os.close(writer)
    assert done.returncode == 2
    assert "none.yaml" in done.stderr
