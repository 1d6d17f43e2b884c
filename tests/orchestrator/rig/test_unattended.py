"""A heater that nothing switches off when all computers die is not held by a daemon unless somebody answers for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.cli.commands import app
from orchestrator.config import load_rig
from orchestrator.config.rig import Unattended
from orchestrator.guardian.pulse import Restarts
from orchestrator.rig.unattended import unattended_problems
from tests.orchestrator.rehearsal import CONFIGS

ROOT = Path(__file__).resolve().parents[3]
BENCH = CONFIGS / "rigs" / "perovskite-bench.yaml"
RIG = load_rig(BENCH)


def test_a_heater_without_a_watchdog_is_refused_until_it_is_accepted() -> None:
    (problem,) = unattended_problems(RIG)
    assert "oven" in problem
    assert "heater_without_watchdog: accepted" in problem
    accepted = RIG.model_copy(update={"unattended": Unattended(heater_without_watchdog="accepted")})
    assert unattended_problems(accepted) == ()


def test_the_pumps_of_the_bench_stop_by_themselves_and_its_heater_does_not() -> None:
    watchdogs = {name: device.stops_by_itself_s for name, device in (RIG.pumps | {"oven": RIG.heater}).items()}
    assert watchdogs == {"cs": 30, "pb": 30, "halide": 30, "solvent": 30, "oven": None}


def serve(folder: Path, rig: str) -> subprocess.CompletedProcess[str]:
    (folder / "rig.yaml").write_text(rig)
    (folder / "daemon.yaml").write_text("kind: daemon\nrigs:\n  bench: {file: rig.yaml, hardware: true}\n")
    code = "from orchestrator.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, "serve", str(folder / "daemon.yaml")],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        timeout=60.0,
    )


def test_serve_refuses_before_it_touches_anything(tmp_path: Path) -> None:
    done = serve(tmp_path, BENCH.read_text())
    assert done.returncode == 2
    assert "no watchdog of its own" in done.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("section", "restarts"), [("", 3), ("guardian: {restart: false}\n", 0)])
def test_the_guardian_starts_a_daemon_that_died_again_unless_the_file_says_no(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, section: str, restarts: int
) -> None:
    rig = (CONFIGS / "rigs" / "perovskite-bench.yaml").read_text("utf-8")
    (tmp_path / "rig.yaml").write_text(rig + "\nunattended:\n  heater_without_watchdog: accepted\n", "utf-8")
    file = tmp_path / "daemon.yaml"
    file.write_text(f"kind: daemon\nrigs:\n  bench: {{file: rig.yaml, hardware: true}}\n{section}", "utf-8")
    heard: list[list[str]] = []

    def guard(words: list[str]) -> int:
        heard.append(words)
        return 0

    monkeypatch.setattr("orchestrator.guardian.__main__.main", guard)
    assert CliRunner().invoke(app, ["serve", str(file)]).exit_code == 0
    (words,) = heard
    own = words[: words.index("--")]
    assert own[own.index("--restarts") + 1] == str(restarts)


def test_a_guardian_without_restarts_leaves_a_daemon_that_died_dead() -> None:
    assert not Restarts(at_most=0).allowed(0.0)
