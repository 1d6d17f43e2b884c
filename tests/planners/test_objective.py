"""The utility of a peak, a width and a yield."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from planners import Objective, PlannerError

OBJECTIVE = Objective(target_peak_ev=2.25, tolerance_ev=0.005)


@given(fwhm=st.floats(0.0, 0.5), bright=st.floats(0.0, 1.0), near=st.floats(0.0, 0.3), further=st.floats(1e-4, 0.3))
def test_a_nearer_peak_is_better_whatever_its_width_and_yield(
    fwhm: float, bright: float, near: float, further: float
) -> None:
    scores = OBJECTIVE.score([2.25 + near, 2.25 + near + further], fwhm, bright)
    assert scores[0] > scores[1]


def test_both_sides_of_the_target_count_alike() -> None:
    assert np.allclose(OBJECTIVE.score(2.25 + 0.02, 0.1, 0.5), OBJECTIVE.score(2.25 - 0.02, 0.1, 0.5))


def test_far_from_the_target_no_width_or_yield_makes_up_for_two_tolerances() -> None:
    ugly, beautiful = OBJECTIVE.score([2.28, 2.29], [0.3, 0.0], [0.0, 1.0])
    assert ugly > beautiful


def test_within_the_tolerance_width_and_yield_decide() -> None:
    dull, bright = OBJECTIVE.score([2.2505, 2.2515], 0.1, [0.2, 0.8])
    wide, narrow = OBJECTIVE.score([2.2505, 2.2515], [0.2, 0.05], 0.5)
    assert bright > dull
    assert narrow > wide


def test_the_best_possible_utility_is_reached_by_a_perfect_reading() -> None:
    assert math.isclose(float(OBJECTIVE.score(2.25, 0.0, 1.0)), OBJECTIVE.best_possible)


def test_absent_width_and_yield_earn_nothing() -> None:
    assert float(OBJECTIVE.score(2.25, math.nan, math.nan)) == 0.0


def test_tensors_and_arrays_score_alike() -> None:
    rng = np.random.default_rng(0)
    peak, fwhm, bright = rng.uniform(2.2, 2.3, 50), rng.uniform(0, 0.2, 50), rng.uniform(0, 1, 50)
    tensors = OBJECTIVE.utility(torch.from_numpy(peak), torch.from_numpy(fwhm), torch.from_numpy(bright))
    assert np.allclose(OBJECTIVE.score(peak, fwhm, bright), tensors.numpy())


@pytest.mark.parametrize(
    "wrong",
    [
        {"target_peak_ev": math.nan},
        {"target_peak_ev": -1.0},
        {"tolerance_ev": 0.0},
        {"tolerance_ev": math.inf},
        {"fwhm_scale_ev": 0.0},
        {"fwhm_weight": -0.1},
        {"yield_weight": math.nan},
    ],
)
def test_an_objective_that_makes_no_sense_names_its_field(wrong: dict[str, float]) -> None:
    with pytest.raises(PlannerError, match=next(iter(wrong))):
        Objective(**({"target_peak_ev": 2.25, "tolerance_ev": 0.005} | wrong))
