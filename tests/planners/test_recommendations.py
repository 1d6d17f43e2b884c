"""The final recipe."""

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

from planners import Observation, PlannerError, Request, SearchSpace, Variable, strategy
from planners.data import Data
from planners.modelled import Belief, Fitted, Modelled, Ranking
from tests.planners.reactor import OBJECTIVE, SPACE, design

PLANNER = strategy("ensemble", members=10, hidden=16, steps=20, spread=256, local=256)
ON_TARGET = (0.31, 97.0, 40.0)
ALSO_NEAR = (0.62, 70.0, 12.0)


def readings(x: tuple[float, ...], *peaks_ev: float, bright: float = 0.5) -> tuple[Observation, ...]:
    return tuple(Observation(x, peak, 0.1, bright, 0.0005) for peak in peaks_ev)


def far(count: int = 6) -> tuple[Observation, ...]:
    """Readings that are all well away from the target."""
    kept = [o for o in design(60) if o.peak_ev is not None and abs(o.peak_ev - OBJECTIVE.target_peak_ev) > 0.05]
    return tuple(kept[:count])


def test_a_reproduced_recipe_is_preferred_to_a_slightly_better_single_reading() -> None:
    sure = readings(ON_TARGET, 2.2508, 2.2512)
    request = Request(SPACE, OBJECTIVE, far() + sure + readings(ALSO_NEAR, 2.2500))
    recommendation = PLANNER.recommend(request)
    assert recommendation.basis == "reproduced"
    assert recommendation.x == ON_TARGET
    assert "2 times" in recommendation.reason


def test_a_recipe_reproduced_at_the_edge_of_the_tolerance_yields_to_a_central_one() -> None:
    edge = readings(ON_TARGET, 2.2548, 2.2551)
    request = Request(SPACE, OBJECTIVE, far() + edge + readings(ALSO_NEAR, 2.2501))
    assert PLANNER.recommend(request).x == ALSO_NEAR


def test_a_lucky_reading_does_not_hide_that_its_replicates_disagree() -> None:
    scattered = readings(ON_TARGET, 2.2500, 2.2800, 2.2300)
    request = Request(SPACE, OBJECTIVE, far() + scattered + readings(ALSO_NEAR, 2.2520, 2.2518))
    assert PLANNER.recommend(request).x == ALSO_NEAR


LINE = SearchSpace((Variable("x", 0.0, 1.0),))


