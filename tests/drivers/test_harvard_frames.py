"""What goes over the wire to a Harvard pump and comes back: sent, taken apart, and damaged."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import (
    DriverError,
    HarvardPump,
    Line,
    ProtocolError,
)
from drivers.harvard_frames import (
    encode,
    format_rate,
    format_volume,
    parse_rate_limits_ul_min,
    parse_rate_ul_min,
    parse_reply,
    parse_status,
    parse_volume_ul,
)
from orchestrator.clock.virtual_time import run_virtual
from simulators.links import MemoryTransport
from simulators.wire_harvard import HarvardTwin
from tests.contract.plants import FaultyWire, SteppingPump


def test_the_guides_example_is_what_is_sent() -> None:
    assert encode(12, "irate 3.2 ul/min") == b"12:irate 3.2 ul/min\r"
    assert encode(0, "irun") == b"irun\r"


def test_a_reply_is_taken_apart() -> None:
    assert parse_reply(b"\n:", 0).prompt == ":"
    assert parse_reply(b"\n00:11 ELITE I/W Single 3.0.4\r\n00:", 0).lines == ("11 ELITE I/W Single 3.0.4",)
    assert parse_reply(b"\n12T*", 12).prompt == "T*"
    refused = parse_reply(b"\n12:Argument error: 9 l/s\r\n12:   Out of range\r\n12>", 12)
    assert (refused.prompt, refused.error) == (">", "Argument error: 9 l/s, Out of range")
    for data in (b"\n11:", b"\n:", b"\n13:x\r\n12:", b"12:", b"\n12:x\n12:"):
        with pytest.raises(ProtocolError):
            parse_reply(data, 12)


def test_the_status_line_is_in_femtolitres() -> None:
    raw = parse_status("1000000000 3 3000000000 i.S.I")
    assert (raw.flow_ul_min, raw.duration_s, raw.volume_ul) == (60.0, 3, 3.0)
    assert (raw.withdrawing, raw.limit, raw.stalled) == (False, None, True)
    assert parse_status("0 0 0 wW..W").limit == "withdraw"


def test_numbers_come_with_their_unit() -> None:
    assert parse_rate_ul_min(".0404 nl/min") == pytest.approx(4.04e-5)
    assert parse_rate_limits_ul_min(".0404 nl/min to 26.0035 ml/min")[1] == pytest.approx(26003.5)
    assert format_rate(80.25) == "80.25 ul/min"
    assert [format_volume(v) for v in (0.0123456, 1234.56, 120.0, 25000.0)] == [
        "12.346 nl",
        "1.2346 ml",
        "120 ul",
        "25 ml",
    ]
    assert format_volume(1234.567, "down") == "1.2345 ml"
    assert format_volume(1234.512, "up") == "1.2346 ml"


def test_at_an_end_of_what_the_pump_takes_the_digits_stay_inside() -> None:
    takes = parse_rate_limits_ul_min("24.9994 nl/min to 26.0035 ml/min")
    assert [format_rate(end) for end in takes] == ["24.999 nl/min", "26.004 ml/min"]
    assert [format_rate(end, takes) for end in takes] == ["25 nl/min", "26.003 ml/min"]


@given(st.floats(min_value=1e-4, max_value=1e7))
def test_a_volume_is_written_within_a_ten_thousandth_and_never_up(volume_ul: float) -> None:
    written = parse_volume_ul(format_volume(volume_ul, "down"))
    assert volume_ul * (1 - 1.1e-4) <= written <= volume_ul * (1 + 1e-9)


@given(st.binary(max_size=40), st.sampled_from([0, 12]))
def test_garbage_raises_only_our_own_errors(data: bytes, address: int) -> None:
    try:
        parse_reply(data, address)
    except DriverError as error:
        assert str(error)


@given(st.text(alphabet="0123456789. ulmnp/itoswIWST", max_size=30))
def test_garbled_numbers_raise_only_our_own_errors(text: str) -> None:
    for parse in (parse_rate_ul_min, parse_volume_ul, parse_rate_limits_ul_min, parse_status):
        try:
            parse(text)
        except DriverError:
            continue


@settings(max_examples=80, deadline=None)
@given(st.lists(st.binary(max_size=30), min_size=1, max_size=5), st.sampled_from([0, 12]))
def test_no_answer_whatever_hangs_the_driver(answers: list[bytes], address: int) -> None:
    """Whatever a device babbles, ``connect`` ends, and in an error of ours."""

    async def main() -> None:
        count = iter(range(10**6))
        twin = HarvardTwin({address: SteppingPump()})
        wire = FaultyWire(twin, lambda data: [(0.0, b"\n" + answers[next(count) % len(answers)])])
        pump = HarvardPump(Line(MemoryTransport(wire)), address, 4.61)
        async with asyncio.timeout(60.0):
            with pytest.raises(DriverError):
                await pump.connect()

    run_virtual(main())
