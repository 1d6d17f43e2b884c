"""How fast, how far and how roughly each output varies: the inner scales of wide networks, drawn from their posterior.

A network of one wide layer of sines and cosines with random weights is, as its width grows, a Gaussian process (Rahimi
& Recht, NeurIPS 2007; Neal 1996). Its inner scales are a gain for each input, a size, and noise beside the known one.
The marginal likelihood of that limit (Rasmussen & Williams 2006, eq. 5.9) has a gradient in closed form, so the scales
of all networks walk as one batch: to a mode, and from there by Hamiltonian Monte Carlo to a draw from the posterior.

Noise is not the same everywhere: its logarithm is linear in the inputs (as that of variances in Cook & Weisberg,
Biometrika 70:1, 1983), with slopes that are drawn like the other scales and whose prior is centred on none.

Readings may also drift with their age (see `planners.drift`): the scale of that is drawn with the others, and its prior
median is a part of the noise.

Few readings leave many scales open. Networks at draws from the posterior stand for all of them; networks at the best
scales, or chosen by how well each predicts readings left out, agree too much and are too sure.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from planners.walk import descend, wander

CONSTANT = 0.5
"""Standard deviation of the constant that a network adds, in standardised units."""

_GAIN = 1.2
"""Median gain of an input of the unit cube, over the square root of their number: a scale of half a diagonal or so."""
_GAIN_LOG_SD = 1.2
_SIZE_LOG_SD = 1.0
NOISE = 0.03
"""Median of the noise beside the known one, in standardised units, where readings do not state theirs."""
_NOISE_LOG_SD = 1.5
_SLANT_SD = 0.5
"""Standard deviation over the unit cube of the log of noise: a factor of 1.6 between places is nothing strange."""

DRIFT = 0.3
"""Median of the scale of drift, as a part of the median of the noise beside the known one."""
_DRIFT_LOG_SD = 1.5

_FIRST_GAIN, _FIRST_NOISE = 2.0, 0.1
_SCATTER = 0.3
_PATHS, _LEAPS, _STRIDE = 4, 6, 0.25
_BOUNDS = ((-7.0, 5.0), (-4.0, 3.0), (-8.0, 2.0), (-12.0, 2.0))
"""Least and largest log of gain, size, noise and drift: beyond, the covariance cannot be inverted or is that of a
constant."""
_JITTER = 1e-8
_OF_UNIFORM = 12.0
"""One over the variance of a uniform number."""


@dataclass(frozen=True)
class Scales:
    """Inner scales of B networks over D features, and their errors on readings left out [B, n] (NaN: absent).

    `rough` networks are Matern processes (smoothness 5/2) in the limit, the others squared-exponential ones.
    """

    log_gain: Tensor  # B x D
    log_size: Tensor  # B
    log_noise: Tensor  # B, at the middle of the readings
    slope: Tensor  # B x D, of the log of noise along each feature
    log_drift: Tensor  # B, over `planners.drift.OVER` experiments
    middle: Tensor  # D, of the readings
    range: Tensor  # B x 2, least and largest log of noise over that of the middle, among the readings
    rough: Tensor  # B, bool
    left_out_square: Tensor  # B x n, square of its error over its predicted variance

    def noise_variance(self, x: Tensor) -> Tensor:
        """Variance of the noise beside the known one, standardised, at features [N, D]: [B, N]. It is nowhere beyond
        that of the readings."""
        slant = (self.slope @ (x - self.middle).mT).maximum(self.range[:, :1]).minimum(self.range[:, 1:])
        return _variance(self.log_noise[:, None] + slant)


def fit_scales(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    noise: NDArray[np.float64],
    *,
    expected_noise: NDArray[np.float64],
    slanted: NDArray[np.bool_],
    aged: NDArray[np.float64],
    copies: int,
    steps: int,
    rng: np.random.Generator,
) -> Scales:
    """Draw `copies` sets of scales for each of m outputs: B = m * copies, those of one output beside each other.

    Args:
        x: features [n, D].
        y: standardised readings [m, n]; anything where the noise is infinite.
        noise: known standard deviation of each reading [m, n], standardised; infinite where it is absent.
        expected_noise: prior median of what each output's noise has beside the known one [m], standardised.
        slanted: whether noise may vary with the inputs, and readings drift [m]; those of labels must not, or a corner
            of failures is noise.
        aged: functions of the readings' age [n, K], as `planners.drift` gives them.
        copies: sets of scales of each output.
        steps: steps to a mode, before the walk.
        rng: the source of every random number.
    """
    features, count = x.shape[1], x.shape[0]
    evidence = _Evidence(x, np.repeat(y, copies, axis=0), np.repeat(noise, copies, axis=0), aged, copies)
    bent = torch.from_numpy(np.repeat(slanted, copies))
    usual = torch.from_numpy(np.log(np.repeat(expected_noise, copies)))

    def row(gain: float, size: float, noise: float, slope: float, drift: float) -> Tensor:
        return torch.tensor([gain] * features + [size, noise] + [slope] * features + [drift], dtype=torch.float64)

    by_feature = _SLANT_SD * math.sqrt(_OF_UNIFORM / features)
    width = row(_GAIN_LOG_SD, _SIZE_LOG_SD, _NOISE_LOG_SD, by_feature, _DRIFT_LOG_SD)
    free = width.repeat(len(y) * copies, 1)
    free[:, features + 2 :] *= bent[:, None]
    middle = row(math.log(_GAIN / math.sqrt(features)), 0.0, 0.0, 0.0, _BOUNDS[3][0]).repeat(len(y) * copies, 1)
    middle[:, features + 1] = usual
    middle[bent, -1] = usual[bent] + math.log(DRIFT)
    start = row(math.log(_FIRST_GAIN / math.sqrt(features)), 0.0, math.log(_FIRST_NOISE), 0.0, 0.0).repeat(len(free), 1)
    start[:, -1] = middle[:, -1]
    stiff = row(0.1 / features, 0.5, 0.5, 0.5 / _OF_UNIFORM, 0.05)

    def energy(at: Tensor) -> tuple[Tensor, Tensor]:
        level, slope = evidence.energy(*_apart(middle + free * at, features))
        return level + 0.5 * at.square().sum(1), slope * free + at

    scatter = torch.from_numpy(rng.standard_normal((len(y) * copies, len(width))))
    scatter[:, features:] = 0.0
    at = descend(energy, (start + _SCATTER * scatter - middle) / width, steps)
    mass = 1.0 + count * stiff * width.square()
    at = wander(energy, at, mass, paths=_PATHS, leaps=_LEAPS, stride=_STRIDE, rng=rng)
    gain, size, fitted, slope, drift = _apart(middle + free * at, features)
    slant = slope @ evidence.offset.mT
    return Scales(
        gain,
        size[:, 0],
        fitted[:, 0],
        slope,
        drift[:, 0],
        evidence.middle,
        torch.stack([slant.amin(1), slant.amax(1)], dim=1),
        evidence.rough,
        evidence.left_out_square(gain, size, fitted, slope, drift),
    )


def _apart(scales: Tensor, features: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Log scales [B, 2 D + 3] -> log gain [B, D], log size [B, 1] and log noise [B, 1], within bounds, the slopes of
    the latter [B, D], and log drift [B, 1], within bounds."""
    gain, size, noise, slope, drift = torch.split(scales, [features, 1, 1, features, 1], dim=1)
    inside = [part.clamp(*bounds) for part, bounds in zip((gain, size, noise, drift), _BOUNDS, strict=True)]
    return inside[0], inside[1], inside[2], slope, inside[3]