class Known(Fitted):
    """A model that knows a line, whose readings fail and scatter as is said; the rest of a strategy is the real one."""

    acquisition = described = "known"

    def __init__(self, chance: float, unstated_noise_ev: float) -> None:
        self._chance, self._unstated_ev = chance, unstated_noise_ev

    def believe(self, unit: NDArray[np.float64]) -> Belief:
        mean = np.column_stack([2.0 + 0.5 * unit[:, 0], np.full(len(unit), 0.1), np.full(len(unit), 0.5)])
        sd = np.full(mean.shape, 0.002)
        return Belief(mean, sd, np.full(len(unit), self._chance), OBJECTIVE.score_rows(mean))

    def unstated_noise(self, unit: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.full(len(unit), self._unstated_ev)

    def ranking(self, request: Request, measured: NDArray[np.float64]) -> Ranking:
        raise AssertionError("nothing is proposed here")


@dataclasses.dataclass(frozen=True)
class Knowing(Modelled):
    chance: float = 1.0
    unstated_noise_ev: float = 0.0

    @property
    def name(self) -> str:
        return "knowing"

    def fit(self, request: Request, data: Data, rng: np.random.Generator) -> Fitted:
        return Known(self.chance, self.unstated_noise_ev)


@pytest.mark.parametrize(("chance", "basis"), [(0.95, "model"), (0.6, "model"), (0.4, "measured")])
def test_a_guess_that_may_fail_is_weighed_against_the_best_recipe_and_not_against_the_worst(
    chance: float, basis: str
) -> None:
    told = (*readings((0.45,), 2.225), *readings((0.0,), 2.0), *readings((1.0,), 2.5))
    recommendation = Knowing(chance=chance).recommend(Request(LINE, OBJECTIVE, told))
    assert recommendation.basis == basis
    assert recommendation.x[0] == pytest.approx(0.5 if basis == "model" else 0.45, abs=0.01)


def test_a_reading_inside_the_tolerance_that_the_model_holds_to_be_outside_is_not_called_outside() -> None:
    told = (Observation((0.52,), 2.2548, 0.1, 0.5, 0.003), *readings((0.1,), 2.05))
    recommendation = Knowing().recommend(Request(LINE, OBJECTIVE, told))
    assert recommendation.basis == "model"
    assert "no measured recipe is expected to be within the tolerance of 5.0 meV" in recommendation.reason
    assert "the nearest reading is 4.8 meV off" in recommendation.reason


@pytest.mark.parametrize(("scatter_ev", "wanted"), [(0.0, 0.5), (0.008, 0.502)])
def test_where_readings_scatter_a_repeated_recipe_is_preferred_to_a_lucky_reading(
    scatter_ev: float, wanted: float
) -> None:
    told = (*readings((0.5,), 2.2500), *readings((0.502,), 2.2470, 2.2580, 2.2500, 2.2590), *readings((0.1,), 2.05))
    recommendation = Knowing(unstated_noise_ev=scatter_ev).recommend(Request(LINE, OBJECTIVE, told))
    assert recommendation.x == (wanted,)


def test_a_recipe_that_sometimes_fails_yields_to_one_that_does_not() -> None:
    fickle = (*readings(ON_TARGET, 2.2500, 2.2502), Observation(ON_TARGET, failed=True))
    request = Request(SPACE, OBJECTIVE, far() + fickle + readings(ALSO_NEAR, 2.2520))
    assert PLANNER.recommend(request).x == ALSO_NEAR


def test_of_two_reproduced_recipes_the_brighter_is_recommended() -> None:
    dull, bright = readings(ON_TARGET, 2.2500, 2.2502, bright=0.2), readings(ALSO_NEAR, 2.2508, 2.2510, bright=0.9)
    assert PLANNER.recommend(Request(SPACE, OBJECTIVE, far() + dull + bright)).x == ALSO_NEAR


def test_what_was_measured_is_told_as_it_was_read() -> None:
    observations = far() + readings(ON_TARGET, 2.2496, 2.2514)
    reason = PLANNER.recommend(Request(SPACE, OBJECTIVE, observations)).reason
    assert reason.startswith("Measured 2 times: 2.2505 eV, 0.5 meV from the target of 2.2500 eV")
    assert "now expected at 2.25" in reason


def test_noise_that_readings_do_not_state_makes_a_recommendation_less_sure() -> None:
    """Recipes all along a line scatter by 4 meV, and each reading states half of one."""
    rng = np.random.default_rng(8)

    def said(scatter_ev: float) -> float:
        told = tuple(
            Observation((float(x),), 2.2 + 0.1 * float(x) + scatter_ev * float(rng.standard_normal()), 0.1, 0.5, 0.0005)
            for x in np.linspace(0.0, 1.0, 24)
        )
        planner = strategy("ensemble", members=64, hidden=64, steps=20, spread=256, local=256)
        recommendation = planner.recommend(Request(LINE, OBJECTIVE, told))
        assert recommendation.basis == "measured"
        interval = recommendation.predicted["peak_ev"]
        return interval.high - interval.low

    assert said(0.0005) < 0.005
    assert said(0.004) > 0.008


def test_no_yield_above_one_is_foreseen() -> None:
    bright = tuple(
        Observation((0.1 * n, 100.0, 40.0), 2.0 + 0.01 * n, 0.1, 0.9 + 0.02 * (n % 5), 0.001) for n in range(10)
    )
    proposal = PLANNER.propose(Request(SPACE, OBJECTIVE, bright, initial=6))
    interval = proposal.predicted["quantum_yield"]
    assert interval.low <= interval.mean <= interval.high <= 1.0


def test_without_a_reading_near_the_target_the_model_is_asked() -> None:
    recommendation = PLANNER.recommend(Request(SPACE, OBJECTIVE, far(12)))
    assert recommendation.basis == "model"
    assert abs(recommendation.predicted["peak_ev"].mean - OBJECTIVE.target_peak_ev) < 0.02
    assert "Never run" in recommendation.reason


def test_the_model_recommends_only_what_the_rig_allows() -> None:
    request = Request(SPACE, OBJECTIVE, far(12), feasible=lambda x: x[:, 1] > 100.0)
    recommendation = PLANNER.recommend(request)
    if recommendation.basis == "model":
        assert recommendation.x[1] > 100.0


@pytest.mark.parametrize("name", ["sobol", "random"])
def test_a_strategy_without_a_model_recommends_its_nearest_reading(name: str) -> None:
    observations = far() + readings(ON_TARGET, 2.26)
    recommendation = strategy(name).recommend(Request(SPACE, OBJECTIVE, observations))
    assert (recommendation.x, recommendation.basis) == (ON_TARGET, "measured")


def test_with_no_reading_at_all_there_is_nothing_to_recommend() -> None:
    failed = tuple(dataclasses.replace(o, failed=True) for o in design(4))
    with pytest.raises(PlannerError, match="none of 4 experiments"):
        PLANNER.recommend(Request(SPACE, OBJECTIVE, failed))
