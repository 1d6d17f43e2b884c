"""What `lumiflow status` says of a journal."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path

from orchestrator.cli.inspecting import journal_status, target_lines
from orchestrator.clock.virtual_time import UtcClock, run_virtual
from orchestrator.history.run_state import Recommendation
from orchestrator.journal.journal import Journal
from tests.orchestrator.campaign.test_goal import ORDER, read, wanting
from tests.orchestrator.campaign.test_standing import NEAREST, run_of
from tests.orchestrator.rehearsal import small

TOLERANCE = "    tolerance: 5 meV\n"
THEN = f"{TOLERANCE}  then:\n    - {{target: 2.40 eV}}\n"


def test_a_journal_copied_without_its_log_says_what_is_missing(tmp_path: Path) -> None:
    async def copy_while_it_is_written() -> None:
        with Journal.create(tmp_path / "run.sqlite", UtcClock(asyncio.get_running_loop())) as journal:
            assert journal_status(tmp_path / "run.sqlite").text().endswith(": nothing has happened yet")
            await journal.append("run_started", {"campaign_name": "short"})
            shutil.copy(tmp_path / "run.sqlite", tmp_path / "copy.sqlite")

    run_virtual(copy_while_it_is_written())
    assert journal_status(tmp_path / "run.sqlite").events == 1
    words = journal_status(tmp_path / "copy.sqlite").text()
    assert words.endswith(
        "nothing has happened yet; if this is the copy of a journal in use, copy.sqlite-wal belongs beside it"
    )


def test_status_says_the_best_with_all_that_is_wanted_of_it() -> None:
    (line,) = target_lines(run_of(wanting(ORDER), NEAREST, read(2, 90.0, 0.7, error_mev=2.0)))
    assert line.startswith("best so far: experiment 2 at 2.2520 eV, +2.00 meV off; width")
    assert "90 meV (wanted at most 110 meV)" in line


def test_status_says_the_recommendation_once_there_is_one() -> None:
    recipe = {"temperature": 118.0, "residence_time": 95.0}
    chosen = replace(read(2, 90.0, 0.7, error_mev=2.0), recipe=recipe)
    measured = {"peak_ev": 2.252, "fwhm_ev": 0.09, "quantum_yield": 0.7}
    advice = Recommendation(recipe, "measured", {}, measured, 0.002, "it is the best")
    (line,) = target_lines(replace(run_of(wanting(ORDER), NEAREST, chosen), recommendations=(advice,)))
    assert line.startswith("recommended: temperature 118 °C, residence_time 95 s; 2.2520 eV, +2.00 meV off; width")
    unmeasured = replace(advice, measured=None, error_ev=None)
    (line,) = target_lines(replace(run_of(wanting(ORDER), NEAREST), recommendations=(unmeasured,)))
    assert line == "recommended by the model, not measured: temperature 118 °C, residence_time 95 s"


def test_status_says_how_each_of_several_targets_stands() -> None:
    loaded = small(25, **{TOLERANCE: THEN})
    done = {"target": 1, "reason": "target_reproduced", "detail": "", "t_s": 0.0}
    blue = replace(read(2, 90.0, 0.8, error_mev=140.0), target=2)
    state = replace(run_of(loaded, read(1, 90.0, 0.8), blue), targets_done=(done,))
    assert target_lines(state) == [
        "2.25 eV (reached and reproduced, 1 experiment): best so far: experiment 1 at 2.2510 eV, +1.00 meV off",
        "2.4 eV (not done with, 1 experiment): best so far: experiment 2 at 2.3900 eV, -10.00 meV off",
    ]
    nothing = run_of(loaded)
    assert target_lines(nothing)[1] == "2.4 eV (not done with, 0 experiments): no reading yet"
