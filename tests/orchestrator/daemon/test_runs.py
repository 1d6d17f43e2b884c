"""The runs that a daemon knows of, as it lists them."""

import asyncio
from pathlib import Path

from orchestrator.clock.virtual_time import UtcClock, run_virtual
from orchestrator.daemon.runs import Shelf
from orchestrator.journal.journal import Journal
from tests.orchestrator.journals import HEADER


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
