"""The runs that a daemon knows of, as it lists them."""

import asyncio
from pathlib import Path

import pytest

from orchestrator.campaign.standing import bests
from orchestrator.clock.virtual_time import UtcClock, run_virtual
from orchestrator.daemon.runs import Shelf
from orchestrator.journal.journal import Journal
from tests.orchestrator.campaign.test_goal import WEIGHTS
from tests.orchestrator.daemon.desk import Desk, daemon_file, life, run_of
from tests.orchestrator.journals import HEADER

NARROW = """  desirability:
    peak: {none_beyond: 500 meV}
    fwhm: {full_at: 80 meV, none_at: 130 meV}
    enough: 0.99
"""


async def begun(path: Path, wall_utc: str) -> None:
    with Journal.create(path, UtcClock(asyncio.get_running_loop())) as journal:
        await journal.note_host("wall_utc", wall_utc)
        await journal.append("run_started", dict(HEADER))


def test_runs_on_twins_are_listed_newest_first_by_the_wall(tmp_path: Path) -> None:
    async def main() -> list[tuple[str, str | None]]:
        await begun(tmp_path / "zeta-0001.sqlite", "2026-03-01T08:00:00+00:00")
        await begun(tmp_path / "alpha-0001.sqlite", "2026-03-02T08:00:00+00:00")
        await begun(tmp_path / "quickstart-0001.sqlite", "2026-03-01T17:30:00+00:00")
        return [(info.run, info.began_utc) for info in await Shelf(tmp_path, {}).runs()]

    assert run_virtual(main()) == [
        ("alpha-0001", "2026-03-02T08:00:00Z"),
        ("quickstart-0001", "2026-03-01T17:30:00Z"),
        ("zeta-0001", "2026-03-01T08:00:00Z"),
    ]


def test_the_best_of_a_run_is_the_one_that_its_campaign_holds_to_be_the_best(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        job = await desk.submit(6, **{WEIGHTS: NARROW, "reproduce: 2": "reproduce: 1"})
        await desk.event("told", 4)
        await desk.ask("pause")
        rig = await desk.until("paused")
        run = run_of(tmp_path, job)
        best, nearest = bests(run)(1), run.best
        assert best is not None and nearest is not None and best.n != nearest.n
        error_ev, (listed,) = best.error_ev(2.25), await desk.daemon.runs()
        assert error_ev is not None
        assert rig.best_error_mev == pytest.approx(1e3 * error_ev)
        assert listed.summary["error_mev"] == pytest.approx(1e3 * error_ev)
        await desk.ask("stop")

    life(daemon_file(tmp_path), story)
