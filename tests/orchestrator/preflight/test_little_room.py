"""Constraints that leave nothing together, or too little to begin with, are told before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.config import LoadedCampaign, load_campaign, parse_campaign
from orchestrator.preflight.findings import preflight

LOADED = load_campaign(Path(__file__).resolve().parents[3] / "configs" / "campaigns" / "quickstart.yaml")


def constrained(*constraints: str, seed: int = 1) -> LoadedCampaign:
    text = LOADED.campaign_text.replace("seed: 1 ", f"seed: {seed} ") + "\nconstraints:\n"
    return parse_campaign(text + "".join(f"  - {each}\n" for each in constraints), "c.yaml", LOADED.rig_text, "r.yaml")


def test_constraints_that_contradict_each_other_are_named_together() -> None:
    (problem,) = preflight(
        constrained("iodide_fraction <= 0.8", "cs_to_pb <= 1", "temperature >= 70 degC", "cs_to_pb >= 1.01")
    ).problems
    assert problem.path == "constraints[3]"
    assert "meets this and cs_to_pb <= 1" in problem.message
    assert "iodide_fraction" not in problem.message


def test_of_two_constraints_that_each_contradict_a_third_one_is_named() -> None:
    (problem,) = preflight(constrained("cs_to_pb <= 1", "cs_to_pb <= 0.9", "cs_to_pb >= 1.01")).problems
    assert problem.message.endswith("meets this and cs_to_pb <= 0.9")


def test_three_constraints_of_which_any_two_leave_room_are_all_named() -> None:
    (problem,) = preflight(
        constrained("iodide_fraction <= 0.3", "cs_to_pb <= 0.7", "iodide_fraction + cs_to_pb >= 1.1")
    ).problems
    assert problem.message.endswith("meets this and iodide_fraction <= 0.3 and cs_to_pb <= 0.7")


@pytest.mark.parametrize(("strategy", "misses"), [("sobol", True), ("ensemble", True), ("random", False)])
def test_a_campaign_whose_design_misses_the_little_that_is_allowed_is_refused_before_it_runs(
    strategy: str, misses: bool
) -> None:
    given = constrained("0.7 <= iodide_fraction + cs_to_pb <= 0.70003", seed=3)
    named = given.campaign_text.replace("strategy: ensemble", f"strategy: {strategy}")
    loaded = parse_campaign(named, "c.yaml", LOADED.rig_text, "r.yaml")
    found = [problem.message for problem in preflight(loaded).problems]
    assert any("with seed 3 miss it" in message for message in found) is misses


def test_a_campaign_with_a_little_room_that_its_design_finds_can_run() -> None:
    assert not preflight(constrained("0.7 <= iodide_fraction + cs_to_pb <= 0.701")).problems
