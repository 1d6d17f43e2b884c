"""The twins of the other temperature controllers, byte for byte."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.clock.virtual_time import run_virtual
from simulators.links import StreamTwin
from simulators.wire_modbus import ModbusLine, ModbusUnit, RtuPort, crc16
from simulators.wire_nanodac import NanodacTwin
from simulators.wire_novus import NovusTwin
from simulators.wire_omega import OmegaTwin
from simulators.wire_watlow import WatlowTwin
from tests.contract.plants import LaggingHeater

Say = Callable[[bytes], bytes]
REFUSED_ADDRESS, REFUSED_VALUE, REFUSED_FUNCTION = 2, 3, 1


def play(
    make: Callable[[LaggingHeater], StreamTwin], scenario: Callable[[Say, LaggingHeater], Awaitable[None]]
) -> None:
    async def main() -> None:
        plant = LaggingHeater()
        port = make(plant)
        heard: list[bytes] = []
        port.attach(asyncio.get_running_loop(), heard.append)

        def say(data: bytes) -> bytes:
            before = len(heard)
            port.receive(data)
            return b"".join(heard[before:])

        await scenario(say, plant)

    run_virtual(main())


def on_rtu(make: Callable[[LaggingHeater], ModbusUnit]) -> Callable[[LaggingHeater], StreamTwin]:
    return lambda plant: RtuPort(ModbusLine({1: make(plant)}))


def rtu(text: str) -> bytes:
    """A frame of unit 1 with its checksum, from hexadecimal text."""
    frame = b"\x01" + bytes.fromhex(text)
    return frame + crc16(frame)


def words(answer: bytes) -> tuple[int, ...]:
    assert crc16(answer[:-2]) == answer[-2:]
    assert answer[1] == 3, answer
    return struct.unpack(f">{answer[2] // 2}H", answer[3:-2])


def read(register: int, count: int = 1) -> bytes:
    return rtu(f"03 {register:04X} {count:04X}")


def write(register: int, *values: int) -> bytes:
    if len(values) == 1:
        return rtu(f"06 {register:04X} {values[0]:04X}")
    data = "".join(f"{value:04X}" for value in values)
    return rtu(f"10 {register:04X} {len(values):04X} {2 * len(values):02X} {data}")


def refused(answer: bytes) -> int:
    assert crc16(answer[:-2]) == answer[-2:]
    assert answer[1] & 0x80, answer
    return answer[2]


# ---- Watlow ---------------------------------------------------------------------------------------------------------


def test_the_watlow_speaks_fahrenheit_low_word_first() -> None:
    """20 °C is 68 °F, 42880000; set 100 °F, 42C80000."""

    async def scenario(say: Say, plant: LaggingHeater) -> None:
        assert words(say(read(360, 4))) == (0x0000, 0x4288, 61, 0)
        say(write(2160, 0x0000, 0x42C8))
        assert words(say(read(2160, 2))) == (0x0000, 0x42C8)
        assert plant.target_c == pytest.approx(37.7778, abs=1e-3)
        say(write(2490, 15))
        assert words(say(read(360, 2))) == (0x0000, 0x41A0)

    play(on_rtu(WatlowTwin), scenario)


def test_the_watlow_heats_in_automatic_only() -> None:
    async def scenario(say: Say, plant: LaggingHeater) -> None:
        assert words(say(read(1880))) == (62,)
        for mode, heats in ((10, True), (54, False), (10, True), (62, False)):
            assert say(write(1880, mode)) == write(1880, mode)
            assert plant.automatic is heats
        assert refused(say(write(1880, 11))) == REFUSED_VALUE

    play(on_rtu(WatlowTwin), scenario)


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (read(100), REFUSED_ADDRESS),
        (read(360, 5), REFUSED_ADDRESS),
        (write(2160, 0x42C8), REFUSED_ADDRESS),
        (write(360, 0, 0), REFUSED_ADDRESS),
        (write(2160, 0x0000, 0x7FC0), REFUSED_VALUE),
        (write(2160, 0x0000, 0x4F00), REFUSED_VALUE),
        (write(2490, 31), REFUSED_VALUE),
    ],
)
def test_what_the_watlow_cannot_do_is_refused(request_: bytes, code: int) -> None:
    async def scenario(say: Say, plant: LaggingHeater) -> None:
        assert refused(say(request_)) == code

    play(on_rtu(WatlowTwin), scenario)


# ---- Omega ----------------------------------------------------------------------------------------------------------


def test_the_omegas_loop_takes_a_set_point_over_at_its_next_cycle() -> None:
    async def scenario(say: Say, plant: LaggingHeater) -> None:
        say(write(738, 0x42C8, 0x0000))
        assert words(say(read(738, 2))) == (0x42C8, 0)
        assert words(say(read(544, 2))) == (0x41C8, 0)
        await asyncio.sleep(0.11)
        assert words(say(read(544, 2))) == (0x42C8, 0)

    play(on_rtu(OmegaTwin), scenario)


def test_the_omega_heats_in_run_only_and_is_in_fault_without_its_sensor() -> None:
    async def scenario(say: Say, plant: LaggingHeater) -> None:
        assert words(say(read(576))) == (7,)
        for state, heats in ((6, True), (7, False), (6, True), (8, False)):
            say(write(576, state))
            assert words(say(read(576))) == (state,)
            assert plant.automatic is heats
        assert refused(say(write(576, 10))) == REFUSED_VALUE
        plant.broken = True
        say(write(576, 6))
        assert words(say(read(576))) == (10,)
        assert words(say(read(528, 2))) == struct.unpack(">2H", struct.pack(">f", 1372.0))

    play(on_rtu(OmegaTwin), scenario)


def test_the_omega_keeps_its_gains() -> None:
    async def scenario(say: Say, plant: LaggingHeater) -> None:
        say(write(678, 0x3F80, 0x0000))
        assert words(say(read(676, 6))) == (0, 0, 0x3F80, 0, 0, 0)

    play(on_rtu(OmegaTwin), scenario)


# ---- Novus ----------------------------------------------------------------------------------------------------------


def test_the_novus_alters_a_set_point_in_silence() -> None:
    async def scenario(say: Say, plant: LaggingHeater) -> None:
        assert say(write(0, 9000)) == write(0, 9000)
        assert words(say(read(0))) == (3000,)
        assert say(write(0, 0x10000 - 50)) == write(0, 0x10000 - 50)
        assert words(say(read(0))) == (0,)
        assert say(write(47, 7)) == write(47, 7)
        assert words(say(read(47))) == (1,)

    play(on_rtu(NovusTwin), scenario)


def test_the_novus_knows_single_writes_and_holding_registers_only() -> None:
    async def scenario(say: Say, plant: LaggingHeater) -> None:
        assert refused(say(write(0, 500, 0))) == REFUSED_FUNCTION
        assert refused(say(rtu("04 0000 0001"))) == REFUSED_FUNCTION
        assert refused(say(write(1, 500))) == REFUSED_ADDRESS
        assert refused(say(read(120, 2))) == REFUSED_ADDRESS
        assert words(say(read(30))) == (2,)
        assert words(say(read(120))) == (0,)

    play(on_rtu(NovusTwin), scenario)


def test_the_novus_heats_when_automatic_and_enabled() -> None:
    async def scenario(say: Say, plant: LaggingHeater) -> None:
        say(write(0, 800))
        assert not plant.automatic
        say(write(47, 1))
        assert (plant.automatic, plant.target_c) == (True, 80.0)
        assert words(say(read(9))) == (0b11,)
        say(write(46, 0))
        assert not plant.automatic
        plant.broken = True
        assert words(say(read(10))) == (1 << 2,)

    play(on_rtu(NovusTwin), scenario)


# ---- nanodac --------------------------------------------------------------------------------------------------------


def test_the_nanodac_reads_in_tenths_and_as_native_floats() -> None:
    """The native address is 8000 + twice the register: 8402 + 2 for the target set-point at 0202."""

    async def scenario(say: Say, plant: LaggingHeater) -> None:
        assert words(say(read(512, 7))) == (200, 0, 250, 250, 0, 1, 0)
        assert words(say(read(0x8000 + 2 * 512, 2))) == (0x41A0, 0)
        say(write(0x8000 + 2 * 514, 0x42C8, 0x0000))
        assert words(say(read(514))) == (1000,)
        assert words(say(read(256, 2))) == (200, 0)
        assert words(say(read(0x8000 + 2 * 514 + 1, 1))) == (0,)

    play(on_rtu(NanodacTwin), scenario)


def test_the_nanodac_heats_when_automatic_and_not_inhibited() -> None:
    async def scenario(say: Say, plant: LaggingHeater) -> None:
        say(write(514, 800))
        assert not plant.automatic
        say(write(517, 0))
        assert (plant.automatic, plant.target_c) == (True, 80.0)
        say(write(513, 1))
        assert not plant.automatic
        plant.broken = True
        assert words(say(read(256, 2))) == (13720, 2)

    play(on_rtu(NanodacTwin), scenario)


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (read(519), REFUSED_ADDRESS),
        (read(640), REFUSED_ADDRESS),
        (read(0x8000 + 2 * 513, 2), REFUSED_ADDRESS),
        (write(512, 5), REFUSED_ADDRESS),
        (write(513, 2), REFUSED_VALUE),
        (write(514, 4000), REFUSED_VALUE),
        (write(0x8000 + 2 * 514, 0x7FC0, 0), REFUSED_VALUE),
        (write(0x8000 + 2 * 512, 0, 0), REFUSED_ADDRESS),
    ],
)
def test_what_the_nanodac_cannot_do_is_refused(request_: bytes, code: int) -> None:
    async def scenario(say: Say, plant: LaggingHeater) -> None:
        assert refused(say(request_)) == code

    play(on_rtu(NanodacTwin), scenario)


# ---- all of them ----------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([WatlowTwin, OmegaTwin, NovusTwin, NanodacTwin]),
    st.one_of(
        st.binary(min_size=1, max_size=40),
        st.builds(
            lambda function, register, value: struct.pack(">BHH", function, register, value),
            st.sampled_from([3, 4, 6]),
            st.sampled_from([0, 47, 360, 512, 517, 528, 576, 738, 1880, 2160, 2490, 0x8400, 0xFFFF]),
            st.integers(0, 0xFFFF),
        ),
    ),
)
def test_no_sound_frame_whatever_breaks_a_controller(make: Callable[[LaggingHeater], ModbusUnit], pdu: bytes) -> None:
    async def scenario(say: Say, plant: LaggingHeater) -> None:
        frame = b"\x01" + pdu
        answer = say(frame + crc16(frame))
        assert not answer or crc16(answer[:-2]) == answer[-2:]

    play(on_rtu(make), scenario)
