"""A campaign may choose between pumps, such as two ligands: one of them runs, the others stand still."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from orchestrator.campaign.planning import search_space
from orchestrator.config import LoadedCampaign, parse_campaign
from orchestrator.errors import ConfigError, Unreachable
from orchestrator.history.summary import summary
from orchestrator.preflight.checking import Explained
from orchestrator.preflight.findings import preflight, sample_recipes
from orchestrator.recipes.many_recipes import ManyRecipes
from orchestrator.recipes.plumbing import pump_flows
from orchestrator.report import render_report
from tests.orchestrator.rehearsal import rehearse, small

WEAK = """  weak:
    driver: new_era
    port: pumps
    address: 4
    stock: weak_iodide
    syringe: {volume: 20 ml, diameter: 19.13 mm}
    line_volume: 30 µl
    safe_mode_timeout: 30 s
"""
STOCK = "  weak_iodide:\n    species: {Zn: 12 mM, I: 24 mM, ligand: 24 mM}\n    solvent: toluene\n"
CHOICE = "  bottle:\n    kind: pump_choice\n    among: [halide, weak]\n"
EDITS = {
    "  solvent:\n    driver: new_era\n": f"{WEAK}  solvent:\n    driver: new_era\n",
    "  toluene:\n": f"{STOCK}  toluene:\n",
    "\nfixed:\n": f"\n{CHOICE}fixed:\n",
}
RECIPE = {"iodide_fraction": 0.3, "cs_to_pb": 1.0, "residence_time": 60.0, "temperature": 120.0}


def choosing(experiments: int = 4) -> LoadedCampaign:
    """The quickstart with iodide in two strengths, each in a syringe of its own."""
    return small(experiments, **EDITS)


def test_the_chosen_pump_runs_and_the_other_stands_still() -> None:
    loaded = choosing()
    strong = pump_flows(loaded.config, loaded.rig, {**RECIPE, "bottle": 0.0}).flows_ul_min
    weak = pump_flows(loaded.config, loaded.rig, {**RECIPE, "bottle": 1.0}).flows_ul_min
    assert strong["weak"] == 0.0
    assert weak["halide"] == 0.0
    assert weak["weak"] == pytest.approx(strong["halide"] * 100.0 / 24.0)
    assert weak["cs"] == pytest.approx(strong["cs"])
    assert strong == pytest.approx({**pump_flows(small().config, small().rig, RECIPE).flows_ul_min, "weak": 0.0})


def test_many_recipes_are_allowed_as_each_of_them() -> None:
    loaded = choosing()
    names = tuple(loaded.config.inputs)
    recipes = list(sample_recipes(loaded.config, 120))

    def single(recipe: dict[str, float]) -> bool:
        try:
            pump_flows(loaded.config, loaded.rig, recipe)
        except Unreachable:
            return False
        return True

    rows = np.array([[recipe[name] for name in names] for recipe in recipes])
    assert {recipe["bottle"] for recipe in recipes} == {0.0, 1.0}
    assert ManyRecipes(loaded.config, loaded.rig, names).feasible(rows).tolist() == [single(r) for r in recipes]


def test_it_is_a_category_to_the_planner_and_a_name_to_people(tmp_path: Path) -> None:
    loaded = choosing()
    (variable,) = (each for each in search_space(loaded.config).variables if each.kind == "categorical")
    assert variable.levels == ("halide", "weak")
    path = tmp_path / "run.sqlite"
    run = rehearse(loaded, path)
    tried = {e.recipe["bottle"] for e in run.state.told}
    assert tried == {0.0, 1.0}
    for experiment in run.state.told:
        idle = "weak" if experiment.recipe["bottle"] == 0.0 else "halide"
        assert experiment.flows_ul_min[idle] == 0.0
        assert experiment.reagent_ul.get(idle, 0.0) == 0.0
    assert summary(run.state)["recipe"]["bottle"]["value"] in ("halide", "weak")
    page = render_report(path)
    assert "<td>halide</td>" in page
    assert "<td>weak</td>" in page
    assert "one of halide, weak" in Explained(loaded, preflight(loaded)).text()


@pytest.mark.parametrize(
    ("choice", "path", "words"),
    [
        (CHOICE.replace("weak]", "week]"), "inputs.bottle.among[1]", "did you mean weak?"),
        (CHOICE.replace("weak]", "halide]"), "inputs.bottle.among[1]", "a pump is listed twice"),
        (CHOICE.replace(", weak]", "]"), "inputs.bottle.among", "at least 2 entries"),
        (CHOICE.replace("weak]", "weak, cs]"), "inputs", "5 pumps need 4 conditions"),
        (CHOICE + CHOICE.replace("bottle", "again"), "inputs.again.among[0]", "stands in the choice 'bottle' already"),
        (CHOICE + "    range: [0, 1]\n", "inputs.bottle.range", "unknown key"),
    ],
)
def test_a_choice_that_makes_no_sense_is_refused_at_its_place(choice: str, path: str, words: str) -> None:
    good = choosing()
    with pytest.raises(ConfigError) as caught:
        parse_campaign(good.campaign_text.replace(CHOICE, choice), "c.yaml", good.rig_text, "r.yaml")
    problem = caught.value.problems[0]
    assert problem.path == path
    assert words in problem.summary()
