"""A campaign's constraints rule over its planner, its conductor and its pre-flight alike."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from orchestrator.campaign.deciders import LiveDecider
from orchestrator.campaign.planning import request
from orchestrator.config import LoadedCampaign, parse_campaign
from orchestrator.errors import ConfigError, Unreachable
from orchestrator.history.run_state import RunState
from orchestrator.preflight.checking import Explained
from orchestrator.preflight.findings import preflight, sample_recipes
from orchestrator.preflight.many_samples import MOST_SAMPLES, ManySamples
from orchestrator.recipes.many_recipes import feasible_mask
from orchestrator.recipes.plumbing import pump_flows
from orchestrator.report import render_report
from planners import Observation, Strategy
from planners.designs import sobol_design
from planners.ensemble import Ensemble
from planners.sampling import sobol_stream
from planners.simplex import NelderMead
from tests.orchestrator.rehearsal import rehearse, small

LOADED = small(3)
RECIPE = {"iodide_fraction": 0.5, "cs_to_pb": 1.5, "residence_time": 60.0, "temperature": 120.0}
GENTLE = "temperature - 60 degC <= 0.4 K/s * residence_time"


def constrained(*constraints: str, experiments: int = 3) -> LoadedCampaign:
    """The quickstart with constraints."""
    lines = "".join(f"  - {constraint}\n" for constraint in constraints)
    return small(experiments, **{"objective:\n": f"constraints:\n{lines}objective:\n"})


@pytest.mark.parametrize(
    "constraint",
    [
        GENTLE,
        "residence_time * flow(pb) <= 60 µl",
        "concentration(I) + concentration(Br) <= 6 mM",
        "flow(halide) >= 2 µl/min",
        "total_flow <= 400 µl/min",
        "iodide_fraction * cs_to_pb <= 1",
        "lead / concentration(Pb) <= iodide_fraction + 0.5",
    ],
)
def test_one_recipe_and_many_recipes_are_allowed_alike(constraint: str) -> None:
    loaded = constrained(constraint)
    names = tuple(loaded.config.inputs)
    recipes = list(sample_recipes(loaded.config, 300))

    def single(recipe: dict[str, float]) -> bool:
        try:
            pump_flows(loaded.config, loaded.rig, recipe)
        except Unreachable:
            return False
        return True

    singles = [single(recipe) for recipe in recipes]
    assert 0 < sum(singles) < len(singles)
    rows = np.array([[recipe[name] for name in names] for recipe in recipes])
    assert feasible_mask(loaded.config, loaded.rig, names)(rows).tolist() == singles


def test_the_refusal_says_which_constraint_and_by_how_much() -> None:
    loaded = constrained("residence_time * total_flow <= 0.2 ml")
    with pytest.raises(Unreachable, match=r"392\.7 µl is above 200 µl") as caught:
        pump_flows(loaded.config, loaded.rig, RECIPE)
    assert caught.value.quantity == "residence_time * total_flow <= 0.2 ml"


@pytest.mark.parametrize("planner", [Ensemble(members=4, hidden=8, steps=2), sobol_design(), NelderMead()])
def test_every_proposal_of_a_strategy_meets_them(planner: Strategy) -> None:
    loaded = constrained(GENTLE, "iodide_fraction >= 0.3 * cs_to_pb")
    names = tuple(loaded.config.inputs)
    observations = tuple(
        Observation(tuple(recipe[name] for name in names), 2.4 - 0.5 * recipe["iodide_fraction"], 0.1, 0.5, 0.001)
        for recipe in sample_recipes(loaded.config, 60)
        if _allowed(loaded, recipe)
    )[:9]
    asked = replace(request(loaded.config, loaded.rig, RunState()), observations=observations)
    assert _allowed(loaded, dict(zip(names, planner.propose(asked).x, strict=True)))


def _allowed(loaded: LoadedCampaign, recipe: dict[str, float]) -> bool:
    try:
        pump_flows(loaded.config, loaded.rig, recipe)
    except Unreachable:
        return False
    return True


def test_a_proposal_that_breaks_one_is_refused_before_dosing_and_journalled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = constrained("iodide_fraction <= 0.4", experiments=2)
    original = LiveDecider.propose

    async def stubborn(self: LiveDecider, state: RunState, n: int) -> dict[str, object]:
        data = await original(self, state, n)
        return {**data, "recipe": {**data["recipe"], "iodide_fraction": 0.8}} if n == 1 else data

    monkeypatch.setattr(LiveDecider, "propose", stubborn)
    run = rehearse(loaded, tmp_path / "run.sqlite")
    refused = next(event for event in run.events if event.kind == "refused")
    assert refused.data["n"] == 1
    assert "iodide_fraction <= 0.4 does not hold: 0.8 is above 0.4" in refused.data["reason"]
    assert "dosing" not in [event.kind for event in run.events if event.data.get("n") == 1]
    assert len(run.state.told) == 2
    assert all(e.recipe["iodide_fraction"] <= 0.4 for e in run.state.told)
    assert "iodide_fraction &lt;= 0.4" in render_report(tmp_path / "run.sqlite")


def test_a_division_by_a_constant_zero_is_a_problem_at_its_character() -> None:
    with pytest.raises(ConfigError) as refused:
        constrained("residence_time <= 100 s / (1 - 1)")
    (problem,) = refused.value.problems
    assert problem.path == "constraints[0]"
    assert problem.source[problem.column - 1 :].startswith("1 - 1")


def test_what_nothing_can_meet_is_refused_before_anything_runs() -> None:
    report = preflight(constrained("iodide_fraction >= 2"))
    assert not report.ok
    (problem,) = (each for each in report.problems if each.path == "constraints[0]")
    assert "none of" in problem.message
    apart = preflight(constrained("iodide_fraction >= 0.6", "iodide_fraction <= 0.3"))
    assert [problem.path for problem in apart.problems] == ["constraints[1]"]
    assert "none of 65536 sampled recipes" in apart.problems[0].message
    assert apart.problems[0].message.endswith("meets this and iodide_fraction >= 0.6")


def test_a_constraint_that_rules_nothing_out_deserves_a_note() -> None:
    report = preflight(constrained("residence_time <= 1 h"))
    assert report.ok
    assert any("rules nothing out" in warning.message for warning in report.warnings)


def test_a_narrow_but_possible_space_may_run() -> None:
    report = preflight(constrained("0.5 <= iodide_fraction <= 0.51", "temperature >= 150 degC"))
    assert report.ok
    assert 0.0 < report.figures.reachable_fraction < 0.01


def test_a_space_that_is_only_found_by_as_many_points_as_a_planner_tries_may_run() -> None:
    assert sum(len(chunk) for chunk in sobol_stream(request(LOADED.config, LOADED.rig, RunState()))) == MOST_SAMPLES
    loaded = constrained("0.3 <= iodide_fraction <= 0.31", "1.00 <= cs_to_pb <= 1.02")
    report = preflight(loaded)
    assert report.ok
    assert report.figures.sampled == MOST_SAMPLES
    assert 0.0 < report.figures.reachable_fraction < 0.001
    assert "more than 99.9% of the space cannot be set" in " ".join(each.message for each in report.warnings)
    assert " 0 % of the sampled" not in Explained(loaded, report).text()
    proposal = sobol_design().propose(request(loaded.config, loaded.rig, RunState()))
    assert _allowed(loaded, dict(zip(loaded.config.inputs, proposal.x, strict=True)))


def test_one_narrow_constraint_is_held_against_many_recipes_before_it_is_refused() -> None:
    assert preflight(constrained("0.3 <= iodide_fraction <= 0.3002")).ok


def test_the_large_sample_begins_as_the_small_one() -> None:
    loaded = small(3, **{"range: [60 degC, 160 degC]": "range: [60 degC, 160 degC]\n    step: 10 K"})
    names = tuple(loaded.config.inputs)
    few = [[recipe[name] for name in names] for recipe in sample_recipes(loaded.config, 300)]
    assert ManySamples(loaded.config, loaded.rig).rows[:300] == pytest.approx(np.array(few), rel=1e-12)


def test_explain_lists_them() -> None:
    loaded = constrained(GENTLE)
    explained = Explained(loaded, preflight(loaded))
    assert f"where\n  {GENTLE}\n" in explained.text()
    assert explained.as_dict()["constraints"] == [GENTLE]


def test_the_caret_stands_under_the_wrong_word() -> None:
    good = small()
    text = good.campaign_text.replace("objective:\n", 'constraints:\n  - "1 s <= residnce_time"\nobjective:\n')
    with pytest.raises(ConfigError) as caught:
        parse_campaign(text, "c.yaml", good.rig_text, "r.yaml")
    (problem,) = caught.value.problems
    assert problem.source[problem.column - 1 :].startswith("residnce_time")
    assert problem.suggestion == "residence_time"
