"""Serial thermostats on the wire: what their twins answer, and what they meet with silence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.links import StreamTwin
from simulators.wire_thermostats import IkaTwin, JulaboTwin
from tests.contract.plants import LaggingHeater
from tests.simulators.test_wire_heaters import Say, play


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
