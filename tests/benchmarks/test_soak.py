"""The soak in its short form: it runs, the listeners hear everything, and the figures are what they are called."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.config import parse_rig
from tests.benchmarks.soak import Bar, soak
from tests.benchmarks.soak_daemon import Seen, rig_texts


def test_a_daemon_under_twenty_listeners_runs_campaigns_and_nobody_who_reads_misses_anything() -> None:
    soaked = asyncio.run(soak("virtual", Bar(experiments=4, hours=0.05, devices=6, hz=1.0), wall_s=600.0))
    assert soaked.experiments >= 4
    assert soaked.gaps == 0
    assert soaked.heard >= 15 * 10
    assert soaked.memory_end > 10.0
    assert len(soaked.twins) == 6
    assert min(soaked.twins.values()) >= 0.9 * 3600.0 * soaked.reactor_h
    # A look may wait for the line; none is left out.
    assert 1.0 <= soaked.twin_gap_s < 2.0
    assert soaked.text().startswith(f"virtual: {soaked.experiments} experiments")
    assert soaked.text().endswith("trips: none")
    assert "real:" not in soaked.text()


@pytest.mark.parametrize(("devices", "of_each"), [(5, [5]), (6, [6]), (16, [6, 5, 5]), (18, [6, 6, 6])])
def test_as_few_rigs_as_it_takes_have_as_many_devices_as_are_to_be_watched(devices: int, of_each: list[int]) -> None:
    rigs = [parse_rig(text, f"{name}.yaml") for name, text in rig_texts(devices).items()]
    assert [len(rig.pumps) + 1 + (rig.plumbing.pressure is not None) for rig in rigs] == of_each


def test_a_number_of_devices_that_no_rigs_have_is_refused() -> None:
    with pytest.raises(ValueError, match="do not make 7"):
        rig_texts(7)


def test_looks_are_counted_over_all_campaigns_and_gaps_within_each() -> None:
    count: dict[str, int] = {}
    longest_s: dict[str, float] = {}
    for times_s in ((0.0, 0.1, 0.3), (5.0, 5.1)):
        seen = Seen("rig", count, longest_s)
        for t_s in times_s:
            seen["pump"] = t_s
    assert count == {"rig.pump": 5}
    assert longest_s == {"rig.pump": pytest.approx(0.2)}


@pytest.mark.long
def test_interlocks_look_while_twenty_listeners_hang_on_the_daemon() -> None:
    soaked = asyncio.run(soak("real", Bar(devices=6, hz=0.0), wall_s=120.0))
    assert (soaked.devices, soaked.gaps, soaked.trips) == (18, 0, ())
    assert soaked.look_p999_s is not None and soaked.look_p999_s < 0.1
