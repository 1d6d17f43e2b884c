"""What is a Bronkhorst controller's own: messages with sequence numbers, control modes, flow backwards."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import (
    DriverError,
    Line,
    NotConnectedError,
    ProtocolError,
    RefusedError,
)
from drivers.bronkhorst import BronkhorstController
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
from simulators.links import MemoryTransport
from simulators.wire_bronkhorst import BronkhorstTwin
from tests.contract.plants import FaultyWire
from tests.contract.plants_around import GasLine
from tests.drivers.test_gas_controllers import Bench, play


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


@given(st.floats(width=32, allow_nan=False))
def test_a_float_parameter_comes_back_as_it_was_sent(value: float) -> None:
    message = bytes((2, 1, 0x4D)) + struct.pack(">f", value)
    assert decode_value(message, Parameter(1, 13, Kind.FLOAT), 13) == value
