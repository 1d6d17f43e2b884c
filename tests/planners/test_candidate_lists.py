"""Planners that choose among listed candidates, over variables and objectives of every kind."""

import dataclasses
import math

import numpy as np
import pytest

from planners import (
    Observation,
    OneOutput,
    PlannerError,
    Request,
    SearchSpace,
    Strategy,
    Variable,
    Wanted,
    is_within,
    strategy,
)
from tests.planners.reactor import OBJECTIVE, SPACE, design, observe
from tests.planners.test_proposals import NAMES, small

RNG = np.random.default_rng(4)
LISTED = tuple(tuple(float(v) for v in row) for row in SPACE.from_unit(RNG.random((24, 3))))
MODELS = ("ensemble", "forest", "gp", "gp_scalar")

COUPLING = SearchSpace(
    (
        Variable("ligand", kind="categorical", levels=("XPhos", "SPhos", "dppf")),
        Variable("loading", kind="discrete", values=(0.5, 1.0, 5.0), scale="log"),
        Variable("temperature_c", 30.0, 110.0),
    )
)


def replayed(planner: Strategy, objective: Wanted, count: int, seed: int = 0) -> list[tuple[float, ...]]:
    """Recipes of a campaign over the listed candidates of the made-up reactor."""
    told: tuple[Observation, ...] = ()
    for _ in range(count):
        request = Request(SPACE, objective, told, seed=seed, initial=4, candidates=LISTED)
        told = (*told, observe(planner.propose(request).x))
    return [o.x for o in told]


def coupled(x: tuple[float, ...]) -> Observation:
    """A yield that depends on the ligand most, and on loading and temperature."""
    best = 0.9 if x[0] == 1.0 else 0.3
    return Observation(x, values=(best - 0.1 * math.log(x[1] / 5.0) ** 2 - ((x[2] - 80.0) / 100.0) ** 2,))


@pytest.mark.parametrize("name", NAMES)
def test_every_candidate_is_proposed_exactly_once_and_as_it_was_listed(name: str) -> None:
    listed = LISTED[:9]
    told: tuple[Observation, ...] = ()
    for _ in listed:
        x = small(name).propose(Request(SPACE, OBJECTIVE, told, initial=4, candidates=(*listed, listed[0]))).x
        told = (*told, observe(x))
    assert sorted(o.x for o in told) == sorted(listed)
    with pytest.raises(PlannerError, match="every one of the 10 candidates has been run"):
        small(name).propose(Request(SPACE, OBJECTIVE, told, initial=4, candidates=(*listed, listed[0])))


CLOSE = tuple((c, t) for c in (0.0, 1e-14, 1e-9, 1e-7, 1e-3, 1.0) for t in (20.0, 60.0))
DILUTED = SearchSpace((Variable("concentration_m", 0.0, 1.0), Variable("temperature_c", 20.0, 60.0)))


@pytest.mark.parametrize(
    "name", ["ensemble", "forest", "snobfit", "genetic", "nelder_mead", "latin", "random", "sobol"]
)
def test_candidates_that_differ_by_next_to_nothing_are_each_run_once(name: str) -> None:
    told: tuple[Observation, ...] = ()
    goal = OneOutput("y", "minimise")
    for _ in CLOSE:
        x = small(name).propose(Request(DILUTED, goal, told, initial=4, candidates=CLOSE)).x
        told = (*told, Observation(x, values=(math.log10(x[0] + 1e-10) + x[1] / 50.0,)))
    assert sorted(o.x for o in told) == sorted(CLOSE)
    with pytest.raises(PlannerError, match="every one of the 12 candidates has been run"):
        small(name).propose(Request(DILUTED, goal, told, initial=4, candidates=CLOSE))


def test_a_candidate_beside_one_that_was_read_is_no_replicate_of_it() -> None:
    near, other = (1e-9, 20.0), (0.0, 20.0)
    told = (Observation(near, values=(1.0,)), Observation(other, values=(3.0,)), Observation(near, values=(1.2,)))
    request = Request(DILUTED, OneOutput("y", "maximise"), told, candidates=CLOSE)
    recommendation = strategy("random").recommend(request)
    assert (recommendation.x, recommendation.basis) == (other, "measured")


def test_candidates_that_a_variable_cannot_tell_apart_are_each_run_once() -> None:
    space = SearchSpace((Variable("loading", kind="discrete", values=(0.5, 1.0, 5.0)),))
    listed = ((0.5,), (1.0,), (1.0 + 1e-12,), (5.0,))
    chosen: list[tuple[float, ...]] = []
    for _ in listed:
        request = Request(space, OneOutput("y", "maximise"), pending=tuple(chosen), candidates=listed)
        chosen.append(strategy("sobol").propose(request).x)
    assert sorted(chosen) == sorted(listed)


