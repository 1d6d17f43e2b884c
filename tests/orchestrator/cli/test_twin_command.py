"""What `lumiflow twin serve` refuses before it serves anything, and what it writes while it serves."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli.twin_command import ServeOptions, StateLog, serve_twins
from orchestrator.errors import UsageRefused
from tests.orchestrator.rehearsal import CONFIGS


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with a rig, a link to it, two campaigns, and something that begins as a journal does."""
    shutil.copy(CONFIGS / "rigs" / "perovskite-bench.yaml", tmp_path / "rig.yaml")
    shutil.copy(CONFIGS / "campaigns" / "quickstart.yaml", tmp_path / "campaign.yaml")
    (tmp_path / "link.yaml").hardlink_to(tmp_path / "rig.yaml")
    (tmp_path / "run.sqlite").write_bytes(b"SQLite format 3\0 and more")
    shutil.copy(CONFIGS / "campaigns" / "blue-2.60.yaml", tmp_path / "other.yaml")
    return tmp_path


def serve(folder: Path, **written: str) -> None:
    """Serve the rig of the folder; nobody is there to be told of it."""
    named: dict[str, Any] = {option: folder / name for option, name in written.items()}

    def announce(served: dict[str, Any]) -> None:
        raise AssertionError("served")

    serve_twins(ServeOptions(folder / "rig.yaml", folder / "campaign.yaml", **named), announce)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"write_rig": "rig.yaml"}, "--write-rig .*rig.yaml: this is the rig file that is served"),
        ({"write_rig": "link.yaml"}, "--write-rig .*link.yaml: this is the rig file that is served"),
        ({"state": "nowhere/../rig.yaml"}, "--state .*rig.yaml: this is the rig file that is served"),
        ({"state": "campaign.yaml"}, "--state .*campaign.yaml: this is the campaign file"),
        ({"state": "run.sqlite"}, "--state .*run.sqlite: this is a journal"),
        (
            {"write_rig": "other.yaml"},
            "--write-rig .*other.yaml: this is there already, and was not written by twin serve",
        ),
        ({"state": "other.yaml"}, "--state .*other.yaml: this is there already, and holds no states of a rig"),
        ({"write_rig": "new", "state": "new"}, "--state .*new: this is the file of --write-rig"),
    ],
)
def test_nothing_that_was_read_is_written_over(files: Path, written: dict[str, str], said: str) -> None:
    before = {path: path.read_bytes() for path in files.iterdir()}
    with pytest.raises(UsageRefused, match=said):
        serve(files, **written)
    assert {path: path.read_bytes() for path in files.iterdir()} == before


@pytest.mark.parametrize("option", ["write_rig", "state"])
def test_a_file_that_begins_with_an_empty_line_is_no_empty_file(files: Path, option: str) -> None:
    (files / "mine").write_text("\nkind: campaign\nname: my thesis\n")
    with pytest.raises(UsageRefused, match="mine: this is there already"):
        serve(files, **{option: "mine"})
    (files / "blank").write_text(" \n\n")
    with pytest.raises(AssertionError, match="served"):
        serve(files, **{option: "blank"})


def test_an_earlier_rig_file_and_earlier_states_are_written_to(files: Path) -> None:
    (files / "served.yaml").write_text("# Written by lumiflow twin serve: on another day\nkind: rig\n")
    (files / "state.jsonl").write_text('{"t_s": 1}\n')
    with pytest.raises(AssertionError, match="served"):
        serve(files, write_rig="served.yaml", state="state.jsonl")
    assert "tcp://" in (files / "served.yaml").read_text() or "socket://" in (files / "served.yaml").read_text()
    assert (files / "state.jsonl").read_text().startswith('{"t_s": 1}\n')


def test_a_state_that_cannot_be_written_is_told_once_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "there" / "state.jsonl"
    log = StateLog(path)
    for second in range(2):
        log.add({"t_s": second})
    assert capsys.readouterr().err.count("the twins go on") == 1
    path.parent.mkdir()
    for second in range(2, 4):
        log.add({"t_s": second, "celsius": float("nan")})
    assert [json.loads(line) for line in path.read_text().splitlines() if line] == [
        {"t_s": 2, "celsius": None},
        {"t_s": 3, "celsius": None},
    ]
    path.unlink()
    path.parent.rmdir()
    log.add({"t_s": 4})
    assert capsys.readouterr().err.count("the twins go on") == 1
