"""The search space and its map to the unit cube."""

import math
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planners import PlannerError, SearchSpace, Variable
from planners.space import Scale


@given(
    lower=st.floats(-1e6, 1e6, allow_subnormal=False),
    width=st.floats(1e-3, 1e6),
    at=st.floats(0.0, 1.0),
)
def test_a_linear_variable_survives_the_round_trip(lower: float, width: float, at: float) -> None:
    space = SearchSpace((Variable("flow_ul_min", lower, lower + width),))
    unit = np.array([[at]])
    raw = space.from_unit(unit)
    assert space.contains(raw).all()
    assert np.allclose(space.to_unit(raw), unit, atol=1e-6)


@given(lower=st.floats(1e-6, 1e3), decades=st.floats(0.01, 8.0), at=st.floats(0.0, 1.0))
def test_a_log_variable_survives_the_round_trip(lower: float, decades: float, at: float) -> None:
    space = SearchSpace((Variable("residence_s", lower, lower * 10**decades, scale="log"),))
    unit = np.array([[at]])
    raw = space.from_unit(unit)
    assert space.contains(raw).all()
    assert np.allclose(space.to_unit(raw), unit, atol=1e-6)


@given(scale=st.sampled_from(get_args(Scale)), lower=st.integers(1, 50), width=st.integers(0, 50), data=st.data())
def test_every_whole_number_survives_the_round_trip(scale: Scale, lower: int, width: int, data: st.DataObject) -> None:
    space = SearchSpace((Variable("cycles", lower, lower + width, scale=scale, kind="integer"),))
    value = data.draw(st.integers(lower, lower + width))
    assert space.from_unit(space.to_unit([(value,)]))[0, 0] == value


def test_whole_numbers_share_the_unit_interval_evenly() -> None:
    space = SearchSpace((Variable("cycles", 1, 4, kind="integer"),))
    values = space.from_unit(np.linspace(0.001, 0.999, 4000)[:, None])[:, 0]
    _, counts = np.unique(values, return_counts=True)
    assert counts.tolist() == pytest.approx([1000, 1000, 1000, 1000], abs=3)


def test_a_log_variable_is_halfway_at_its_geometric_mean() -> None:
    space = SearchSpace((Variable("residence_s", 1.0, 100.0, scale="log"),))
    assert math.isclose(space.from_unit([[0.5]])[0, 0], 10.0)


def test_a_fixed_variable_keeps_its_value() -> None:
    space = SearchSpace((Variable("temperature_c", 90.0, 90.0), Variable("ratio", 0.0, 1.0)))
    assert space.from_unit([[0.1, 0.2], [0.9, 0.2]])[:, 0].tolist() == [90.0, 90.0]
    assert space.to_unit([[90.0, 0.2]]).tolist() == [[0.5, 0.2]]


def test_recipes_outside_or_between_whole_numbers_are_not_contained() -> None:
    space = SearchSpace((Variable("ratio", 0.0, 1.0), Variable("cycles", 1, 5, kind="integer")))
    rows = [(0.5, 3.0), (1.1, 3.0), (0.5, 2.5), (math.nan, 3.0), (0.0, 5.0)]
    assert space.contains(rows).tolist() == [True, False, False, False, True]


def test_levels_and_values_share_the_unit_interval_evenly_and_survive_the_round_trip() -> None:
    space = SearchSpace(
        (
            Variable("ligand", kind="categorical", levels=("a", "b", "c")),
            Variable("loading", kind="discrete", values=(5.0, 0.5, 1.0), scale="log"),
        )
    )
    rows = np.array([(i, v) for i in range(3) for v in (0.5, 1.0, 5.0)], dtype=np.float64)
    assert space.from_unit(space.to_unit(rows)).tolist() == rows.tolist()
    assert space.contains([*rows.tolist(), (1.0, 0.7), (0.5, 1.0), (3.0, 1.0)]).tolist() == [True] * 9 + [False] * 3
    drawn = space.from_unit(np.random.default_rng(0).random((9000, 2)))
    _, counts = np.unique(drawn, axis=0, return_counts=True)
    assert len(counts) == 9
    assert counts.min() > 850


def test_a_surrogate_sees_levels_one_hot_and_values_on_their_scale() -> None:
    space = SearchSpace(
        (
            Variable("ratio", 0.0, 2.0),
            Variable("ligand", kind="categorical", levels=("a", "b", "c")),
            Variable("loading", kind="discrete", values=(1.0, 10.0, 1000.0), scale="log"),
            Variable("solvent", kind="categorical", levels=("water",)),
        )
    )
    seen = space.encode(space.to_unit([(0.5, 1.0, 10.0, 0.0)]))
    assert np.allclose(seen, [[0.25, 0.0, 1.0, 0.0, 1 / 3, 0.5]])


def test_without_levels_or_values_a_surrogate_sees_the_unit_cube() -> None:
    unit = np.random.default_rng(0).random((5, 2))
    space = SearchSpace((Variable("a", 0.0, 1.0), Variable("b", 1, 9, kind="integer")))
    assert (space.encode(unit) == unit).all()


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: Variable("ligand", kind="categorical"), "needs levels"),
        (lambda: Variable("ligand", kind="categorical", levels=("a", "a")), "each of them once"),
        (lambda: Variable("ligand", kind="categorical", levels=("a", "b"), scale="log"), "no scale"),
        (lambda: Variable("ligand", 0.0, 5.0, kind="categorical", levels=("a", "b")), "bounds of a categorical"),
        (lambda: Variable("loading", kind="discrete", values=(1.0, math.inf)), "not all finite"),
        (lambda: Variable("loading", 0.0, 1.0, values=(1.0, 2.0)), "belong to a discrete"),
        (lambda: Variable("loading"), "not finite"),
        (lambda: Variable("", 0.0, 1.0), "needs a name"),
        (lambda: Variable("flow", 2.0, 1.0), "above the upper bound"),
        (lambda: Variable("flow", 0.0, math.inf), "not finite"),
        (lambda: Variable("flow", math.nan, 1.0), "not finite"),
        (lambda: Variable("flow", -1e308, 1e308), "overflows"),
        (lambda: Variable("flow", 0.0, 1.0, scale="log"), "positive lower bound"),
        (lambda: Variable("flow", 0.0, 1.0, scale="logg"), "'logg' is not one of"),  # type: ignore[arg-type]
        (lambda: Variable("flow", 0.0, 1.0, kind="whole"), "'whole' is not one of"),  # type: ignore[arg-type]
        (lambda: Variable("cycles", 0.5, 3.0, kind="integer"), "whole bounds"),
        (lambda: SearchSpace(()), "at least one variable"),
        (lambda: SearchSpace((Variable("flow", 0.0, 1.0), Variable("flow", 0.0, 1.0))), "two variables"),
        (lambda: SearchSpace((Variable("flow", 0.0, 1.0),)).to_unit([[1.0, 2.0]]), "for the variables flow"),
    ],
)
def test_a_space_that_makes_no_sense_is_refused(build: object, says: str) -> None:
    assert callable(build)
    with pytest.raises(PlannerError, match=says):
        build()
