"""Downhill and about: a mode of many small densities at once, and draws from them.

An energy is the negative log of a density. All walkers move together as one batch and never meet.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

Energy = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Places [B, P] -> the energy [B] and its slope [B, P]."""

_FIRST_STEP = 0.1
_LARGEST_STEP = 0.7
_SMALLEST_STEP = 1e-4
_FASTER, _SLOWER = 1.3, 0.5


def descend(energy: Energy, at: Tensor, steps: int) -> Tensor:
    """Places [B, P] after some steps of Rprop, which goes by the signs of slopes alone and suits few parameters (Blum &
    Riedmiller, ESANN 2013)."""
    pace = torch.full_like(at, _FIRST_STEP)
    before = torch.zeros_like(at)
    for _ in range(steps):
        _, downhill = energy(at)
        turn = downhill.sign() * before.sign()
        pace = torch.where(turn > 0, pace * _FASTER, torch.where(turn < 0, pace * _SLOWER, pace))
        pace = pace.clamp(_SMALLEST_STEP, _LARGEST_STEP)
        before = torch.where(turn < 0, 0.0, downhill)
        at = at - before.sign() * pace
    return at


def wander(
    energy: Energy, at: Tensor, mass: Tensor, *, paths: int, leaps: int, stride: float, rng: np.random.Generator
) -> Tensor:
    """Places [B, P] after Hamiltonian Monte Carlo (Neal, Handbook of Markov Chain Monte Carlo, 2011, ch. 5).

    Args:
        energy: of the density to draw from.
        at: where to start [B, P].
        mass: inertia of each coordinate [P] or [B, P], best near the curvature of the energy.
        paths: trajectories, each accepted or refused as a whole.
        leaps: leapfrog steps of each.
        stride: length of a step, in units of sqrt(mass over curvature); varied by a third so that no path closes.
        rng: the source of every random number.
    """
    level, slope = energy(at)
    for _ in range(paths):
        push = torch.from_numpy(rng.standard_normal(at.shape)) * mass.sqrt()
        step = stride * rng.uniform(0.7, 1.3)
        place, there, incline, momentum = at, level, slope, push
        for _ in range(leaps):
            momentum = momentum - 0.5 * step * incline
            place = place + step * momentum / mass
            there, incline = energy(place)
            momentum = momentum - 0.5 * step * incline
        gain = level + 0.5 * (push.square() / mass).sum(1) - there - 0.5 * (momentum.square() / mass).sum(1)
        moved = torch.from_numpy(np.log(rng.random(len(at)))) < gain
        at = torch.where(moved[:, None], place, at)
        level = torch.where(moved, there, level)
        slope = torch.where(moved[:, None], incline, slope)
    return at
