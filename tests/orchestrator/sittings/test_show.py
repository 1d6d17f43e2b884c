"""What a person reads on the terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.canonical import canonical
from orchestrator.history.run_state import RunState
from orchestrator.journal.journal import Event
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


def test_that_a_target_is_out_of_reach_is_told_once_and_when_it_is_taken_back(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show = Show(as_json=False)

    def hears(kind: str, **data: object) -> str:
        show.event(Event("", 1.0, kind, canonical(data), "", 1, "", ""))
        return capsys.readouterr().out

    def proposed(n: int, verdict: str = "", of: int | None = None) -> str:
        said = {"out_of_reach": {"reason": verdict}} if verdict else {}
        return hears("proposed", n=n, of=of, phase="model", recipe={}, **said)

    assert "Out of reach: after 9" in proposed(10, "Out of reach: after 9 readings.")
    assert proposed(11, "Out of reach: after 10 readings.") == ""
    assert proposed(12, of=3) == ""
    assert "no longer counts as out of reach" in proposed(13)
    assert proposed(14) == ""
    assert "Out of reach: after 14" in proposed(15, "Out of reach: after 14 readings.")
    hears("target_done", target=1, reason="budget_experiments", detail="")
    assert proposed(16) == ""  # of another target


@pytest.mark.parametrize(
    ("also", "wanted"),
    [
        ({}, "blue: 2.6 eV ± 5 meV, planner ensemble"),
        ({"judged_by": "light", "wanted": "with the light of a.csv"}, "blue: 2.6 eV, with the light of a.csv, planner"),
    ],
)
def test_a_tolerance_stands_beside_the_peak_only_where_it_is_one_of_the_peak(
    also: dict[str, str], wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = {"target_ev": 2.6, "tolerance_ev": 0.005, "inputs": [], "campaign_name": "blue", "mode": "twin"}
    header = {**said, "strategy": "ensemble", "seed": 1, **also}
    Show(as_json=False).event(Event("", 0.0, "run_started", canonical(header), "", 1, "", ""))
    assert wanted in " ".join(capsys.readouterr().out.split())
