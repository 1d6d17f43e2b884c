"""Wide neural networks with a Bayesian last layer, as one batched tensor program.

A network is x -> [c, s cos(z W), s sin(z W)] . w, where z is x with each input bent (`planners.bend`) and W random
hidden weights, at the scales that `planners.scales` drew. A smooth unit has Gaussian weights, a rough one those of
Student's t with 5 degrees of freedom: infinitely many of them are a squared-exponential and a Matern process (Rahimi &
Recht, NeurIPS 2007). Hidden weights of one network are orthogonal in blocks, which makes fewer of them do (Yu et al.,
NeurIPS 2016).

Readings that drift are off by a sum of functions of their age, whose weights are drawn with the last layer
(`planners.drift`); a prediction is as of now and has none of it.

The last layer has a unit Gaussian prior and is drawn from its posterior by randomise-then-optimise: a random prior
function and noisy targets, regressed exactly (Matthews et al. 2017; Osband et al., NeurIPS 2018). The draws agree
where there is data and fan out where there is none.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from planners.bend import bent
from planners.likelihood import CONSTANT
from planners.scales import Scales

_JITTER = 1e-8
_TAILS = 5.0


@dataclass(frozen=True)
class Networks:
    """B wide networks over D features, each with S last layers; H hidden units. The last layer is kept in its parts and
    scaled, in single precision: that moves an output by a millionth of the spread of the readings, and twice as many
    recipes can be looked at in the same time."""

    bend: Tensor  # B x 2 D
    inner: Tensor  # B x D x H/2
    constant: Tensor  # B x 1 x S
    cosines: Tensor  # B x H/2 x S
    sines: Tensor  # B x H/2 x S
    late: Tensor  # B x K x S, of the functions of a reading's age

    @classmethod
    def of(cls, bend: Tensor, inner: Tensor, size: Tensor, drift: Tensor, last: Tensor) -> "Networks":
        """From bends and hidden weights, the sizes [B, 1, 1] of what they give and of drift, and the last layers
        [B, 1 + H + K, S]."""
        half = inner.shape[-1]
        constant, cosines, sines, late = torch.split(last, [1, half, half, last.shape[1] - 2 * half - 1], dim=1)
        scale = size / math.sqrt(half)
        single = (
            bend.float(),
            inner.float(),
            (CONSTANT * constant).float(),
            (scale * cosines).float(),
            (scale * sines).float(),
        )
        return cls(*single, drift * late)

    def __call__(self, x: Tensor) -> Tensor:
        """Features [N, D] -> standardised outputs [B, N, S]."""
        angles = bent(x.float(), self.bend) @ self.inner
        outputs = torch.baddbmm(self.constant, torch.cos(angles), self.cosines)
        return torch.baddbmm(outputs, angles.sin(), self.sines).double()


def hidden_units(inner: Tensor, size: Tensor, x: Tensor) -> Tensor:
    """Bent features [B, N, D] -> what the last layer sees [B, N, F], scaled so that its weights have unit priors."""
    angles = x @ inner
    scale = size / math.sqrt(inner.shape[-1])
    constant = torch.full_like(angles[..., :1], CONSTANT)
    return torch.cat([constant, scale * torch.cos(angles), scale * torch.sin(angles)], dim=-1)


def draw_networks(
    scales: Scales,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    noise: NDArray[np.float64],
    aged: NDArray[np.float64],
    *,
    hidden: int,
    draws: int,
    rng: np.random.Generator,
) -> Networks:
    """Networks of these scales, with last layers drawn from their posterior.

    Args:
        scales: of B networks.
        x: features [n, D].
        y: standardised readings [B, n]; anything where the noise is infinite.
        noise: known standard deviation of each reading [B, n]; infinite where it is absent.
        aged: functions of the readings' age [n, K], as `planners.drift` gives them.
        hidden: hidden units H, rounded up to an even number.
        draws: last layers S of each network.
        rng: the source of every random number.
    """
    chosen = scales.inner
    gain = chosen.log_gain.exp()
    rough = chosen.log_odds.sigmoid().numpy()
    inner = gain[..., None] * _directions(len(gain), gain.shape[1], (hidden + 1) // 2, rough, rng)
    size, drift = chosen.log_size.exp()[..., None], chosen.log_drift.exp()[..., None]
    known = torch.from_numpy(noise).square()
    present = torch.isfinite(known)
    precision = torch.where(present, 1.0 / (known + scales.noise_variance(torch.from_numpy(x)) + _JITTER), 0.0)
    root = precision.sqrt()[..., None]
    seen = hidden_units(inner, size, bent(torch.from_numpy(x), chosen.bend))
    late = (drift * torch.from_numpy(aged)).expand(len(seen), -1, -1)
    units = torch.cat([seen, late], dim=2) * root
    targets = torch.where(present, torch.from_numpy(y), 0.0)[..., None] * root
    scatter = torch.where(present[..., None], torch.from_numpy(rng.standard_normal((*y.shape, draws))), 0.0)
    prior = torch.from_numpy(rng.standard_normal((len(gain), units.shape[-1], draws)))
    return Networks.of(chosen.bend, inner, size, drift, prior + ridge(units, targets - units @ prior - scatter))


def ridge(z: Tensor, y: Tensor) -> Tensor:
    """(I + Z^T Z)^-1 Z^T y for Z [B, n, F] and y [B, n, S], through whichever of n and F is smaller: [B, F, S]."""
    primal = z.shape[-2] > z.shape[-1]
    gram = z.mT @ z if primal else z @ z.mT
    factor = torch.linalg.cholesky(gram + torch.eye(gram.shape[-1], dtype=z.dtype))
    return torch.cholesky_solve(z.mT @ y, factor) if primal else z.mT @ torch.cholesky_solve(y, factor)


def _directions(batch: int, features: int, count: int, rough: NDArray[np.float64], rng: np.random.Generator) -> Tensor:
    """Random hidden weights at unit gain [B, D, count], each unit rough by this chance [B, 1]."""
    blocks = -(-count // features)
    frames, _ = np.linalg.qr(rng.standard_normal((batch, blocks, features, features)))
    lengths = np.sqrt(rng.chisquare(features, (batch, blocks, 1, features)))
    weights = np.moveaxis(frames * lengths, 1, 2).reshape(batch, features, -1)[..., :count]
    tails = np.sqrt(rng.chisquare(_TAILS, (batch, count)) / _TAILS)
    tails = np.where(rng.random((batch, count)) < rough, tails, 1.0)
    return torch.from_numpy(weights / tails[:, None, :])
