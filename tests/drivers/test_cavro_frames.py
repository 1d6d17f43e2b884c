"""The frames of Cavro pumps, and answers that are none."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import CavroPump, DriverError, Line
from drivers.cavro_frames import encode_dt, encode_oem, parse_dt, parse_number, parse_oem
from orchestrator.clock.virtual_time import run_virtual
from simulators.links import MemoryTransport
from simulators.wire_cavro import CavroTwin
from tests.contract.plants import FaultyWire, SteppingPump
from tests.drivers.cavro_scenes import Framing


def test_the_manuals_frames() -> None:
    assert encode_dt(0, "ZR") == b"/1ZR\r"
    assert encode_oem(0, 1, "ZR") == b"\x02\x31\x31ZR\x03\x09"
    assert encode_oem(0, 1, "ZR", repeat=True)[2] == 0x39
    answer = parse_dt(b"/0`1234\x03\r\n")
    assert (answer.ready, answer.error, answer.data) == (True, 0, "1234")
    assert parse_dt(b"\xff/0I\x03\r\n").error == 9
    assert parse_oem(b"\x020@\x03\x71").ready is False


@given(st.binary(max_size=20))
def test_garbage_raises_only_our_own_errors(data: bytes) -> None:
    for parse in (parse_dt, parse_oem):
        try:
            parse(data)
        except DriverError as error:
            assert str(error)


@given(st.text(max_size=8))
def test_garbled_numbers_raise_only_our_own_errors(text: str) -> None:
    with suppress(DriverError):
        assert parse_number(text) >= 0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(max_size=20), min_size=1, max_size=4), st.sampled_from(["OEM", "DT"]))
def test_no_answer_whatever_hangs_the_driver(answers: list[bytes], framing: Framing) -> None:
    """Whatever a device babbles, ``connect`` ends, and in an error of ours."""

    async def main() -> None:
        count = iter(range(10**6))
        twin = CavroTwin({0: SteppingPump()}, syringe_volume_ul=1000.0)
        wire = FaultyWire(twin, lambda data: [(0.0, answers[next(count) % len(answers)] + b"\x03\r\n")])
        async with asyncio.timeout(120.0):
            with pytest.raises(DriverError):
                await CavroPump(Line(MemoryTransport(wire)), 0, 1000.0, framing=framing).connect()

    run_virtual(main())
