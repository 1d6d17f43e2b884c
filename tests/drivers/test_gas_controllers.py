"""Gas flow controllers of both makers against their twins, in memory and in virtual time."""

from __future__ import annotations

import asyncio
import math
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import (
    DeviceAlarmError,
    DriverError,
    Line,
    NotConnectedError,
    OutOfRangeError,
    ProtocolError,
    ReadBackError,
    RefusedError,
    WireTimeoutError,
)
from drivers.alicat import AlicatController, parse_frame
from drivers.bronkhorst import BronkhorstController
from drivers.gas import from_normal, to_normal
from drivers.propar import (
    MEASURE,
    SET_POINT,
    Kind,
    Parameter,
    check_status,
    decode_frame,
    decode_value,
    encode_read,
    encode_write,
)
from orchestrator.clock.virtual_time import run_virtual
from simulators.links import MemoryTransport, StreamTwin
from simulators.wire_alicat import AlicatTwin, AlicatUnit
from simulators.wire_bronkhorst import BronkhorstTwin
from tests.contract.plants import FaultyWire
from tests.contract.plants_around import GasLine

Controller = AlicatController | BronkhorstController
Bend = Callable[[bytes], list[tuple[float, bytes]]]
AT_25_C = 273.15 / 298.15


@dataclass
class Bench:
    gas: Controller
    line: GasLine
    unit: AlicatUnit
    instrument: BronkhorstTwin


def play(maker: str, scenario: Callable[[Bench], Awaitable[None]], bend: Bend | None = None) -> None:
    async def main() -> None:
        plant = GasLine()
        unit, instrument = AlicatUnit(plant), BronkhorstTwin(plant)
        twin: StreamTwin = AlicatTwin({"A": unit}) if maker == "alicat" else instrument
        if bend is not None:
            twin = FaultyWire(twin, bend)
        line = Line(MemoryTransport(twin, baud_rate=19200 if maker == "alicat" else 38400))
        gas: Controller = (
            AlicatController(line, full_scale=100.0, gas="N2")
            if maker == "alicat"
            else BronkhorstController(line, 3, fluid="N2")
        )
        await gas.connect()
        await scenario(Bench(gas, plant, unit, instrument))
        await gas.close()

    run_virtual(main())


both = pytest.mark.parametrize("maker", ["alicat", "bronkhorst"])


@both
def test_a_flow_is_set_read_back_and_reached(maker: str) -> None:
    async def scenario(b: Bench) -> None:
        actual = await b.gas.set_flow(15.44)
        assert actual == pytest.approx(15.44, abs=0.005)
        assert b.line.set_point == pytest.approx(actual, rel=1e-6)
        await asyncio.sleep(10.0)
        reading = await b.gas.read()
        assert reading.flow_mln_min == pytest.approx(15.44, abs=0.01)
        assert reading.set_point_mln_min == pytest.approx(actual, rel=1e-6)
        assert reading.temperature_c == pytest.approx(23.5)
        assert (reading.gas, reading.faults) == ("N2", ())
        assert reading.flow_mmol_min == pytest.approx(15.44 / 22.414, rel=1e-3)
        await b.gas.stop()
        assert b.line.set_point == 0.0

    play(maker, scenario)


@both
def test_a_flow_out_of_range_is_refused_and_nothing_is_sent(maker: str) -> None:
    async def scenario(b: Bench) -> None:
        low, high = b.gas.flow_range_mln_min
        assert low == 0.0
        assert high == pytest.approx(100.0 * AT_25_C if maker == "alicat" else 100.0)
        for flow in (-0.1, high * 1.001, math.nan, math.inf):
            with pytest.raises(OutOfRangeError, match=r"outside 0 to"):
                await b.gas.set_flow(flow)
        assert b.line.commands == []
        assert await b.gas.set_flow(high) == pytest.approx(high)

    play(maker, scenario)


@both
def test_a_set_point_that_comes_back_wrong_is_written_again_then_refused(maker: str) -> None:
    async def scenario(b: Bench) -> None:
        # A plant-side tamperer: each command is followed by another hand on the panel.
        honest = b.line.command

        def tampered(t_s: float, flow_mln_min: float) -> None:
            honest(t_s, flow_mln_min)
            b.unit.set_point, b.instrument.set_point = 3.0, 960

        b.line.command = tampered  # type: ignore[method-assign]
        with pytest.raises(ReadBackError, match="did not take"):
            await b.gas.set_flow(40.0)
        assert len(b.line.commands) == 2

    play(maker, scenario)


