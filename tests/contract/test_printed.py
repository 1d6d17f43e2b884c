"""What makers printed is what drivers send and understand, and what twins take. Checksums are pymodbus's."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

import pytest
from pymodbus.framer import FramerRTU

from drivers import BronkhorstController, JulaboCirculator, Line, ModbusBus, RtuLink, WatlowController
from orchestrator.clock.virtual_time import run_virtual
from simulators.links import MemoryTransport, memory_modbus_connect
from simulators.wire_bronkhorst import BronkhorstTwin
from simulators.wire_harvard import HarvardTwin
from simulators.wire_modbus import ModbusLine, RtuPort, crc16
from simulators.wire_new_era import NewEraTwin, PumpMemory
from simulators.wire_thermostats import JulaboTwin
from simulators.wire_vici import ViciActuator, ViciTwin
from simulators.wire_watlow import WatlowTwin
from tests.contract.heaters import Tap
from tests.contract.plants import LaggingHeater, SteppingPump
from tests.contract.plants_around import GasLine, TurningValve
from tests.contract.printed import (
    ANSWERS,
    EXCHANGES,
    MODBUS_FRAMES,
    WATLOW_READ,
    WATLOW_WORDS,
    WATLOW_WRITE,
    PrintedAnswer,
)


@pytest.mark.parametrize(("source", "frame"), MODBUS_FRAMES, ids=lambda value: str(value)[:40])
def test_the_checksums_of_printed_frames_are_the_librarys_and_the_twins(source: str, frame: bytes) -> None:
    assert FramerRTU.compute_CRC(frame[:-2]).to_bytes(2, "big") == frame[-2:]
    assert crc16(frame[:-2]) == frame[-2:]


@pytest.mark.parametrize("printed", ANSWERS, ids=lambda printed: printed.source)
def test_a_printed_answer_means_what_the_page_says(printed: PrintedAnswer) -> None:
    assert printed.parse(printed.answer) == printed.meaning


def told(twin: Any, *commands: bytes, wait_s: float = 1.0) -> list[bytes]:
    """What a twin answers to each command; attached to the running loop."""
    heard: list[bytes] = []

    async def main() -> None:
        twin.attach(asyncio.get_running_loop(), heard.append)
        for command in commands:
            twin.receive(command)
            await asyncio.sleep(wait_s)

    run_virtual(main())
    return heard


def printed(twin: str) -> list[tuple[bytes, bytes | None]]:
    return [(each.command, each.answer) for each in EXCHANGES if each.twin == twin]


def test_a_bronkhorst_takes_and_gives_the_printed_strings() -> None:
    plant = GasLine()
    commands = printed("bronkhorst")
    heard = told(BronkhorstTwin(plant), *(command for command, _ in commands))
    assert [answer for answer, (_, wanted) in zip(heard, commands, strict=True) if wanted] == [
        wanted for _, wanted in commands if wanted
    ]
    assert heard[2].startswith(b":0603020121")


def test_the_bronkhorst_driver_sends_the_printed_set_point() -> None:
    async def main() -> list[bytes]:
        tap = Tap(BronkhorstTwin(GasLine()))
        gas = BronkhorstController(Line(MemoryTransport(tap)), 3)
        await gas.connect()
        await gas.set_flow(50.0)
        return tap.said

    said = run_virtual(main())
    assert printed("bronkhorst")[0][0] in said


def test_a_harvard_pump_takes_the_printed_rate() -> None:
    (command, _), *_ = printed("harvard")
    heard = told(HarvardTwin({12: SteppingPump()}), command, b"12:irat\r")
    assert b"3.2 ul/min" in b"".join(heard)


def test_a_new_era_pump_leaves_safe_mode_at_the_printed_packet() -> None:
    memory = PumpMemory(safe_s=30)
    (command, _), *_ = printed("new_era")
    heard = told(NewEraTwin({0: SteppingPump()}, memories={0: memory}), command, command)
    assert memory.safe_s == 0
    assert heard[-1] == b"\x0200S\x03"


def test_a_julabo_takes_the_printed_set_point_and_the_driver_sends_it() -> None:
    async def main() -> tuple[list[bytes], float]:
        plant = LaggingHeater()
        tap = Tap(JulaboTwin(plant))
        circulator = JulaboCirculator(Line(MemoryTransport(tap, baud_rate=4800)), decimals=1)
        await circulator.connect()
        await circulator.set_temperature(55.5)
        return tap.said, plant.target_c

    said, target_c = run_virtual(main())
    assert printed("julabo")[0][0] in said
    assert target_c == 55.5


def test_a_vici_valve_takes_the_printed_move() -> None:
    valve = TurningValve(step_s=0.02)
    (command, _), *_ = printed("vici")
    heard = told(ViciTwin({"": ViciActuator(valve)}), command, b"CP\r")
    assert heard[-1].rstrip() in (b"CP03", b"CP3")


def test_a_watlow_answers_the_printed_question_with_two_words_low_word_first() -> None:
    twin = RtuPort(ModbusLine({1: WatlowTwin(LaggingHeater(temperature_c=(75.0 - 32.0) / 1.8, automatic=False))}))
    request = WATLOW_READ + FramerRTU.compute_CRC(WATLOW_READ).to_bytes(2, "big")
    (answer,) = told(twin, request)
    assert answer[:3] == bytes.fromhex("01 03 04")
    assert struct.unpack(">f", answer[5:7] + answer[3:5])[0] == pytest.approx(75.0, abs=0.2)


def test_the_watlow_driver_sends_the_printed_set_point() -> None:
    async def main() -> list[bytes]:
        tap = Tap(RtuPort(ModbusLine({1: WatlowTwin(LaggingHeater())})))
        bus = ModbusBus(RtuLink("memory"), connect=memory_modbus_connect(tap, baud_rate=9600))
        heater = WatlowController(bus, 1)
        await heater.connect()
        await heater.set_temperature((75.0 - 32.0) / 1.8)
        return tap.said

    said = run_virtual(main())
    (write,) = (frame for frame in said if frame.startswith(WATLOW_WRITE))
    assert write[7:11] == WATLOW_WORDS
    for frame in said:
        assert FramerRTU.compute_CRC(frame[:-2]).to_bytes(2, "big") == frame[-2:]
