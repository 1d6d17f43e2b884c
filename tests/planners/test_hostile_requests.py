"""Whatever a request holds, a planner answers it with a recipe of its space or refuses it in words."""

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planners import (
    Desirability,
    Desirable,
    InOrder,
    Objective,
    Observation,
    OneOutput,
    PeakAimed,
    PlannerError,
    Request,
    SearchSpace,
    Shape,
    Step,
    Strategy,
    Variable,
    strategy,
)
from tests.planners.test_proposals import small

ENSEMBLE = {"members": 8, "hidden": 16, "steps": 4, "spread": 32, "local": 32}
SMALL = (
    strategy("ensemble", **ENSEMBLE),
    strategy("ensemble", **ENSEMBLE, acquisition="upper_confidence"),
    strategy("ensemble", **ENSEMBLE, acquisition="thompson"),
    strategy("forest", trees=4, spread=32, local=32),
    strategy("gp", samples=4, spread=32, local=32),
)
VARIABLES = (
    lambda name: Variable(name, 0.0, 1.0),
    lambda name: Variable(name, -1e6, 1e9),
    lambda name: Variable(name, 1e-9, 1e3, scale="log"),
    lambda name: Variable(name, 5.0, 5.0),
    lambda name: Variable(name, 2.0, 2.0 + 1e-12),
    lambda name: Variable(name, 1, 3, kind="integer"),
    lambda name: Variable(name, kind="discrete", values=(0.1, 10.0, 1e4)),
    lambda name: Variable(name, kind="categorical", levels=("toluene", "hexane", "none")),
    lambda name: Variable(name, kind="categorical", levels=("only",)),
)
PEAKS: tuple[PeakAimed, ...] = (
    Objective(2.25, 0.005),
    Desirability(2.25, 0.005, 0.04, 0.6, Desirable(0.08, 0.16), Desirable(0.7, 0.1)),
    InOrder(2.25, 0.005, (Step("fwhm_ev", 0.11), Step("quantum_yield"))),
)
NUMBERS = st.one_of(
    st.floats(-3.0, 3.0),
    st.sampled_from([0.0, 2.25, 2.25, 1e-300, -1e-300, 1e12, -1e90, -1e160, 1e300, math.nan, math.inf, -math.inf]),
)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """A space of any kinds, readings of any size, many of them absent, repeated or contradictory."""
    kinds = draw(st.lists(st.sampled_from(VARIABLES), min_size=1, max_size=4))
    space = SearchSpace(tuple(kind(f"v{i}") for i, kind in enumerate(kinds)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    pool = space.from_unit(rng.random((draw(st.integers(1, 12)), space.dimension)))
    recipes = [tuple(float(v) for v in row) for row in pool]
    chosen = draw(st.lists(st.sampled_from(recipes), max_size=12))
    listed = draw(st.booleans())
    kind = draw(st.sampled_from(("peak", "light", "one")))
    goal: PeakAimed | OneOutput | Shape
    if kind == "light":
        goal = Shape((2.25, -0.06, -0.02, 0.02, 0.06), 0.005)
        told = [Observation(x, values=tuple(draw(NUMBERS) for _ in range(5))) for x in chosen]
    elif kind == "peak":
        goal = draw(st.sampled_from(PEAKS))
        told = [
            Observation(x, draw(NUMBERS), draw(NUMBERS), draw(NUMBERS), draw(NUMBERS), draw(st.booleans()))
            for x in chosen
        ]
    else:
        aims = (OneOutput("y", "minimise"), OneOutput("y", "maximise"), OneOutput("y", "target", 0.5, 1e-6))
        goal = draw(st.sampled_from(aims))
        told = [Observation(x, values=(draw(NUMBERS),)) for x in chosen]
    return Request(
        space,
        goal,
        tuple(told),
        pending=tuple(draw(st.lists(st.sampled_from(recipes), max_size=2))),
        seed=draw(st.integers(0, 5)),
        initial=draw(st.integers(1, 3)),
        candidates=tuple(dict.fromkeys(recipes)) if listed else None,
    )


@pytest.mark.parametrize("planner", SMALL, ids=lambda each: f"{each.name} {getattr(each, 'acquisition', '')}".strip())
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(request=requests())
def test_it_is_answered_with_a_recipe_or_refused_in_words(planner: Strategy, request: Request) -> None:
    for answer in (planner.propose, planner.recommend):
        try:
            found = answer(request)
        except PlannerError as refusal:
            assert len(str(refusal)) > 10
        else:
            assert request.space.contains([found.x]).all()
            assert all(math.isfinite(value) for value in found.x)


def test_a_reading_whose_square_would_overflow_counts_as_absent() -> None:
    huge = Observation((0.0,), values=(1e160, 2.0))
    assert huge.failed
    assert Observation((0.0,), 2.2, -1e101, 0.5, 1e300) == Observation((0.0,), 2.2, None, 0.5, None)
    assert Observation((0.0,), values=(-1e100,)).readings == (-1e100,)


@pytest.mark.parametrize("name", ["ensemble", "forest", "gp", "gp_scalar", "kriging"])
@pytest.mark.parametrize("size", [1e40, 1e99, 1e200])
def test_enormous_readings_have_an_acquisition_value_too(name: str, size: float) -> None:
    space = SearchSpace((Variable("a", 0.0, 1.0), Variable("b", 0.0, 1.0)))
    rng = np.random.default_rng(2)
    x = [tuple(map(float, row)) for row in rng.random((9, 2))]
    told = tuple(Observation(p, values=(size * (p[0] - p[1]) if i % 2 else p[0],)) for i, p in enumerate(x))
    for goal in (OneOutput("y", "maximise"), OneOutput("y", "target", 0.3, 0.01)):
        proposal = small(name).propose(Request(space, goal, told, initial=2))
        assert proposal.acquisition_value is not None
        assert math.isfinite(proposal.acquisition_value)
