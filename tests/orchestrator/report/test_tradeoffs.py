"""The report shows the recipes that no other one beats in everything at once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.history.run_state import Experiment, RunState
from orchestrator.report.tradeoffs import front
from tests.orchestrator.campaign.test_stopping import told

HEADER = {"target_ev": 2.25, "tolerance_ev": 0.005}


def made(n: int, error_mev: float, fwhm_mev: float | None, bright: float | None, of: int | None = None) -> Experiment:
    width = None if fwhm_mev is None else fwhm_mev / 1e3
    return replace(told(n, error_mev, of=of), fwhm_ev=width, quantum_yield=bright)


def chosen(*experiments: Experiment) -> list[int]:
    return [candidate.n for candidate in front(RunState(header=HEADER, experiments=experiments), 1)]


def test_a_recipe_that_is_worse_in_everything_is_left_out() -> None:
    assert chosen(made(1, 20.0, 90.0, 0.5), made(2, 10.0, 80.0, 0.6), made(3, 40.0, 70.0, 0.4)) == [2, 3]


def test_inside_the_tolerance_all_are_equally_near() -> None:
    assert chosen(made(1, 0.1, 90.0, 0.5), made(2, 4.0, 80.0, 0.6)) == [2]


def test_replicates_count_as_one_recipe_by_their_mean() -> None:
    state = RunState(header=HEADER, experiments=(made(1, 8.0, 80.0, 0.5), made(2, 10.0, 90.0, 0.7, of=1)))
    (candidate,) = front(state, 1)
    assert candidate.count == 2
    assert candidate.error_ev == pytest.approx(0.009)
    assert candidate.fwhm_ev == pytest.approx(0.085)
    assert candidate.quantum_yield == pytest.approx(0.6)


def test_one_odd_recipe_does_not_change_what_the_others_are_judged_by() -> None:
    good = [made(1, 20.0, 90.0, 0.9), made(2, 30.0, 60.0, 0.5), made(3, 25.0, 95.0, 0.8)]
    assert chosen(*good) == [1, 2]
    assert chosen(*good, made(4, 350.0, None, 0.4)) == [1, 2]
    assert chosen(*good, made(4, 350.0, 50.0, None)) == [1, 2]


def test_a_failed_repeat_does_not_take_a_reading_away() -> None:
    state = RunState(header=HEADER, experiments=(made(1, 2.0, 80.0, 0.5), told(2, None, of=1)))
    (candidate,) = front(state, 1)
    assert (candidate.n, candidate.count) == (1, 1)


def test_what_half_of_the_recipes_lack_is_judged_in_none() -> None:
    assert chosen(made(1, 20.0, 90.0, None), made(2, 30.0, 95.0, 0.9)) == [1]
    assert chosen(made(1, 20.0, None, None)) == [1]


def test_dissatisfaction_runs_from_wanted_to_the_worst_that_was_seen() -> None:
    state = RunState(header=HEADER, experiments=(made(1, 2.0, 80.0, 0.5), made(2, 105.0, 40.0, 1.0)))
    near, far = front(state, 1)
    assert near.dissatisfaction == pytest.approx({"peak": 0.0, "fwhm": 1.0, "yield": 1.0})
    assert far.dissatisfaction == pytest.approx({"peak": 1.0, "fwhm": 0.5, "yield": 0.0})


def test_without_readings_there_is_nothing_to_choose() -> None:
    assert chosen(told(1, None)) == []
    assert front(RunState(), 1) == ()


def test_each_of_several_targets_has_its_own_choice() -> None:
    targets = ({"target_ev": 2.25, "tolerance_ev": 0.005}, {"target_ev": 2.3, "tolerance_ev": 0.005})
    experiments = (made(1, 1.0, 80.0, 0.5), made(2, 51.0, 70.0, 0.4), made(3, 20.0, 75.0, 0.9))
    state = RunState(header={"targets": targets}, experiments=experiments)
    assert [each.n for each in front(state, 1)] == [1, 3, 2]
    assert [each.n for each in front(state, 2)] == [2, 3]
    assert front(state, 2)[0].error_ev == pytest.approx(0.001)


def test_against_a_target_spectrum_the_displacement_of_the_light_counts_and_not_the_peak() -> None:
    def compared(experiment: Experiment, distance_mev: float) -> Experiment:
        return replace(experiment, shape={"distance_ev": distance_mev / 1e3})

    experiments = (compared(made(1, 0.0, 80.0, 0.5), 40.0), compared(made(2, 12.0, 90.0, 0.5), 3.0))
    state = RunState(header={**HEADER, "judged_by": "light"}, experiments=experiments)
    near, far = front(state, 1)
    assert (near.n, far.n) == (2, 1)
    assert far.error_ev == pytest.approx(0.040)
