"""The marginal likelihood of wide networks, as a function of their inner scales, with its slopes.

A network of one wide layer of sines and cosines with random weights is, as its width grows, a Gaussian process (Rahimi
& Recht, NeurIPS 2007; Neal 1996), whose marginal likelihood (Rasmussen & Williams 2006, eq. 5.9) has a gradient in
closed form.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from planners.bend import bent, bent_with_slopes

CONSTANT = 0.5
"""Standard deviation of the constant that a network adds, in standardised units."""

_BOUNDS = ((-7.0, 5.0), (-2.0, 2.0), (-4.0, 3.0), (-8.0, 2.0), (-12.0, 2.0))
"""Least and largest log of gain, bend, size, noise and drift: beyond, the covariance cannot be inverted or is that of a
constant."""
LEAST_DRIFT = _BOUNDS[4][0]
_JITTER = 1e-8


@dataclass(frozen=True)
class Inner:
    """Inner scales of B networks over D features: log of the gain of each feature [B, D], its bend [B, 2 D] (see
    `planners.bend`), log of size [B, 1] and of the noise at the middle of the readings [B, 1], its slopes along the
    features [B, D], log of drift over `planners.drift.OVER` experiments [B, 1], and the log of the odds that a hidden
    unit is a rough one [B, 1]."""

    log_gain: Tensor
    bend: Tensor
    log_size: Tensor
    log_noise: Tensor
    slope: Tensor
    log_drift: Tensor
    log_odds: Tensor

    @classmethod
    def widths(cls, features: int) -> list[int]:
        """Number of scales of each kind, in the order of the fields."""
        return [features, 2 * features, 1, 1, features, 1, 1]

    @classmethod
    def of(cls, scales: Tensor, features: int) -> "Inner":
        """All scales beside each other [B, 4 D + 4] -> apart, within bounds."""
        gain, bend, size, noise, slope, drift, odds = torch.split(scales, cls.widths(features), dim=1)
        inside = [part.clamp(*bounds) for part, bounds in zip((gain, bend, size, noise, drift), _BOUNDS, strict=True)]
        gain, bend, size, noise, drift = inside
        return cls(gain, bend, size, noise, slope, drift, odds)

    def joined(self) -> Tensor:
        """All scales beside each other [B, 4 D + 4]."""
        parts = (self.log_gain, self.bend, self.log_size, self.log_noise, self.slope, self.log_drift, self.log_odds)
        return torch.cat(parts, dim=1)


def variance(log_noise: Tensor) -> Tensor:
    """Variance of a noise whose logarithm is given, within bounds."""
    return (2.0 * torch.clamp(log_noise, *_BOUNDS[3])).exp()


class Likelihood:
    """The marginal likelihood of B networks of infinite width on n readings of each.

    Attributes:
        middle: of the features of the readings [D].
        offset: of the features of the readings from their middle [n, D].
    """

    def __init__(
        self, x: NDArray[np.float64], y: NDArray[np.float64], noise: NDArray[np.float64], aged: NDArray[np.float64]
    ) -> None:
        self._inputs = torch.from_numpy(x)
        known = torch.from_numpy(noise).square()
        self._present = torch.isfinite(known)
        self._known = torch.where(self._present, known, 0.0)
        self._targets = torch.where(self._present, torch.from_numpy(y), 0.0)
        self._both = (self._present[:, :, None] & self._present[:, None, :]).double()
        self._complete = bool(self._present.all())
        self._drift = torch.from_numpy(aged @ aged.T)
        self.middle = self._inputs.mean(0)
        self.offset = self._inputs - self.middle

    def _correlations(self, at: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Correlation [B, n, n] of smooth units, that of rough ones, and the derivative of each by the squared
        distance, for scaled features [B, n, D]. Work is done in place: fresh memory costs more than the sums."""
        squares = at.square().sum(2)
        gaps = (at @ at.mT).mul_(-2.0).add_(squares[:, :, None]).add_(squares[:, None, :]).clamp_min_(0.0)
        smooth = (-0.5 * gaps).exp_()
        reach = (5.0 * gaps).sqrt_()
        decay = torch.neg(reach).exp_()
        rough = gaps.mul_(5.0 / 3.0).add_(reach).add_(1.0).mul_(decay)
        return smooth, rough, -0.5 * smooth, reach.add_(1.0).mul_(decay).mul_(-5.0 / 6.0)

    def _own(self, inner: Inner) -> Tensor:
        """Variance of the noise beside the known one, of each reading [B, n]."""
        return variance(inner.log_noise + inner.slope @ self.offset.mT)

    def _factor(self, covariance: Tensor, inner: Inner, noise: Tensor) -> Tensor:
        """Cholesky factor of the covariance of readings [B, n, n], given (and overwritten) that of what networks give;
        an absent one stands alone with variance 1."""
        own = torch.where(self._present, self._known + noise + _JITTER, 1.0)
        covariance.add_(CONSTANT**2).addcmul_((2.0 * inner.log_drift).exp()[..., None], self._drift)
        if not self._complete:
            covariance.mul_(self._both)
        covariance.diagonal(dim1=1, dim2=2).add_(own)
        factor: Tensor = torch.linalg.cholesky(covariance)
        return factor

    def energy(self, inner: Inner) -> tuple[Tensor, Tensor]:
        """The negative log marginal likelihood [B] but for a constant, and its slope by all scales [B, 4 D + 4]."""
        gain = inner.log_gain.exp()[:, None, :]
        place, by_first, by_second = bent_with_slopes(self._inputs, inner.bend)
        smooth, rough, by_smooth, by_rough = self._correlations(gain * place)
        share = inner.log_odds.sigmoid()[..., None]
        size = (2.0 * inner.log_size).exp()[..., None]
        difference = rough.sub_(smooth)
        correlation = smooth.addcmul_(share, difference)
        noise = self._own(inner)
        factor = self._factor(size * correlation, inner, noise)
        inverse = torch.cholesky_inverse(factor)
        weights = inverse @ self._targets[..., None]
        level = 0.5 * (self._targets[..., None] * weights).sum((1, 2))
        level = level + torch.diagonal(factor, dim1=1, dim2=2).log().sum(1)
        by_covariance = torch.baddbmm(inverse, weights, weights.mT, beta=0.5, alpha=-0.5)
        if not self._complete:
            by_covariance.mul_(self._both)
        by_gap = by_rough.sub_(by_smooth).mul_(share).add_(by_smooth).mul_(by_covariance).mul_(size)
        by_place = 4.0 * gain.square() * (by_gap.sum(2, keepdim=True) * place - by_gap @ place)
        own = torch.where(self._present, 2.0 * noise * torch.diagonal(by_covariance, dim1=1, dim2=2), 0.0)
        by_size = 2.0 * size[..., 0] * _sum(by_covariance, correlation)
        by_odds = (size * share * (1.0 - share))[..., 0] * _sum(by_covariance, difference)
        by_drift = 2.0 * (2.0 * inner.log_drift).exp() * (by_covariance.flatten(1) @ self._drift.flatten())[:, None]
        slopes = (
            (by_place * place).sum(1),
            (by_place * by_first).sum(1),
            (by_place * by_second).sum(1),
            by_size,
            own.sum(1, keepdim=True),
            own @ self.offset,
            by_drift,
            by_odds,
        )
        return level, torch.cat(slopes, dim=1)

    def left_out_square(self, inner: Inner) -> Tensor:
        """Square of each reading's error, predicted from all others, over its predicted variance [B, n] (Rasmussen &
        Williams 2006, eqs. 5.10 to 5.12); NaN: absent."""
        smooth, rough, _, _ = self._correlations(inner.log_gain.exp()[:, None, :] * bent(self._inputs, inner.bend))
        share, size = inner.log_odds.sigmoid()[..., None], (2.0 * inner.log_size).exp()[..., None]
        factor = self._factor(size * (smooth + share * (rough - smooth)), inner, self._own(inner))
        inverse = torch.cholesky_inverse(factor)
        precision = torch.diagonal(inverse, dim1=1, dim2=2)
        square = (inverse @ self._targets[..., None])[..., 0].square() / precision
        return torch.where(self._present, square, torch.tensor(math.nan, dtype=torch.float64))


def _sum(one: Tensor, other: Tensor) -> Tensor:
    """Sums of the products of two stacks of matrices [B, n, n], entry by entry: [B, 1]."""
    products: Tensor = torch.linalg.vecdot(one.flatten(1), other.flatten(1))
    return products[:, None]
