"""How fast, how far and how roughly each output varies: the inner scales of wide networks, drawn from their posterior.

A network's inner scales are a gain and a bend for each input (`planners.bend`), a size, noise beside the known one, and
the share of its hidden units that are rough. Their likelihood and its slope have closed forms (`planners.likelihood`),
so the scales of all networks walk as one batch: to a mode, and from there by Hamiltonian Monte Carlo to a draw from the
posterior.

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

from planners.likelihood import LEAST_DRIFT, Inner, Likelihood, variance
from planners.walk import descend, wander

_GAIN = 1.2
"""Median gain of an input of the unit cube, over the square root of their number: a scale of half a diagonal or so."""
_GAIN_LOG_SD = 1.2
_BEND_SD = 0.25
"""Standard deviation of the logarithms of an input's bend: one end may well count twice as much as the other."""
_SIZE_LOG_SD = 1.0
NOISE = 0.03
"""Median of the noise beside the known one, in standardised units, where readings do not state theirs."""
_NOISE_LOG_SD = 1.5
_SLANT_SD = 0.5
"""Standard deviation over the unit cube of the log of noise: a factor of 1.6 between places is nothing strange."""
DRIFT = 0.3
"""Median of the scale of drift, as a part of the median of the noise beside the known one."""
_DRIFT_LOG_SD = 1.5
_ODDS = -2.0
_ODDS_SD = 2.0
"""Mean and standard deviation of the log of the odds that a hidden unit is rough: one in eight is;
nearly none, or half of them, are nothing strange."""

_FIRST_GAIN, _FIRST_NOISE = 2.0, 0.1
_CLEARLY = 10.0
"""By how much the energy of a mode with a strong drift must be lower than that of the other, for a walk to begin there.
Without a drift, or with a slight one, both descents end in one mode (up to 4 apart), with a strong one 20 and more
apart."""
_SCATTER = 0.3
_PATHS, _LEAPS, _STRIDE = 8, 6, 0.25
_OF_UNIFORM = 12.0
"""One over the variance of a uniform number."""
_LEAST_BENT = 3
"""Fewest different values of an input that is bent."""


@dataclass(frozen=True)
class Scales:
    """Inner scales of B networks over D features, and their errors on readings left out."""

    inner: Inner
    middle: Tensor  # D, of the readings
    range: Tensor  # B x 2, least and largest log of noise over that of the middle, among the readings
    left_out_square: Tensor  # B x n, square of its error over its predicted variance; NaN: absent

    def noise_variance(self, x: Tensor) -> Tensor:
        """Variance of the noise beside the known one, standardised, at features [N, D]: [B, N]. It is nowhere beyond
        that of the readings."""
        slant = (self.inner.slope @ (x - self.middle).mT).maximum(self.range[:, :1]).minimum(self.range[:, 1:])
        return variance(self.inner.log_noise + slant)


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
    features, walkers = x.shape[1], len(y) * copies
    likelihood = Likelihood(x, np.repeat(y, copies, axis=0), np.repeat(noise, copies, axis=0), aged)
    slanting = torch.from_numpy(np.repeat(slanted, copies))[:, None]
    usual = torch.from_numpy(np.log(np.repeat(expected_noise, copies)))[:, None]
    drift = torch.where(slanting, usual + math.log(DRIFT), LEAST_DRIFT)
    many, one = torch.ones(walkers, features, dtype=torch.float64), torch.ones(walkers, 1, dtype=torch.float64)
    both = torch.cat([many, many], dim=1)
    evenly = math.log(math.sqrt(features))
    middle = Inner(
        (math.log(_GAIN) - evenly) * many, 0.0 * both, 0.0 * one, usual, 0.0 * many, drift, _ODDS * one
    ).joined()
    free = Inner(
        _GAIN_LOG_SD * many,
        _BEND_SD * both * torch.from_numpy(_can_bend(x)).repeat(2),
        _SIZE_LOG_SD * one,
        _NOISE_LOG_SD * one,
        _SLANT_SD * math.sqrt(_OF_UNIFORM / features) * slanting * many,
        _DRIFT_LOG_SD * slanting * one,
        _ODDS_SD * one,
    ).joined()
    gain = math.log(_FIRST_GAIN) - evenly + _SCATTER * torch.from_numpy(rng.standard_normal((walkers, features)))
    odds = _ODDS + _ODDS_SD * torch.from_numpy(rng.standard_normal((walkers, 1)))
    start = Inner(gain, 0.0 * both, 0.0 * one, math.log(_FIRST_NOISE) * one, 0.0 * many, drift, odds).joined()

    def energy(at: Tensor) -> tuple[Tensor, Tensor]:
        level, slope = likelihood.energy(Inner.of(middle + free * at, features))
        return level + 0.5 * at.square().sum(1), slope * free + at

    at = descend(energy, torch.where(free > 0.0, (start - middle) / free, 0.0), steps)
    if aged.shape[1] and bool(slanting.any()):
        # From a slight drift a strong one is not found: all of it is taken for noise.
        strong = torch.where(slanting, math.log(_FIRST_NOISE), LEAST_DRIFT)
        start = Inner(gain, 0.0 * both, 0.0 * one, math.log(_FIRST_NOISE) * one, 0.0 * many, strong, odds).joined()
        drifting = descend(energy, torch.where(free > 0.0, (start - middle) / free, 0.0), steps)
        better = energy(drifting)[0] < energy(at)[0] - _CLEARLY
        at = torch.where(better[:, None], drifting, at)
    by_slope = 0.5 / _OF_UNIFORM * many
    stiff = Inner(0.1 / features * many, 0.05 / features * both, 0.5 * one, 0.5 * one, by_slope, 0.05 * one, 0.02 * one)
    mass = 1.0 + len(x) * stiff.joined() * free.square()
    at = wander(energy, at, mass, paths=_PATHS, leaps=_LEAPS, stride=_STRIDE, rng=rng)
    inner = Inner.of(middle + free * at, features)
    slant = inner.slope @ likelihood.offset.mT
    extremes = torch.stack([slant.amin(1), slant.amax(1)], dim=1)
    return Scales(inner, likelihood.middle, extremes, likelihood.left_out_square(inner))


def _can_bend(x: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which features [n, D] may be bent [D]: those of a scale, not marks of a level or of an archive."""
    return np.array([len(np.unique(column)) >= _LEAST_BENT for column in x.T], dtype=np.bool_)
