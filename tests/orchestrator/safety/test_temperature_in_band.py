"""A temperature is reached when the interlocks' own looks say so, not a clock beside them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from orchestrator.clock.virtual_time import run_virtual
from orchestrator.config import load_campaign
from orchestrator.experiment.settling import IN_BAND_LOOKS, IN_BAND_S, reach_temperature
from orchestrator.safety.interlocks import Interlocks, Periods
from orchestrator.safety.trips import Trip
from tests.orchestrator.rehearsal import CONFIGS, rig_on_twins

WANTED_C = 60.0


async def nobody(trip: Trip) -> None:
    """Nobody listens."""


def heated(watch_s: float) -> tuple[list[tuple[float, float]], float, float]:
    """A rig heated to what is wanted: when it was seen how hot, when that counted as reached, and the band."""
    campaign = load_campaign(CONFIGS / "campaigns" / "quickstart.yaml").config

    async def main() -> tuple[list[tuple[float, float]], float]:
        loop = asyncio.get_running_loop()
        rig = rig_on_twins()
        await rig.connect()
        interlocks = Interlocks(rig, periods=replace(Periods(), watch_s=watch_s))
        interlocks.start(nobody)
        seen: list[tuple[float, float]] = []

        async def look_on() -> None:
            while reading := await interlocks.next_heater(60.0):
                seen.append((loop.time(), reading.temperature_c))

        looking = asyncio.ensure_future(look_on())
        assert await reach_temperature(rig, interlocks, campaign, WANTED_C)
        reached_s = loop.time()
        looking.cancel()
        await interlocks.stop(nobody)
        await rig.close()
        return seen, reached_s

    seen, reached_s = run_virtual(main())
    return seen, reached_s, campaign.settle.temperature_band_k


@pytest.mark.parametrize("watch_s", [0.05, 2.0, 5.0])
def test_a_temperature_counts_as_reached_after_three_looks_in_band_and_three_seconds(watch_s: float) -> None:
    seen, reached_s, band_k = heated(watch_s)
    outside = max(at for at, (_, temperature_c) in enumerate(seen) if abs(temperature_c - WANTED_C) > band_k)
    in_band_s = [time_s for time_s, _ in seen[outside + 1 :] if time_s <= reached_s]
    assert len(in_band_s) >= IN_BAND_LOOKS
    assert in_band_s[-1] - in_band_s[0] >= IN_BAND_S
    assert len(in_band_s) == IN_BAND_LOOKS or in_band_s[-2] - in_band_s[0] < IN_BAND_S
    assert reached_s == in_band_s[-1]


def test_where_nobody_looks_at_the_heater_there_is_no_next_reading() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert await Interlocks(rig_on_twins()).next_heater(7.0) is None
        assert loop.time() == 7.0

    run_virtual(main())
