"""Short form of the speed table: what it asks of both arms, and what it prints."""

from __future__ import annotations

from tests.benchmarks.speed import Timing, data, ours, table


def test_both_arms_are_asked_for_a_proposal_by_a_model_from_readings_alone() -> None:
    request = data(12, 1)
    assert len(request.observations) == 12
    assert not any(observation.failed for observation in request.observations)
    ours(request)


def test_the_table_sets_the_ensemble_against_its_peer_of_the_same_size() -> None:
    found = [
        Timing("ensemble", 20, (0.5, 0.5, 0.5), (0.4, 0.4, 0.4), 500.0),
        Timing("botorch", 20, (1.0, 1.0, 2.0), (1.6, 1.6, 1.6), 600.0),
        Timing("ensemble", 2000, (2.0, 2.0, 2.0), (2.0, 2.0, 2.0), 700.0),
    ]
    lines = table(found)
    assert any("0.50 / 0.25" in line and "ensemble" in line for line in lines)
    assert lines[-1].startswith("| 2000 | ensemble | 3 | 2.00 |")