def test_a_candidate_that_was_told_with_the_rounding_of_a_file_counts_as_run() -> None:
    listed = LISTED[:3]
    told = tuple(observe(tuple(float(f"{v:.9g}") for v in x)) for x in listed[:2])
    assert all(o.x not in listed for o in told)
    assert strategy("sobol").propose(Request(SPACE, OBJECTIVE, told, candidates=listed)).x == listed[2]


@pytest.mark.parametrize("name", NAMES)
def test_pending_and_forbidden_candidates_are_left_out(name: str) -> None:
    request = Request(
        SPACE,
        OBJECTIVE,
        design(8),
        initial=4,
        candidates=tuple(o.x for o in design(8)) + LISTED[:4],
        pending=(LISTED[0],),
        feasible=lambda x: np.asarray(np.abs(x[:, 0] - LISTED[1][0]) > 1e-9),
    )
    assert small(name).propose(request).x in LISTED[2:4]
    with pytest.raises(PlannerError, match="is allowed"):
        small(name).propose(dataclasses.replace(request, feasible=lambda x: np.zeros(len(x), dtype=np.bool_)))


@pytest.mark.parametrize("name", NAMES)
def test_a_recommendation_comes_from_the_list_too(name: str) -> None:
    run = tuple(o.x for o in design(8))
    assert small(name).recommend(Request(SPACE, OBJECTIVE, design(8), candidates=run + LISTED)).x in run + LISTED
    assert small(name).recommend(Request(SPACE, OBJECTIVE, design(8), candidates=run)).x in run


def test_a_sobol_order_spreads_over_the_list() -> None:
    crowd = tuple((0.5 + 1e-4 * i,) for i in range(30))
    space = SearchSpace((Variable("ratio", 0.0, 1.0),))
    request = Request(space, OneOutput("y", "maximise"), candidates=(*crowd, (0.0,), (1.0,), (0.2,), (0.8,)))
    chosen: list[tuple[float, ...]] = []
    for _ in range(8):
        chosen.append(strategy("sobol").propose(dataclasses.replace(request, pending=tuple(chosen))).x)
    assert {(0.0,), (1.0,), (0.2,), (0.8,)} <= set(chosen)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_finds_the_best_of_a_list_before_chance_would(name: str) -> None:
    distance = [OBJECTIVE.away(np.array([[o.peak_ev or math.inf]]))[0] for o in map(observe, LISTED)]
    best = LISTED[int(np.argmin(distance))]
    assert best in replayed(small(name), OBJECTIVE, 10)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("goal", ["minimise", "maximise"])
def test_levels_and_values_are_learnt_on_the_continuous_path(name: str, goal: str) -> None:
    sign = 1.0 if goal == "maximise" else -1.0
    objective = OneOutput("yield", "maximise" if goal == "maximise" else "minimise")
    told: tuple[Observation, ...] = ()
    for _ in range(14):
        x = small(name).propose(Request(COUPLING, objective, told, initial=6)).x
        assert COUPLING.contains([x]).all()
        told = (*told, Observation(x, values=(sign * coupled(x).readings[0],)))
    best = max(told, key=lambda o: sign * o.readings[0])
    assert best.x[0] == 1.0
    assert sign * best.readings[0] > 0.7


def test_the_recipe_recommended_of_an_extreme_was_measured() -> None:
    told = tuple(coupled((float(i % 3), 5.0, 40.0 + 8.0 * i)) for i in range(9))
    recommendation = small("ensemble").recommend(Request(COUPLING, OneOutput("yield", "maximise"), told))
    assert recommendation.x == max(told, key=lambda o: o.readings[0]).x
    assert (recommendation.basis, "as large as possible" in recommendation.reason) == ("measured", True)


def test_a_single_output_can_have_a_target() -> None:
    goal = OneOutput("yield", "target", 0.6, 0.02)
    told: tuple[Observation, ...] = ()
    for _ in range(16):
        told = (*told, coupled(small("ensemble").propose(Request(COUPLING, goal, told, initial=5)).x))
    assert min(abs(o.readings[0] - 0.6) for o in told) < 0.02
    proposal = small("ensemble").propose(Request(COUPLING, goal, told))
    assert tuple(proposal.predicted) == ("yield",)
    assert "wanted at 0.6 within 0.02" in proposal.reason


def test_negative_outputs_are_predicted_as_they_are() -> None:
    told = tuple(Observation((i / 7,), values=(-5.0 - i,)) for i in range(8))
    request = Request(SearchSpace((Variable("a", 0.0, 1.0),)), OneOutput("shift", "minimise"), told, initial=2)
    assert small("ensemble").propose(request).predicted["shift"].high < 0.0


