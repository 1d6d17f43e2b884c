"""Several outputs as one objective: what readings are worth, and planners that see every output."""

import math

import numpy as np
import pytest
import torch

from planners import Aspect, Desirable, Observation, PlannerError, Request, SeveralOutputs, strategy
from tests.planners.reactor import SPACE, design

PEAK = Aspect("peak", Desirable(0.0, 0.1, weight=2.0), around=2.25)
BRIGHT = Aspect("yield", Desirable(0.8, 0.2))
WANTED = SeveralOutputs((PEAK, BRIGHT))


def test_arrays_and_tensors_are_worth_the_same() -> None:
    readings = np.array([[2.25, 0.9], [2.30, 0.5], [2.50, 0.5], [2.20, 0.1]])
    worth = WANTED.score_rows(readings)
    assert worth == pytest.approx([1.0, (0.5**2 * 0.5) ** (1 / 3), -1.0, -1.0 / 18.0])
    assert WANTED.worth(torch.from_numpy(readings)).numpy() == pytest.approx(worth)


def test_what_was_not_read_lacks_all_that_it_could_be_worth() -> None:
    worth = WANTED.score_rows(np.array([[2.25, math.nan], [math.nan, 0.9]]))
    assert worth[0] == pytest.approx(-1.0 / 3.0)
    assert math.isnan(worth[1])


def test_a_model_sees_every_output_and_says_what_is_wanted() -> None:
    told = tuple(
        Observation(o.x, values=(math.nan, math.nan) if o.failed else (o.peak_ev or 0.0, o.quantum_yield or 0.0))
        for o in design(12)
    )
    planner = strategy("ensemble", members=64, hidden=48, spread=96, local=96)
    request = Request(SPACE, WANTED, told, initial=4)
    proposal = planner.propose(request)
    assert set(proposal.predicted) == {"peak", "yield"}
    assert "wanted as desirable as possible together with yield" in proposal.reason
    scores = WANTED.score_rows(np.array([o.readings for o in told]))
    assert planner.recommend(request).x == told[int(np.nanargmax(scores))].x


@pytest.mark.parametrize("aspects", [(PEAK,), (PEAK, PEAK)])
def test_one_output_or_one_twice_is_refused(aspects: tuple[Aspect, ...]) -> None:
    with pytest.raises(PlannerError, match="at least two different outputs"):
        SeveralOutputs(aspects)


def test_an_aspect_needs_a_name_and_a_place() -> None:
    with pytest.raises(PlannerError, match="name"):
        Aspect("", Desirable(1.0, 0.0))
    with pytest.raises(PlannerError, match="not finite"):
        Aspect("peak", Desirable(0.0, 0.1), around=math.inf)
