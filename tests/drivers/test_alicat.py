"""What is an Alicat controller's own: its data frames, a valve that is held, a line that is shared."""

from __future__ import annotations

import asyncio
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import (
    DeviceAlarmError,
    DriverError,
    Line,
    ProtocolError,
    RefusedError,
)
from drivers.alicat import AlicatController, parse_frame
from orchestrator.clock.virtual_time import run_virtual
from simulators.links import MemoryTransport
from simulators.wire_alicat import AlicatTwin, AlicatUnit
from tests.contract.plants_around import GasLine
from tests.drivers.test_gas_controllers import Bench, play


def test_the_manuals_data_frame_is_taken_apart() -> None:
    frame = parse_frame(b"A +13.542 +24.57 +16.667 +15.444 +15.44 N2\r", "A")
    assert (frame.pressure, frame.temperature_c, frame.volume_flow) == (13.542, 24.57, 16.667)
    assert (frame.mass_flow, frame.set_point, frame.decimals, frame.gas) == (15.444, 15.44, 2, "N2")
    with_total = parse_frame(b"B +014.70 +025.00 +00.00 +00.00 +00.000 +0000123.45 C-25 HLD MOV\r", "B")
    assert (with_total.decimals, with_total.gas, with_total.codes) == (3, "C-25", ("HLD", "MOV"))


@pytest.mark.parametrize(
    "line", [b"", b"A", b"B +1 +2 +3 +4 +5 N2", b"A +1 +2 +3 +4 N2", b"A +1 +2 +3 +4 +5", b"A +1 +2 +3 +4 +5 N2 XYZ"]
)
def test_half_a_frame_is_no_frame(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_frame(line + b"\r", "A")


def test_an_alicat_in_litres_with_a_totalizer_is_read_in_normal_millilitres() -> None:
    async def main() -> None:
        plant = GasLine()
        unit = AlicatUnit(plant, full_scale=5.0, flow_unit="SLPM", decimals=3, totalizer=True)
        gas = AlicatController(Line(MemoryTransport(AlicatTwin({"C": unit}))), "C", full_scale=5.0, flow_unit="SLPM")
        assert await gas.connect() == "Alicat unit C, N2, 0 to 5 SLPM, firmware 8v17.0-R23"
        assert await gas.set_flow(1000.0) == pytest.approx(1000.0, abs=0.5)
        assert unit.set_point == 1.092
        await asyncio.sleep(10.0)
        reading = await gas.read()
        assert reading.flow_mln_min == pytest.approx(1000.0, abs=1.0)
        assert reading.pressure_kpa == pytest.approx(140.0, abs=0.1)

    run_virtual(main())


def test_a_held_valve_takes_no_set_point() -> None:
    async def scenario(b: Bench) -> None:
        b.unit.answer(asyncio.get_running_loop().time(), "A", "HP")
        with pytest.raises(DeviceAlarmError, match="held"):
            await b.gas.set_flow(10.0)
        assert (await b.gas.read()).faults == ("valve held",)
        b.unit.codes = {"LCK", "MOV"}
        assert (await b.gas.read()).faults == ("mass flow over range",)

    play("alicat", scenario)


@pytest.mark.parametrize("hold", ["HP", "HC"])
def test_a_held_valve_is_let_go_and_closed_by_a_stop(hold: str) -> None:
    async def scenario(b: Bench) -> None:
        await b.gas.set_flow(50.0)
        await asyncio.sleep(10.0)
        b.unit.answer(asyncio.get_running_loop().time(), "A", hold)
        await b.gas.stop()
        await asyncio.sleep(10.0)
        reading = await b.gas.read()
        assert (reading.set_point_mln_min, reading.faults) == (0.0, ())
        assert reading.flow_mln_min == pytest.approx(0.0, abs=0.01)

    play("alicat", scenario)


def test_an_alicat_that_stays_held_says_so_to_a_stop() -> None:
    async def scenario(b: Bench) -> None:
        b.unit.answer(asyncio.get_running_loop().time(), "A", "HP")
        b.unit.codes = _Kept({"HLD"})
        with pytest.raises(DeviceAlarmError, match="held"):
            await b.gas.stop()

    play("alicat", scenario)


class _Kept(set[str]):
    """Codes of a controller that does not know the command."""

    def discard(self, element: object) -> None:
        """Nothing goes."""


def test_a_gas_that_was_changed_at_the_panel_is_told_and_not_dosed() -> None:
    async def main() -> None:
        unit = AlicatUnit(GasLine())
        gas = AlicatController(Line(MemoryTransport(AlicatTwin({"A": unit}))), full_scale=100.0, gas="N2")
        await gas.connect()
        unit.gas = "He"
        assert (await gas.read()).faults == ("set to He, not N2",)
        with pytest.raises(RefusedError, match="another gas"):
            await gas.set_flow(10.0)
        await gas.stop()
        assert unit.set_point == 0.0
        await gas.close()

    run_virtual(main())


def test_an_alicat_that_controls_pressure_is_refused() -> None:
    async def main() -> None:
        twin = AlicatTwin({"A": AlicatUnit(GasLine(), loop_variable=34)})
        with pytest.raises(RefusedError, match="does not control mass flow"):
            await AlicatController(Line(MemoryTransport(twin)), full_scale=100.0).connect()

    run_virtual(main())


def test_two_alicats_share_a_line() -> None:
    async def main() -> None:
        plants = {"A": GasLine(), "B": GasLine()}
        line = Line(MemoryTransport(AlicatTwin({unit: AlicatUnit(plant) for unit, plant in plants.items()})))
        first, second = (AlicatController(line, unit, full_scale=100.0) for unit in plants)
        await asyncio.gather(first.connect(), second.connect())
        await asyncio.gather(first.set_flow(10.0), second.set_flow(20.0))
        assert plants["A"].set_point == pytest.approx(10.0, abs=0.005)
        assert plants["B"].set_point == pytest.approx(20.0, abs=0.005)

    run_virtual(main())


@settings(max_examples=200)
@given(st.binary(max_size=60) | st.text(alphabet="A+-0123456789. N2HLD?\r", max_size=60).map(str.encode))
def test_garbled_frames_raise_only_our_own_errors(data: bytes) -> None:
    try:
        frame = parse_frame(data, "A")
    except DriverError as error:
        assert str(error)
    else:
        assert math.isfinite(frame.set_point)
