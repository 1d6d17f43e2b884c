"""What a person reads on the terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.history.run_state import RunState
from orchestrator.sittings.runner import RunResult
from orchestrator.sittings.show import Show


@pytest.mark.parametrize("folder", ["runs [old] ü", "runs[/old]", "runs :100:"])
def test_paths_are_printed_as_they_are(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(folder)
    show = Show(as_json=False)
    show.say(f"note: {folder}/campaign.yaml:100:5: beyond the rig's limit")
    show.finished(RunResult(RunState(), path / "a-0001.sqlite", path / "a-0001.html", 1.0, f"{folder} is full"))
    said = capsys.readouterr().out
    assert f"note: {folder}/campaign.yaml:100:5:" in said
    assert f"  {folder} is full\n" in said
    assert f"  journal  {path / 'a-0001.sqlite'}\n" in said
    assert f"  report   {path / 'a-0001.html'}\n" in said
