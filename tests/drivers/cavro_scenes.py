"""Scenarios with a Cavro pump or a pair of them, in memory and in virtual time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal

import pytest

from drivers import CavroPair, CavroPump, Line
from orchestrator.clock.virtual_time import run_virtual
from simulators.links import MemoryTransport
from simulators.wire_cavro import CavroTwin, SharedOutlet
from tests.contract.plants import FaultyWire, SteppingPump

Framing = Literal["OEM", "DT"]
Model = Literal["XLP", "XCalibur"]
Bend = Callable[[bytes], list[tuple[float, bytes]]]
both = pytest.mark.parametrize("framing", ["OEM", "DT"])


def play(
    scenario: Callable[[CavroPump, SteppingPump, CavroTwin], Awaitable[None]],
    *,
    framing: Framing = "OEM",
    model: Model = "XLP",
    bend: Bend | None = None,
    fill_ul: float = 0.0,
) -> None:
    """Run a scenario with one connected pump of a 1 mL syringe."""

    async def main() -> None:
        plant = SteppingPump()
        twin = CavroTwin({0: plant}, syringe_volume_ul=1000.0, model=model, fill_ul=fill_ul)
        wire = FaultyWire(twin, bend) if bend else twin
        line = Line(MemoryTransport(wire, baud_rate=9600))
        pump = CavroPump(line, 0, 1000.0, framing=framing, model=model, name="lead")
        assert "XLP" in await pump.connect()
        assert plant.commands == []
        await scenario(pump, plant, twin)
        await pump.close()

    run_virtual(main())


def play_pair(
    scenario: Callable[[CavroPair, SteppingPump, CavroTwin], Awaitable[None]], bend: Bend | None = None
) -> None:
    """Run a scenario with a connected pair of 1 mL syringes on one outlet."""

    async def main() -> None:
        plant = SteppingPump()
        outlet = SharedOutlet(plant)
        twin = CavroTwin({0: outlet.shares[0], 5: outlet.shares[1]}, syringe_volume_ul=1000.0)
        wire = FaultyWire(twin, bend) if bend else twin
        pair = CavroPair(Line(MemoryTransport(wire, baud_rate=9600)), (0, 5), 1000.0, name="lead")
        await pair.connect()
        await scenario(pair, plant, twin)
        await pair.close()

    run_virtual(main())
