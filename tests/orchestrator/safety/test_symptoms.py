"""What readings say together: tripping where something is wrong, and quiet where nothing is."""

from __future__ import annotations

import math

from orchestrator.config import load_rig
from orchestrator.recipes.plumbing import pressure_drop_kpa
from orchestrator.rig.devices import HeaterReading, PumpReading
from orchestrator.rig.rig import Ordered
from orchestrator.safety.symptoms import PRESSURE_LOOKS, Delivery, HeaterTrend, PressureTrend, Symptom
from orchestrator.safety.trips import trip_of
from tests.orchestrator.rehearsal import CONFIGS

RIG = load_rig(CONFIGS / "rigs" / "perovskite-bench.yaml")


def test_power_that_nobody_ordered_is_told_at_the_second_look_and_told_of_a_controller_that_hides_it() -> None:
    for output in (0.3, math.nan):
        trend = HeaterTrend()
        assert trend.note(0.0, heater(40.0, 0.0, 20.0), off=True) is None
        assert trend.note(2.0, heater(40.0, output, 100.0), off=True) is None
        symptom = trend.note(4.0, heater(41.0, output, 100.0), off=True)
        assert symptom is not None
        assert symptom.interlock == "heat not ordered"
        assert trend.note(6.0, heater(41.0, output, 100.0), off=False) is None


def test_one_look_that_shows_power_may_be_a_damaged_answer() -> None:
    trend = HeaterTrend()
    outputs = [0.0, 0.4, 0.0, 0.4, 0.0]
    assert not any(
        trend.note(2.0 * index, heater(40.0, output, 20.0), off=True) for index, output in enumerate(outputs)
    )


def heater(temperature_c: float, output: float, set_point_c: float = 120.0) -> HeaterReading:
    return HeaterReading(temperature_c, set_point_c, output, ())


def heated(readings: list[HeaterReading]) -> list[Symptom | None]:
    """One reading every two seconds."""
    trend = HeaterTrend()
    return [trend.note(2.0 * index, reading) for index, reading in enumerate(readings)]


def test_a_slow_heater_at_full_output_is_no_loop_break() -> None:
    # 1.2 K a minute: a large bath.
    assert not any(heated([heater(30.0 + 0.04 * index, 1.0) for index in range(300)]))


def test_full_output_without_any_rise_is_a_loop_break_after_a_minute() -> None:
    symptoms = heated([heater(30.0, 1.0)] * 40)
    first = next(index for index, symptom in enumerate(symptoms) if symptom)
    assert 2.0 * first == 60.0
    symptom = symptoms[first]
    assert symptom is not None
    assert (symptom.interlock, symptom.value) == ("loop break", 0.0)


def test_full_output_near_the_set_point_is_no_loop_break() -> None:
    assert not any(heated([heater(117.0, 1.0)] * 60))


def test_heat_that_is_still_on_its_way_is_no_runaway() -> None:
    coasting = [heater(120.0 + 6.0 * (1.0 - math.exp(-index / 2.0)), 0.0) for index in range(60)]
    assert not any(heated([heater(119.0, 0.4), *coasting]))


def test_a_rise_without_output_is_a_runaway_also_while_the_heater_is_off() -> None:
    symptoms = heated([heater(60.0 + 0.5 * index, 0.0, 20.0) for index in range(60)])
    first = next(index for index, symptom in enumerate(symptoms) if symptom)
    assert 2.0 * first <= 30.0
    symptom = symptoms[first]
    assert symptom is not None
    assert symptom.interlock == "heater runaway"


def test_cooling_then_warming_by_the_noise_of_the_sensor_is_no_runaway() -> None:
    assert not any(heated([heater(60.0 - 0.05 * index + 0.3 * (index % 2), 0.0, 20.0) for index in range(300)]))


def first_sign(readings: list[HeaterReading]) -> tuple[str, float] | None:
    """The first interlock and the time of it."""
    found = heated(readings)
    return next(((symptom.interlock, 2.0 * index) for index, symptom in enumerate(found) if symptom), None)


def test_a_controller_that_heats_on_above_its_set_point_spends_its_budget() -> None:
    # Left in manual at 40 %: 0.2 K a second beyond the set-point.
    sign = first_sign([heater(120.0 + 0.4 * index, 0.4) for index in range(200)])
    assert sign is not None
    assert sign[0] == "heater runaway"
    over_k = 0.2 * sign[1]
    assert 5.0 < over_k < 25.0


