"""How fast, how far and how roughly each output varies: the inner scales of wide networks, fitted by evidence.

A network of one wide layer of sines and cosines with random weights is, as its width grows, a Gaussian process (Rahimi
& Recht, NeurIPS 2007; Neal 1996). Its inner scales (a gain for each input, a size, and noise beside the known one) are
found by maximising the marginal likelihood of that limit (Rasmussen & Williams 2006, eq. 5.9), all networks as one
batch, with the gradient in closed form, by Rprop, which suits these few parameters (Blum & Riedmiller, ESANN 2013).

Every network has a prior of its own, drawn around a common one, so that together they stand for the scales that the
data leave open (anchored ensembles: Pearce et al., AISTATS 2020). Each is weighed by how well it predicts every
reading from the others, which is in closed form too (Rasmussen & Williams 2006, eqs. 5.10 to 5.12).
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

CONSTANT = 0.5
"""Standard deviation of the constant that a network adds, in standardised units."""

_GAIN = 1.2
"""Median gain of an input of the unit cube, over the square root of their number: a scale of half a diagonal or so."""
_GAIN_LOG_SD = 1.2
_SIZE_LOG_SD = 0.5
_NOISE = 0.03
_NOISE_LOG_SD = 1.5
_APART = 0.7
"""Share of the prior's standard deviation by which the priors of networks are set apart (of the noise's: half)."""

_FIRST_NOISE = 0.1
_FIRST_STEP = 0.1
_LARGEST_STEP = 0.7
_SMALLEST_STEP = 1e-4
_FASTER, _SLOWER = 1.3, 0.5
_BOUNDS = {"gain": (-7.0, 5.0), "size": (-4.0, 3.0), "noise": (-6.0, 2.0)}
_JITTER = 1e-8


@dataclass(frozen=True)
class Scales:
    """Inner scales of B networks over D features, and how they fare on readings left out [B, n] (NaN: absent).

    `rough` networks are Matern processes (smoothness 5/2) in the limit, the others squared-exponential ones.
    """

    log_gain: Tensor  # B x D
    log_size: Tensor  # B
    log_noise: Tensor  # B
    rough: Tensor  # B, bool
    left_out_density: Tensor  # B x n, log density of each reading given all others
    left_out_square: Tensor  # B x n, square of its error over its predicted variance

    def take(self, rows: Tensor) -> "Scales":
        """The scales of some networks, in this order."""
        return Scales(
            self.log_gain[rows],
            self.log_size[rows],
            self.log_noise[rows],
            self.rough[rows],
            self.left_out_density[rows],
            self.left_out_square[rows],
        )


def fit_scales(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    noise: NDArray[np.float64],
    *,
    copies: int,
    steps: int,
    rng: np.random.Generator,
) -> Scales:
    """Fit `copies` sets of scales to each of m outputs: B = m * copies, those of one output beside each other.

    Args:
        x: features [n, D].
        y: standardised readings [m, n]; anything where the noise is infinite.
        noise: known standard deviation of each reading [m, n], standardised; infinite where it is absent.
        copies: sets of scales of each output.
        steps: steps of Rprop.
        rng: the source of every random number.
    """
    evidence = _Evidence(x, np.repeat(y, copies, axis=0), np.repeat(noise, copies, axis=0), copies)
    batch, features = len(y) * copies, x.shape[1]

    def normal(*shape: int) -> Tensor:
        return torch.from_numpy(rng.standard_normal(shape))

    middle = math.log(_GAIN / math.sqrt(features))
    anchors = (
        middle + _APART * _GAIN_LOG_SD * normal(batch, features),
        _APART * _SIZE_LOG_SD * normal(batch, 1),
        math.log(_NOISE) + 0.5 * _APART * _NOISE_LOG_SD * normal(batch, 1),
    )
    widths = (_GAIN_LOG_SD, _SIZE_LOG_SD, _NOISE_LOG_SD)
    start = math.log(2.0 / math.sqrt(features))
    at = [
        start + 0.3 * normal(batch, features),
        torch.zeros(batch, 1, dtype=torch.float64),
        torch.full((batch, 1), math.log(_FIRST_NOISE), dtype=torch.float64),
    ]
    pace = [torch.full_like(value, _FIRST_STEP) for value in at]
    before = [torch.zeros_like(value) for value in at]
    for _ in range(steps):
        slopes = evidence.slopes(*at)
        for i, (slope, anchor, width, bounds) in enumerate(zip(slopes, anchors, widths, _BOUNDS.values(), strict=True)):
            downhill = slope + (at[i] - anchor) / width**2
            turn = downhill.sign() * before[i].sign()
            pace[i] = torch.where(turn > 0, pace[i] * _FASTER, torch.where(turn < 0, pace[i] * _SLOWER, pace[i]))
            pace[i] = pace[i].clamp(_SMALLEST_STEP, _LARGEST_STEP)
            before[i] = torch.where(turn < 0, 0.0, downhill)
            at[i] = (at[i] - before[i].sign() * pace[i]).clamp(*bounds)
    density, square = evidence.left_out(*at)
    return Scales(at[0], at[1][:, 0], at[2][:, 0], evidence.rough, density, square)


class _Evidence:
    """The marginal likelihood of B networks of infinite width on n readings of each."""

    def __init__(self, x: NDArray[np.float64], y: NDArray[np.float64], noise: NDArray[np.float64], copies: int) -> None:
        inputs = torch.from_numpy(x)
        self._square_gaps = (inputs[:, None, :] - inputs[None, :, :]).square().reshape(-1, x.shape[1])  # n^2 x D
        known = torch.from_numpy(noise).square()
        self._present = torch.isfinite(known)
        self._known = torch.where(self._present, known, 0.0)
        self._targets = torch.where(self._present, torch.from_numpy(y), 0.0)
        self._both = self._present[:, :, None] & self._present[:, None, :]
        self._constant = torch.where(self._both, CONSTANT**2, 0.0)
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

    def _inverse(self, correlation: Tensor, log_size: Tensor, log_noise: Tensor) -> Tensor:
        """Inverse of the covariance of readings [B, n, n]; an absent one stands alone with variance 1."""
        own = torch.where(self._present, self._known + (2.0 * log_noise).exp() + _JITTER, 1.0)
        covariance = (2.0 * log_size).exp()[..., None] * correlation + self._constant + torch.diag_embed(own)
        return torch.cholesky_inverse(torch.linalg.cholesky(covariance))

    def slopes(self, log_gain: Tensor, log_size: Tensor, log_noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Derivatives of the negative log marginal likelihood by [B, D], [B, 1] and [B, 1]."""
        correlation, by_square = self._correlation(log_gain)
        inverse = self._inverse(correlation, log_size, log_noise)
        weights = inverse @ self._targets[..., None]
        by_covariance = 0.5 * (inverse - weights @ weights.mT)
        variance = (2.0 * log_size).exp()
        own = torch.where(self._present, torch.diagonal(by_covariance, dim1=1, dim2=2), 0.0).sum(1, keepdim=True)
        by_gap = (by_covariance * by_square).flatten(1) @ self._square_gaps
        return (
            2.0 * variance * (2.0 * log_gain).exp() * by_gap,
            2.0 * variance * (by_covariance * correlation).sum((1, 2))[:, None],
            2.0 * (2.0 * log_noise).exp() * own,
        )

    def left_out(self, log_gain: Tensor, log_size: Tensor, log_noise: Tensor) -> tuple[Tensor, Tensor]:
        """Log density of each reading given the others, and its squared standardised error: [B, n] each."""
        correlation, _ = self._correlation(log_gain)
        inverse = self._inverse(correlation, log_size, log_noise)
        precision = torch.diagonal(inverse, dim1=1, dim2=2)
        square = (inverse @ self._targets[..., None])[..., 0].square() / precision
        density = 0.5 * (precision.log() - math.log(2.0 * math.pi) - square)
        absent = torch.tensor(math.nan, dtype=torch.float64)
        return torch.where(self._present, density, absent), torch.where(self._present, square, absent)
