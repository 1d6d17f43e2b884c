"""Readings that move while a campaign runs."""

import dataclasses

import numpy as np
import pytest
import torch

from planners import Archive, Observation, OneOutput, Request, SearchSpace, Variable, strategy
from planners.data import Data
from planners.drift import OVER, functions_of_age
from planners.surrogate import EnsembleSurrogate, fit_ensemble

SPACE = SearchSpace((Variable("a", 0.0, 1.0), Variable("b", 0.0, 1.0)))
GOAL = OneOutput("y", "target", 0.3, 0.01, noise=0.005)
PLACES = torch.from_numpy(np.random.default_rng(99).random((200, 2)))


def truth(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.sin(2.0 * x[..., 0]) + 0.5 * x[..., 1] ** 2)


def told(count: int, rise: float, seed: int) -> tuple[Observation, ...]:
    """Readings of random recipes, each higher than the one before by `rise`."""
    rng = np.random.default_rng(seed)
    recipes = rng.random((count, 2))
    values = truth(recipes) + 0.005 * rng.standard_normal(count) + rise * np.arange(count)
    return tuple(Observation(tuple(map(float, x)), values=(float(y),)) for x, y in zip(recipes, values, strict=True))


def fitted(observations: tuple[Observation, ...], *, knows_age: bool = True) -> EnsembleSurrogate:
    data = Data.of(Request(SPACE, GOAL, observations))
    if not knows_age:
        data = dataclasses.replace(data, present=0)
    return fit_ensemble(data, members=64, hidden=128, steps=20, rng=np.random.default_rng(0))


def error(surrogate: EnsembleSurrogate, offset: float) -> float:
    """Root mean square error of what is predicted at new recipes for the next experiment."""
    predicted = surrogate.predict(PLACES)[0].mean(0)[:, 0].numpy()
    return float(np.sqrt(np.mean((predicted - truth(PLACES.numpy()) - offset) ** 2)))


def test_functions_of_age_make_a_line_and_a_random_walk_that_are_nothing_now() -> None:
    ages = np.arange(25.0, -1.0, -1.0)
    functions = functions_of_age(ages)
    wanted = np.outer(ages, ages) / OVER**2 + np.minimum.outer(ages, ages) / OVER
    assert np.allclose(functions @ functions.T, wanted, atol=0.1)
    assert not functions[-1].any()


def test_of_readings_that_drift_the_next_is_foreseen_better_by_one_that_knows_their_age() -> None:
    errors = [
        [error(fitted(told(24, 0.02, seed), knows_age=knows), 0.02 * 24) for seed in range(4)]
        for knows in (True, False)
    ]
    assert np.mean(errors[0]) < 0.5 * np.mean(errors[1])


def test_where_nothing_drifts_age_costs_next_to_nothing() -> None:
    errors = [
        [error(fitted(told(24, 0.0, seed), knows_age=knows), 0.0) for seed in range(6)] for knows in (True, False)
    ]
    assert np.median(errors[0]) < 1.25 * np.median(errors[1])


def test_the_drift_itself_is_found() -> None:
    ages = np.arange(24.0, 0.0, -1.0)
    moved = fitted(told(24, 0.02, 1)).drift(ages)[:, :, 0]
    assert moved[:, 0].mean() == pytest.approx(-0.02 * 24, rel=0.25)
    still = fitted(told(24, 0.0, 1)).drift(ages)[:, :, 0]
    assert abs(still[:, 0].mean()) < 0.02


def test_experiments_of_an_archive_have_no_age() -> None:
    old = told(6, 0.0, 3)
    request = Request(SPACE, GOAL, told(5, 0.0, 4), archives=(Archive("earlier", old),))
    assert Data.of(request).age.tolist() == [5.0, 4.0, 3.0, 2.0, 1.0, *[0.0] * 6]


def test_a_recipe_that_was_on_target_long_ago_is_not_recommended_when_readings_have_moved_since() -> None:
    rng = np.random.default_rng(5)
    recipes = np.concatenate([[[0.15, 0.03]], rng.random((24, 2)), [[0.02, 0.02]]])
    values = truth(recipes) + 0.01 * np.arange(26)
    stale, fresh = (tuple(map(float, recipes[i])) for i in (0, 25))
    assert abs(values[0] - 0.3) < 0.01 and abs(values[25] - 0.3) < 0.01
    rows = tuple(Observation(tuple(map(float, x)), values=(float(y),)) for x, y in zip(recipes, values, strict=True))
    assert strategy("ensemble").recommend(Request(SPACE, GOAL, rows)).x != stale
    assert strategy("random").recommend(Request(SPACE, GOAL, rows)).x in (stale, fresh)


def test_a_proposal_says_so_when_readings_have_moved_beyond_doubt() -> None:
    def reason(rise: float) -> str:
        return strategy("ensemble").propose(Request(SPACE, GOAL, told(24, rise, 1))).reason

    assert "has risen by 0.4" in reason(0.02) or "has risen by 0.5" in reason(0.02)
    assert "has risen" not in reason(0.0) and "has fallen" not in reason(0.0)


@pytest.mark.parametrize("kind", ["ramp", "ramp at one recipe", "step", "alternating at one recipe", "late spike"])
def test_readings_that_run_away_with_time_lead_to_a_proposal_all_the_same(kind: str) -> None:
    rng, number = np.random.default_rng(1), np.arange(40)
    recipes = rng.random((40, 2))
    if "one recipe" in kind:
        recipes[1:] = recipes[1]
    values = {
        "ramp": 1e6 * number,
        "step": 1e3 * (number > 20),
        "alternating": (-1.0) ** number,
        "late": 1e9 * (number == 39),
    }[kind.split(maxsplit=1)[0]]
    rows = tuple(Observation(tuple(map(float, x)), values=(float(y),)) for x, y in zip(recipes, values, strict=True))
    request = Request(SPACE, GOAL, rows, initial=2)
    proposal = strategy("ensemble").propose(request)
    assert SPACE.contains([proposal.x]).all()
    assert np.isfinite([proposal.predicted["y"].low, proposal.predicted["y"].high]).all()
    assert np.isfinite(strategy("ensemble").recommend(request).x).all()


@pytest.mark.parametrize("rise", [0.03, 0.06])
def test_a_strong_drift_is_no_noise(rise: float) -> None:
    """As large as all that recipes do: in repeats it is plain, and a slight drift to begin with does not lead there."""
    rng = np.random.default_rng(2)
    recipes = rng.random((30, 2))
    recipes[5::5] = recipes[0]
    ages = np.arange(30.0, 0.0, -1.0)
    readings = 0.3 * truth(recipes) + 0.001 * rng.standard_normal(30) + rise * np.arange(30)
    seen = tuple(
        Observation(tuple(map(float, x)), values=(float(y),), peak_sd_ev=0.001)
        for x, y in zip(recipes, readings, strict=True)
    )
    moved = fitted(seen).drift(ages)[:, 0, 0]
    low, high = np.quantile(-moved, (0.05, 0.95))
    assert 0.0 < low < 30 * rise < high  # to the next one
