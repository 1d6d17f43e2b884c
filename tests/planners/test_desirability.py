"""Peak, width and yield as desirabilities, and in an order of importance."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from planners import Desirability, Desirable, InOrder, Observation, PeakAimed, PlannerError, Request, Step, strategy
from tests.planners.reactor import SPACE, design

WANTED = Desirability(
    2.25, 0.005, 0.04, 0.6, Desirable(full_at=0.08, none_at=0.16), Desirable(full_at=0.7, none_at=0.1, weight=2.0)
)
ORDER = InOrder(2.25, 0.005, (Step("fwhm_ev", 0.11), Step("quantum_yield")))
PEAKS, SHARES = st.floats(2.0, 2.5), st.floats(0.0, 1.0)


def test_the_mean_is_the_weighted_geometric_one() -> None:
    parts = WANTED.parts(2.26, 0.10, 0.4)
    assert parts["peak_ev"] == pytest.approx(0.75)
    assert parts["fwhm_ev"] == pytest.approx(0.75)
    assert parts["quantum_yield"] == pytest.approx(0.5)
    assert parts["overall"] == pytest.approx((0.75 * 0.75 * 0.5**2) ** 0.25)
    assert float(WANTED.score(2.26, 0.10, 0.4)) == pytest.approx(parts["overall"])


def test_an_exponent_bends_a_desirability() -> None:
    bent = Desirability(2.25, 0.005, 0.04, 0.6, quantum_yield=Desirable(1.0, 0.0, exponent=2.0))
    assert bent.parts(2.25, None, 0.5)["quantum_yield"] == pytest.approx(0.25)


def test_one_desirability_of_zero_makes_all_of_them_worthless() -> None:
    assert WANTED.parts(2.25, 0.17, 0.9)["overall"] == 0.0
    assert WANTED.parts(2.25, 0.08, None)["overall"] == 0.0
    assert float(WANTED.score(2.25, 0.17, 0.9)) < 0.0


@given(peak=PEAKS, fwhm=st.floats(0.05, 0.3), bright=SHARES, nearer=st.floats(0.0, 1.0))
def test_a_nearer_peak_is_never_less_desirable(peak: float, fwhm: float, bright: float, nearer: float) -> None:
    better = 2.25 + (peak - 2.25) * nearer
    assert float(WANTED.score(better, fwhm, bright)) >= float(WANTED.score(peak, fwhm, bright)) - 1e-12


def test_where_nothing_is_desirable_the_search_still_knows_its_way() -> None:
    scores = WANTED.score([2.9, 2.6, 2.4, 2.3], 0.1, 0.5)
    assert np.all(np.diff(scores) > 0)
    assert np.all(scores < 0)


def test_enough_is_reached_only_with_the_peak_inside_the_tolerance() -> None:
    readings = np.array([[2.25, 0.08, 0.7], [2.2551, 0.08, 0.7], [2.25, 0.15, 0.2]])
    assert WANTED.reached(readings).tolist() == [True, False, False]


@given(met=st.floats(-0.0029, 0.0029), off=st.floats(0.0051, 0.3), ugly=SHARES, beautiful=SHARES)
def test_nothing_makes_up_for_what_stands_before_it(met: float, off: float, ugly: float, beautiful: float) -> None:
    assert float(ORDER.score(2.25 + met, 0.4, ugly)) > float(ORDER.score(2.25 + off, 0.05, beautiful))
    assert float(ORDER.score(2.25, 0.10, ugly)) > float(ORDER.score(2.25, 0.112, beautiful))


def test_within_the_bounds_the_last_decides_and_a_narrower_line_earns_nothing() -> None:
    dull, bright, narrow = ORDER.score(2.25, [0.10, 0.10, 0.06], [0.3, 0.5, 0.3])
    assert bright > dull
    assert narrow == dull


def test_the_margins_inside_the_bounds_are_for_the_search_alone() -> None:
    near, narrow = (2.2545, 0.1095, 0.9), (2.25, 0.10, 0.3)
    assert float(ORDER.score(*near)) < float(ORDER.score(*narrow))
    assert float(ORDER.as_read.score(*near)) > float(ORDER.as_read.score(*narrow))
    outside = (2.2545, 0.1105, 0.9)
    assert float(ORDER.as_read.score(*outside)) < float(ORDER.as_read.score(*narrow))


@pytest.mark.parametrize("name", ["ensemble", "random"])
def test_of_recipes_inside_every_bound_the_one_that_goes_furthest_is_recommended(name: str) -> None:
    def twice(ratio: float, peak: float, width: float, bright: float) -> list[Observation]:
        return [Observation((ratio, 100.0, 40.0), peak + off, width, bright, 0.0003) for off in (0.0, 0.0002)]

    observations = [*design(6), *twice(0.3, 2.252, 0.109, 0.9), *twice(0.6, 2.25, 0.08, 0.3)]
    made = strategy(name, members=8, hidden=16, steps=5) if name == "ensemble" else strategy(name)
    advice = made.recommend(Request(SPACE, ORDER, tuple(observations)))
    assert advice.x[0] == 0.3


def test_an_order_with_an_open_end_tells_good_recipes_apart() -> None:
    readings = np.array([[2.25, 0.1, 0.7]])
    closed = InOrder(2.25, 0.005, (Step("fwhm_ev", 0.11), Step("quantum_yield", 0.6)))
    assert ORDER.resolution(readings) <= 0.1 < closed.resolution(readings)


def test_the_bounds_are_what_is_reached() -> None:
    readings = np.array([[2.25, 0.11, 0.1], [2.25, 0.1101, 0.9], [2.256, 0.1, 0.9], [2.25, math.nan, 0.9]])
    assert ORDER.reached(readings).tolist() == [True, False, False, False]
    bright = InOrder(2.25, 0.005, (Step("quantum_yield", 0.5), Step("fwhm_ev")))
    assert bright.reached(np.array([[2.25, 0.3, 0.5], [2.25, 0.3, 0.49]])).tolist() == [True, False]


@pytest.mark.parametrize("objective", [WANTED, ORDER])
def test_tensors_and_arrays_score_alike(objective: PeakAimed) -> None:
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.uniform(2.1, 2.4, 90), rng.uniform(0.05, 0.2, 90), rng.uniform(0.0, 1.0, 90)])
    rows[:30, 0] = 2.25
    assert np.allclose(objective.score_rows(rows), objective.worth(torch.from_numpy(rows)).numpy())


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Desirable(0.1, 0.1), "differ"),
        (lambda: Desirable(0.1, math.nan), "finite"),
        (lambda: Desirable(0.1, 0.2, weight=0.0), "weight"),
        (lambda: Desirability(2.25, 0.005, 0.0, 0.6), "none_beyond_ev"),
        (lambda: Desirability(2.25, 0.005, 0.04, 1.1), "enough"),
        (lambda: Desirability(2.25, 0.005, 0.04, 0.5, peak_weight=-1.0), "weight"),
        (lambda: Desirability(0.0, 0.005, 0.04, 0.5), "target_peak_ev"),
        (lambda: InOrder(2.25, 0.005, ()), "steps"),
        (lambda: InOrder(2.25, 0.005, (Step("fwhm_ev"), Step("quantum_yield", 0.5))), "last"),
        (lambda: InOrder(2.25, 0.005, (Step("fwhm_ev", 0.1), Step("fwhm_ev"))), "another output"),
        (lambda: Step("fwhm_ev", 0.0), "bound"),
    ],
)
def test_what_makes_no_sense_is_refused(make: Callable[[], object], words: str) -> None:
    with pytest.raises(PlannerError, match=words):
        make()


@pytest.mark.parametrize("objective", [WANTED, ORDER])
def test_a_proposal_and_a_recommendation_tell_the_parts(objective: PeakAimed) -> None:
    request = Request(SPACE, objective, design(10), initial=4)
    planner = strategy("ensemble", members=8, hidden=16, steps=4, spread=32, local=32)
    words = "overall desirability" if objective is WANTED else "(wanted at most 110 meV)"
    assert words in planner.propose(request).reason
    assert words in planner.recommend(request).reason


def test_of_two_recipes_on_target_the_more_desirable_one_is_recommended() -> None:
    dull, bright, off = (each.x for each in design(3))
    told = (
        Observation(dull, 2.2500, 0.15, 0.2, 0.0005),
        Observation(bright, 2.2510, 0.09, 0.6, 0.0005),
        Observation(off, 2.2800, 0.08, 0.7, 0.0005),
    )
    for objective in (WANTED, ORDER):
        assert strategy("sobol").recommend(Request(SPACE, objective, told)).x == bright
