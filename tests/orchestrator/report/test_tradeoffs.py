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
    return [candidate.n for candidate in front(RunState(header=HEADER, experiments=experiments))]


def test_a_recipe_that_is_worse_in_everything_is_left_out() -> None:
    assert chosen(made(1, 20.0, 90.0, 0.5), made(2, 10.0, 80.0, 0.6), made(3, 40.0, 70.0, 0.4)) == [2, 3]


def test_inside_the_tolerance_all_are_equally_near() -> None:
    assert chosen(made(1, 0.1, 90.0, 0.5), made(2, 4.0, 80.0, 0.6)) == [2]


def test_replicates_count_as_one_recipe_by_their_mean() -> None:
    state = RunState(header=HEADER, experiments=(made(1, 8.0, 80.0, 0.5), made(2, 10.0, 90.0, 0.7, of=1)))
    (candidate,) = front(state)
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
    (candidate,) = front(state)
    assert (candidate.n, candidate.count) == (1, 1)


def test_what_half_of_the_recipes_lack_is_judged_in_none() -> None:
    assert chosen(made(1, 20.0, 90.0, None), made(2, 30.0, 95.0, 0.9)) == [1]
    assert chosen(made(1, 20.0, None, None)) == [1]


def test_dissatisfaction_runs_from_wanted_to_the_worst_that_was_seen() -> None:
    state = RunState(header=HEADER, experiments=(made(1, 2.0, 80.0, 0.5), made(2, 105.0, 40.0, 1.0)))
    near, far = front(state)
    assert near.dissatisfaction == pytest.approx({"peak": 0.0, "fwhm": 1.0, "yield": 1.0})
    assert far.dissatisfaction == pytest.approx({"peak": 1.0, "fwhm": 0.5, "yield": 0.0})


def test_without_readings_there_is_nothing_to_choose() -> None:
    assert chosen(told(1, None)) == []
    assert front(RunState()) == ()
