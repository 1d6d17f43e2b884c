"""Whatever a planner proposes, no command beyond a limit reaches a device: from the proposal down to the wire."""

from __future__ import annotations

import asyncio
import contextlib
import math
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from orchestrator.clock.virtual_time import run_virtual
from orchestrator.errors import LimitRefused
from orchestrator.recipes.plumbing import Unreachable, pressure_drop_kpa, pump_flows
from orchestrator.rig.rig import Rig
from tests.orchestrator.rehearsal import rig_on_twins, small

LOADED = small()
LIMITS = LOADED.rig.limits
WILD = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.floats(-10.0, 10.0),
    st.floats(0.0, 5000.0),
)
NAMES = tuple(LOADED.config.inputs)
RECIPES = st.fixed_dictionaries(dict.fromkeys(NAMES, WILD))
"""Anything at all: a planner that has gone mad."""
NEAR = st.fixed_dictionaries(
    {name: st.floats(0.5 * entry.low, 1.5 * entry.high) for name, entry in LOADED.config.inputs.items()}
)
"""At and around the campaign's own ranges, where rounding could carry a command over."""

THOROUGH = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@dataclass
class Plants:
    """What arrived in the simulated world, behind drivers and wires."""

    rig: Rig
    worst: list[str] = field(default_factory=list)

    def look(self) -> None:
        world = self.rig.faults.world
        now_s = asyncio.get_running_loop().time()
        low, high = LIMITS.temperature_c
        set_point = world.block.set_point_c(now_s)
        if not low - 0.06 <= set_point <= high + 0.06 and set_point != LOADED.rig.twin.ambient_c:
            self.worst.append(f"set-point {set_point}")
        flows = [pump.commanded_ul_min for pump in world.network.pumps.values()]
        if sum(flows) > LIMITS.total_flow_ul_min[1] * 1.006:  # each rate is read back to 0.5 %
            self.worst.append(f"total flow {sum(flows)}")
        most = LIMITS.pump_flow_ul_min or math.inf
        self.worst += [f"pump flow {flow}" for flow in flows if flow > most * 1.006 or flow < 0.0 or math.isnan(flow)]


async def carried_out(recipe: dict[str, float], *, planned: bool) -> list[str]:
    """A recipe on a rig of twins: as the conductor does it, or past the plan, straight to the rig's own limits."""
    rig = rig_on_twins()
    plants = Plants(rig)
    await rig.connect()
    with contextlib.suppress(LimitRefused, Unreachable):
        flows: dict[str, Any] = {}
        temperature_c = recipe.get("temperature", math.nan)
        if planned:
            plan = pump_flows(LOADED.config, LOADED.rig, recipe)
            assert pressure_drop_kpa(LOADED.rig, plan.total_flow_ul_min) <= LIMITS.pressure_kpa
            flows, temperature_c = dict(plan.flows_ul_min), plan.temperature_c
        else:
            flows = dict(zip(rig.pumps, recipe.values(), strict=False))
        await _commanded(rig, flows, temperature_c, plants)
    plants.look()
    await rig.close()
    return plants.worst


async def _commanded(rig: Rig, flows: dict[str, float], temperature_c: float, plants: Plants) -> None:
    try:
        await rig.flow(flows, 600.0)
    finally:
        plants.look()
        await rig.heater.set_temperature(temperature_c)


@given(st.one_of(RECIPES, NEAR))
@THOROUGH
def test_no_proposal_makes_the_conductor_leave_the_limits(recipe: dict[str, float]) -> None:
    assert run_virtual(carried_out(recipe, planned=True)) == []


@given(st.one_of(RECIPES, NEAR))
@example({"a": 0.0, "b": 1200.0, "c": 1370.0, "temperature": -1070.0})
@example({"a": math.nan, "b": 1200.0, "c": 1370.0, "temperature": 100.0})
@THOROUGH
def test_even_past_the_plan_nothing_beyond_a_limit_arrives_at_a_device(recipe: dict[str, float]) -> None:
    assert run_virtual(carried_out(recipe, planned=False)) == []
