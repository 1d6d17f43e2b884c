"""The gas controllers' twins and the input module, byte for byte."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.clock.virtual_time import run_virtual
from simulators.links import StreamTwin
from simulators.wire_alicat import AlicatTwin, AlicatUnit
from simulators.wire_bronkhorst import BronkhorstTwin
from simulators.wire_modbus import ModbusLine, ModbusRefusal, RtuPort, crc16
from simulators.wire_phase import InputModuleTwin, PhaseChannel
from simulators.wire_pressure import PressureChannel
from tests.contract.plants import SteadyPressure
from tests.contract.plants_around import Bubble, GasLine

Say = Callable[[bytes], bytes]


def talk(twin: StreamTwin, script: Callable[[Say], None]) -> None:
    async def main() -> None:
        heard = bytearray()
        twin.attach(asyncio.get_running_loop(), heard.extend)

        def say(data: bytes) -> bytes:
            heard.clear()
            twin.receive(data)
            return bytes(heard)

        script(say)

    run_virtual(main())


# ---- Alicat ----------------------------------------------------------------------------------------------------------


def test_an_alicat_answers_a_poll_with_its_data_frame() -> None:
    plant = GasLine(pressure=101.325, temperature=25.0)

    def script(say: Say) -> None:
        assert say(b"A\r") == b"A +014.70 +025.00 +000.00 +000.00 +000.00     N2\r"
        assert say(b"a\r") == say(b"A\r")
        assert say(b"B\r") == b""
        assert say(b"AS 15.44\r").split()[5] == b"+015.44"
        assert plant.set_point == pytest.approx(15.44 * 273.15 / 298.15)
        assert say(b"A32000\r").split()[5] == b"+050.00"
        assert say(b"AS 101\r") == b"?\r"
        assert say(b"AS -1\r") == b"?\r"
        assert say(b"AQ\r") == b"?\r"

    talk(AlicatTwin({"A": AlicatUnit(plant)}), script)


def test_an_alicats_volume_flow_is_of_its_own_temperature_and_pressure() -> None:
    plant = GasLine(pressure=202.65, temperature=25.0, flow=50.0, set_point=50.0)

    def script(say: Say) -> None:
        volume, mass = (float(word) for word in say(b"A\r").split()[3:5])
        assert mass == pytest.approx(50.0 * 298.15 / 273.15, abs=0.005)
        assert volume == pytest.approx(mass / 2.0, abs=0.01)

    talk(AlicatTwin({"A": AlicatUnit(plant)}), script)


def test_a_held_alicat_keeps_its_valve() -> None:
    plant = GasLine()

    def script(say: Say) -> None:
        assert say(b"AHC\r").endswith(b"HLD\r")
        say(b"AS 20\r")
        assert plant.commands == [0.0]
        say(b"AC\r")
        assert plant.set_point == pytest.approx(20.0 * 273.15 / 298.15)

    talk(AlicatTwin({"A": AlicatUnit(plant)}), script)


# ---- Bronkhorst ------------------------------------------------------------------------------------------------------


def test_the_manuals_exchanges() -> None:
    """RS232 interface manual 9.17.027, section 3.10."""
    plant = GasLine()

    def script(say: Say) -> None:
        assert say(b":06030101213E80\r\n") == b":0403000005\r\n"
        assert plant.set_point == 50.0
        assert say(b":06030401210121\r\n") == b":06030201213E80\r\n"
        assert say(b":06030401210120\r\n") == b":06030201210000\r\n"
        assert say(b":06800101210000\r\n") == b":0480000005\r\n"

    talk(BronkhorstTwin(plant), script)


def test_a_chain_of_questions_is_answered_in_one_message() -> None:
    """The manual's chain but for the user tag: serial number, then measure, capacity, unit and fluid."""

    def script(say: Say) -> None:
        answer = say(b":160304F16C71630001AE0120CF014DF0017F077101710A\r\n")
        body = bytes.fromhex(answer[1:-2].decode())
        assert body[0] == len(body) - 1
        assert body[1:3] == b"\x03\x02"
        assert body[3:] == (
            b"\xf1\x6c\x00M6212345A\x00" + b"\x01\xae\x00\x00" + b"\xcf\x42\xc8\x00\x00" + b"\xf0\x07mln/min"
            b"\x71\x0aN2        "
        )

    talk(BronkhorstTwin(GasLine()), script)


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (b":06030101217D01\r\n", b":0403000602\r\n"),
        (b":06030101203E80\r\n", b":0403000D02\r\n"),
        (b":05030101013E\r\n", b":0403000502\r\n"),
        (b":06030101223E80\r\n", b":0403000402\r\n"),
        (b":06030402210221\r\n", b":0403000302\r\n"),
        (b":0303090A\r\n", b":0403000200\r\n"),
        (b":0303040A\r\n", b":0403002202\r\n"),
        (b":06040401210121\r\n", b":0105\r\n"),
        (b":07030401210121\r\n", b":0103\r\n"),
        (b":0603040121012\r\n", b":0103\r\n"),
        (b"noise", b""),
    ],
)
def test_what_a_bronkhorst_does_not_do_it_says(request_: bytes, answer: bytes) -> None:
    plant = GasLine()

    def script(say: Say) -> None:
        assert say(request_) == answer
        assert plant.commands == []

    talk(BronkhorstTwin(plant), script)


