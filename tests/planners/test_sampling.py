"""Which points are one recipe, and which were run before: the same for many as for few."""

import itertools

import numpy as np
import pytest

from planners import PlannerError, Request, strategy
from planners.sampling import SAME_POINT, distinct, generator, latin_stream, unvisited
from tests.planners.reactor import OBJECTIVE, SPACE


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


@pytest.mark.parametrize("initial", [1, 7, 300])
def test_a_latin_design_that_may_run_nothing_asks_for_many_points_at_a_time(initial: int) -> None:
    asked: list[int] = []

    def never(rows: np.ndarray) -> np.ndarray:
        asked.append(len(rows))
        return np.zeros(len(rows), dtype=np.bool_)

    with pytest.raises(PlannerError, match=rf"none of {65_536 // initial * initial} recipes"):
        strategy("latin").propose(Request(SPACE, OBJECTIVE, initial=initial, feasible=never))
    assert len(asked) <= 300


def test_a_latin_hypercube_of_one_point_is_the_one_that_scipy_draws() -> None:
    from scipy.stats import qmc

    engine = qmc.LatinHypercube(3, rng=generator(5, 0x1A71))
    for one in itertools.islice(latin_stream(Request(SPACE, OBJECTIVE, initial=1, seed=5)), 600):
        assert np.array_equal(one, engine.random(1))


def test_a_latin_design_looks_at_whole_hypercubes_in_their_order() -> None:
    request = Request(SPACE, OBJECTIVE, initial=7, seed=2, feasible=lambda rows: rows[:, 0] > 0.97)
    proposal = strategy("latin").propose(request)
    cubes = [SPACE.from_unit(cube) for cube in itertools.islice(latin_stream(request), 100)]
    which = next(i for i, cube in enumerate(cubes) if (cube[:, 0] > 0.97).any())
    first = int(np.argmax(cubes[which][:, 0] > 0.97))
    assert (proposal.x, proposal.compared) == (tuple(cubes[which][first]), 7 * (which + 1))
