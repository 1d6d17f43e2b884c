"""Short form of the fault matrix: every row once, some experiments without a fault, an hour of garbage."""

from __future__ import annotations

import pytest

from tests.benchmarks.faults import ROWS, Row, Seen, detect, garbage, in_time, matrix_table, nominal


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_fault_is_told_within_its_bound(row: Row) -> None:
    seen = detect(row, 101)
    assert in_time(row, seen), seen


def test_nothing_trips_when_nothing_is_wrong() -> None:
    told, trips = nominal(101, 6)
    assert (told, trips) == (6, [])


@pytest.mark.parametrize("seed", [101, 102])
def test_no_wrong_set_point_is_accepted_and_no_driver_sticks_on_a_bad_line(seed: int) -> None:
    result = garbage(seed, 1.0)
    assert result.corrupted_bytes > 1000
    assert result.dropped_replies > 200
    assert (result.wrong, result.stuck) == (0, ())
    assert result.orders > 10 * result.refused


def test_the_table_shows_what_was_missed() -> None:
    row = ROWS[0]
    found = Seen(row.name, 1, row.signs[0], 3.0, False)
    late = Seen(row.name, 2, row.signs[0], 1e6, False)
    missed = Seen(row.name, 3, None, 0.0, True)
    assert [in_time(row, seen) for seen in (found, late, missed)] == [True, False, False]
    assert "1/3" in list(matrix_table([found, late, missed]))[2]
