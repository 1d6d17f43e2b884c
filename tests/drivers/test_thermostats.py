"""What both serial thermostats owe: their answers are taken apart, and a damaged temperature is not believed."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import (
    DriverError,
    IkaHotplate,
    JulaboCirculator,
    Line,
    ProtocolError,
)
from drivers.ika import parse_status as parse_plate_status
from drivers.ika import parse_value
from drivers.julabo import CirculatorStatus, parse_mode, parse_status, parse_temperature
from drivers.line_heater import answer_text, parse_number
from orchestrator.clock.virtual_time import run_virtual
from simulators.links import MemoryTransport
from simulators.wire_thermostats import IkaTwin, JulaboTwin
from tests.contract.plants import FaultyWire, LaggingHeater


def test_answers_as_the_manuals_print_them() -> None:
    assert parse_status("02 REMOTE STOP") == CirculatorStatus(2, "REMOTE STOP")
    assert parse_status("-11 VALUE TOO LARGE") == CirculatorStatus(-11, "VALUE TOO LARGE")
    assert answer_text(b"55.5\n") == "55.5"
    assert parse_temperature("55.5") == 55.5
    assert math.isnan(parse_temperature("---.--"))
    assert (parse_mode("0"), parse_mode("1")) == (False, True)
    assert answer_text(b"24.7 1 \r\n") == "24.7 1"
    assert parse_value("24.7 1", 1) == 24.7
    assert parse_plate_status("12 1", 1) == 12


@pytest.mark.parametrize("text", ["nan", "1e3", "inf", "0x10", "1_0", "12345", "1.2345", "", "٣", "1 2", "--"])
def test_a_number_is_digits_and_nothing_else(text: str) -> None:
    with pytest.raises(ProtocolError):
        parse_number(text)


def test_a_value_of_another_channel_is_no_answer() -> None:
    with pytest.raises(ProtocolError, match="channel 1"):
        parse_value("1200 4", 1)
    with pytest.raises(ProtocolError, match="no status"):
        parse_plate_status("13 1", 1)


@given(st.binary(max_size=40))
def test_no_bytes_whatever_break_a_parser(answer: bytes) -> None:
    parsers: list[Callable[[str], object]] = [
        parse_number,
        parse_status,
        parse_temperature,
        parse_mode,
        lambda text: parse_value(text, 1),
        lambda text: parse_plate_status(text, 1),
    ]
    try:
        text = answer_text(answer)
    except ProtocolError:
        return
    for parse in parsers:
        try:
            parse(text)
        except DriverError as error:
            assert isinstance(error, ProtocolError)


@given(st.floats(-99.0, 999.0), st.sampled_from([1, 2]))
def test_what_a_twin_prints_is_what_the_driver_reads(value: float, channel: int) -> None:
    assert parse_value(f"{value:.1f} {channel}", channel) == pytest.approx(value, abs=0.051)
    assert parse_temperature(f"{value:.2f}") == pytest.approx(value, abs=0.0051)


@pytest.mark.parametrize("make", ["julabo", "ika"])
def test_a_temperature_that_lost_or_doubled_a_digit_is_asked_for_again_and_a_true_jump_is_believed(make: str) -> None:
    spoil: list[bytes] = []

    def bend(data: bytes) -> list[tuple[float, bytes]]:
        return [(0.0, spoil.pop() if spoil else data)]

    async def main() -> None:
        plant = LaggingHeater(temperature_c=84.5, ambient_c=84.5, target_c=84.5, automatic=False)
        twin: JulaboTwin | IkaTwin = JulaboTwin(plant) if make == "julabo" else IkaTwin(plant)
        line = Line(MemoryTransport(FaultyWire(twin, bend), baud_rate=9600))
        heater = JulaboCirculator(line) if make == "julabo" else IkaHotplate(line)
        await heater.connect()
        for spoilt in (b"4.50", b"884.5"):
            spoil.append(spoilt + (b"\r\n" if make == "julabo" else b" 1 \r\n"))
            assert (await heater.read()).temperature_c == pytest.approx(84.5)
            assert not spoil
        plant.temperature_c = plant.ambient_c = 20.0
        assert (await heater.read()).temperature_c == pytest.approx(20.0)

    run_virtual(main())