def test_a_heater_that_gets_colder_under_power_is_told_before_a_minute_is_over() -> None:
    sign = first_sign([heater(115.0 - index, 0.9) for index in range(200)])
    assert sign is not None
    assert sign[0] == "temperature not held"
    assert sign[1] < 60.0


def test_half_an_output_that_does_not_reach_the_set_point_is_told_in_the_end() -> None:
    sign = first_sign([heater(100.0, 0.5)] * 200)
    assert sign is not None
    assert sign[0] == "temperature not held"
    assert 60.0 < sign[1] < 180.0


def test_cooling_towards_a_lower_set_point_spends_nothing() -> None:
    cooling = [heater(30.0 + 120.0 * math.exp(-index / 150.0), 0.0, 40.0) for index in range(600)]
    assert not any(heated(cooling))


def test_a_room_that_is_warmer_than_the_safe_set_point_is_no_runaway() -> None:
    assert not any(heated([heater(31.0 + 0.1 * (index % 3), 0.0, 20.0) for index in range(2000)]))


def test_a_controller_that_does_not_tell_its_output_may_heat_and_must_get_somewhere() -> None:
    unknown = math.nan
    assert not any(heated([heater(min(20.0 + 0.1 * index, 120.0), unknown) for index in range(1500)]))
    sign = first_sign([heater(60.0, unknown)] * 200)
    assert sign is not None
    assert sign[0] in ("loop break", "temperature not held")


def test_a_reading_that_stays_the_same_while_the_output_moves_is_stuck() -> None:
    creeping = [heater(119.5, min(0.3 + 0.005 * index, 1.0)) for index in range(400)]
    sign = first_sign(creeping)
    assert sign is not None
    assert sign[0] == "stuck sensor"


def test_an_output_that_is_told_only_from_some_moment_on_can_be_held_against_a_stuck_reading() -> None:
    climbing = [heater(75.0, min(index / 30.0, 1.0), 76.0) for index in range(60)]
    symptom = first_sign([heater(75.0, math.nan, 76.0), *climbing])
    assert symptom is not None
    assert symptom[0] == "stuck sensor"


def test_a_reading_that_stays_the_same_at_a_steady_output_is_a_good_controller() -> None:
    assert not any(heated([heater(120.0, 0.3 + 0.02 * (index % 2)) for index in range(2000)]))


def test_a_heater_that_has_just_been_switched_on_is_not_stuck() -> None:
    readings = [heater(25.0, 0.0, 20.0)] * 300 + [heater(25.0, 1.0)] * 3
    warming = [heater(25.0 + 0.5 * index, 1.0) for index in range(60)]
    assert not any(heated([*readings, *warming]))


def an_order(flow_ul_min: float, since_s: float = 0.0, bound_ul: float = 1e6) -> Ordered:
    return Ordered({"pb": flow_ul_min}, {"pb": bound_ul}, since_s)


def pressed(share: float, flow_ul_min: float = 500.0, **order: float) -> list[str]:
    trend = PressureTrend(RIG)
    ordered = an_order(flow_ul_min, **order)
    kpa = share * pressure_drop_kpa(RIG, flow_ul_min)
    symptoms = [trend.note(2.0 * index, kpa, ordered) for index in range(60)]
    return [symptom.interlock for symptom in symptoms if symptom]


def test_a_pressure_by_the_model_is_fine_and_far_from_it_is_a_leak_or_a_clog() -> None:
    assert pressed(1.0) == []
    assert pressed(0.8) == []
    assert pressed(1.3) == []
    assert set(pressed(0.4)) == {"leak"}
    assert set(pressed(2.0)) == {"clog"}


def test_pressures_below_the_transmitters_own_error_say_nothing() -> None:
    assert pressed(0.0, flow_ul_min=20.0) == []


