"""Earlier experiments that come to a daemon with a campaign: its files stay where they are, and it opens none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from orchestrator.campaign.archives import gather_for
from orchestrator.daemon.commands import COMMAND
from orchestrator.journal.journal import Journal
from tests.orchestrator.daemon.desk import Desk, campaign_text, daemon_file, life, run_of

FOREST = {"strategy: sobol": "strategy: forest"}
SECOND = "\narchives:\n  before:\n    kind: runs\n    files: [{file}]\n"
ROWS: list[list[float | bool | None]] = [
    [0.1, 1.0, 60.0, 100.0, 2.3, 0.09, 0.5, 0.001, False],
    [0.5, 1.5, 90, 120, 2.2, 0.09, None, None, False],
    [0.9, 2.0, 30.0, 110.0, None, None, None, None, True],
    [0.9, 9.0, 30.0, 110.0, 2.0, 0.09, None, None, False],
]


def second(file: str = "elsewhere.sqlite") -> str:
    """A campaign of one experiment that names what was run before."""
    return campaign_text(1).replace(*next(iter(FOREST.items()))) + SECOND.format(file=file)


def before(**changes: Any) -> dict[str, Any]:
    return {"name": "before", "files": ["elsewhere.sqlite"], "rows": ROWS, **changes}


def test_a_campaign_learns_from_what_came_with_it_also_after_the_daemon_went_down(tmp_path: Path) -> None:
    path = daemon_file(tmp_path)
    (tmp_path / "second.yaml").write_text(second("runs/quickstart-0001.sqlite"))

    async def first(desk: Desk) -> None:
        await desk.submit(3)
        await desk.until("idle")
        await desk.ask("pause")
        (found,) = gather_for(tmp_path / "second.yaml", tmp_path / "rig.yaml")
        sent = {key: value for key, value in found.items() if key != "rows_sha256"}
        outcome = await desk.ask("submit", campaign=second("runs/quickstart-0001.sqlite"), archives=[sent])
        assert outcome.accepted, outcome.detail

    async def later(desk: Desk) -> None:
        assert (await desk.ask("resume")).accepted
        begun = await desk.event("run_started")
        assert set(begun.data["data"]["archives"][0]) == {"name", "files", "rows_sha256", "outside", "off_steps"}
        await desk.until("idle")

    life(path, first)
    (tmp_path / "runs" / "quickstart-0001.sqlite").unlink()
    life(path, later)
    header = run_of(tmp_path, "quickstart-0002").header
    (known,) = header["archives"]
    assert (known["name"], len(known["rows"]), known["outside"]) == ("before", 3, 0)
    assert known["files"] == ["runs/quickstart-0001.sqlite"]


def test_what_lies_outside_is_left_out_again_and_told_to_who_submits(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        outcome = await desk.ask("submit", campaign=second(), archives=[before(outside=2)])
        assert outcome.accepted
        assert "(note: archives.before: left out of its 6 experiments: 3 outside of the ranges" in outcome.detail
        await desk.until("idle")

    life(daemon_file(tmp_path), story)
    (known,) = run_of(tmp_path, "quickstart-0001").header["archives"]
    assert (len(known["rows"]), known["outside"]) == (3, 3)


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ([], "archives.before: its experiments did not come along: a daemon opens no file"),
        ([before(), before(name="after")], "archives: after came along and is not named here .*allowed: before"),
        ([before(), before()], "archives: one of them came along twice"),
        ([before(rows=[ROWS[0][:-1]])], "archives.before: row 1 is no experiment"),
        ([before(rows=[ROWS[0], [*ROWS[0][:-1], 0.0]])], "archives.before: row 2 is no experiment"),
        ([before(rows=[[None, *ROWS[0][1:]]])], "archives.before: row 1 is no experiment"),
        ([before(rows=[[True, *ROWS[0][1:]]])], "archives.before: row 1 is no experiment"),
        ([before(rows=[[*ROWS[0][:4], -2.0, *ROWS[0][5:]]])], "archives.before: row 1 is no experiment"),
        ([before(rows=[[*ROWS[0][:5], 1e300, *ROWS[0][6:]]])], "archives.before: row 1 is no experiment"),
        ([before(rows=[[*ROWS[0][:-1], True]])], "archives.before: row 1 is no experiment"),
        ([before(rows=[])], "archives.before: it has no experiments"),
        ([before(rows=[ROWS[3]])], "archives.before: none of its 1 experiments lies within"),
    ],
)
def test_archives_that_are_not_those_of_the_campaign_are_refused_and_the_rig_stays_ready(
    sent: list[dict[str, Any]], said: str, tmp_path: Path
) -> None:
    there = tmp_path / "there.sqlite"

    async def story(desk: Desk) -> None:
        await desk.submit(1)
        await desk.until("idle")
        (tmp_path / "runs" / "quickstart-0001.sqlite").rename(there)
        outcome = await desk.ask("submit", campaign=second(str(there)), archives=sent)
        assert not outcome.accepted
        with pytest.raises(AssertionError, match=said):
            raise AssertionError(outcome.detail)
        assert (await desk.rig()).state == "idle"

    life(daemon_file(tmp_path), story)


@pytest.mark.parametrize(
    "wrong",
    [
        {"rows": [[float("nan"), *ROWS[0][1:]]]},
        {"rows": [["0.5", *ROWS[0][1:]]]},
        {"rows": ROWS * 2000},
        {"name": "../before"},
        {"outside": -1},
        {"path": "/etc/passwd"},
    ],
)
def test_what_is_no_archive_at_all_is_no_command(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        COMMAND.validate_python({"verb": "submit", "rig": "bench", "campaign": second(), "archives": [before(**wrong)]})


def test_a_million_wrong_cells_are_told_as_one() -> None:
    asked = {"verb": "submit", "rig": "bench", "campaign": second(), "archives": [before(rows=[[""] * 100] * 5000)]}
    with pytest.raises(ValidationError) as caught:
        COMMAND.validate_python(asked)
    assert caught.value.error_count() < 10


def test_a_job_of_before_archives_came_along_is_refused_when_its_turn_comes_and_nothing_trips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = daemon_file(tmp_path)

    async def first(desk: Desk) -> None:
        await desk.ask("pause")
        assert (await desk.ask("submit", campaign=second())).accepted

    async def later(desk: Desk) -> None:
        assert (await desk.ask("resume")).accepted
        await desk.hear(lambda notice: notice.topic == "state" and notice.data["state"] == "idle")
        assert (await desk.rig()).queue == ()
        assert (await desk.rig()).trip is None

    with monkeypatch.context() as then:
        then.setattr("orchestrator.daemon.verbs.taken_along", lambda loaded, sent: [])
        life(path, first)
    life(path, later)
    with Journal.open(tmp_path / "runs" / "rigs" / "bench.sqlite", readonly=True) as journal:
        (ended,) = [event for event in journal.events() if event.kind == "ended"]
    assert ended.data["stop_reason"] == "refused"
    assert "did not come along" in ended.data["detail"]
