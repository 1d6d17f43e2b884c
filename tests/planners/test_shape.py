"""The light of a target spectrum as an objective: five numbers, and the displacement that they come to."""

import math

import numpy as np
import pytest
import torch

from planners import Observation, PlannerError, Request, SearchSpace, Shape, Variable, strategy
from planners.shape import LIGHT_OUTPUTS, light_outputs

SPREAD = np.array([0.0, -0.057, -0.025, 0.025, 0.057])
TARGET = Shape(light_outputs(2.30 + SPREAD), 0.005)
SPACE = SearchSpace((Variable("ratio", 0.0, 1.0), Variable("time_s", 1.0, 10.0, scale="log")))


def light(x: tuple[float, ...]) -> tuple[float, ...]:
    """A made-up reactor: the ratio moves the line, the time narrows it."""
    ratio, time = SPACE.to_unit([x])[0]
    return light_outputs(2.1 + 0.5 * ratio + SPREAD * (1.6 - 0.6 * time))


def told(count: int, seed: int = 0) -> tuple[Observation, ...]:
    recipes = SPACE.from_unit(np.random.default_rng(seed).random((count, 2)))
    return tuple(Observation(x, values=light(x)) for x in (tuple(map(float, row)) for row in recipes))


@pytest.mark.parametrize("shift_ev", [0.0, 0.004, -0.3])
def test_light_that_is_only_shifted_is_displaced_by_the_shift(shift_ev: float) -> None:
    moved = np.array(light_outputs(2.30 + shift_ev + SPREAD))
    assert float(TARGET.away(moved)) == pytest.approx(abs(shift_ev), abs=1e-12)


def test_a_line_twice_as_wide_is_displaced_by_its_mean_deviation() -> None:
    """A normal line's photons lie 0.798 standard deviations from its middle; five numbers tell it within 7 %."""
    quantiles = np.array([0.0, -1.6757, -0.7363, 0.7363, 1.6757])  # of a normal line at these shares
    narrow = Shape(light_outputs(2.3 + 0.03 * quantiles), 0.005)
    wide = np.array(light_outputs(2.3 + 0.06 * quantiles))
    assert float(narrow.away(wide)) == pytest.approx(0.03 * math.sqrt(2.0 / math.pi), rel=0.07)


def test_far_away_a_nearer_line_is_still_better() -> None:
    rows = np.array([light_outputs(2.3 + shift + SPREAD) for shift in (0.9, 0.5, 0.2, 0.05, 0.01, 0.0)])
    assert np.all(np.diff(TARGET.score_rows(rows)) > 0)
    assert TARGET.reached(rows).tolist() == [False, False, False, False, False, True]


def test_tensors_and_arrays_score_alike() -> None:
    rows = np.random.default_rng(0).normal(TARGET.light_ev, 0.02, (40, 5))
    assert np.allclose(TARGET.score_rows(rows), TARGET.worth(torch.from_numpy(rows)).numpy())


def test_a_few_experiments_find_the_position_and_the_width_of_the_target() -> None:
    planner = strategy("ensemble", members=16, hidden=64, steps=10, spread=128, local=128)
    done = told(5)
    for _ in range(4):
        x = planner.propose(Request(SPACE, TARGET, done, initial=4)).x
        done = (*done, Observation(x, values=light(x)))
    best = min(float(TARGET.away(np.array(each.values))) for each in done)
    assert best < 0.005
    advice = planner.recommend(Request(SPACE, TARGET, done, initial=4))
    assert float(TARGET.away(np.array(light(advice.x)))) < 0.005
    assert "light displaced by" in advice.reason


def test_a_proposal_says_how_far_the_light_would_be_displaced() -> None:
    planner = strategy("ensemble", members=8, hidden=16, steps=4, spread=32, local=32)
    proposal = planner.propose(Request(SPACE, TARGET, told(6), initial=4))
    assert "expects light displaced by" in proposal.reason
    assert set(proposal.predicted) == set(LIGHT_OUTPUTS)


@pytest.mark.parametrize("name", ["gp", "gp_scalar", "support_vectors", "cma_es", "sobol"])
def test_every_kind_of_strategy_takes_it(name: str) -> None:
    request = Request(SPACE, TARGET, told(6), initial=4)
    few = {"spread": 32, "local": 32}
    planner = strategy(name, **(few if name not in ("cma_es", "sobol") else {}))
    assert SPACE.contains([planner.propose(request).x]).all()
    assert SPACE.contains([planner.recommend(request).x]).all()


@pytest.mark.parametrize(
    ("light_ev", "tolerance_ev", "words"),
    [
        ((2.3, 0.1), 0.005, "5 finite"),
        ((2.3, math.nan, 0.0, 0.0, 0.0), 0.005, "finite"),
        (TARGET.light_ev, 0.0, "tolerance"),
    ],
)
def test_what_makes_no_sense_is_refused(light_ev: tuple[float, ...], tolerance_ev: float, words: str) -> None:
    with pytest.raises(PlannerError, match=words):
        Shape(light_ev, tolerance_ev)
