"""Experiments of other campaigns: learnt from before the first experiment, trusted as far as the present agrees."""

import dataclasses

import numpy as np
import pytest

from planners import Archive, Observation, PlannerError, Request, strategy, strategy_names
from tests.planners.reactor import OBJECTIVE, SPACE, design, observe
from tests.planners.test_proposals import GUESTS

ENSEMBLE = {"members": 32, "hidden": 96, "spread": 256, "local": 256}
EARLIER = Archive("earlier", design(60, seed=1))


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
