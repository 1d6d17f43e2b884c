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
from simulators.wire_thermostats import IkaTwin, JulaboTwin
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


# ---- Julabo ---------------------------------------------------------------------------------------------------------


def test_the_julabo_answers_questions_and_never_commands() -> None:
    async def scenario(say: Say, plant: LaggingHeater) -> None:
        assert say(b"out_sp_00 55.5\r") == b""
        await asyncio.sleep(0.25)
        assert say(b"in_sp_00\r") == b"55.50\r\n"
        assert say(b"status\r\n") == b"02 REMOTE STOP\r\n"
        assert say(b"in_pv_00\r") == b"20.00\r\n"
        say(b"out_mode_05 1\r")
        await asyncio.sleep(0.25)
        assert say(b"in_mode_05\rstatus\r") == b"1\r\n03 REMOTE START\r\n"
        assert (plant.automatic, plant.target_c) == (True, 55.5)

    play(JulaboTwin, scenario)


@pytest.mark.parametrize(
    ("command", "error"),
    [
        (b"out_sp_00 900\r", b"-11 VALUE TOO LARGE\r\n"),
        (b"out_sp_00 -99\r", b"-10 VALUE TOO SMALL\r\n"),
        (b"out_sp_00 1e2\r", b"-08 INVALID COMMAND\r\n"),
        (b"out_sp_00\r", b"-08 INVALID COMMAND\r\n"),
        (b"out_mode_05 2\r", b"-08 INVALID COMMAND\r\n"),
        (b"in_pv_99\r", b"-08 INVALID COMMAND\r\n"),
        (b"in_pv_00 1\r", b"-08 INVALID COMMAND\r\n"),
        (b"\xff\xfe\r", b"-08 INVALID COMMAND\r\n"),
    ],
)
def test_the_julabo_reports_an_error_once(command: bytes, error: bytes) -> None:
    async def scenario(say: Say, plant: LaggingHeater) -> None:
        assert say(command) == b""
        await asyncio.sleep(0.25)
        assert say(b"status\r") == error
        assert say(b"status\r") == b"02 REMOTE STOP\r\n"
        assert say(b"in_sp_00\r") == b"25.00\r\n"

    play(JulaboTwin, scenario)


def test_the_julabo_loses_what_comes_too_soon_after_a_command() -> None:
    async def scenario(say: Say, plant: LaggingHeater) -> None:
        say(b"out_sp_00 60\r")
        await asyncio.sleep(0.2)
        assert say(b"out_sp_00 70\rin_sp_00\r") == b""
        await asyncio.sleep(0.05)
        assert say(b"in_sp_00\r") == b"60.00\r\n"

    play(JulaboTwin, scenario)


def test_the_julabo_without_its_sensor_stops() -> None:
    async def scenario(say: Say, plant: LaggingHeater) -> None:
        say(b"out_mode_05 1\r")
        plant.broken = True
        await asyncio.sleep(0.25)
        assert say(b"in_pv_00\r") == b"---.--\r\n"
        assert say(b"status\r") == b"-05 WORKING SENSOR ALARM\r\n"
        assert not plant.automatic
        say(b"out_mode_05 1\r")
        await asyncio.sleep(0.25)
        assert say(b"status\r") == b"-09 COMMAND NOT ALLOWED IN CURRENT OPERATING MODE\r\n"

    play(JulaboTwin, scenario)


# ---- IKA ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [b" \r\n", b"\r\n", b" \r \n"])
def test_the_ika_takes_the_line_ends_that_its_manuals_print(end: bytes) -> None:
    async def scenario(say: Say, plant: LaggingHeater) -> None:
        assert say(b"IN_NAME" + end) == b"RCT digital \r\n"
        assert say(b"IN_PV_1" + end) == b"20.0 1 \r\n"
        assert say(b"OUT_SP_1 85.5" + end) == b""
        assert say(b"IN_SP_1" + end) == b"85.5 1 \r\n"
        assert say(b"STATUS_1" + end + b"START_1" + end + b"STATUS_1" + end) == b"12 1 \r\n11 1 \r\n"
        assert (plant.automatic, plant.target_c) == (True, 85.5)
        say(b"RESET" + end)
        assert not plant.automatic

    play(IkaTwin, scenario)


@pytest.mark.parametrize(
    "line",
    [
        b"IN_PV_1\n",
        b"IN_PV_1 \r",
        b"in_pv_1 \r\n",
        b"IN_PV_9 \r\n",
        b"IN_PV_\xb1 \r\n",
        b"OUT_WD1@19 \r\n",
        b"OUT_WD1@1501 \r\n",
        b"OUT_SP_1@80 \r\n",
        b"OUT_SP_1 400 \r\n",
        b"OUT_SP_1 -5 \r\n",
    ],
)
def test_the_ika_meets_what_it_does_not_know_with_silence(line: bytes) -> None:
    async def scenario(say: Say, plant: LaggingHeater) -> None:
        assert say(line) == b""
        say(b"\r\n")
        assert say(b"IN_SP_1 \r\n") == b"0.0 1 \r\n"

    play(IkaTwin, scenario)


def test_the_ikas_watchdog_is_fed_by_its_own_command_only() -> None:
    async def scenario(say: Say, plant: LaggingHeater) -> None:
        say(b"OUT_SP_1 80 \r\nSTART_1 \r\n")
        assert say(b"OUT_WD1@20 \r\n") == b"20 \r\n"
        await asyncio.sleep(15.0)
        assert say(b"OUT_WD1@20 \r\n") == b"20 \r\n"
        await asyncio.sleep(19.0)
        assert say(b"STATUS_1 \r\n") == b"11 1 \r\n"
        await asyncio.sleep(1.5)
        assert say(b"START_1 \r\nSTATUS_1 \r\n") == b"-2 1 \r\n"
        assert not plant.automatic

    play(IkaTwin, scenario)


def test_the_ikas_second_watchdog_falls_back_and_can_be_disarmed() -> None:
    async def scenario(say: Say, plant: LaggingHeater) -> None:
        say(b"OUT_SP_1 80 \r\nSTART_1 \r\n")
        assert say(b"OUT_SP_12@35 \r\n") == b"35.0 \r\n"
        say(b"OUT_WD2@20 \r\n")
        assert say(b"OUT_WD2@0 \r\n") == b"0 \r\n"
        await asyncio.sleep(30.0)
        assert plant.target_c == 80.0
        say(b"OUT_WD2@20 \r\n")
        await asyncio.sleep(21.0)
        assert (plant.automatic, plant.target_c) == (True, 35.0)

    play(IkaTwin, scenario)


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


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([JulaboTwin, IkaTwin]), st.lists(st.binary(min_size=1, max_size=100), max_size=6))
def test_no_bytes_whatever_break_a_thermostat(make: Callable[[LaggingHeater], StreamTwin], pieces: list[bytes]) -> None:
    async def scenario(say: Say, plant: LaggingHeater) -> None:
        for piece in pieces:
            say(piece)
        await asyncio.sleep(1.0)
        say(b"\r\n")
        await asyncio.sleep(1.0)
        assert say(b"in_sp_00\r" if make is JulaboTwin else b"IN_SP_1 \r\n") != b""

    play(make, scenario)