@both
def test_a_lost_answer_is_asked_for_again_and_a_dead_line_is_a_timeout(maker: str) -> None:
    answers = [0]

    def bend(data: bytes) -> list[tuple[float, bytes]]:
        answers[0] += 1
        return [] if answers[0] % 4 == 0 or answers[0] > 60 else [(0.0, data)]

    async def scenario(b: Bench) -> None:
        for flow in (10.0, 20.0, 5.0):
            assert await b.gas.set_flow(flow) == pytest.approx(flow, abs=0.01)
        answers[0] = 60
        with pytest.raises(WireTimeoutError):
            await b.gas.read()

    play(maker, scenario, bend)


@both
@pytest.mark.parametrize("seed", range(4))
def test_no_wrong_set_point_survives_a_bad_line(maker: str, seed: int) -> None:
    """1 % of the bytes damaged, 5 % of the answers lost: what is returned is what the plant was told."""
    import random

    chance = random.Random(seed)

    def bend(data: bytes) -> list[tuple[float, bytes]]:
        if chance.random() < 0.05:
            return []
        damaged = bytes(chance.randrange(256) if chance.random() < 0.01 else byte for byte in data)
        return [(0.0, damaged)]

    async def main() -> None:
        plant = GasLine()
        twin: StreamTwin = AlicatTwin({"A": AlicatUnit(plant)}) if maker == "alicat" else BronkhorstTwin(plant)
        line = Line(MemoryTransport(FaultyWire(twin, bend)), quiet_s=0.05, timeout_s=0.1)
        gas: Controller = (
            AlicatController(line, full_scale=100.0) if maker == "alicat" else BronkhorstController(line, 3)
        )
        while True:
            try:
                await gas.connect()
                break
            except DriverError:
                continue
        taken = 0
        for number in range(40):
            wanted = 1.0 + number
            try:
                assert await gas.set_flow(wanted) == pytest.approx(wanted, abs=0.01)
            except DriverError:
                continue
            assert plant.set_point == pytest.approx(wanted, abs=0.01)
            taken += 1
        assert taken > 20

    run_virtual(main())


@both
def test_another_gas_is_refused(maker: str) -> None:
    async def main() -> None:
        plant = GasLine()
        twin: StreamTwin = (
            AlicatTwin({"A": AlicatUnit(plant, gas="Ar")}) if maker == "alicat" else BronkhorstTwin(plant, fluid="Ar")
        )
        line = Line(MemoryTransport(twin))
        gas: Controller = (
            AlicatController(line, full_scale=100.0, gas="N2")
            if maker == "alicat"
            else BronkhorstController(line, fluid="N2")
        )
        with pytest.raises(RefusedError, match="asked N2; answered Ar"):
            await gas.connect()

    run_virtual(main())


def test_a_supply_that_runs_dry_shows_as_flow_below_the_set_point() -> None:
    async def scenario(b: Bench) -> None:
        b.line.supply_mln_min = 20.0
        await b.gas.set_flow(60.0)
        await asyncio.sleep(10.0)
        reading = await b.gas.read()
        assert reading.set_point_mln_min == pytest.approx(60.0, abs=0.01)
        assert reading.flow_mln_min == pytest.approx(20.0, abs=0.01)

    for maker in ("alicat", "bronkhorst"):
        play(maker, scenario)


def test_standard_and_normal_volumes_differ_by_their_temperatures() -> None:
    assert to_normal(100.0, 25.0) == pytest.approx(91.615, abs=1e-3)
    assert from_normal(to_normal(37.0, 20.0), 20.0) == pytest.approx(37.0)


# ---- Alicat ----------------------------------------------------------------------------------------------------------


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


# ---- Bronkhorst ------------------------------------------------------------------------------------------------------


