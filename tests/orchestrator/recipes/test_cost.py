"""What an experiment costs is said with its proposal, and weighed against improvement where the file asks for that."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from orchestrator.campaign.header import Overrides
from orchestrator.campaign.planning import cost_data, price_of, request
from orchestrator.config import parse_campaign
from orchestrator.errors import ConfigError
from orchestrator.history.run_state import RunState
from orchestrator.preflight.findings import sample_recipes
from orchestrator.recipes.many_recipes import ManyRecipes
from orchestrator.recipes.plumbing import duration, price, pump_flows
from planners import Observation, PlannerError, Price
from planners.ensemble import Ensemble
from planners.forest import Forest
from tests.orchestrator.rehearsal import rehearse, small

QUICK = Ensemble(members=8, hidden=16, steps=3, spread=64, local=64)


def costing(cost: str) -> dict[str, str]:
    return {"  initial: 8 ": f"  cost: {cost}\n  initial: 8 "}


def test_the_cost_of_many_recipes_is_that_of_each() -> None:
    loaded = small()
    names = tuple(loaded.config.inputs)
    recipes = [r for r in sample_recipes(loaded.config, 40) if cost_data(loaded.config, loaded.rig, r)]
    plans = [pump_flows(loaded.config, loaded.rig, recipe) for recipe in recipes]
    many = ManyRecipes(loaded.config, loaded.rig, names)
    rows = np.array([[recipe[name] for name in names] for recipe in recipes])
    assert many.dosing_s(rows) == pytest.approx([duration(loaded.config, loaded.rig, p).total_s for p in plans])
    volumes = [price(loaded.config, loaded.rig, plan) for plan in plans]
    assert many.reagents_ul(rows) == pytest.approx([v["cs"] + v["pb"] + v["halide"] for v in volumes])


def test_every_proposal_is_journalled_with_what_it_costs(tmp_path: Path) -> None:
    run = rehearse(small(2), tmp_path / "run.sqlite")
    for event in run.events:
        if event.kind != "proposed":
            continue
        dosing = next(e for e in run.events if e.kind == "dosing" and e.data["n"] == event.data["n"])
        assert event.data["cost"]["reagent_ul"] == dosing.data["expected_ul"]
        assert f"It takes {event.data['cost']['dosing_s'] / 60.0:.1f} min and" in event.data["reason"]
        assert "µL toluene" in event.data["reason"]
    assert [e.cost is not None for e in run.state.experiments] == [True, True]


@pytest.mark.parametrize("cost", ["per_ul", "per_minute"])
def test_a_planner_that_knows_the_cost_proposes_cheaper_experiments(cost: str) -> None:
    loaded = small(25, "ensemble", **costing(cost))
    names = tuple(loaded.config.inputs)
    observations = tuple(
        Observation(tuple(r[name] for name in names), 2.42 - 0.6 * r["iodide_fraction"], 0.1, 0.5, 0.001)
        for r in sample_recipes(loaded.config, 40)
        if cost_data(loaded.config, loaded.rig, r)
    )[:8]
    asked = replace(request(loaded.config, loaded.rig, RunState()), observations=observations)
    assert asked.price is not None

    def spent(seed: int, known: Price | None) -> float:
        proposal = QUICK.propose(replace(asked, seed=seed, price=known))
        assert (", per" in proposal.acquisition) is (known is not None)
        return float(price_of(loaded.config, loaded.rig).of(np.array([proposal.x]))[0])  # type: ignore[union-attr]

    pairs = [(spent(seed, asked.price), spent(seed, None)) for seed in range(6)]
    assert all(known < unknown for known, unknown in pairs)
    assert sum(known for known, _ in pairs) < 0.9 * sum(unknown for _, unknown in pairs)


def test_the_file_refuses_a_cost_for_a_strategy_that_does_not_weigh_it() -> None:
    loaded = small(25, "ensemble", **costing("per_ul"))
    text = loaded.campaign_text.replace("strategy: ensemble", "strategy: sobol")
    with pytest.raises(ConfigError) as caught:
        parse_campaign(text, "c.yaml", loaded.rig_text, "r.yaml")
    (problem,) = caught.value.problems
    assert problem.path == "planner.cost"
    assert "ensemble, gp, gp_scalar" in problem.allowed
    assert Overrides(strategy="sobol").applied(loaded).config.planner.cost == "none"
    assert Overrides(strategy="gp").applied(loaded).config.planner.cost == "per_ul"


def test_what_the_file_says_to_choose_by_is_what_a_proposal_names(tmp_path: Path) -> None:
    named = {"  initial: 8 ": "  acquisition: thompson\n  settings: {members: 16, hidden: 16}\n  initial: 3 "}
    loaded = small(5, "ensemble", **named)
    run = rehearse(loaded, tmp_path / "run.sqlite")
    assert ["Thompson" in e.data["acquisition"] for e in run.events if e.kind == "proposed"] == [False] * 3 + [True] * 2
    assert Overrides(strategy="gp").applied(loaded).config.planner.acquisition == "automatic"
    assert Overrides(strategy="ensemble").applied(loaded).config.planner.acquisition == "thompson"


@pytest.mark.parametrize("answer", [0.0, -1.0, np.nan, np.inf])
def test_a_price_that_is_none_is_refused(answer: float) -> None:
    loaded = small()
    names = tuple(loaded.config.inputs)
    observations = tuple(
        Observation(tuple(r[name] for name in names), 2.3, 0.1, 0.5) for r in sample_recipes(loaded.config, 9)
    )
    asked = replace(request(loaded.config, loaded.rig, RunState()), observations=observations)
    with pytest.raises(PlannerError, match="positive"):
        QUICK.propose(replace(asked, price=Price("µL", lambda rows: np.full(len(rows), answer))))
    with pytest.raises(PlannerError, match="does not weigh"):
        Forest().propose(replace(asked, price=Price("µL", lambda rows: np.ones(len(rows)))))
