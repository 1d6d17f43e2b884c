"""The heated block: it settles, it cools, and reading it changes nothing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from simulators import HeaterSpec, SpecError, TimeReversalError
from simulators.chemistry import Array
from simulators.thermal import HeatedBlock, RateIntegral


def block(**changes: Any) -> HeatedBlock:
    return HeatedBlock(HeaterSpec(sensor_noise_k=0.0, **changes), 1, 0.0)


def test_it_starts_at_ambient_with_its_output_off() -> None:
    heater = block()
    assert heater.process_value_c(50.0) == 25.0
    assert heater.output_fraction(50.0) == 0.0


@pytest.mark.parametrize("set_point_c", [60.0, 100.0, 160.0])
def test_it_settles_at_the_set_point_with_little_overshoot(set_point_c: float) -> None:
    heater = block()
    heater.command(0.0, set_point_c, True)
    readings = np.array([heater.process_value_c(float(t)) for t in range(900)])
    assert readings.max() < set_point_c + 1.5
    assert np.abs(readings[300:] - set_point_c).max() < 0.1
    assert heater.block_c(900.0) == pytest.approx(set_point_c, abs=0.01)
    expected = (set_point_c - 25.0) * heater.spec.loss_w_k / heater.spec.power_w
    assert heater.output_fraction(900.0) == pytest.approx(expected, abs=0.01)


def test_it_comes_down_to_a_lower_set_point_without_undershoot() -> None:
    heater = block()
    heater.command(0.0, 160.0, True)
    heater.command(600.0, 80.0, True)
    readings = np.array([heater.block_c(600.0 + t) for t in range(600)])
    assert readings.min() > 79.0
    assert readings[-1] == pytest.approx(80.0, abs=0.1)


def test_turned_off_it_cools_to_ambient_with_its_own_time_constant() -> None:
    heater = block()
    heater.command(0.0, 125.0, True)
    hot = heater.block_c(900.0)
    heater.command(900.0, 125.0, False)
    time_constant_s = heater.spec.heat_capacity_j_k / heater.spec.loss_w_k
    assert heater.block_c(900.0 + time_constant_s) == pytest.approx(25.0 + (hot - 25.0) / math.e, abs=0.2)
    assert heater.output_fraction(901.0) == 0.0
    assert heater.set_point_c(901.0) == 125.0


def test_switched_on_again_it_does_not_remember_the_old_effort() -> None:
    heater = block()
    heater.command(0.0, 160.0, True)
    heater.command(600.0, 160.0, False)
    heater.command(2400.0, 40.0, True)
    assert max(heater.block_c(2400.0 + t) for t in range(300)) < 41.5


def test_the_sensor_lags_behind_the_block() -> None:
    heater = block(sensor_lag_s=5.0)
    heater.command(0.0, 150.0, True)
    assert heater.block_c(30.0) - heater.process_value_c(30.0) > 5.0


def test_an_unreachable_set_point_saturates_the_output() -> None:
    heater = block(power_w=20.0)
    heater.command(0.0, 200.0, True)
    assert heater.output_fraction(2000.0) == 1.0
    assert heater.process_value_c(3000.0) == pytest.approx(25.0 + 20.0 / 0.4, abs=0.1)


def test_extra_reads_change_no_later_reading() -> None:
    quiet, nosy = HeatedBlock(HeaterSpec(), 5, 0.0), HeatedBlock(HeaterSpec(), 5, 0.0)
    for heater in (quiet, nosy):
        heater.command(3.1, 120.0, True)
    for k in range(400):
        nosy.process_value_c(3.1 + 0.37 * k)
    later = [200.0, 200.1, 333.3]
    assert [quiet.process_value_c(t) for t in later] == [nosy.process_value_c(t) for t in later]


def test_a_command_from_the_past_or_without_sense_is_refused() -> None:
    heater = block()
    heater.command(10.0, 50.0, True)
    with pytest.raises(TimeReversalError):
        heater.command(9.0, 60.0, True)
    with pytest.raises(TimeReversalError):
        heater.process_value_c(-1.0)
    with pytest.raises(SpecError):
        heater.command(11.0, math.nan, True)


def test_extents_add_the_rate_over_the_temperature_history() -> None:
    heater = block()
    integral = RateIntegral(heater, lambda t_c: np.stack([np.ones_like(t_c), t_c]))
    heater.command(0.0, 100.0, True)
    extents = integral.between(np.array([10.0, 600.0]), np.array([70.3, 660.0]), 700.0)
    assert extents[0] == pytest.approx([60.3, 60.0])
    assert extents[1, 1] == pytest.approx(6000.0, rel=1e-3)
    fine = [heater.block_c(10.0 + 0.25 * k) for k in range(242)]
    assert extents[1, 0] == pytest.approx(sum(fine) * 0.25, rel=0.01)


def test_extents_do_not_depend_on_how_often_they_were_asked() -> None:
    def rates(t_c: Array) -> Array:
        return np.stack([np.exp(t_c / 20.0), np.exp(t_c / 50.0)])

    results = []
    for asks in (1, 97):
        heater = block()
        heater.command(0.0, 130.0, True)
        integral = RateIntegral(heater, rates)
        for k in range(asks):
            integral.up_to(200.0 * (k + 1) / asks)
        results.append(integral.between(np.array([3.0]), np.array([180.0]), 200.0))
    assert np.array_equal(results[0], results[1])
