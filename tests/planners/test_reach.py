"""The verdict that a target is out of reach of all that may be run."""

import numpy as np
import pytest

from planners import Objective, Observation, Proposal, Request, SearchSpace, Variable, strategy

SPACE = SearchSpace((Variable("ratio", 0.0, 1.0), Variable("temperature_c", 60.0, 180.0, unit="degC")))


def asked(name: str, target_ev: float, count: int, *, most: float = 1.0, tolerance_ev: float = 0.005) -> Proposal:
    """The next proposal after `count` readings, up to the ratio `most`, of a line at 2.0 to 2.4 eV by the ratio."""
    rng = np.random.default_rng(5)
    recipes = rng.random((count, 2)) * [most, 120.0] + [0.0, 60.0]
    told = tuple(
        Observation(
            (float(x), float(t)), 2.0 + 0.4 * float(x) + 0.0005 * float(rng.standard_normal()), 0.09, 0.5, 0.0005
        )
        for x, t in recipes
    )
    settings = {"members": 48, "hidden": 48, "steps": 15} if name == "ensemble" else {}
    planner = strategy(name, spread=256, local=256, **settings)
    return planner.propose(Request(SPACE, Objective(target_ev, tolerance_ev), told, seed=1, initial=4))


@pytest.mark.parametrize("name", ["ensemble", "gp"])
def test_beyond_the_end_of_a_known_line_a_target_is_declared_out_of_reach(name: str) -> None:
    verdict = asked(name, 2.6, 16).out_of_reach
    assert verdict is not None
    assert verdict.interval.high < 2.595
    assert verdict.missing == pytest.approx(2.595 - verdict.interval.high)
    assert verdict.nearest[0] > 0.8
    for piece in (
        "after 16 readings",
        "all over the allowed space",
        "2.6000 eV within 5 meV",
        "meV away",
        "below 0.1 %",
    ):
        assert piece in verdict.reason


@pytest.mark.parametrize("name", ["ensemble", "gp"])
@pytest.mark.parametrize("target_ev", [2.004, 2.2, 2.396])
def test_a_target_that_can_be_had_is_not(name: str, target_ev: float) -> None:
    assert asked(name, target_ev, 16, tolerance_ev=0.0005).out_of_reach is None


def test_nor_is_one_that_may_lie_where_nothing_was_run() -> None:
    for target_ev in (2.25, 2.35, 2.395):
        assert asked("ensemble", target_ev, 8, most=0.4).out_of_reach is None


def test_where_readings_end_short_of_the_target_any_beyond_it_would_do() -> None:
    from planners.modelled import Belief
    from planners.reach import _chance_of_any

    belief = Belief(np.full((3, 1), 2.3), np.full((3, 1), 0.1), np.ones(3), np.zeros(3))
    there, at_or_beyond = (_chance_of_any(belief, 2.4, 0.001, beyond) for beyond in (0.0, 1.0))
    assert there < 0.03
    assert at_or_beyond == pytest.approx(1.0 - (1.0 - 0.161) ** 3, abs=0.01)
    assert _chance_of_any(belief, 2.2, 0.001, -1.0) == pytest.approx(at_or_beyond)
    drawn = np.array([[2.3, 2.41, 2.45], [2.3, 2.3, 2.39], [2.3, 2.3, 2.3], [2.3995, 2.2, 2.2]])
    assert _chance_of_any(belief, 2.4, 0.001, 1.0, drawn) == 0.5
    dim = Belief(belief.mean, belief.sd, np.array([1.0, 0.5, 0.1]), belief.utility)
    assert _chance_of_any(dim, 2.4, 0.001, 1.0, drawn) == pytest.approx((0.5 + 1.0) / 4.0)


def test_with_readings_on_both_sides_of_the_target_there_is_no_verdict() -> None:
    from planners.modelled import Belief
    from planners.reach import verdict

    line = SearchSpace((Variable("x", 0.0, 1.0),))
    points = np.linspace(0.0, 1.0, 200)[:, None]

    def sure(unit: np.ndarray) -> Belief:
        """A step from 2.0 to 2.6 eV: no candidate is anywhere near 2.3 eV."""
        mean = np.column_stack([np.where(unit[:, 0] < 0.5, 2.0, 2.6), np.full((len(unit), 2), 0.5)])
        return Belief(mean, np.full_like(mean, 0.001), np.ones(len(unit)), np.zeros(len(unit)))

    def below(unit: np.ndarray) -> Belief:
        return sure(0.4 * unit)

    def after(*places: float) -> Request:
        told = tuple(Observation((x,), 2.0 if x < 0.5 else 2.6, 0.09, 0.5, 0.0005) for x in places)
        return Request(line, Objective(2.3, 0.005), told, seed=1, initial=4)

    assert verdict(after(0.1, 0.3, 0.7), sure, points) is None
    assert verdict(after(0.1, 0.3), sure, points) is None  # what lies beyond may be had
    assert verdict(after(0.1, 0.3), below, points) is not None
