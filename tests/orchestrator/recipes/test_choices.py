"""An input may have a few values only: in steps of its range, or as listed; nothing else is proposed, shown or run."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.campaign.planning import search_space
from orchestrator.config import LoadedCampaign, parse_campaign
from orchestrator.errors import ConfigError
from orchestrator.preflight.checking import Explained
from orchestrator.preflight.findings import preflight, sample_recipes
from tests.orchestrator.rehearsal import rehearse, small

RATIO = "    range: [0.4, 2.5]\n"
HEAT = "    range: [60 degC, 160 degC]\n"


def chosen(ratio: str = "    values: [2, 0.5, 1]\n", heat: str = HEAT + "    step: 20 K\n") -> LoadedCampaign:
    """The quickstart with listed ratios and temperatures in steps."""
    return small(3, **{RATIO: ratio, HEAT: heat})


def test_values_and_steps_become_discrete_variables_of_the_planner() -> None:
    ratio, heat = (variable for variable in search_space(chosen().config).variables if variable.kind == "discrete")
    assert ratio.values == (0.5, 1.0, 2.0)
    assert ratio.scale == "log"
    assert heat.values == (60.0, 80.0, 100.0, 120.0, 140.0, 160.0)


def test_a_step_that_does_not_divide_the_range_ends_below_its_upper_end() -> None:
    heat = chosen(heat=HEAT + "    step: 30 K\n").config.inputs["temperature"]
    assert heat.choices == (60.0, 90.0, 120.0, 150.0)
    assert (heat.low, heat.high) == (60.0, 150.0)


def test_a_run_tries_no_other_values(tmp_path: Path) -> None:
    run = rehearse(chosen(), tmp_path / "run.sqlite")
    assert {e.recipe["cs_to_pb"] for e in run.state.told} <= {0.5, 1.0, 2.0}
    assert {e.recipe["temperature"] % 20.0 for e in run.state.told} == {0.0}
    assert next(entry for entry in run.state.inputs if entry["name"] == "cs_to_pb")["values"] == [0.5, 1.0, 2.0]


def test_the_pre_flight_samples_the_values_and_explain_lists_them() -> None:
    loaded = chosen()
    assert {recipe["cs_to_pb"] for recipe in sample_recipes(loaded.config)} == {0.5, 1.0, 2.0}
    text = Explained(loaded, preflight(loaded)).text()
    assert "0.5, 1, 2 (log)" in text
    assert "60, 80, 100, 120, 140, 160 °C" in text


@pytest.mark.parametrize(
    ("ratio", "heat", "path", "words"),
    [
        ("", HEAT, "inputs.cs_to_pb.range", "either a range or the values"),
        (RATIO + "    values: [1, 2]\n", HEAT, "inputs.cs_to_pb.values", "exclude each other"),
        ("    values: [1, 2]\n    step: 1\n", HEAT, "inputs.cs_to_pb.step", "belongs to a range"),
        ("    values: [1, 1]\n", HEAT, "inputs.cs_to_pb.values", "listed twice"),
        ("    values: [1]\n", HEAT, "inputs.cs_to_pb.values", "at least 2 entries"),
        (RATIO, HEAT + "    step: 101 K\n", "inputs.temperature.step", "longer than the whole range"),
        (RATIO, HEAT + "    step: 1 mK\n", "inputs.temperature.step", "more than 500 values"),
        (RATIO, HEAT + "    step: 5 degC\n", "inputs.temperature.step", 'did you mean "5 K"'),
        (RATIO, "    values: [60 degC, 80, 90 degC]\n", "inputs.temperature.values[1]", "does not say its unit"),
        ("    range:\n", HEAT, "inputs.cs_to_pb.range", "either a range or the values"),
    ],
)
def test_values_that_make_no_sense_are_refused_at_their_place(ratio: str, heat: str, path: str, words: str) -> None:
    good = small()
    text = good.campaign_text.replace(RATIO, ratio).replace(HEAT, heat)
    with pytest.raises(ConfigError) as caught:
        parse_campaign(text, "c.yaml", good.rig_text, "r.yaml")
    (problem,) = caught.value.problems
    assert problem.path == path
    assert words in problem.summary()
