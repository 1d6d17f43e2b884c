"""The slowest and the fastest flow that a pump's file promises are flows that the pump can be set to."""

from __future__ import annotations

from typing import Any

import pytest

from drivers import HarvardPump, Line, NewEraPump, OutOfRangeError
from orchestrator.clock.virtual_time import run_virtual
from orchestrator.config import NewEraPumpConfig
from orchestrator.config.devices import HarvardPumpConfig
from simulators.links import MemoryTransport
from simulators.wire_harvard import HarvardTwin
from simulators.wire_new_era import NewEraTwin
from tests.contract.plants import SteppingPump

BORES_MM = [0.5, 1.46, 1.73, 2.3, 3.26, 4.608, 7.28, 8.66, 10.3, 12.45, 14.0, 14.427, 19.13, 21.594, 26.7, 28.6, 38.4]
ends = pytest.mark.parametrize("end", [0, 1], ids=["slowest", "fastest"])
bores = pytest.mark.parametrize("bore_mm", BORES_MM)


def promised(driver: str, bore_mm: float) -> tuple[float, float]:
    """The ends of the flow range by a rig file's entry, in µL/min."""
    syringe = {"volume": "100 ml", "diameter": f"{bore_mm} mm"}
    entry: dict[str, Any] = {"driver": driver, "port": "p", "address": 0, "syringe": syringe, "stock": "s"}
    kind = NewEraPumpConfig if driver == "new_era" else HarvardPumpConfig
    return kind.model_validate(entry).flow_range_ul_min


@ends
@bores
def test_a_new_era_is_set_to_both_ends_from_rest_and_while_it_runs(bore_mm: float, end: int) -> None:
    async def scenario() -> None:
        plant, flows = SteppingPump(), promised("new_era", bore_mm)
        volume_ul = 50.0 if bore_mm <= 14.0 else 5000.0
        pump = NewEraPump(Line(MemoryTransport(NewEraTwin({0: plant}))), 0, bore_mm)
        await pump.connect()
        assert await pump.infuse(flows[end], volume_ul) == pytest.approx(flows[end], rel=0.005)
        assert plant.flow_ul_min == pytest.approx(flows[end], rel=0.005)
        await pump.stop()
        await pump.infuse(1.002 * flows[0] if end == 0 else 0.998 * flows[1], volume_ul)
        assert await pump.change_flow(flows[end]) == pytest.approx(flows[end], rel=0.005)

    run_virtual(scenario())


@ends
@bores
def test_a_harvard_is_set_to_both_ends_of_its_data_sheet_and_of_its_own(bore_mm: float, end: int) -> None:
    async def scenario() -> None:
        plant = SteppingPump()
        pump = HarvardPump(Line(MemoryTransport(HarvardTwin({0: plant}))), 0, bore_mm)
        await pump.connect()
        for flow in (promised("harvard", bore_mm)[end], pump.flow_range_ul_min[end]):
            assert await pump.infuse(flow, 5000.0) == pytest.approx(flow, rel=0.005)
            assert plant.flow_ul_min == pytest.approx(flow, rel=0.005)
            await pump.stop()

    run_virtual(scenario())


@pytest.mark.parametrize("beyond", [0.997, 1.003])
@pytest.mark.parametrize("kind", [NewEraPump, HarvardPump])
def test_a_flow_that_no_rounding_explains_is_refused_at_either_end(kind: Any, beyond: float) -> None:
    async def scenario() -> None:
        plant = SteppingPump()
        twin = NewEraTwin({0: plant}) if kind is NewEraPump else HarvardTwin({0: plant})
        pump = kind(Line(MemoryTransport(twin)), 0, 26.7)
        await pump.connect()
        before = list(plant.commands)
        with pytest.raises(OutOfRangeError):
            await pump.infuse(beyond * pump.flow_range_ul_min[beyond > 1.0], 5000.0)
        assert plant.commands == before

    run_virtual(scenario())
