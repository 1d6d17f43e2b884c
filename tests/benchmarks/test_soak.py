"""The soak in its short form: it runs, the listeners hear everything, and the figures are what they are called."""

from __future__ import annotations

import asyncio

import pytest

from tests.benchmarks.soak import soak


def test_a_daemon_under_twenty_listeners_runs_campaigns_and_nobody_who_reads_misses_anything() -> None:
    soaked = asyncio.run(soak("virtual", experiments=4, hours=0.1, wall_s=600.0))
    assert soaked.experiments >= 4
    assert soaked.gaps == 0
    assert soaked.heard >= 15 * 10
    assert soaked.memory_end > 10.0


@pytest.mark.long
def test_interlocks_look_while_twenty_listeners_hang_on_the_daemon() -> None:
    soaked = asyncio.run(soak("real", experiments=0, hours=0.0, wall_s=120.0))
    assert (soaked.devices, soaked.gaps, soaked.trips) == (18, 0, ())
    assert soaked.look_p999_s is not None and soaked.look_p999_s < 0.1
