"""The spectrometer twin, opcode for opcode."""

from __future__ import annotations

import gc
import struct
import sys
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.ocean_models import MODELS
from simulators.wire_ocean import OceanTwin, UsbBus, register_usb, unregister_usb
from tests.contract.plants import LampAndPeak


class Stopwatch:
    """A blocking clock of one thread: sleeping moves it."""

    def __init__(self) -> None:
        self.t_s = 0.0

    def now(self) -> float:
        return self.t_s

    def sleep(self, duration_s: float) -> None:
        self.t_s += duration_s


def twin(**changes: float) -> OceanTwin:
    return OceanTwin(LampAndPeak(**changes), serial_number="USB2+T00042")  # type: ignore[arg-type]


def test_eeprom_slots_are_zero_terminated_text() -> None:
    device, clock = twin(), Stopwatch()
    device.write(0.0, b"\x05\x00")
    assert device.read(clock, 0x81, 64, 1.0) == b"\x05\x00USB2+T00042\0\0\0\0"
    device.write(0.0, b"\x05\x11")
    assert device.read(clock, 0x81, 64, 1.0) == b"\x05\x11\0\0\0\0\xff\xff" + 9 * b"\0"


def test_the_status_says_high_speed_and_the_integration_time() -> None:
    device, clock = twin(), Stopwatch()
    device.write(0.0, b"\x02" + struct.pack("<I", 250_000))
    device.write(0.0, b"\xfe")
    status = device.read(clock, 0x81, 64, 1.0)
    assert status is not None
    assert len(status) == 16
    assert struct.unpack_from("<HI", status) == (2048, 250_000)
    assert status[14] == 0x80


def test_the_firmware_is_a_usb2000_plus() -> None:
    device, clock = twin(), Stopwatch()
    device.write(0.0, b"\x6b\x04")
    assert device.read(clock, 0x81, 64, 1.0) == b"\x04\x70\x10"


def test_a_spectrum_takes_its_integration_time_and_ends_with_a_sync_byte() -> None:
    device, clock = twin(), Stopwatch()
    device.write(0.0, b"\x09")
    data = device.read(clock, 0x82, 4097, 5.0)
    assert clock.t_s == pytest.approx(0.105)
    assert data is not None
    assert (len(data), data[-1]) == (4097, 0x69)
    assert np.frombuffer(data[:-1], "<u2").tolist() == [1000] * 2048


def test_counts_are_rounded_and_clipped() -> None:
    for level, count in ((-5.0, 0), (12.6, 13), (70000.0, 65535)):
        device, clock = twin(dark_counts=level), Stopwatch()
        device.write(0.0, b"\x09")
        data = device.read(clock, 0x82, 4097, 5.0)
        assert data is not None
        assert set(np.frombuffer(data[:-1], "<u2").tolist()) == {count}


def test_an_endpoint_with_nothing_to_say_times_out() -> None:
    device, clock = twin(), Stopwatch()
    assert device.read(clock, 0x82, 4097, 1.5) is None
    assert device.read(clock, 0x81, 64, 1.5) is None
    assert clock.t_s == 3.0


def test_a_bus_can_be_forgotten() -> None:
    device = twin()
    name = register_usb(UsbBus([device], Stopwatch()))
    assert f"usb.backend.{name}" in sys.modules
    unregister_usb(name)
    assert f"usb.backend.{name}" not in sys.modules
    unregister_usb(name)


def test_a_bus_that_is_let_go_keeps_neither_its_spectrometers_nor_its_clock() -> None:
    device, clock = twin(), Stopwatch()
    bus = UsbBus([device], clock)
    gone = weakref.ref(device), weakref.ref(clock)
    bus.detach()
    del device, clock
    gc.collect()
    assert [kept() for kept in gone] == [None, None]


@pytest.mark.parametrize("serial", ["", "a serial number too long", "ü"])
def test_a_serial_number_must_fit_its_slot(serial: str) -> None:
    with pytest.raises(ValueError, match="1 to 14 ASCII"):
        OceanTwin(LampAndPeak(), serial_number=serial)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=8), max_size=8))
def test_no_command_whatever_breaks_the_twin(commands: list[bytes]) -> None:
    device, clock = twin(), Stopwatch()
    for command in commands:
        device.write(clock.now(), command)
    device.write(clock.now(), b"\x01")
    device.write(clock.now(), b"\x05\x00")
    assert device.read(clock, 0x81, 64, 1.0) == b"\x05\x00USB2+T00042\0\0\0\0"


