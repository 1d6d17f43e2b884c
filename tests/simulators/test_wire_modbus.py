"""The Modbus twins, byte for byte. Frames of the first tests are those of the Modbus over serial line guide V1.02."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.clock.virtual_time import run_virtual
from simulators.links import StreamTwin
from simulators.wire_eurotherm import EurothermTwin
from simulators.wire_modbus import ModbusLine, RtuPort, TcpPort, crc16
from simulators.wire_phase import InputModuleTwin
from simulators.wire_pressure import PressureChannel
from tests.contract.plants import LaggingHeater, SteadyPressure

Say = Callable[[bytes], bytes]


def play(
    scenario: Callable[[Say, LaggingHeater], Awaitable[None]],
    *,
    tcp: bool = False,
    alarm_high_c: float | None = None,
) -> None:
    async def main() -> None:
        heater = LaggingHeater()
        module = InputModuleTwin({0: PressureChannel(SteadyPressure(5000.0)), 1: PressureChannel(SteadyPressure())})
        line = ModbusLine({1: EurothermTwin(heater, alarm_high_c=alarm_high_c), 2: module})
        port: StreamTwin = TcpPort(line) if tcp else RtuPort(line)
        heard: list[bytes] = []
        port.attach(asyncio.get_running_loop(), heard.append)

        def say(data: bytes) -> bytes:
            before = len(heard)
            port.receive(data)
            return b"".join(heard[before:])

        await scenario(say, heater)

    run_virtual(main())


def rtu(unit: int, pdu: bytes) -> bytes:
    frame = bytes((unit,)) + pdu
    return frame + crc16(frame)


def read(address: int, count: int = 1, function: int = 3) -> bytes:
    return struct.pack(">BHH", function, address, count)


def words(answer: bytes) -> tuple[int, ...]:
    assert crc16(answer[:-2]) == answer[-2:]
    return struct.unpack(f">{answer[2] // 2}H", answer[3:-2])


def test_the_checksum_is_the_guides() -> None:
    """Modbus over serial line V1.02, 6.2.2: 02 07 gives 41 12."""
    assert crc16(b"\x02\x07") == b"\x41\x12"


def test_registers_read_as_scaled_integers_and_as_floats() -> None:
    async def scenario(say: Say, heater: LaggingHeater) -> None:
        assert words(say(rtu(1, read(1)))) == (200,)
        assert words(say(rtu(1, read(24, 3)))) == (200, 0, 0)
        answer = say(rtu(1, read(0x8000 + 2 * 24, 2)))
        assert struct.unpack(">f", answer[3:7]) == (20.0,)

    play(scenario)


def test_a_comms_set_point_counts_only_in_remote() -> None:
    async def scenario(say: Say, heater: LaggingHeater) -> None:
        write = rtu(1, struct.pack(">BHH", 6, 26, 1200))
        assert say(write) == write
        assert heater.target_c == 20.0
        say(rtu(1, struct.pack(">BHH", 6, 276, 1)))
        assert heater.target_c == 120.0
        assert words(say(rtu(1, read(2)))) == (1200,)
        say(rtu(1, struct.pack(">BHH", 6, 276, 0)))
        assert heater.target_c == 20.0

    play(scenario)


def test_a_float_set_point_is_written_as_two_registers() -> None:
    async def scenario(say: Say, heater: LaggingHeater) -> None:
        value = struct.pack(">f", 87.25)
        answer = say(rtu(1, struct.pack(">BHHB", 16, 0x8000 + 2 * 24, 2, 4) + value))
        assert answer == rtu(1, struct.pack(">BHH", 16, 0x8000 + 2 * 24, 2))
        assert heater.target_c == 87.25
        for bad in (float("nan"), float("inf"), 1e9):
            pdu = struct.pack(">BHHBf", 16, 0x8000 + 2 * 24, 2, 4, bad)
            assert say(rtu(1, pdu)) == rtu(1, b"\x90\x03")
        assert heater.target_c == 87.25

    play(scenario)


@pytest.mark.parametrize(
    ("pdu", "code"),
    [
        (read(600), 2),
        (read(1, 126), 3),
        (read(1, 0), 3),
        (struct.pack(">BHH", 6, 24, 4000), 3),
        (struct.pack(">BHH", 6, 1, 5), 2),
        (struct.pack(">BHH", 6, 3, 500), 3),
        (b"\x07", 1),
        (b"\x2b\x0e\x01\x00", 1),
    ],
)
def test_what_cannot_be_done_is_answered_with_an_exception(pdu: bytes, code: int) -> None:
    async def scenario(say: Say, heater: LaggingHeater) -> None:
        assert say(rtu(1, pdu)) == rtu(1, bytes((pdu[0] | 0x80, code)))

    play(scenario)


def test_silence_for_another_unit_a_broadcast_and_a_bad_checksum() -> None:
    async def scenario(say: Say, heater: LaggingHeater) -> None:
        assert say(rtu(9, read(1))) == b""
        assert say(rtu(0, struct.pack(">BHH", 6, 24, 500))) == b""
        assert heater.target_c == 50.0
        assert say(rtu(1, read(1))[:-1] + b"\x00") == b""
        await asyncio.sleep(0.1)
        assert words(say(rtu(1, read(24)))) == (500,)

    play(scenario)


def test_a_frame_may_come_in_pieces() -> None:
    async def scenario(say: Say, heater: LaggingHeater) -> None:
        frame = rtu(1, read(24))
        assert say(frame[:3]) == b""
        await asyncio.sleep(0.01)
        assert words(say(frame[3:])) == (200,)
        assert say(frame[:3]) == b""
        await asyncio.sleep(0.1)
        assert words(say(frame)) == (200,)

    play(scenario)


def test_tcp_frames_carry_their_transaction_back() -> None:
    async def scenario(say: Say, heater: LaggingHeater) -> None:
        request = struct.pack(">HHHB", 0x1234, 0, 6, 1) + read(24)
        answer = struct.pack(">HHHB", 0x1234, 0, 5, 1) + b"\x03\x02\x00\xc8"
        assert say(request + request[:5]) == answer
        assert say(request[5:]) == answer
        assert say(struct.pack(">HHHB", 1, 0, 6, 9) + read(24)) == b""

    play(scenario, tcp=True)


def test_a_broken_sensor_reads_full_scale_with_bit_5() -> None:
    async def scenario(say: Say, heater: LaggingHeater) -> None:
        heater.broken = True
        assert words(say(rtu(1, read(1)))) == (13720,)
        assert words(say(rtu(1, read(75)))) == (1 << 5 | 1 << 10,)

    play(scenario)


def test_an_alarm_is_new_until_acknowledged() -> None:
    async def scenario(say: Say, heater: LaggingHeater) -> None:
        assert words(say(rtu(1, read(75)))) == (0,)
        heater.temperature_c = heater.target_c = 150.0
        assert words(say(rtu(1, read(75)))) == (1 | 1 << 12,)
        say(rtu(1, struct.pack(">BHH", 6, 274, 1)))
        assert words(say(rtu(1, read(75)))) == (1,)

    play(scenario, alarm_high_c=140.0)


def test_a_transmitters_current_stays_within_what_a_live_one_sends() -> None:
    async def scenario(say: Say, heater: LaggingHeater) -> None:
        assert words(say(rtu(2, read(0, 2, 4)))) == (20500, 8000)
        assert say(rtu(2, read(2, 1, 4))) == rtu(2, b"\x84\x02")
        assert say(rtu(2, struct.pack(">BHH", 6, 0, 1))) == rtu(2, b"\x86\x02")

    play(scenario)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=20), max_size=10), st.booleans())
def test_no_bytes_whatever_break_the_twin(pieces: list[bytes], tcp: bool) -> None:
    async def scenario(say: Say, heater: LaggingHeater) -> None:
        for piece in pieces:
            say(piece)
            await asyncio.sleep(0.06)
        if not tcp:
            assert words(say(rtu(2, read(1)))) == (8000,)

    play(scenario, tcp=tcp)


@settings(max_examples=60, deadline=None)
@given(st.binary(min_size=1, max_size=60))
def test_no_sound_frame_whatever_breaks_the_twin(pdu: bytes) -> None:
    async def scenario(say: Say, heater: LaggingHeater) -> None:
        for unit in (1, 2):
            answer = say(rtu(unit, pdu))
            assert not answer or crc16(answer[:-2]) == answer[-2:]
            await asyncio.sleep(0.06)

    play(scenario)
