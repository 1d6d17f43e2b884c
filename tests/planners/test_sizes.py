"""A proposal does not depend on the unit in which an output is read."""

import dataclasses
import math

import numpy as np
import pytest

from planners import (
    Archive,
    Aspect,
    Desirable,
    Observation,
    OneOutput,
    Proposal,
    Request,
    SearchSpace,
    SeveralOutputs,
    Variable,
)
from planners.sizes import Sized, factor_to_usual_size
from tests.planners.test_proposals import NAMES, small

SQUARE = SearchSpace((Variable("a", 0.0, 1.0), Variable("b", 0.0, 1.0)))
LEARNING = tuple(name for name in NAMES if name not in ("latin", "random", "sobol"))


def currents(factor: float, goal: str, count: int = 10) -> Request:
    """Readings between a half and one, in another unit; two recipes failed and one was read before."""
    x = np.random.default_rng(1).random((count + 2, 2))
    y = factor * (0.5 + 0.4 * np.exp(-8.0 * ((x[:, 0] - 0.7) ** 2 + (x[:, 1] - 0.3) ** 2)))
    told = tuple(
        Observation(tuple(map(float, place)), values=(float(read),), peak_sd_ev=0.001 * factor)
        for place, read in zip(x[:count], y, strict=False)
    )
    wanted = {
        "maximise": OneOutput("current", "maximise"),
        "minimise": OneOutput("current", "minimise", noise=0.001 * factor),
        "target": OneOutput("current", "target", 0.82 * factor, 0.005 * factor),
    }[goal]
    failed = tuple(Observation(tuple(map(float, place)), values=(math.nan,)) for place in x[count:])
    return Request(SQUARE, wanted, (*told, *failed), seed=3, initial=4, archives=(Archive("before", told[:1]),))


def unscaled(proposal: Proposal, factor: float) -> tuple[object, ...]:
    """What of a proposal must not depend on the unit."""
    value = math.nan if proposal.acquisition_value is None else proposal.acquisition_value
    predicted = tuple((p.mean / factor, p.low / factor, p.high / factor) for p in proposal.predicted.values())
    return proposal.x, predicted, proposal.probability_feasible, proposal.compared, math.isfinite(value)


@pytest.mark.parametrize("goal", ["maximise", "target"])
@pytest.mark.parametrize("name", LEARNING)
def test_a_unit_that_is_a_power_of_two_changes_no_digit(name: str, goal: str) -> None:
    usual = unscaled(small(name).propose(currents(1.0, goal)), 1.0)
    for factor in (2.0**-40, 2.0**50):
        assert unscaled(small(name).propose(currents(factor, goal)), factor) == usual


@pytest.mark.parametrize("name", LEARNING)
def test_nanoamperes_lead_to_the_same_experiment_as_amperes(name: str) -> None:
    usual = small(name).propose(currents(1.0, "maximise"))
    small_unit = small(name).propose(currents(1e-9, "maximise"))
    assert small_unit.x == pytest.approx(usual.x, abs=1e-6)
    for interval in small_unit.predicted.values():
        assert interval.mean == pytest.approx(1e-9 * usual.predicted["current"].mean, rel=1e-4)


@pytest.mark.parametrize("goal", ["minimise", "target"])
@pytest.mark.parametrize("name", ["ensemble", "forest", "nelder_mead"])
def test_a_recommendation_is_the_same_in_every_unit_and_said_in_its_own(name: str, goal: str) -> None:
    usual, other = (small(name).recommend(currents(factor, goal)) for factor in (1.0, 2.0**-40))
    assert (other.x, other.basis) == (usual.x, usual.basis)
    assert other.predicted["current"].mean == usual.predicted["current"].mean * 2.0**-40
    read = next(o.readings[0] for o in currents(2.0**-40, goal).observations if o.x == other.x)
    assert f"current {read:.4g}" in other.reason


def test_a_reason_gives_numbers_in_the_unit_of_the_readings() -> None:
    proposal = small("ensemble").propose(currents(1e-12, "target"))
    assert f"expects current {proposal.predicted['current'].mean:.4g}" in proposal.reason
    assert "wanted at 8.2e-13 within 5e-15" in proposal.reason
    assert "the best reading of this campaign is 8." in proposal.reason


def test_the_logarithm_of_an_improvement_is_that_of_an_improvement_in_the_unit_of_the_readings() -> None:
    usual, other = (small("gp").propose(currents(factor, "maximise")) for factor in (1.0, 2.0**-40))
    assert usual.acquisition_value is not None
    assert other.acquisition_value == pytest.approx(usual.acquisition_value - 40.0 * math.log(2.0))


@pytest.mark.parametrize("name", ["ensemble", "forest", "gp"])
def test_each_of_several_outputs_may_be_in_a_unit_of_its_own(name: str) -> None:
    def request(mole: float) -> Request:
        base = currents(1.0, "maximise")
        told = tuple(dataclasses.replace(o, values=(o.x[0], mole * o.x[1] ** 2)) for o in base.observations[:10])
        amount = Aspect("amount", Desirable(0.1 * mole, 0.7 * mole), around=0.2 * mole)
        return Request(SQUARE, SeveralOutputs((Aspect("share", Desirable(1.0, 0.0)), amount)), told, initial=4)

    usual, other = (small(name).propose(request(mole)) for mole in (1.0, 2.0**-40))
    assert other.x == usual.x
    assert other.predicted["amount"].mean == usual.predicted["amount"].mean * 2.0**-40
    assert other.predicted["share"] == usual.predicted["share"]


def test_readings_of_a_usual_size_are_left_as_they_are() -> None:
    for factor in (1.0, 0.01, 1e6):
        request = currents(factor, "target")
        assert Sized.of(request).request is request
    assert [factor_to_usual_size(size) for size in (0.0, 1e-3, 5.0, 1e9)] == [1.0] * 4
    assert all(0.5 <= size * factor_to_usual_size(size) < 1.0 for size in (1e-4, 1e-9, 1e-100, 1e12, 1e100))
