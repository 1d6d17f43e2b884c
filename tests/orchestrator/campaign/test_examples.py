"""Every example of an objective reaches its goal on the twins."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.config import LoadedCampaign, load_campaign
from orchestrator.preflight.checking import Explained
from orchestrator.preflight.findings import preflight
from orchestrator.report import render_report
from tests.orchestrator.rehearsal import CONFIGS, rehearse

QUICK = {"members": 16, "hidden": 32, "steps": 10, "spread": 64, "local": 64}
"""A small fraction of the default ensemble."""


def example(name: str) -> LoadedCampaign:
    loaded = load_campaign(CONFIGS / "campaigns" / f"{name}.yaml")
    planner = loaded.config.planner.model_copy(update={"settings": QUICK})
    return replace(loaded, config=loaded.config.model_copy(update={"planner": planner}))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("desirable-2.20", ("overall desirability", "40 % (0) to 85 % (1)", "at least 0.80")),
        (
            "shape-2.30",
            (
                "green-target.csv by at most 5 meV",
                "light of each experiment is displaced",
                "mean displacement",
                "light shared with the target",
            ),
        ),
        ("in-order-2.15", ("width of at most 85 meV", "as high as possible", "met")),
    ],
)
def test_an_example_reaches_its_goal_and_its_report_says_how(tmp_path: Path, name: str, words: tuple[str, ...]) -> None:
    journal = tmp_path / "run.sqlite"
    ended = rehearse(example(name), journal)
    assert ended.state.stop_reason == "target_reproduced", ended.state.stop_detail
    page = render_report(journal, {"cannot": "nobody asked"})
    for each in ("What was wanted of it", *words):
        assert each in page
    # Against a spectrum the tolerance is no width about the target's peak.
    assert ("± 0.005 eV" in page) is (name != "shape-2.30")


def test_explain_does_not_take_the_tolerance_of_a_shape_for_one_of_its_peak() -> None:
    loaded = example("shape-2.30")
    lines = Explained(loaded, preflight(loaded)).text().splitlines()
    looks = next(line for line in lines if line.startswith("Looks for"))
    at = loaded.config.objective.aim.target_ev
    assert looks.startswith(f"Looks for light around {at:g} eV, with light displaced from that of green-target.csv by")


@pytest.mark.parametrize(
    "name",
    ["quickstart", *(pytest.param(name, marks=pytest.mark.long) for name in ("blue-2.60", "three-colours"))],
)
def test_an_example_with_weights_reaches_its_targets(tmp_path: Path, name: str) -> None:
    ended = rehearse(example(name), tmp_path / "run.sqlite")
    assert ended.state.stop_reason == "target_reproduced", ended.state.stop_detail


def test_every_example_is_named_in_the_guide() -> None:
    guide = (CONFIGS.parent / "docs" / "campaigns.md").read_text(encoding="utf-8")
    for path in (CONFIGS / "campaigns").glob("*.yaml"):
        assert f"`{path.name}`" in guide or f"configs/campaigns/{path.name}" in guide, path.name