LINE = SearchSpace((Variable("ratio", 0.0, 1.0),))
STEPS = tuple((i / 39,) for i in range(40))
TOLD = tuple(Observation(x, values=(2.0 + 0.5 * x[0],)) for x in STEPS[::3])
FAR = Request(LINE, OneOutput("peak_ev", "target", 2.8, 0.005), TOLD, initial=4, candidates=STEPS)


@pytest.mark.parametrize("name", ["ensemble", "gp"])
def test_a_target_that_no_candidate_can_reach_is_declared_with_its_evidence(name: str) -> None:
    verdict = small(name).propose(FAR).out_of_reach
    assert verdict is not None
    assert verdict.remaining == 26
    assert verdict.interval.high < 2.795
    assert math.isclose(verdict.missing, 2.795 - verdict.interval.high)
    assert verdict.nearest in STEPS
    assert "Out of reach" in verdict.reason
    near = dataclasses.replace(FAR, objective=OneOutput("peak_ev", "target", 2.34, 0.005))
    assert small(name).propose(near).out_of_reach is None


@pytest.mark.parametrize(
    ("target", "tolerance", "edge"), [(50.0, 0.1, 49.9), (50.0, 0.1, 50.1), (0.3, 0.1, 0.2), (1.1, 0.3, 1.4)]
)
def test_a_reading_at_the_very_edge_of_the_tolerance_is_inside(target: float, tolerance: float, edge: float) -> None:
    goal = OneOutput("y", "target", target, tolerance)
    assert goal.reached(np.array([edge]))
    assert is_within(edge, target, tolerance)
    beyond = edge + math.copysign(1e-6 * tolerance, edge - target)
    assert not goal.reached(np.array([beyond]))
    assert not is_within(np.array([beyond, math.nan]), target, tolerance).any()
    met = dataclasses.replace(FAR, objective=goal, observations=(*TOLD, Observation((0.999,), values=(edge,))))
    assert small("gp").propose(met).out_of_reach is None


def test_no_verdict_is_given_once_the_target_was_met_or_without_a_model_of_the_output() -> None:
    met = dataclasses.replace(FAR, observations=(*TOLD, Observation((0.999,), values=(2.8,))))
    assert small("ensemble").propose(met).out_of_reach is None
    assert small("gp_scalar").propose(FAR).out_of_reach is None
    assert small("sobol").propose(FAR).out_of_reach is None


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("kind", ["constant", "one", "failed", "wild", "holes"])
def test_hostile_tables_still_give_a_candidate(name: str, kind: str) -> None:
    rows = LISTED[:8]
    told = {
        "constant": tuple(Observation(x, values=(0.0,)) for x in rows),
        "one": (Observation(rows[0], values=(3.0,)),),
        "failed": tuple(Observation(x, values=(math.nan,)) for x in rows),
        "wild": tuple(Observation(x, values=((-10.0) ** i,)) for i, x in enumerate(rows)),
        "holes": tuple(Observation(x, values=(math.inf if i % 2 else 0.1 * i,)) for i, x in enumerate(rows)),
    }[kind]
    for goal in (OneOutput("y", "minimise"), OneOutput("y", "target", 0.3, 0.01)):
        assert small(name).propose(Request(SPACE, goal, told, initial=2, candidates=LISTED)).x in LISTED


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: Request(SPACE, OBJECTIVE, candidates=()), "must not be empty"),
        (lambda: Request(SPACE, OBJECTIVE, candidates=((9.0, 100.0, 10.0),)), "outside of the search space"),
        (lambda: Request(SPACE, OneOutput("y", "maximise"), (Observation(LISTED[0], 2.2),)), "no values of y"),
        (lambda: Request(SPACE, OBJECTIVE, (Observation(LISTED[0], values=(2.2,)),)), "1 values for peak_ev"),
        (lambda: OneOutput("y", "target"), "value must be finite"),
        (lambda: OneOutput("y", "target", 2.0), "within must be positive"),
        (lambda: OneOutput("y", "minimise", 2.0, 0.1), "takes no value"),
        (lambda: OneOutput("y", "least"), "'least' is not one of"),  # type: ignore[arg-type]
        (lambda: OneOutput("", "minimise"), "needs a name"),
        (lambda: OneOutput("y", "minimise", noise=-1.0), "noise"),
        (lambda: strategy("forest", trees=1), "at least 2"),
        (lambda: strategy("forest", deviations=-1), "at least 0"),
    ],
)
def test_what_makes_no_sense_is_refused(call: object, says: str) -> None:
    assert callable(call)
    with pytest.raises(PlannerError, match=says):
        call()
