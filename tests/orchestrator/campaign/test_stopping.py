"""When a campaign is over, when an experiment is repeated, and when a line stands still."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.campaign.stopping import decide_stop, wanted_replicate
from orchestrator.config.campaign import Plateau
from orchestrator.experiment.settling import stands_still
from orchestrator.history.run_state import RECKONING, Experiment, RunState
from tests.orchestrator.rehearsal import small

CONFIG = small(experiments=25).config
TARGET = 2.25


def told(n: int, error_mev: float | None, *, of: int | None = None, sd_mev: float = 0.5) -> Experiment:
    peak = None if error_mev is None else TARGET + error_mev / 1000.0
    return Experiment(
        n=n,
        kind="explore" if of is None else "replicate",
        of=of,
        recipe={},
        phase="",
        predicted={},
        probability_feasible=None,
        acquisition="",
        acquisition_value=None,
        compared=0,
        why="",
        strategy="",
        proposed_s=0.0,
        peak_ev=peak,
        peak_sd_ev=None if peak is None else sd_mev / 1000.0,
        accepted=peak is not None,
        told=True,
    )


def state(*experiments: Experiment) -> RunState:
    return RunState(header={"reckoning": RECKONING}, experiments=experiments)


def reason(run: RunState, reactor_s: float = 0.0, config: object = CONFIG) -> str | None:
    stop = decide_stop(config, run, reactor_s)  # type: ignore[arg-type]
    return None if stop is None else stop.reason


def test_one_hit_is_repeated_before_it_counts() -> None:
    run = state(told(1, 60.0), told(2, 1.0))
    assert reason(run) is None
    assert wanted_replicate(CONFIG, run) == run.experiments[1]


def test_a_target_is_reached_when_it_was_reproduced_as_often_as_asked() -> None:
    run = state(told(1, 1.0), told(2, -2.0, of=1))
    assert reason(run) is None
    assert wanted_replicate(CONFIG, run) == run.experiments[0]
    assert reason(state(*run.experiments, told(3, 0.5, of=1))) == "target_reproduced"


def test_a_replicate_off_target_sends_the_search_on() -> None:
    run = state(told(1, 1.0), told(2, 7.0, of=1))
    assert reason(run) is None
    assert wanted_replicate(CONFIG, run) is None


def test_a_reading_on_the_very_edge_of_the_tolerance_is_no_hit() -> None:
    assert wanted_replicate(CONFIG, state(told(1, 4.8, sd_mev=0.5))) is None
    assert wanted_replicate(CONFIG, state(told(1, 4.4, sd_mev=0.5))) is not None


def test_two_recipes_near_the_target_do_not_reproduce_each_other() -> None:
    assert reason(state(told(1, 1.0), told(2, 1.0), told(3, 1.0))) is None


def test_experiments_and_hours_and_reagent_are_budgets() -> None:
    assert reason(state(*(told(n, None) for n in range(1, 26)))) == "budget_experiments"
    assert reason(state(told(1, 60.0)), reactor_s=24 * 3600.0) == "budget_time"
    budget = CONFIG.budget.model_copy(update={"reagent_ul": {"pb": 5000.0}})
    config = CONFIG.model_copy(update={"budget": budget})
    assert reason(replace(state(told(1, 60.0)), counted_ul={"pb": 4999.0}), config=config) is None
    assert reason(replace(state(told(1, 60.0)), counted_ul={"pb": 5000.0}), config=config) == "budget_reagent"


def test_an_allowance_that_is_used_up_is_called_what_it_was_when_the_run_began() -> None:
    budget = CONFIG.budget.model_copy(update={"reagent_ul": {"pb": 5000.0}})
    earlier = replace(state(told(1, 60.0)), header={}, counted_ul={"pb": 5000.0})
    assert reason(earlier, config=CONFIG.model_copy(update={"budget": budget})) == "reagent"


def test_what_was_debited_because_nobody_counted_it_counts_against_the_budget_of_reagent() -> None:
    budget = CONFIG.budget.model_copy(update={"reagent_ul": {"pb": 5000.0}})
    run = replace(state(told(1, 60.0)), counted_ul={"pb": 3000.0}, debited_ul={"pb": 2000.0})
    stop = decide_stop(CONFIG.model_copy(update={"budget": budget}), run, 0.0)
    assert stop is not None
    assert (stop.reason, stop.detail) == ("budget_reagent", "pb has used 5.00 mL of the 5.00 mL allowed")


def test_a_plateau_ends_a_search_that_has_stopped_getting_better() -> None:
    rule = CONFIG.stop.model_copy(
        update={"plateau": Plateau.model_validate({"experiments": 3, "improvement": "1 meV"})}
    )
    config = CONFIG.model_copy(update={"stop": rule})
    better = state(told(1, 90.0), told(2, 60.0), told(3, 40.0), told(4, 20.0), told(5, 15.0))
    assert reason(better, config=config) is None
    assert reason(state(*better.experiments, told(6, 30.0), told(7, None), told(8, 15.5)), config=config) == "plateau"


def test_the_initial_design_is_no_part_of_a_plateau() -> None:
    rule = CONFIG.stop.model_copy(
        update={"plateau": Plateau.model_validate({"experiments": 3, "improvement": "1 meV"})}
    )
    config = CONFIG.model_copy(update={"stop": rule})
    initial = config.planner.initial
    design = [replace(told(n, 40.0 + n), phase="initial") for n in range(1, initial + 1)]
    later = [replace(told(initial + n, 90.0), phase="model") for n in (1, 2, 3)]
    assert reason(state(*design), config=config) is None
    assert reason(state(*design, *later[:2]), config=config) is None
    assert reason(state(*design, *later), config=config) == "plateau"
    spread = [replace(told(initial + n, 90.0), phase="initial") for n in (1, 2, 3)]  # by a strategy without a model
    assert reason(state(*design, *spread), config=config) == "plateau"
    older = replace(state(*design), header={"reckoning": 2})  # it ended so when it ran, and does when it is replayed
    assert reason(older, config=config) == "plateau"


def test_a_target_out_of_reach_ends_a_campaign_that_says_so() -> None:
    def unreached(n: int) -> Experiment:
        return replace(told(n, 90.0), out_of_reach=f"Out of reach: after {n - 1} readings.")

    run = state(told(1, 95.0), unreached(2), unreached(3), unreached(4))
    assert reason(run) is None
    config = CONFIG.model_copy(update={"stop": CONFIG.stop.model_copy(update={"out_of_reach": 3})})
    assert reason(state(*run.experiments[:3]), config=config) is None
    stop = decide_stop(config, run, 0.0)
    assert stop is not None
    assert stop.reason == "out_of_reach"
    assert stop.detail == "Out of reach: after 3 readings; said before each of the last 3 experiments"
    wavering = state(unreached(1), unreached(2), told(3, 80.0), unreached(4), unreached(5))
    assert reason(wavering, config=config) is None
    met = state(unreached(1), unreached(2), replace(told(3, 1.0), out_of_reach="Out of reach."))
    assert reason(met, config=config) is None
    assert wanted_replicate(config, met) == met.experiments[2]
    once = (*met.experiments, told(4, 30.0, of=3))  # it was met, and is not reproduced: yet it was not out of reach
    aimed = {"reckoning": RECKONING, "target_ev": TARGET, "tolerance_ev": CONFIG.objective.aim.tolerance_ev}
    assert reason(RunState(header=aimed, experiments=once), config=config) is None


def test_a_line_stands_still_when_its_looks_rise_no_more_than_allowed() -> None:
    assert stands_still([2.2500, 2.2503, 2.2501], 3, 0.001)
    assert not stands_still([2.2500, 2.2520, 2.2540], 3, 0.001)
    assert not stands_still([2.2500, 2.2503], 3, 0.001)


def test_scatter_that_would_hide_a_drift_is_not_mistaken_for_one() -> None:
    assert stands_still([2.2500, 2.2540, 2.2490, 2.2538, 2.2510], 5, 0.001)


@pytest.mark.parametrize("looks", [[None, None, None], [None, None, None, None]])
def test_a_dark_cell_has_nothing_to_drift(looks: list[float | None]) -> None:
    assert stands_still(looks[-3:], 3, 0.001)


def test_a_line_that_comes_and_goes_is_not_steady() -> None:
    assert not stands_still([2.25, None, 2.25], 3, 0.001)
