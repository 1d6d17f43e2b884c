"""A range that is no whole number of steps long is noted before the run."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.config import load_campaign, parse_campaign
from orchestrator.preflight.findings import preflight

LOADED = load_campaign(Path(__file__).resolve().parents[3] / "configs" / "campaigns" / "quickstart.yaml")


@pytest.mark.parametrize(
    ("step", "said"),
    [("60 K", "the last step is at 120 °C: 160 °C is never proposed"), ("20 K", ""), ("0.4 K", "")],
)
def test_the_end_of_a_range_that_no_step_meets_is_told(step: str, said: str) -> None:
    text = LOADED.campaign_text.replace("range: [60 degC, 160 degC]", f"range: [60 degC, 160 degC]\n    step: {step}")
    loaded = parse_campaign(text, "c.yaml", LOADED.rig_text, "r.yaml")
    found = [note for note in preflight(loaded).warnings if note.path == "inputs.temperature"]
    assert [note.message for note in found] == ([said] if said else [])
