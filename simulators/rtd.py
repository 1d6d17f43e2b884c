"""Residence-time distributions as a handful of age classes.

Ages are dimensionless, theta = age / mean age; in a tube whose flow changes, read them as volume coordinates: the
fluid that leaves now entered theta tube volumes ago. Each class carries its share of the outflow, its mean age, and
the interval of ages over which its composition is averaged (its middle is the mean age, so a step in the feed passes
without a staircase).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from simulators.chemistry import Array
from simulators.specs import TubeSpec

_PLUG_HALF_WIDTH = 0.01
_GRID = 20_001


@dataclass(frozen=True)
class AgeClasses:
    """n age classes; all arrays have shape (n,). `weights` sum to 1 and `weights @ ages` is 1."""

    weights: Array
    ages: Array
    youngest: Array
    oldest: Array


def age_classes(tube: TubeSpec, count: int) -> AgeClasses:
    """Split a tube's distribution into about `count` classes (one for plug flow).

    laminar: F(theta) = 1 - 1 / (4 theta^2) for theta > 1/2, the convective limit without diffusion (Danckwerts 1953).
    tanks: N stirred tanks in series, the gamma density N^N theta^(N-1) exp(-N theta) / Gamma(N), N >= 1.
    plug: theta = 1.
    """
    if tube.regime == "plug":
        one = np.ones(1)
        return AgeClasses(one, one, one - _PLUG_HALF_WIDTH, one + _PLUG_HALF_WIDTH)
    if tube.regime == "laminar":
        # With s = 1 - 1/(2 theta): dF = 2 (1-s) ds and theta dF = ds, so equal steps in s are exact in both moments.
        s = np.linspace(0.0, 1.0, count + 1)
        weights = np.diff(1.0 - (1.0 - s) ** 2)
        ages = np.diff(s) / weights
        youngest = 0.5 / (1.0 - s[:-1])
        return AgeClasses(weights, ages, youngest, 2.0 * ages - youngest)
    return _tanks(tube.tanks, count)


def _tanks(tanks: float, count: int) -> AgeClasses:
    spread = 1.0 / math.sqrt(tanks)
    theta = np.linspace(max(0.0, 1.0 - 9.0 * spread), 1.0 + 9.0 * spread + 12.0 / tanks, _GRID)
    log_density = np.full(_GRID, -np.inf)
    inside = theta > 0.0
    log_density[inside] = (tanks - 1.0) * np.log(theta[inside]) - tanks * theta[inside]
    log_density[inside] += tanks * math.log(tanks) - math.lgamma(tanks)
    density = np.exp(log_density)
    if theta[0] == 0.0 and tanks == 1.0:
        density[0] = 1.0
    step = theta[1] - theta[0]
    cumulative = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]) * step)])
    moment = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] * theta[1:] + density[:-1] * theta[:-1]) * step)])
    moment /= moment[-1]
    cumulative /= cumulative[-1]
    # Finer classes in both tails than in the middle.
    edges = 0.5 * (1.0 - np.cos(np.linspace(0.0, math.pi, count + 1)))
    bounds = np.interp(edges, cumulative, theta)
    weights = np.diff(edges)
    ages = np.diff(np.interp(bounds, theta, moment)) / np.diff(np.interp(bounds, theta, cumulative))
    ages = ages / float(weights @ ages)
    half = np.minimum(ages - bounds[:-1], bounds[1:] - ages)
    return AgeClasses(weights, ages, ages - half, ages + half)