def test_the_binary_form_doubles_each_dle_and_returns_the_sequence_number() -> None:
    """As the maker's package sends it: set-point 0x1010, then read back, in pieces and after noise."""
    plant = GasLine()

    def script(say: Say) -> None:
        assert say(b"\x00\x10\x02\x07\x80\x05\x01\x01\x21\x10\x10\x10\x10\x10\x03") == (
            b"\x10\x02\x07\x80\x03\x00\x00\x05\x10\x03"
        )
        assert plant.set_point == pytest.approx(0x1010 / 32000 * 100.0)
        assert say(b"\x10\x02\x10") == b""
        assert say(b"\x10\x80\x05\x04\x01\x21\x01\x21\x10\x03") == (
            b"\x10\x02\x10\x10\x80\x05\x02\x01\x21\x10\x10\x10\x10\x10\x03"
        )

    talk(BronkhorstTwin(plant), script)


@settings(max_examples=150)
@given(
    st.sampled_from(["alicat", "bronkhorst"]),
    st.lists(
        st.binary(max_size=20)
        | st.sampled_from([b":", b":0603", b"0401210121\r\n", b"\x10\x02", b"\x10\x03", b"AS 1", b"\r"]),
        max_size=8,
    ),
)
def test_no_bytes_whatever_break_the_twins(maker: str, pieces: list[bytes]) -> None:
    twin: StreamTwin = AlicatTwin({"A": AlicatUnit(GasLine())}) if maker == "alicat" else BronkhorstTwin(GasLine())

    def script(say: Say) -> None:
        for piece in pieces:
            say(piece)
        if maker == "alicat":
            say(b"\r")
            assert say(b"A\r").startswith(b"A +")
        else:
            say(b"\x10\x03\r\n" * 2)
            assert say(b":06030401210121\r\n").endswith(b"\r\n")

    talk(twin, script)


# ---- input module ----------------------------------------------------------------------------------------------------


def test_an_input_module_gives_signed_millivolts_and_microamperes() -> None:
    negative = PhaseChannel(Bubble(), open_input=True, floating_v=-1.0)
    module = InputModuleTwin({0: PressureChannel(SteadyPressure(500.0)), 1: PhaseChannel(Bubble()), 2: negative})

    def script(say: Say) -> None:
        request = b"\x01\x04\x00\x00\x00\x03"
        answer = b"\x01\x04\x06" + (12000).to_bytes(2, "big") + (5000).to_bytes(2, "big") + b"\xfc\x18"
        assert say(request + crc16(request)) == answer + crc16(answer)

    talk(RtuPort(ModbusLine({1: module})), script)
    with pytest.raises(ModbusRefusal):
        module.read(0.0, "input", 2, 2)
    with pytest.raises(ModbusRefusal):
        module.write(0.0, 0, [1])


def test_a_module_without_channels_is_none() -> None:
    with pytest.raises(ValueError, match="channels"):
        InputModuleTwin({})
    with pytest.raises(ValueError, match="within 0 to 5 V"):
        PhaseChannel(Bubble(), liquid_v=10.0)
