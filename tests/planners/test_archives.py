"""Experiments of other campaigns: learnt from before the first experiment, trusted as far as the present agrees."""

import dataclasses

import numpy as np
import pytest

from planners import (
    Archive,
    Aspect,
    Desirable,
    Observation,
    OneOutput,
    PlannerError,
    Request,
    SeveralOutputs,
    Shape,
    Wanted,
    strategy,
    strategy_names,
)
from tests.planners.reactor import OBJECTIVE, SPACE, design, observe
from tests.planners.test_proposals import GUESTS, small

ENSEMBLE = {"members": 32, "hidden": 96, "spread": 256, "local": 256}
EARLIER = Archive("earlier", design(60, seed=1))
READ = tuple(o for o in EARLIER.observations if not o.failed)


def shifted(archive: Archive, by_ev: float) -> Archive:
    """The archive of a spectrometer that reads higher."""
    moved = [
        o if o.peak_ev is None else dataclasses.replace(o, peak_ev=o.peak_ev + by_ev) for o in archive.observations
    ]
    return Archive(archive.name, tuple(moved))


def run(archives: tuple[Archive, ...], experiments: int) -> list[Observation]:
    """A campaign of the ensemble on the reactor."""
    told: list[Observation] = []
    for _ in range(experiments):
        request = Request(SPACE, OBJECTIVE, tuple(told), seed=1, archives=archives)
        told.append(observe(strategy("ensemble", **ENSEMBLE).propose(request).x))
    return told


def away(observation: Observation) -> float:
    return np.inf if observation.peak_ev is None else abs(observation.peak_ev - OBJECTIVE.target_peak_ev)


def test_an_archive_of_the_same_batch_takes_the_place_of_the_initial_design() -> None:
    proposals = [
        strategy("ensemble").propose(Request(SPACE, OBJECTIVE, seed=seed, archives=(EARLIER,))) for seed in range(1, 6)
    ]
    assert all(proposal.phase == "model" for proposal in proposals)
    assert "no reading of its own yet" in proposals[0].reason
    assert np.median([away(observe(proposal.x)) for proposal in proposals]) < 0.03


def test_a_shift_between_archive_and_present_is_learnt() -> None:
    told = run((shifted(EARLIER, 0.06),), 5)
    assert away(told[0]) > 0.02
    assert min(away(o) for o in told) < 0.01


def test_the_recommendation_learns_from_an_archive_too() -> None:
    told = tuple(run((EARLIER,), 2))
    request = Request(SPACE, OBJECTIVE, told, seed=1, archives=(EARLIER,))
    assert away(observe(strategy("ensemble", **ENSEMBLE).recommend(request).x)) < 0.02


@pytest.mark.parametrize("name", ["ensemble", "forest", "gp", "gp_scalar"])
def test_before_the_first_reading_the_recommendation_rests_on_archives_alone(name: str) -> None:
    planner = strategy(name, **ENSEMBLE) if name == "ensemble" else small(name)
    for told in ((), (Observation((0.5, 100.0, 30.0), failed=True),)):
        request = Request(SPACE, OBJECTIVE, told, seed=1, archives=(EARLIER,))
        recommendation = planner.recommend(request)
        assert recommendation.basis == "model"
        assert "nothing has been read in this campaign" in recommendation.reason
        assert f"rests on {len(READ)} archived readings alone" in recommendation.reason
        assert away(observe(recommendation.x)) < 0.1


WANTED: dict[str, Wanted] = {
    "extreme": OneOutput("yield", "maximise"),
    "light": Shape((2.25, -0.06, -0.02, 0.02, 0.06), 0.005),
    "several": SeveralOutputs((Aspect("yield", Desirable(0.9, 0.2)), Aspect("width", Desirable(0.08, 0.2)))),
}


@pytest.mark.parametrize("goal", WANTED)
def test_whatever_is_wanted_archives_alone_are_enough_to_recommend_from(goal: str) -> None:
    def told(o: Observation) -> Observation:
        peak, width, bright = o.readings
        values = {"extreme": (bright,), "light": (peak, -0.05, -0.02, 0.02, 0.05), "several": (bright, width)}
        return Observation(o.x, values=values[goal])

    archive = Archive("earlier", tuple(map(told, READ)))
    recommendation = small("forest").recommend(Request(SPACE, WANTED[goal], seed=1, archives=(archive,)))
    assert recommendation.basis == "model"
    assert "archived readings alone" in recommendation.reason


def test_one_archived_reading_or_a_strategy_without_a_model_leaves_nothing_to_recommend() -> None:
    one = Archive("one", READ[:1])
    for name, archive in (("ensemble", one), ("sobol", EARLIER), ("snobfit", EARLIER)):
        with pytest.raises(PlannerError, match="nothing to recommend: none of 0 experiments"):
            small(name).recommend(Request(SPACE, OBJECTIVE, archives=(archive,)))


def test_what_was_run_elsewhere_counts_as_not_run_here() -> None:
    candidates = tuple(o.x for o in EARLIER.observations)
    request = Request(SPACE, OBJECTIVE, candidates=candidates, archives=(EARLIER,))
    assert strategy("ensemble", **ENSEMBLE).propose(request).x in candidates


def test_an_archive_of_failures_leaves_the_initial_design_as_it_is() -> None:
    failures = Archive("dark", tuple(Observation(o.x, failed=True) for o in EARLIER.observations))
    request = Request(SPACE, OBJECTIVE, seed=1, archives=(failures,))
    assert strategy("ensemble", **ENSEMBLE).propose(request).phase == "initial"


@pytest.mark.parametrize("name", [name for name in strategy_names() if name not in GUESTS])
def test_every_strategy_takes_a_request_with_archives(name: str) -> None:
    archives = (Archive("a", design(9, seed=2)), Archive("b", design(3, seed=3)))
    request = Request(SPACE, OBJECTIVE, design(2, seed=4), seed=1, archives=archives, initial=2)
    proposal = strategy(name).propose(request)
    assert SPACE.contains([proposal.x]).all()
    assert strategy(name).propose(request) == proposal


def test_an_archive_of_another_space_is_refused() -> None:
    outside = Observation((2.0, 100.0, 30.0), 2.2)
    with pytest.raises(PlannerError, match="lies outside of the search space"):
        Request(SPACE, OBJECTIVE, archives=(Archive("a", (outside,)),))
    with pytest.raises(PlannerError, match="2 coordinates for the 3 variables"):
        Request(SPACE, OBJECTIVE, archives=(Archive("a", (Observation((0.5, 100.0), 2.2),)),))
    with pytest.raises(PlannerError, match="one name"):
        Request(SPACE, OBJECTIVE, archives=(EARLIER, EARLIER))
