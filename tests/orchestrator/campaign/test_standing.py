"""What is called the best so far is what the campaign's own objective holds to be the best."""

from __future__ import annotations

import pytest

from orchestrator.campaign.header import Overrides, header_of
from orchestrator.campaign.standing import bests, recorded_config
from orchestrator.config import LoadedCampaign
from orchestrator.history.run_state import Experiment, RunState
from orchestrator.history.summary import summary
from tests.orchestrator.campaign.test_goal import DESIRABLE, ORDER, read, wanting


def run_of(loaded: LoadedCampaign, *experiments: Experiment) -> RunState:
    return RunState(header=header_of(loaded, Overrides(), hardware=False), experiments=experiments)


def best(state: RunState) -> int | None:
    found = bests(state)(1)
    return None if found is None else found.n


NEAREST = read(1, 150.0, 0.2, error_mev=0.1)
"""Right on the target, but broad and dim."""


@pytest.mark.parametrize("objective", [DESIRABLE, ORDER])
def test_the_nearest_peak_is_not_the_best_where_width_and_yield_are_wanted_too(objective: str) -> None:
    state = run_of(wanting(objective), NEAREST, read(2, 90.0, 0.7, error_mev=2.0))
    assert best(state) == 2
    assert state.best is not None and state.best.n == 1


def test_what_met_the_target_each_time_is_better_than_what_failed_to_be_repeated() -> None:
    once = read(1, 80.0, 0.9, error_mev=0.5)
    state = run_of(wanting(ORDER), once, read(2, 115.0, 0.9, of=1), read(3, 100.0, 0.3), read(4, 100.0, 0.3, of=3))
    assert best(state) == 3


def test_without_a_campaign_that_is_understood_the_nearest_is_the_best() -> None:
    header = {"target_ev": 2.25, "tolerance_ev": 0.005, "campaign_text": "kind: nothing"}
    state = RunState(header=header, experiments=(NEAREST, read(2, 90.0, 0.7)))
    assert recorded_config(state) is None
    assert best(state) == 1


def test_a_summary_without_a_recommendation_is_of_the_best() -> None:
    state = run_of(wanting(ORDER), NEAREST, read(2, 90.0, 0.7, error_mev=2.0))
    found = summary(state, bests(state))
    assert (found["fwhm_mev"], found["yield"]) == (90.0, 0.7)