def _variance(log_noise: Tensor) -> Tensor:
    return (2.0 * torch.clamp(log_noise, *_BOUNDS[2])).exp()


class _Evidence:
    """The marginal likelihood of B networks of infinite width on n readings of each."""

    def __init__(
        self,
        x: NDArray[np.float64],
        y: NDArray[np.float64],
        noise: NDArray[np.float64],
        aged: NDArray[np.float64],
        copies: int,
    ) -> None:
        inputs = torch.from_numpy(x)
        self._square_gaps = (inputs[:, None, :] - inputs[None, :, :]).square().reshape(-1, x.shape[1])  # n^2 x D
        known = torch.from_numpy(noise).square()
        self._present = torch.isfinite(known)
        self._known = torch.where(self._present, known, 0.0)
        self._targets = torch.where(self._present, torch.from_numpy(y), 0.0)
        self._both = self._present[:, :, None] & self._present[:, None, :]
        self._constant = torch.where(self._both, CONSTANT**2, 0.0)
        self._drift = torch.where(self._both, torch.from_numpy(aged @ aged.T), 0.0)
        self.middle = inputs.mean(0)
        self.offset = inputs - self.middle
        self.rough = torch.arange(len(y)) % copies >= copies // 2

    def _correlation(self, log_gain: Tensor) -> tuple[Tensor, Tensor]:
        """Correlation [B, n, n] and its derivative by the squared distance."""
        size = self._targets.shape[-1]
        squares = ((2.0 * log_gain).exp() @ self._square_gaps.mT).reshape(-1, size, size)
        rough = self.rough[:, None, None]
        reach = torch.where(rough, (5.0 * squares).sqrt(), 0.5 * squares)
        decay = torch.exp(-reach)
        value = torch.where(rough, (1.0 + reach + reach.square() / 3.0) * decay, decay)
        slope = torch.where(rough, -5.0 / 6.0 * (1.0 + reach) * decay, -0.5 * decay)
        return torch.where(self._both, value, 0.0), torch.where(self._both, slope, 0.0)

    def _noise(self, log_noise: Tensor, slope: Tensor) -> Tensor:
        return _variance(log_noise + slope @ self.offset.mT)

    def _factor(self, correlation: Tensor, log_size: Tensor, noise: Tensor, log_drift: Tensor) -> Tensor:
        """Cholesky factor of the covariance of readings [B, n, n]; an absent one stands alone with variance 1."""
        own = torch.where(self._present, self._known + noise + _JITTER, 1.0)
        shared = (2.0 * log_size).exp()[..., None] * correlation + (2.0 * log_drift).exp()[..., None] * self._drift
        factor: Tensor = torch.linalg.cholesky(shared + self._constant + torch.diag_embed(own))
        return factor

    def energy(
        self, log_gain: Tensor, log_size: Tensor, log_noise: Tensor, slope: Tensor, log_drift: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The negative log marginal likelihood [B] but for a constant, and its slope by all scales [B, 2 D + 3]."""
        correlation, by_square = self._correlation(log_gain)
        noise = self._noise(log_noise, slope)
        factor = self._factor(correlation, log_size, noise, log_drift)
        inverse = torch.cholesky_inverse(factor)
        weights = inverse @ self._targets[..., None]
        fit = 0.5 * (self._targets[..., None] * weights).sum((1, 2))
        level = fit + torch.diagonal(factor, dim1=1, dim2=2).log().sum(1)
        by_covariance = 0.5 * (inverse - weights @ weights.mT)
        variance = (2.0 * log_size).exp()
        own = torch.where(self._present, 2.0 * noise * torch.diagonal(by_covariance, dim1=1, dim2=2), 0.0)
        by_gap = (by_covariance * by_square).flatten(1) @ self._square_gaps
        by_gain = 2.0 * variance * (2.0 * log_gain).exp() * by_gap
        by_size = 2.0 * variance * (by_covariance * correlation).sum((1, 2))[:, None]
        by_drift = 2.0 * (2.0 * log_drift).exp() * (by_covariance * self._drift).sum((1, 2))[:, None]
        return level, torch.cat([by_gain, by_size, own.sum(1, keepdim=True), own @ self.offset, by_drift], dim=1)

    def left_out_square(
        self, log_gain: Tensor, log_size: Tensor, log_noise: Tensor, slope: Tensor, log_drift: Tensor
    ) -> Tensor:
        """Square of each reading's error, predicted from all others, over its predicted variance [B, n] (Rasmussen &
        Williams 2006, eqs. 5.10 to 5.12)."""
        correlation, _ = self._correlation(log_gain)
        factor = self._factor(correlation, log_size, self._noise(log_noise, slope), log_drift)
        inverse = torch.cholesky_inverse(factor)
        precision = torch.diagonal(inverse, dim1=1, dim2=2)
        square = (inverse @ self._targets[..., None])[..., 0].square() / precision
        return torch.where(self._present, square, torch.tensor(math.nan, dtype=torch.float64))
