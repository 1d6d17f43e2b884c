"""The inner scales of the networks: what they find in readings, and what hostile readings do to them."""

import numpy as np
import pytest
import torch

from planners.network import draw_networks
from planners.scales import NOISE, Scales, fit_scales

RNG = np.random.default_rng(3)
X = RNG.random((40, 3))
STEEP = np.sin(9.0 * X[:, 0]) + 0.2 * X[:, 1]


def fitted(
    y: np.ndarray,
    noise: np.ndarray,
    copies: int = 8,
    *,
    x: np.ndarray = X,
    expected: float = NOISE,
    slanted: bool = True,
    steps: int = 30,
) -> Scales:
    return fit_scales(
        x,
        y,
        noise,
        expected_noise=np.full(len(y), expected),
        slanted=np.full(len(y), slanted),
        aged=np.zeros((len(x), 1)),
        copies=copies,
        steps=steps,
        rng=np.random.default_rng(0),
    )


def test_with_few_readings_the_scales_stay_open_and_with_many_they_agree() -> None:
    few, many = (fitted(STEEP[None, :n], np.full((1, n), 0.05), 16, x=X[:n], steps=20) for n in (4, 40))
    assert few.inner.log_gain[:, 0].std() > 2 * many.inner.log_gain[:, 0].std()


def test_an_input_that_matters_gets_the_larger_gain() -> None:
    scales = fitted(STEEP[None], np.full((1, 40), 0.01))
    gain = scales.inner.log_gain.exp().median(0).values
    assert gain[0] > 3 * gain[1]
    assert gain[0] > 3 * gain[2]


def test_an_input_that_matters_at_one_end_only_is_bent_towards_it() -> None:
    late = np.sin(9.0 * X[:, 0] ** 4)
    first, _ = fitted(late[None], np.full((1, 40), 0.01)).inner.bend.chunk(2, dim=1)
    assert first[:, 0].median() > 0.3
    assert abs(first[:, 1].median()) < 0.25


def test_marks_of_levels_and_archives_are_not_bent() -> None:
    x = X.copy()
    x[:, 2] = 0.1 * (x[:, 2] > 0.5)
    scales = fitted(STEEP[None], np.full((1, 40), 0.01), 4, x=x, steps=10)
    bend = scales.inner.bend.reshape(4, 2, 3)
    assert (bend[..., 2] == 0.0).all()
    assert (bend[..., :2] != 0.0).all()


def test_smooth_and_rough_readings_are_told_apart() -> None:
    rng = np.random.default_rng(2)
    x = np.sort(rng.random(40))[:, None]
    smooth = np.sin(7.0 * x[:, 0])
    rough = np.abs(np.modf(5.0 * x[:, 0])[0] - 0.5) * 4.0 - 1.0
    smooth_odds, rough_odds = (
        fitted(y[None], np.full((1, 40), 1e-3), 16, x=x).inner.log_odds.median() for y in (smooth, rough)
    )
    assert smooth_odds < rough_odds - 1.0


def test_noise_is_found_beside_what_is_known() -> None:
    loud = STEEP + 0.3 * RNG.standard_normal(40)
    quiet, noisy = (fitted(y[None], np.full((1, 40), 0.01)).inner.log_noise.exp().median() for y in (STEEP, loud))
    assert quiet < 0.1
    assert 0.15 < noisy < 0.5


def test_what_varies_more_at_one_end_is_not_taken_for_noise() -> None:
    rng = np.random.default_rng(7)
    x = rng.random((90, 3))
    y = np.tanh(6.0 * (x[:, 0] ** 4 - 0.3)) + 0.5 * np.sin(3.0 * x[:, 1]) / (0.15 + x[:, 2])
    y = (y - y.mean()) / y.std() + 0.005 * rng.standard_normal(90)
    scales = fitted(y[None], np.full((1, 90), 0.005), x=x, expected=0.0015, steps=20)
    assert scales.noise_variance(torch.from_numpy(x)).mean(1).sqrt().max() < 0.005


def test_noise_that_grows_along_an_input_is_found_where_it_is() -> None:
    rng = np.random.default_rng(5)
    x = rng.random((60, 3))
    y = np.sin(3.0 * x[:, 0]) + 0.02 * np.exp(3.0 * x[:, 1]) * rng.standard_normal(60)
    scales = fitted(y[None], np.full((1, 60), 1e-3), 16, x=x, steps=20)
    ends = torch.tensor([[0.5, 0.0, 0.5], [0.5, 1.0, 0.5]], dtype=torch.float64)
    quiet, loud = scales.noise_variance(ends).mean(0).sqrt().tolist()
    assert 0.01 < quiet < 0.06
    assert 0.2 < loud < 0.8


def test_noise_that_is_everywhere_the_same_stays_so() -> None:
    rng = np.random.default_rng(6)
    x = rng.random((60, 3))
    y = np.sin(3.0 * x[:, 0]) + 0.1 * rng.standard_normal(60)
    scales = fitted(y[None], np.full((1, 60), 1e-3), 16, x=x, steps=20)
    sds = scales.noise_variance(torch.from_numpy(rng.random((200, 3)))).mean(0).sqrt()
    assert sds.min() > 0.06
    assert sds.max() < 0.18


def test_the_noise_of_labels_is_even() -> None:
    x = np.random.default_rng(5).random((30, 3))
    y = np.where(x[:, 0] < 0.7, 1.0, -1.0)
    scales = fitted(y[None], np.full((1, 30), 0.2), 4, x=x, slanted=False, steps=20)
    assert (scales.inner.slope == 0.0).all()


def test_beyond_the_readings_noise_is_that_of_the_outermost() -> None:
    scales = fitted(STEEP[None], np.full((1, 40), 0.01))
    far = scales.noise_variance(torch.tensor([[-9.0, 4.0, 9.0], [9.0, -4.0, -9.0]], dtype=torch.float64))
    at_readings = scales.noise_variance(torch.from_numpy(X))
    assert (far <= at_readings.amax(1, keepdim=True) * 1.000001).all()
    assert (far >= at_readings.amin(1, keepdim=True) * 0.999999).all()


@pytest.mark.parametrize("kind", ["constant", "duplicates", "contradictory", "wild"])
def test_hostile_readings_leave_every_scale_finite(kind: str) -> None:
    x, y, noise = X[:10].copy(), STEEP[:10].copy(), np.zeros((1, 10))
    if kind == "constant":
        y[:] = 0.0
    elif kind == "duplicates":
        x[:], y[:] = x[0], y[0]
    elif kind == "contradictory":
        x[:], y[:] = x[0], np.tile([3.0, -3.0], 5)
    else:
        y[:] = (-1.0) ** np.arange(10) * 1e3
    scales = fitted(y[None], noise, 4, x=x)
    networks = draw_networks(
        scales,
        x,
        np.repeat(y[None], 4, 0),
        np.repeat(noise, 4, 0),
        np.zeros((10, 1)),
        hidden=16,
        draws=3,
        rng=np.random.default_rng(0),
    )
    assert torch.isfinite(networks(torch.from_numpy(X))).all()
