"""The spectrometer twin, opcode for opcode."""

from __future__ import annotations

import struct
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
