"""Walks on an energy: to its bottom, and about it as its density says."""

import numpy as np
import torch
from torch import Tensor

from planners.walk import descend, wander

CENTRE = torch.tensor([2.0, -1.0], dtype=torch.float64)
WIDTH = torch.tensor([1.0, 0.2], dtype=torch.float64)


def bowl(at: Tensor) -> tuple[Tensor, Tensor]:
    gap = (at - CENTRE) / WIDTH
    return 0.5 * gap.square().sum(1), gap / WIDTH


def test_the_descent_ends_at_the_bottom() -> None:
    found = descend(bowl, torch.zeros(3, 2, dtype=torch.float64), 80)
    assert torch.allclose(found, CENTRE.expand(3, 2), atol=0.02)


def test_walkers_that_begin_at_the_bottom_spread_as_the_density_says() -> None:
    start = CENTRE.repeat(4000, 1)
    rng = np.random.default_rng(0)
    found = wander(bowl, start, WIDTH.square().reciprocal(), paths=4, leaps=6, stride=0.25, rng=rng)
    assert torch.allclose(found.mean(0), CENTRE, atol=0.1)
    assert torch.allclose(found.std(0), WIDTH, rtol=0.1)


def test_no_walker_goes_where_the_energy_is_not_a_number() -> None:
    def cliff(at: Tensor) -> tuple[Tensor, Tensor]:
        level, slope = bowl(at)
        return torch.where(at[:, 0] > 2.5, torch.nan, level), slope

    start = CENTRE.repeat(200, 1)
    found = wander(
        cliff, start, torch.ones(2, dtype=torch.float64), paths=6, leaps=4, stride=0.3, rng=np.random.default_rng(0)
    )
    assert (found[:, 0] <= 2.5).all()
    assert found[:, 0].std() > 0.1
