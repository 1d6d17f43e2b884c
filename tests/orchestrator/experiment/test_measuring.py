"""What a detector finds out about its own spectrometer before anything is measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.orchestrator.rehearsal import rehearse, small


@pytest.mark.parametrize(
    ("window", "target", "pixels"),
    [("[1060 nm, 1099 nm]", "1080 nm", 0), ("[420 nm, 424 nm]", "422 nm", 11)],
)
def test_a_window_with_next_to_no_pixels_ends_the_run_before_anything_is_heated(
    window: str, target: str, pixels: int, tmp_path: Path
) -> None:
    edits = {"emission: [418 nm, 800 nm]": f"emission: {window}", "target: 2.25 eV": f"target: {target}"}
    ended = rehearse(small(1, **edits), tmp_path / "run.sqlite")
    low, high = window[1:-1].replace(" nm", "").split(", ")
    assert ended.state.stop_reason == "fault"
    assert ended.state.stop_detail == (
        f"RigFault: spectrometer: {pixels} of its pixels lie in the emission window from {low} nm to {high} nm, "
        "and a line takes 16; it sees from 340 nm to 1036 nm"
    )
    assert "set_temperature" not in [call["v"] for event in ended.events for call in event.calls]
    assert ended.state.safe is True
