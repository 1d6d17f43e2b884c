"""Short form of the fault benchmarks: every row once, some experiments without a fault, an hour of garbage."""

from __future__ import annotations

import pytest

from tests.benchmarks.fault_rows import ROWS, Row
from tests.benchmarks.faults import Quiet, Seen, bubble, detect, enough, in_time, matrix_table, nominal
from tests.benchmarks.garbage import EVERY_HEATER, PUMP_LINES, garbage, heater_garbage


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_fault_is_told_within_its_bound(row: Row) -> None:
    seen = detect(row.name, 101)
    assert in_time(row, seen), seen


def test_nothing_trips_when_nothing_is_wrong() -> None:
    assert nominal(101, 6) == Quiet(101, 6, ())


def test_campaigns_that_end_early_do_not_count_as_whole_ones() -> None:
    assert not enough([Quiet(1, 25, ()), Quiet(2, 11, ())], 50)
    assert enough([Quiet(1, 25, ()), Quiet(2, 25, ())], 50)


def test_a_bubble_that_changes_next_to_nothing_is_let_pass_and_a_larger_one_is_not() -> None:
    assert bubble(0.02, 101).accepted
    assert bubble(0.3, 101).flagged


@pytest.mark.parametrize("lines", PUMP_LINES)
def test_no_wrong_flow_is_accepted_and_no_pump_sticks_on_a_bad_line(lines: str) -> None:
    result = garbage(101, 0.5, lines)
    assert result.corrupted_bytes > 500
    assert result.dropped_replies > 100
    assert result.stuck == ()
    assert (result.wrong, result.slipped, result.trips) == (0, 0, 0)
    assert result.orders > 50 * result.refused


@pytest.mark.parametrize("name", EVERY_HEATER)
def test_no_wrong_set_point_is_accepted_and_no_heater_sticks_on_a_bad_line(name: str) -> None:
    result = heater_garbage(101, 0.5, name)
    assert result.dropped_replies > 20
    assert (result.wrong, result.slipped, result.stuck) == (0, 0, ())
    assert result.orders > 10 * result.refused


def test_the_table_shows_what_was_missed() -> None:
    row = ROWS[0]
    found = Seen(row.name, 1, row.signs[0], 3.0, False)
    late = Seen(row.name, 2, row.signs[0], 1e6, False)
    missed = Seen(row.name, 3, None, 0.0, True)
    assert [in_time(row, seen) for seen in (found, late, missed)] == [True, False, False]
    assert "1/3" in list(matrix_table([found, late, missed]))[2]
