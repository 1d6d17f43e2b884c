"""A file that a command cannot use is called what it is, once, with what may stand in its place."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.cli.commands import app
from orchestrator.clock.virtual_time import UtcClock, run_virtual
from orchestrator.journal.journal import Journal
from tests.orchestrator.rehearsal import CONFIGS


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A journal that is larger than a configuration file may be."""
    path = tmp_path / "run.sqlite"

    async def main() -> None:
        with Journal.create(path, UtcClock(asyncio.get_running_loop())) as opened:
            await opened.append("run_started", {"campaign_name": "long", "campaign_text": "x" * 1_100_000})
            for n in range(40):
                await opened.append("told", {"n": n, "reason": "y" * 3000})

    run_virtual(main())
    return path


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """An SQLite file of another program."""
    path = tmp_path / "random.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE notes (text)")
    return path


def refused(*words: str) -> str:
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2
    return done.stderr


@pytest.mark.parametrize("command", ["validate", "run"])
def test_a_journal_in_the_place_of_a_file_is_called_a_journal(journal: Path, command: str) -> None:
    said = refused(command, str(journal))
    assert said.startswith(f"lumiflow: {journal}: this is a run's journal, for lumiflow status, explain, report and")
    assert "kB" not in said


@pytest.mark.parametrize("command", ["status", "report", "replay"])
def test_an_empty_file_is_called_empty(tmp_path: Path, command: str) -> None:
    (tmp_path / "run.sqlite").touch()
    assert "run.sqlite: the file is empty" in refused(command, str(tmp_path / "run.sqlite"))


@pytest.mark.parametrize("text", ["kind: campaign\n", "<!doctype html><title>Thesis</title>"])
def test_a_report_takes_the_place_of_nothing_but_a_report(journal: Path, tmp_path: Path, text: str) -> None:
    kept = tmp_path / "kept"
    kept.write_text(text)
    assert "kept is there already, and is no report" in refused("report", str(journal), "--out", str(kept))
    assert kept.read_text() == text


def test_a_report_takes_the_place_of_no_device(journal: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert "pipe is there already, and is no report" in refused("report", str(journal), "--out", str(pipe))
    assert pipe.is_fifo()


def test_evidence_is_kept_in_a_folder_and_not_in_the_place_of_a_file(tmp_path: Path) -> None:
    campaign = tmp_path / "campaign.yaml"
    campaign.write_text("kind: campaign\n")
    rig = CONFIGS / "rigs" / "perovskite-bench.yaml"
    assert "campaign.yaml: is a file, and a folder is wanted" in refused(
        "safety-test", str(rig), "--out", str(campaign)
    )


def test_an_sqlite_file_of_others_is_called_that_and_no_journal(database: Path) -> None:
    wanted = f"lumiflow: {database}: this is an SQLite file; a text file (YAML) is wanted here\n"
    assert refused("validate", str(database)) == wanted
    for command in ("explain", "status"):
        assert refused(command, str(database)).startswith(
            f"lumiflow: {database}: is an SQLite file, and not a journal of Lumiflow"
        )


def test_a_misspelt_kind_is_told_all_kinds_that_validate_takes(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("kind: camp\nname: c\n")
    said = refused("validate", str(path))
    assert f"{path}:1:7: kind: no such kind of file" in said
    assert "allowed: rig, campaign, pool; did you mean campaign?" in said
    assert "missing" not in said


@pytest.mark.parametrize("keep", [0.95, 0.98])
def test_recover_does_not_advise_what_it_has_just_done(journal: Path, keep: float) -> None:
    content = journal.read_bytes()
    journal.write_bytes(content[: int(keep * len(content))])
    done = CliRunner().invoke(app, ["recover", str(journal)])
    assert done.exit_code == 0
    assert str(journal) in done.stdout
    assert "lumiflow recover" not in done.stdout


def test_recover_does_not_advise_it_in_json_either(journal: Path) -> None:
    with journal.open("r+b") as file:
        file.seek(16)
        file.write(b"\x20")
    damage = json.loads(CliRunner().invoke(app, ["recover", str(journal), "--json"]).stdout)["damage"]
    assert "cannot be opened" in damage
    assert "lumiflow recover" not in damage
