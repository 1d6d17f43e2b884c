"""Bent inputs: what bends do to the unit interval."""

import torch

from planners.bend import bent, bent_with_slopes

PLACES = torch.linspace(0.0, 1.0, 11, dtype=torch.float64)[:, None].repeat(1, 2)
BENDS = torch.tensor([[0.0, 0.0, 0.0, 0.0], [0.8, -0.4, 0.3, 0.6]], dtype=torch.float64)


def test_without_a_bend_nothing_moves() -> None:
    assert torch.allclose(bent(PLACES, BENDS)[0], PLACES, atol=1e-8)


def test_the_ends_stay_where_they_are_and_the_order_is_kept() -> None:
    moved = bent(PLACES, BENDS)[1]
    assert torch.allclose(moved[[0, -1]], PLACES[[0, -1]], atol=1e-3)
    assert (moved.diff(dim=0) > 0.0).all()
    assert not torch.allclose(moved, PLACES, atol=0.05)


def test_single_precision_reaches_the_ends_as_well() -> None:
    moved = bent(PLACES.float(), BENDS.float())
    assert torch.isfinite(moved).all()
    assert torch.allclose(moved.double(), bent(PLACES, BENDS), atol=1e-3)


def test_the_slopes_are_those_of_the_bend() -> None:
    places, by_first, by_second = bent_with_slopes(PLACES, BENDS)
    assert torch.equal(places, bent(PLACES, BENDS))
    for column, slope in ((0, by_first), (2, by_second)):
        step = torch.zeros_like(BENDS)
        step[:, column] = 1e-6
        change = (bent(PLACES, BENDS + step) - bent(PLACES, BENDS - step)) / 2e-6
        assert torch.allclose(slope[..., 0], change[..., 0], atol=1e-7)
