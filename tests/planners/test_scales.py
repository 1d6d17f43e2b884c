"""The inner scales of the networks: their slopes, what they find, and how they fare on readings left out."""

import math

import numpy as np
import pytest
import torch

from planners.network import draw_networks
from planners.scales import CONSTANT, Scales, _Evidence, fit_scales

RNG = np.random.default_rng(3)
X = RNG.random((40, 3))
STEEP = np.sin(9.0 * X[:, 0]) + 0.2 * X[:, 1]


def fitted(y: np.ndarray, noise: np.ndarray, copies: int = 8) -> Scales:
    return fit_scales(X, y, noise, copies=copies, steps=30, rng=np.random.default_rng(0))


def test_the_slopes_are_those_of_the_likelihood() -> None:
    noise = np.full((2, 12), 0.1)
    noise[0, 3] = math.inf
    evidence = _Evidence(X[:12], RNG.standard_normal((2, 12)), noise, 2)
    at = torch.from_numpy(0.3 * RNG.standard_normal((2, 5)))

    def level(scales: torch.Tensor) -> torch.Tensor:
        return evidence.energy(scales[:, :3], scales[:, 3:4], scales[:, 4:])[0]

    _, slope = evidence.energy(at[:, :3], at[:, 3:4], at[:, 4:])
    for column in range(5):
        step = torch.zeros_like(at)
        step[:, column] = 1e-5
        assert torch.allclose(slope[:, column], (level(at + step) - level(at - step)) / 2e-5, rtol=1e-4, atol=1e-6)


def test_with_few_readings_the_scales_stay_open_and_with_many_they_agree() -> None:
    few, many = (
        fit_scales(X[:n], STEEP[None, :n], np.full((1, n), 0.05), copies=16, steps=20, rng=np.random.default_rng(0))
        for n in (4, 40)
    )
    assert few.log_gain[:, 0].std() > 2 * many.log_gain[:, 0].std()


def test_an_input_that_matters_gets_the_larger_gain() -> None:
    scales = fitted(STEEP[None], np.full((1, 40), 0.01))
    gain = scales.log_gain.exp().median(0).values
    assert gain[0] > 3 * gain[1]
    assert gain[0] > 3 * gain[2]


def test_noise_is_found_beside_what_is_known() -> None:
    loud = STEEP + 0.3 * RNG.standard_normal(40)
    quiet, noisy = (fitted(y[None], np.full((1, 40), 0.01)).log_noise.exp().median() for y in (STEEP, loud))
    assert quiet < 0.1
    assert 0.15 < noisy < 0.5


def test_readings_left_out_are_predicted_as_if_they_had_never_been_made() -> None:
    noise = np.full((2, 40), 0.05)
    noise[1, 7] = math.inf
    at = [torch.zeros(2, width, dtype=torch.float64) for width in (3, 1, 1)]
    evidence = _Evidence(X, np.stack([STEEP, STEEP]), noise, 2)
    square = evidence.left_out_square(at[0], at[1], at[2])
    assert torch.isnan(square[1, 7])
    others = np.delete(np.arange(40), 11)
    correlation, _ = evidence._correlation(at[0])
    covariance = (correlation[0] + CONSTANT**2).numpy()
    readings = covariance[np.ix_(others, others)] + np.eye(39) * (0.05**2 + 1.0)
    weights = np.linalg.solve(readings, covariance[others, 11])
    error = STEEP[11] - weights @ STEEP[others]
    variance = covariance[11, 11] - weights @ covariance[others, 11] + 0.05**2 + 1.0
    assert math.isclose(float(square[0, 11]), error**2 / variance, rel_tol=1e-5)


@pytest.mark.parametrize("kind", ["constant", "duplicates", "contradictory", "wild"])
def test_hostile_readings_leave_every_scale_finite(kind: str) -> None:
    x, y, noise = X[:10].copy(), STEEP[:10].copy(), np.zeros((1, 10))
    if kind == "constant":
        y[:] = 0.0
    elif kind == "duplicates":
        x[:], y[:] = x[0], y[0]
    elif kind == "contradictory":
        x[:], y = x[0], np.tile([3.0, -3.0], 5)
    else:
        y = (-1.0) ** np.arange(10) * 1e3
    scales = fit_scales(x, y[None], noise, copies=4, steps=30, rng=np.random.default_rng(0))
    networks = draw_networks(
        scales, x, np.repeat(y[None], 4, 0), np.repeat(noise, 4, 0), hidden=16, draws=3, rng=np.random.default_rng(0)
    )
    assert torch.isfinite(networks(torch.from_numpy(X))).all()
