"""Short form of the loop's benchmark: one seed, two targets, and the table that the long form prints."""

from __future__ import annotations

import pytest

from tests.benchmarks.loop import Outcome, one_run, table, wilson


@pytest.mark.parametrize(("target_ev", "seed"), [(2.25, 1), (2.60, 1)])
def test_the_ensemble_recommends_a_recipe_on_target_by_the_twins_noiseless_truth(target_ev: float, seed: int) -> None:
    outcome = one_run("ensemble", target_ev, seed)
    assert outcome.truth_error_mev is not None
    assert abs(outcome.truth_error_mev) < 5.0
    assert outcome.experiments <= 25


def test_the_table_shows_losses_as_losses() -> None:
    won = Outcome("ensemble", 2.25, 1, "target_reproduced", 11, 1, 0.5, 80.0, 0.7, 9, 5.0, 17.0, 2.0, 5.0)
    lost = Outcome("ensemble", 2.25, 2, "budget_experiments", 25, 3, None, None, None, None, 9.0, 30.0, 5.0, 9.0)
    rows = list(table([won, lost]))
    assert "1/2 = 50 %" in rows[2]
    assert wilson(20, 20)[1] == 1.0
    assert 0.8 < wilson(20, 20)[0] < 0.9
