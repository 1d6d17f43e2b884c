"""Which points are one recipe, and which were run before: the same for many as for few."""

import numpy as np

from planners.sampling import SAME_POINT, distinct, unvisited


def points(count: int) -> np.ndarray:
    """Points of which every fifth repeats an earlier one, some of them exactly and some to rounding."""
    rng = np.random.default_rng(3)
    unit = rng.random((count, 4))
    unit[5::5] = unit[rng.integers(0, 5, len(unit[5::5]))] + SAME_POINT * 0.4 * rng.random((len(unit[5::5]), 4))
    return unit


def test_replicates_are_found_among_many_as_among_few() -> None:
    unit = points(400)
    many = distinct(unit)
    assert np.array_equal(many[:150], distinct(unit[:150]))
    assert len(set(many.tolist())) == 400 - len(unit[5::5])
    assert np.array_equal(np.unique(many, return_index=True)[0], np.arange(many.max() + 1))


def test_what_was_visited_is_found_among_many_as_among_few() -> None:
    unit, seen = points(300), points(500)[100:]
    by_tree = unvisited(unit, seen, 0.05)
    by_parts = unvisited(unit, seen[:200], 0.05) & unvisited(unit, seen[200:], 0.05)
    assert np.array_equal(by_tree, by_parts)
    assert 0 < by_tree.sum() < len(unit)
