"""The report judges every experiment as its campaign did: by the target that it was for, standard error included."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.campaign.header import Overrides, header_of
from orchestrator.config import LoadedCampaign
from orchestrator.history.run_state import Experiment, Recommendation, RunState
from orchestrator.report.gather import Material
from orchestrator.report.page import render
from orchestrator.report.wanted import Judged, judged
from tests.orchestrator.campaign.test_goal import DESIRABLE, ORDER, WEIGHTS, read
from tests.orchestrator.rehearsal import small

TOLERANCE = "    tolerance: 5 meV\n"
THEN = f"{TOLERANCE}  then:\n    - {{target: 2.40 eV}}\n"
BOUNDED = ORDER.replace("patience: 2, improvement: 2 %", "at_least: 40 %")
GREEN, BLUE = read(1, 90.0, 0.8), replace(read(2, 90.0, 0.8, error_mev=151.0), target=2)
BROAD = read(3, 120.0, 0.8)
OUTCOME = re.compile(r'<td class="outcome[^"]*">(on target|measured)<')
RECIPE = {"iodide_fraction": 0.5, "cs_to_pb": 1.5, "residence_time": 60.0, "temperature": 120.0}


def material(loaded: LoadedCampaign, *experiments: Experiment) -> Material:
    """A run that is done with its first target, as the report has it."""
    header = header_of(loaded, Overrides(), hardware=False)
    done = {"target": 1, "reason": "budget_experiments", "detail": "", "t_s": 0.0}
    several = tuple([done] if "targets" in header else [])
    state = RunState(
        header=header, experiments=tuple(replace(e, recipe=RECIPE) for e in experiments), targets_done=several
    )
    return Material(Path("run.sqlite"), state, (), (), "", ())


def seen(objective: str) -> Judged:
    loaded = small(25, **{WEIGHTS: objective, TOLERANCE: THEN})
    found = judged(material(loaded, GREEN, BLUE, BROAD))
    assert found is not None
    return found


@pytest.mark.parametrize("objective", [DESIRABLE, BOUNDED])
def test_each_experiment_is_judged_by_the_target_that_it_was_for(objective: str) -> None:
    reached = seen(objective).reached
    assert (reached[1], reached[2]) == (True, True)


def test_a_bound_of_an_order_counts_for_experiments_of_earlier_targets_too() -> None:
    assert not seen(BOUNDED).reached[3]
    page = render(material(small(25, **{WEIGHTS: BOUNDED, TOLERANCE: THEN}), BROAD))
    assert OUTCOME.findall(page) == ["measured"]


def test_without_a_recommendation_the_parts_are_of_the_best_and_not_of_the_nearest() -> None:
    nearest = read(1, 150.0, 0.2, error_mev=0.1)
    found = judged(material(small(25, **{WEIGHTS: BOUNDED}), nearest, read(2, 90.0, 0.8)))
    assert found is not None
    assert found.of == "experiment 2"


def test_the_desirability_of_each_experiment_is_drawn_by_its_own_target() -> None:
    figure = seen(DESIRABLE).figure
    assert figure is not None
    caption, drawing = figure
    assert "by its own target" in caption
    assert "desirability 0.00" not in drawing


@pytest.mark.parametrize(("error_mev", "hit"), [(4.4, True), (4.8, False)])
def test_on_target_is_said_of_what_the_campaign_would_repeat(error_mev: float, hit: bool) -> None:
    page = render(material(small(), read(1, 90.0, 0.8, error_mev=error_mev)))
    assert OUTCOME.findall(page) == ["on target" if hit else "measured"]


@pytest.mark.parametrize(("error_mev", "hit"), [(4.4, True), (4.8, False)])
def test_a_part_is_met_where_the_campaign_holds_it_to_be(error_mev: float, hit: bool) -> None:
    found = judged(material(small(25, **{WEIGHTS: BOUNDED}), read(1, 80.0, 0.9, error_mev=error_mev)))
    assert found is not None
    assert found.parts[0].good is hit
    assert found.reached[1] is hit


def test_each_experiment_says_which_of_several_targets_it_was_for() -> None:
    loaded = small(25, **{TOLERANCE: THEN})
    page = render(material(loaded, GREEN, BLUE))
    assert "<th>target<small>eV</small></th>" in page
    assert re.findall(r"<td>(2\.25|2\.4)</td>\s*<td><i class=\"chip\"", page) == ["2.25", "2.4"]
    assert "The best recipe so far for 2.4 eV" in page
    assert "meV from 2.4 eV" in page
    alone = render(material(small(), GREEN))
    assert "<th>target<small>eV</small></th>" not in alone
    assert "meV from the target" in alone


def test_what_is_better_than_the_recommended_recipe_in_everything_is_shown() -> None:
    def page(recommended: dict[str, float]) -> str:
        found = material(small(), read(1, 90.0, 0.5, error_mev=20.0), read(2, 80.0, 0.8, error_mev=10.0))
        first, second = found.state.experiments
        other = replace(second, recipe={**RECIPE, "temperature": 130.0})
        advice = Recommendation(recommended, "measured", {}, None, None, "")
        return render(replace(found, state=replace(found.state, experiments=(first, other), recommendations=(advice,))))

    assert "What could be chosen instead" in page(RECIPE)
    assert "What could be chosen instead" not in page({**RECIPE, "temperature": 130.0})
