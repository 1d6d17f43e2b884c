"""Waiting until the reactor is steady: temperature, washed-out volume, and a line that has stopped moving."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from orchestrator.config import CampaignConfig, RigConfig
from orchestrator.experiment.measuring import Detector
from orchestrator.recipes.plumbing import FlowPlan, washout_s
from orchestrator.rig.rig import Rig
from orchestrator.safety.interlocks import Interlocks
from orchestrator.spectra.analysis import Analysis

IN_BAND_LOOKS = 3
IN_BAND_S = 3.0
"""For so many looks, and for so long from the first of them, a temperature must be where it is wanted."""
BOUND_MARGIN = 1.25
"""Pumps may move this much more than the longest experiment needs before they stop by themselves."""


@dataclass(frozen=True)
class Settled:
    """How the wait ended, and what was seen at each look."""

    outcome: Literal["steady", "timeout"]
    elapsed_s: float
    looks: tuple[Analysis, ...]

    @property
    def looks_ev(self) -> tuple[float | None, ...]:
        """The line's energy at each look, None where no line was seen."""
        return tuple(look.peak_ev for look in self.looks)


def dead_time_s(rig: RigConfig, flow_ul_min: float) -> float:
    """Time to sweep reactor and transit line once at this flow, in s."""
    return (rig.plumbing.reactor.volume_ul + rig.plumbing.transit.volume_ul) / flow_ul_min * 60.0


async def reach_temperature(rig: Rig, interlocks: Interlocks, campaign: CampaignConfig, temperature_c: float) -> bool:
    """Head for the temperature and wait until it has stayed in band for a while; False on time-out."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + campaign.settle.timeout_s
    set_point = await rig.heater.set_temperature(temperature_c)
    looks, since_s = 0, math.inf
    while looks < IN_BAND_LOOKS or loop.time() - since_s < IN_BAND_S:
        reading = await interlocks.next_heater(deadline - loop.time())
        if reading is None:
            return False
        near = abs(reading.temperature_c - set_point) <= campaign.settle.temperature_band_k
        looks, since_s = (looks + 1, min(since_s, loop.time())) if near else (0, math.inf)
    return True


async def settle(rig: Rig, detector: Detector, campaign: CampaignConfig, plan: FlowPlan) -> Settled:
    """Wait out the dead volume and the residence times, then look until the line stands still or time is up."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    rules = campaign.settle
    await asyncio.sleep(washout_s(campaign, rig.config, plan.total_flow_ul_min, plan.residence_time_s))
    washed_out = loop.time()
    looks: list[Analysis] = []
    while True:
        looks.append(await detector.look())
        elapsed = loop.time() - began
        if stands_still([look.peak_ev for look in looks[-rules.looks :]], rules.looks, rules.drift_ev):
            return Settled("steady", elapsed, tuple(looks))
        if loop.time() - washed_out >= rules.timeout_s:
            return Settled("timeout", elapsed, tuple(looks))
        await asyncio.sleep(rules.look_interval_s)


def stands_still(looks_ev: Sequence[float | None], wanted: int, drift_ev: float) -> bool:
    """True when the last looks show no drift beyond ``drift_ev`` that their own scatter would not explain.

    A straight line is fitted through the looks; the drift is its rise over them, its standard error that of least
    squares. All looks dark counts as steady (there is nothing to drift), some dark and some not does not.
    """
    if len(looks_ev) < wanted:
        return False
    values = [look for look in looks_ev if look is not None]
    if not values:
        return True
    if len(values) < len(looks_ev):
        return False
    n = len(values)
    if n < 2:
        return True
    centre = (n - 1) / 2.0
    mean = math.fsum(values) / n
    spread = math.fsum((index - centre) ** 2 for index in range(n))
    slope = math.fsum((index - centre) * (value - mean) for index, value in enumerate(values)) / spread
    rise = abs(slope) * (n - 1)
    if n == 2:
        return rise <= drift_ev
    residual = math.fsum((value - mean - slope * (index - centre)) ** 2 for index, value in enumerate(values)) / (n - 2)
    return rise <= max(drift_ev, 2.0 * math.sqrt(residual / spread) * (n - 1))