def test_a_flow_that_has_just_changed_is_not_judged() -> None:
    trend = PressureTrend(RIG)
    readings = 20.0 / 2.0 + PRESSURE_LOOKS
    assert len(pressed(0.4)) == 60 - readings + 1
    for index in range(200):
        assert trend.note(2.0 * index, 0.0, an_order(500.0, since_s=20.0 * (index // 10))) is None


def test_no_pressure_is_expected_of_pumps_at_their_bound_or_of_an_order_under_way() -> None:
    assert pressed(0.0, bound_ul=100.0) == []
    trend = PressureTrend(RIG)
    assert not any(trend.note(2.0 * index, 500.0, None) for index in range(60))


def risen(kpa: list[float], ordered: Ordered | None, from_s: float = 1000.0) -> list[str]:
    trend = PressureTrend(RIG)
    symptoms = [trend.rise(from_s + 2.0 * index, value, ordered) for index, value in enumerate(kpa)]
    return [symptom.interlock for symptom in symptoms if symptom]


def test_a_pressure_that_shoots_towards_its_limit_is_told_before_it_is_there() -> None:
    assert risen([40.0, 41.0, 180.0], an_order(100.0)) == ["fast pressure rise"]
    # With an order under way nobody knows which flow it is: the rig's highest may explain it.
    assert risen([41.0, 280.0], None) == ["fast pressure rise"]
    assert risen([41.0, 60.0], None) == []


def test_a_pressure_that_an_order_explains_may_rise_as_fast_as_it_likes() -> None:
    model_kpa = pressure_drop_kpa(RIG, 1000.0)
    assert risen([5.0, model_kpa, 1.1 * model_kpa], an_order(1000.0)) == []
    assert risen([5.0, 5.2, 5.1, 5.3], an_order(0.0)) == []


def test_pressure_that_stays_in_a_closed_line_is_no_clog() -> None:
    trend = PressureTrend(RIG)
    assert not any(trend.note(2.0 * index, 120.0, an_order(0.0)) for index in range(60))


def pump(infused_ul: float, state: str = "infusing") -> PumpReading:
    return PumpReading(state, infused_ul, 0.0, None)


def delivered(
    rate_ul_min: float, ordered: Ordered, *, state: str = "infusing", syringe_ul: float = 50_000.0
) -> list[str]:
    delivery = Delivery("pb", syringe_ul, 0.0)
    readings = [(10.0 * index, pump(rate_ul_min * index / 6.0, state)) for index in range(1, 60)]
    symptoms = [delivery.note(t_s, reading, ordered, 10.0) for t_s, reading in readings]
    return [symptom.interlock for symptom in symptoms if symptom]


def test_a_pump_that_delivers_what_was_ordered_is_fine_and_one_that_does_not_is_told() -> None:
    assert delivered(100.0, an_order(100.0)) == []
    assert delivered(95.0, an_order(100.0)) == []
    assert set(delivered(50.0, an_order(100.0))) == {"flow not delivered"}
    assert set(delivered(150.0, an_order(100.0))) == {"flow not delivered"}
    assert set(delivered(100.0, an_order(100.0), state="stopped")) == {"flow not delivered"}


def test_a_pump_that_reached_its_bound_may_stand_still() -> None:
    assert delivered(0.0, an_order(100.0, bound_ul=10.0), state="stopped") == []


def test_a_pump_that_runs_though_nothing_was_ordered_of_it_is_told() -> None:
    delivery = Delivery("pb", 50_000.0, 0.0)
    idle = Ordered({}, {}, 0.0)
    assert delivery.note(10.0, pump(0.0, "stopped"), idle, 10.0) is None
    symptom = delivery.note(20.0, pump(5.0), idle, 10.0)
    assert symptom is not None
    assert symptom.interlock == "flow not ordered"


def test_a_pump_that_was_told_nothing_is_not_held_against_anything() -> None:
    delivery = Delivery("cs", 50_000.0, 0.0)
    assert delivery.note(10.0, pump(5.0, "stopped"), an_order(100.0), 10.0) is None
    assert delivery.note(20.0, pump(50.0), None, 10.0) is None


def test_the_ledger_tells_of_an_empty_syringe_before_it_is_dry() -> None:
    words = delivered(100.0, an_order(100.0), syringe_ul=500.0)
    assert words[0] == "empty syringe"
    # 100 µL/min out of 500 µL: dry after 300 s, and looks come every 10 s: 290 s is the last before.
    assert len(words) in (30, 31)


def test_errors_of_devices_are_trips_by_their_kind() -> None:
    from drivers import BrokenWireError, DeviceAlarmError, LostDeviceError, ReadBackError

    assert trip_of(LostDeviceError("away", outage_s=31.0, device="oven")).interlock == "lost device"
    broken = trip_of(BrokenWireError("0 mA", alarm="broken wire", device="gauge"))
    assert (broken.interlock, broken.device) == ("broken wire", "gauge")
    assert trip_of(RuntimeError("?")).device == "rig"
    assert trip_of(DeviceAlarmError("stalled", alarm="stalled", device="pb")).interlock == "device alarm"
    assert trip_of(ReadBackError("another flow", device="pb")).interlock == "refused setting"