# ---- the families of the binary protocol -----------------------------------------------------------------------------


def message(kind: int, data: bytes = b"", *, flags: int = 0) -> bytes:
    """A message as a host sends it, written down from the STS data sheet and not by the code under test."""
    head = struct.pack("<HHHHLL6xBB16sL", 0xC0C1, 0x1100, flags, 0, kind, 0, 0, len(data), data, 20)
    return head + bytes(16) + b"\xc5\xc4\xc3\xc2"


def binary_twin(model: str = "STS") -> OceanTwin:
    return OceanTwin(LampAndPeak(pixels=MODELS[model].pixels), model=model, serial_number="S00042")


def ask(device: OceanTwin, packet: bytes) -> bytes | None:
    device.write(0.0, packet)
    return device.read(Stopwatch(), 0x81, 64, 1.0)


def test_an_answer_of_the_binary_protocol_carries_its_data_in_the_header() -> None:
    answer = ask(binary_twin(), message(0x00000100))
    assert answer is not None
    assert len(answer) == 64
    assert struct.unpack_from("<HHHHL", answer) == (0xC0C1, 0x1100, 1, 0, 0x100)
    assert answer[23:24] + answer[24:30] == b"\x06S00042"
    assert answer[-4:] == b"\xc5\xc4\xc3\xc2"


@pytest.mark.parametrize(
    ("packet", "flags", "error"),
    [
        (message(0x00110010, struct.pack("<L", 50_000), flags=4), 3, 0),
        (message(0x00110410, b"\x01", flags=4), 3, 0),
        (message(0x00110010, struct.pack("<L", 5), flags=4), 9, 6),
        (message(0x00110010, b"\x05", flags=4), 9, 5),
        (message(0x00180101, b"\x09"), 9, 6),
        (message(0x0BADBAD0), 9, 2),
    ],
)
def test_commands_are_acknowledged_or_refused_with_a_reason(packet: bytes, flags: int, error: int) -> None:
    answer = ask(binary_twin(), packet)
    assert answer is not None
    assert struct.unpack_from("<HH", answer, 4) == (flags, error)


def test_a_command_that_wants_no_acknowledgement_gets_none() -> None:
    assert ask(binary_twin(), message(0x00110410, b"\x01")) is None


@pytest.mark.parametrize(("model", "payload"), [("STS", 2048), ("QEPRO", 32 + 4 * 1044), ("HDX", 2 * 2068)])
def test_a_binary_spectrum_comes_in_packets_after_its_integration(model: str, payload: int) -> None:
    device, clock = binary_twin(model), Stopwatch()
    device.write(0.0, message(MODELS[model].spectrum))
    first = device.read(clock, 0x81, 64, 5.0)
    assert clock.t_s == pytest.approx(0.105)
    assert first is not None
    (remaining,) = struct.unpack_from("<L", first, 40)
    assert remaining == payload + 20
    rest = device.read(clock, 0x81, 64 + payload, 5.0)
    assert rest is not None
    assert len(first) + len(rest) == 44 + payload + 20


def test_a_usb4000_sends_its_spectrum_over_two_endpoints() -> None:
    device, clock = OceanTwin(LampAndPeak(pixels=3840), model="USB4000"), Stopwatch()
    device.write(0.0, b"\x09")
    ahead = device.read(clock, 0x86, 2048, 5.0)
    rest = device.read(clock, 0x82, 7681 - 2048, 5.0)
    assert ahead is not None
    assert rest is not None
    assert (len(ahead), len(rest), rest[-1]) == (2048, 5633, 0x69)
    assert np.frombuffer(ahead + rest[:-1], "<u2").tolist() == [1000] * 3840


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(ValueError, match="known: USB2000PLUS"):
        OceanTwin(LampAndPeak(), model="USB9000")


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=70), max_size=4))
def test_no_packet_whatever_breaks_a_binary_twin(packets: list[bytes]) -> None:
    device = binary_twin()
    for packet in packets:
        device.write(0.0, packet)
    answer = ask(device, message(0x00000101))
    assert answer is not None
    assert answer[23:25] == b"\x01\x06"
