"""The likelihood of inner scales: its slopes, and readings left out."""

import math

import numpy as np
import torch

from planners.drift import functions_of_age
from planners.likelihood import CONSTANT, Inner, Likelihood

RNG = np.random.default_rng(3)
X = RNG.random((40, 3))
STEEP = np.sin(9.0 * X[:, 0]) + 0.2 * X[:, 1]
WIDTH = sum(Inner.widths(3))


def likelihood(rows: int, readings: np.ndarray, *, absent: tuple[int, int]) -> Likelihood:
    noise = np.full((2, rows), 0.05)
    noise[absent] = math.inf
    return Likelihood(X[:rows], readings, noise, functions_of_age(np.arange(float(rows), 0.0, -1.0)))


def test_the_slopes_are_those_of_the_likelihood() -> None:
    function = likelihood(12, RNG.standard_normal((2, 12)), absent=(0, 3))
    at = torch.from_numpy(0.3 * RNG.standard_normal((2, WIDTH)))

    def level(scales: torch.Tensor) -> torch.Tensor:
        return function.energy(Inner.of(scales, 3))[0]

    _, slope = function.energy(Inner.of(at, 3))
    for column in range(WIDTH):
        step = torch.zeros_like(at)
        step[:, column] = 1e-5
        assert torch.allclose(slope[:, column], (level(at + step) - level(at - step)) / 2e-5, rtol=1e-4, atol=1e-6)


def test_an_absent_reading_says_nothing() -> None:
    at = Inner.of(torch.zeros(2, WIDTH, dtype=torch.float64), 3)
    readings = np.stack([STEEP, STEEP])
    wild = readings.copy()
    wild[1, 7] = 1e9
    level, slope = likelihood(40, readings, absent=(1, 7)).energy(at)
    other_level, other_slope = likelihood(40, wild, absent=(1, 7)).energy(at)
    assert torch.equal(level, other_level)
    assert torch.equal(slope, other_slope)
    assert level[0] != level[1]


def test_readings_left_out_are_predicted_as_if_they_had_never_been_made() -> None:
    scales = torch.zeros(2, WIDTH, dtype=torch.float64)
    scales[:, -2], scales[:, -1] = -99.0, 0.7
    inner = Inner.of(scales, 3)
    square = likelihood(40, np.stack([STEEP, STEEP]), absent=(1, 7)).left_out_square(inner)
    assert torch.isnan(square[1, 7])
    others = np.delete(np.arange(40), 11)
    gaps = ((X[:, None] - X[None]) ** 2).sum(2)
    reach = np.sqrt(5.0 * gaps)
    share = 1.0 / (1.0 + math.exp(-0.7))
    matern = (1.0 + reach + reach**2 / 3.0) * np.exp(-reach)
    covariance = share * matern + (1.0 - share) * np.exp(-0.5 * gaps) + CONSTANT**2
    readings = covariance[np.ix_(others, others)] + np.eye(39) * (0.05**2 + 1.0)
    weights = np.linalg.solve(readings, covariance[others, 11])
    error = STEEP[11] - weights @ STEEP[others]
    variance = covariance[11, 11] - weights @ covariance[others, 11] + 0.05**2 + 1.0
    assert math.isclose(float(square[0, 11]), error**2 / variance, rel_tol=1e-5)
