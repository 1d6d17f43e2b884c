"""Pumps, lines and tubes: what is pushed in comes out, when and how the tube says."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from simulators import PressureSpec, PumpSpec, SpecError, TimeReversalError, TubeSpec, World, WorldSpec
from simulators.fluidics import Network, SyringePump, pressure_drop_kpa
from simulators.rtd import age_classes
from simulators.specs import Regime


def network(*pumps: PumpSpec, seed: int = 1) -> Network:
    return Network(pumps, seed, 0.0, 0.5)


def dye_at_outlet(fluid: Network, tube: TubeSpec, t_s: float) -> float:
    classes = age_classes(tube, 24)
    left = np.full(classes.ages.shape, fluid.mixed_ul(t_s))
    volume = tube.volume_ul
    shares = fluid.feed_shares(left - classes.oldest * volume, left - classes.youngest * volume, t_s)
    return float(shares[0] @ classes.weights)


def test_pressure_follows_hagen_poiseuille() -> None:
    assert pressure_drop_kpa(TubeSpec(1000.0, 0.5), 100.0, 1.0) == pytest.approx(1.086, abs=0.001)
    assert pressure_drop_kpa(TubeSpec(1000.0, 0.25), 100.0, 1.0) == pytest.approx(17.4, abs=0.1)


def test_a_running_rig_shows_its_pressure(silent_spec: Callable[..., WorldSpec], clear_pressure: PressureSpec) -> None:
    spec = replace(silent_spec(), reactor=TubeSpec(600.0, 0.5), transit=TubeSpec(400.0, 0.5), pressure=clear_pressure)
    world = World(spec, 1)
    tap = world.pressure("pressure")
    assert tap.pressure_kpa(1.0) == 0.0
    world.pump("solvent").drive(1.0, 100.0)
    assert tap.pressure_kpa(30.0) == pytest.approx(1.086, abs=0.001)


def test_a_motor_displaces_what_it_was_told() -> None:
    pump = SyringePump(PumpSpec("a", "dye", syringe_volume_ul=1000.0, fill_ul=500.0), 1, 0.0)
    pump.drive(10.0, 60.0)
    pump.drive(70.0, -30.0)
    pump.drive(110.0, 0.0)
    assert pump.displaced_ul(5.0) == 0.0
    assert pump.displaced_ul(40.0) == pytest.approx(30.0)
    assert pump.displaced_ul(70.0) == pytest.approx(60.0)
    assert pump.displaced_ul(500.0) == pytest.approx(40.0)
    assert pump.infused_ul(500.0) == pytest.approx(60.0)
    assert pump.content_ul(500.0) == pytest.approx(460.0)


def test_an_empty_syringe_stops_delivering_and_the_pump_stalls_soon_after() -> None:
    pump = SyringePump(PumpSpec("a", "dye", syringe_volume_ul=100.0, stall_delay_s=2.0), 1, 0.0)
    pump.drive(0.0, 600.0)
    assert not pump.stalled(11.9)
    assert pump.displaced_ul(11.0) == pytest.approx(100.0)
    assert pump.stalled(12.1)
    pump.drive(20.0, 0.0)
    assert not pump.stalled(21.0)
    pump.drive(30.0, -60.0)
    assert pump.content_ul(40.0) == pytest.approx(10.0)
    assert not pump.stalled(40.0)
    assert pump.stalled(30.0 + 100.0 + 2.1)


def test_a_pump_refuses_a_command_from_the_past_or_without_sense() -> None:
    pump = SyringePump(PumpSpec("a", "dye"), 1, 100.0)
    with pytest.raises(TimeReversalError):
        pump.displaced_ul(99.0)
    pump.drive(110.0, 5.0)
    with pytest.raises(TimeReversalError):
        pump.drive(105.0, 5.0)
    with pytest.raises(SpecError):
        pump.drive(120.0, math.nan)


def test_compliance_answers_as_a_first_order_lag() -> None:
    fluid = network(PumpSpec("a", "dye", ripple_cv=0.0, compliance_s=10.0))
    fluid.pumps["a"].drive(0.0, 60.0)
    assert fluid.flow_ul_min(10.0) == pytest.approx(60.0 * (1.0 - math.exp(-9.75 / 10.0)), rel=0.005)
    fluid.pumps["a"].drive(100.0, 0.0)
    assert fluid.flow_ul_min(110.0) == pytest.approx(60.0 * math.exp(-9.75 / 10.0), rel=0.005)
    assert fluid.delivered_ul(400.0)["a"] == pytest.approx(100.0, rel=1e-9)


@pytest.mark.parametrize("flow_ul_min", [5.0, 100.0])
def test_ripple_has_the_declared_size_and_conserves_volume(flow_ul_min: float) -> None:
    spec = PumpSpec("a", "dye", ripple_cv=0.07, compliance_s=0.0, ripple_travel_mm=0.2)
    fluid = network(spec)
    fluid.pumps["a"].drive(0.0, flow_ul_min)
    flows = np.array([fluid.flow_ul_min(0.5 * k) for k in range(100, 10_000)])
    cycles = flow_ul_min * 5000.0 / 60.0 / spec.ripple_cycle_ul
    if cycles > 3:
        assert flows.std() / flows.mean() == pytest.approx(0.07, rel=0.2)
    assert fluid.delivered_ul(5000.0)["a"] == pytest.approx(flow_ul_min * 5000.0 / 60.0, rel=0.02)


@pytest.mark.parametrize("regime", ["laminar", "tanks", "plug"])
def test_a_pulse_of_dye_leaves_the_tube_in_full(regime: Regime) -> None:
    tube = TubeSpec(500.0, 0.5, regime)
    fluid = network(PumpSpec("dye", "dye", ripple_cv=0.0), PumpSpec("solvent", "toluene", ripple_cv=0.0))
    fluid.pumps["solvent"].drive(0.0, 60.0)
    fluid.pumps["dye"].drive(400.0, 60.0)
    fluid.pumps["dye"].drive(460.0, 0.0)
    end_s = 20_000 if regime == "laminar" else 1200
    ticks = np.arange(400.0, end_s, 2.0)
    outflow = np.diff([fluid.mixed_ul(float(t)) for t in ticks])
    dye = np.array([dye_at_outlet(fluid, tube, float(t)) for t in ticks])
    assert (0.5 * (dye[1:] + dye[:-1])) @ outflow == pytest.approx(60.0, rel=0.01)


def test_a_laminar_step_reaches_95_percent_at_2_24_mean_residence_times() -> None:
    tube = TubeSpec(500.0, 0.5, "laminar")
    pumps = (PumpSpec(n, s, ripple_cv=0.0, compliance_s=0.0) for n, s in (("dye", "dye"), ("solvent", "toluene")))
    fluid = network(*pumps)
    fluid.pumps["solvent"].drive(0.0, 60.0)
    fluid.pumps["solvent"].drive(3000.0, 0.0)
    fluid.pumps["dye"].drive(3000.0, 60.0)
    mean_s = tube.volume_ul
    for multiple, share in ((0.45, 0.0), (1.0, 0.75), (2.24, 0.95), (5.0, 0.99)):
        assert dye_at_outlet(fluid, tube, 3000.0 + multiple * mean_s) == pytest.approx(share, abs=0.012)


def test_an_unprimed_line_delivers_solvent_first() -> None:
    primed = network(PumpSpec("a", "dye", ripple_cv=0.0, line_volume_ul=30.0))
    empty = network(PumpSpec("a", "dye", ripple_cv=0.0, line_volume_ul=30.0, primed=False))
    for fluid in (primed, empty):
        fluid.pumps["a"].drive(0.0, 60.0)
    first, last = np.array([0.0, 40.0]), np.array([30.0, 60.0])
    assert primed.feed_shares(first, last, 100.0)[0] == pytest.approx([1.0, 1.0])
    assert empty.feed_shares(first, last, 100.0)[0] == pytest.approx([0.0, 1.0], abs=1e-9)


def test_a_stop_told_late_is_made_good_by_the_next_volume() -> None:
    late = network(PumpSpec("a", "dye", ripple_cv=0.0, compliance_s=0.0))
    late.pumps["a"].drive(0.0, 60.0)
    assert late.delivered_ul(20.0)["a"] == pytest.approx(20.0)
    late.pumps["a"].drive(15.0, 0.0)
    assert late.pumps["a"].displaced_ul(20.0) == pytest.approx(15.0)
    late.pumps["a"].drive(30.0, 60.0)
    assert late.delivered_ul(60.0)["a"] == pytest.approx(late.pumps["a"].displaced_ul(60.0))


def test_the_rig_starts_full_of_solvent() -> None:
    fluid = network(PumpSpec("a", "dye", ripple_cv=0.0))
    fluid.pumps["a"].drive(0.0, 60.0)
    assert fluid.feed_shares(np.array([-50.0]), np.array([-10.0]), 100.0)[0] == pytest.approx([0.0])


def test_asking_often_or_seldom_gives_the_same_history() -> None:
    pumps = (PumpSpec("a", "dye"), PumpSpec("b", "toluene"))
    often, seldom = network(*pumps, seed=7), network(*pumps, seed=7)
    for fluid, asks in ((often, True), (seldom, False)):
        for t_s in range(0, 300, 10):
            fluid.pumps["a"].drive(t_s + 0.3, 20.0 + t_s)
            fluid.pumps["b"].drive(t_s + 0.7, 120.0 - t_s / 3)
            if asks:
                for k in range(20):
                    fluid.flow_ul_min(t_s + 0.7 + 0.45 * k)
    assert often.delivered_ul(320.0) == seldom.delivered_ul(320.0)