def test_the_manuals_messages() -> None:
    """RS232 interface manual 9.17.027, sections 3.10.1 to 3.10.6; node 3."""
    assert encode_write(3, SET_POINT, 16000) == b":06030101213E80\r\n"
    check_status(decode_frame(b":0403000005\r\n", 3))
    assert encode_read(3, SET_POINT) == b":06030401210121\r\n"
    assert decode_value(decode_frame(b":06030201213E80\r\n", 3), SET_POINT) == 16000
    assert encode_read(3, MEASURE) == b":06030401210120\r\n"
    assert decode_value(decode_frame(b":06030201213E80\r\n", 3), MEASURE) == 16000
    counter = Parameter(104, 1, Kind.FLOAT)
    assert encode_read(3, counter) == b":06030468416841\r\n"
    assert decode_value(decode_frame(b":0803026841459CFFAE\r\n", 3), counter) == pytest.approx(5023.96, abs=0.005)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b":0403000606\r\n", RefusedError),
        (b":0105\r\n", ProtocolError),
        (b":06030201213E8\r\n", ProtocolError),
        (b":07030201213E80\r\n", ProtocolError),
        (b":06040201213E80\r\n", ProtocolError),
        (b":06030201223E80\r\n", ProtocolError),
        (b":050302012180\r\n", ProtocolError),
        (b":0403000005\r\n", ProtocolError),
    ],
)
def test_an_answer_that_is_no_value_says_why(answer: bytes, error: type[DriverError]) -> None:
    with pytest.raises(error):
        decode_value(decode_frame(answer, 3), MEASURE)


def test_a_bronkhorst_says_what_it_is_and_keeps_standard_litres_apart() -> None:
    async def main() -> None:
        twin = BronkhorstTwin(GasLine(), capacity=2.0, capacity_unit="ls/min")
        gas = BronkhorstController(Line(MemoryTransport(twin)))
        with pytest.raises(NotConnectedError):
            await gas.read()
        assert await gas.connect() == "Bronkhorst M6212345A, N2, 0 to 2 ls/min"
        assert gas.flow_range_mln_min[1] == pytest.approx(2000.0 * 273.15 / 293.15)

    run_virtual(main())


@pytest.mark.parametrize(("changes", "words"), [({"control_mode": 1}, "line"), ({"capacity_unit": "g/h"}, "ln/min")])
def test_a_bronkhorst_that_cannot_be_driven_is_refused(changes: dict[str, object], words: str) -> None:
    async def main() -> None:
        twin = BronkhorstTwin(GasLine(), **changes)  # type: ignore[arg-type]
        with pytest.raises(RefusedError, match=words):
            await BronkhorstController(Line(MemoryTransport(twin))).connect()

    run_virtual(main())


def test_flow_backwards_is_negative() -> None:
    async def scenario(b: Bench) -> None:
        b.line.flow = b.line.set_point = -1.0
        assert (await b.gas.read()).flow_mln_min == pytest.approx(-1.0, abs=0.01)

    play("bronkhorst", scenario)


def test_a_late_answer_is_not_taken_for_the_next_ones() -> None:
    """The index in each question shows that an answer belongs to an earlier one."""
    answers = [0]

    def bend(data: bytes) -> list[tuple[float, bytes]]:
        answers[0] += 1
        return [(0.7, data)] if answers[0] == 6 else [(0.0, data)]

    async def main() -> None:
        plant = GasLine(flow=50.0, set_point=50.0)
        line = Line(MemoryTransport(FaultyWire(BronkhorstTwin(plant), bend)), quiet_s=0.0)
        gas = BronkhorstController(line, 3)
        await gas.connect()
        reading = await gas.read()
        assert reading.flow_mln_min == pytest.approx(50.0, abs=0.01)
        assert reading.set_point_mln_min == 0.0

    run_virtual(main())


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40) | st.text(alphabet=":0123456789ABCDEF\r\n", max_size=30).map(str.encode))
def test_garbled_messages_raise_only_our_own_errors(data: bytes) -> None:
    for parameter in (MEASURE, Parameter(1, 13, Kind.FLOAT), Parameter(1, 17, Kind.STRING)):
        for message in (data, None):
            try:
                decode_value(decode_frame(data, 3) if message is None else message, parameter)
            except DriverError as error:
                assert str(error)


@settings(max_examples=200)
@given(st.binary(max_size=60) | st.text(alphabet="A+-0123456789. N2HLD?\r", max_size=60).map(str.encode))
def test_garbled_frames_raise_only_our_own_errors(data: bytes) -> None:
    try:
        frame = parse_frame(data, "A")
    except DriverError as error:
        assert str(error)
    else:
        assert math.isfinite(frame.set_point)


@given(st.floats(width=32, allow_nan=False))
def test_a_float_parameter_comes_back_as_it_was_sent(value: float) -> None:
    message = bytes((2, 1, 0x4D)) + struct.pack(">f", value)
    assert decode_value(message, Parameter(1, 13, Kind.FLOAT), 13) == value
