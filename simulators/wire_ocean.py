"""An Ocean Optics USB2000+ on the wire: a pyusb backend with the spectrometer at the other end.

pyusb takes any object that behaves like ``usb.backend.IBackend``. It is put where ``usb.backend.NAME`` is imported
from, so the true seabreeze and pyusb run unchanged. The opcodes are those of the USB2000+ data sheet.
"""

from __future__ import annotations

import contextlib
import errno
import struct
import sys
from array import array
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Final

import numpy as np

from drivers.transport import BlockingClock
from simulators.plant import OpticsPlant

if TYPE_CHECKING:
    from numpy.typing import NDArray

_VENDOR: Final = 0x2457
_USB2000_PLUS: Final = 0x101E
_OUT, _LOW_IN, _HIGH_IN, _HIGH_IN_2 = 0x01, 0x81, 0x82, 0x86
_INITIALISE, _SET_INTEGRATION, _SET_LAMP, _READ_SLOT = 0x01, 0x02, 0x03, 0x05
_REQUEST_SPECTRUM, _SET_TRIGGER, _WRITE_REGISTER, _READ_REGISTER, _QUERY_STATUS = 0x09, 0x0A, 0x6A, 0x6B, 0xFE
_FPGA_VERSION_REGISTER: Final = 0x04
_FPGA_VERSION: Final = 0x1070
"""1.7.0. A major version of 3 would make it a Flame-S."""
_SYNC_BYTE: Final = b"\x69"
_HIGH_SPEED: Final = 0x80
_SLOT_BYTES: Final = 15
_READOUT_S: Final = 0.005
"""Time from the end of an integration to the last byte; assumed."""
_HANG_S: Final = 60.0


class OceanTwin:
    """One spectrometer.

    The detector runs freely, so the first spectrum after a change of integration time or lamp is an old one: exposed
    as things were before. Counts are rounded and clipped to full scale here.

    Args:
        plant: what is in front of the slit.
        serial_number: up to 14 ASCII characters.
        wavelength_polynomial_nm: c0 to c3 of wavelength = sum(c[i] pixel^i); the EEPROM keeps eight digits of each.
        pixels: detector pixels.
        saturation_counts: EEPROM slot 17; seabreeze rescales counts by 65535 over this.
        nonlinearity: polynomial of slots 6 to 13.
    """

    def __init__(
        self,
        plant: OpticsPlant,
        *,
        serial_number: str = "USB2+H00001",
        wavelength_polynomial_nm: Sequence[float] = (339.6, 0.3827, -1.62e-5, -2.4e-10),
        pixels: int = 2048,
        saturation_counts: int = 65535,
        nonlinearity: Sequence[float] = (1.0, 0.0),
    ) -> None:
        if not serial_number.isascii() or not 0 < len(serial_number) < _SLOT_BYTES:
            raise ValueError(f"a serial number has 1 to 14 ASCII characters, not {serial_number!r}")
        if pixels != 2048:
            raise ValueError(f"a USB2000+ has 2048 pixels, not {pixels}")
        if not 1 <= saturation_counts <= 65535:
            raise ValueError(f"saturation is 1 to 65535 counts, not {saturation_counts}")
        if not 1 <= len(wavelength_polynomial_nm) <= 4 or not 1 <= len(nonlinearity) <= 8:
            raise ValueError("four wavelength and eight non-linearity coefficients at most")
        self._plant = plant
        self.serial_number = serial_number
        self._pixels = pixels
        self._saturation = saturation_counts
        coefficients = [*wavelength_polynomial_nm, *([0.0] * (4 - len(wavelength_polynomial_nm)))]
        self._slots = {0: serial_number}
        self._slots.update({1 + i: f"{value:.7e}" for i, value in enumerate(coefficients)})
        self._slots.update({6 + i: f"{value:.7e}" for i, value in enumerate(nonlinearity)})
        self._slots[14] = str(len(nonlinearity) - 1)
        self._integration_us = 100_000
        self._lamp = False
        self._shown: tuple[int, bool] = (self._integration_us, self._lamp)
        self._requested = False
        self._answers: deque[bytes] = deque()
        self._spectrum = b""
        self.plugged = True
        self.hung = False

    @property
    def wavelengths_nm(self) -> NDArray[np.float64]:
        """What the EEPROM's calibration gives each pixel, shape (pixels,)."""
        coefficients = [float(self._slots[i]) for i in range(1, 5)]
        pixel = np.arange(self._pixels, dtype=np.float64)
        c0, c1, c2, c3 = coefficients
        return np.asarray(c0 + pixel * (c1 + pixel * (c2 + pixel * c3)), dtype=np.float64)

    def unplug(self) -> None:
        """Pull the cable: every transfer fails with errno 19, and what was waiting is lost."""
        self.plugged = False
        self.reset()

    def plug(self) -> None:
        """Put the cable back: a spectrometer fresh from power-up, lamp line low."""
        self.plugged = True
        self._integration_us = 100_000
        self._lamp = False
        self._shown = (self._integration_us, self._lamp)

    def hang(self, hung: bool = True) -> None:
        """Answer nothing, without USB noticing; the host's own deadline is what ends it."""
        self.hung = hung

    def reset(self) -> None:
        """Empty the endpoints."""
        self._answers.clear()
        self._requested = False
        self._spectrum = b""

    def write(self, t_s: float, data: bytes) -> None:
        """A command on the OUT endpoint. What the spectrometer does not know it ignores."""
        opcode = data[0] if data else 0
        if opcode == _INITIALISE:
            self.reset()
        elif opcode == _SET_INTEGRATION and len(data) >= 5:
            duration_us = int(struct.unpack_from("<I", data, 1)[0])
            if 1000 <= duration_us <= 655_350_000:
                self._integration_us = duration_us
        elif opcode == _SET_LAMP and len(data) >= 3:
            self._lamp = struct.unpack_from("<H", data, 1)[0] != 0
            self._plant.lamp(t_s, self._lamp)
        elif opcode == _READ_SLOT and len(data) >= 2:
            self._answers.append(bytes((_READ_SLOT, data[1])) + self._slot(data[1]))
        elif opcode == _REQUEST_SPECTRUM:
            self._requested = True
        elif opcode == _READ_REGISTER and len(data) >= 2:
            value = _FPGA_VERSION if data[1] == _FPGA_VERSION_REGISTER else 0
            self._answers.append(struct.pack("<BH", _FPGA_VERSION_REGISTER, value))
        elif opcode == _QUERY_STATUS:
            status = (int(self._lamp), 0, 0, 9, 0, 0, 0, 0, _HIGH_SPEED, 0)
            self._answers.append(struct.pack("<HI10B", self._pixels, self._integration_us, *status))

    def read(self, clock: BlockingClock, endpoint: int, length: int, timeout_s: float) -> bytes | None:
        """Bytes of an IN endpoint, blocking on ``clock``; None when the time-out passed with nothing to send."""
        if self.hung:
            clock.sleep(timeout_s + _HANG_S)
            return None
        if endpoint == _LOW_IN:
            if self._answers:
                return self._answers.popleft()[:length]
        elif endpoint == _HIGH_IN:
            if self._spectrum:
                sent, self._spectrum = self._spectrum[:length], self._spectrum[length:]
                return sent
            if self._requested:
                return self._expose(clock, length, timeout_s)
        clock.sleep(timeout_s)
        return None

    def _expose(self, clock: BlockingClock, length: int, timeout_s: float) -> bytes | None:
        """The spectrum in progress, or the next; the one in progress still shows the old settings."""
        duration_us, lamp = self._shown
        duration_s = duration_us / 1e6
        if duration_s + _READOUT_S > timeout_s:
            clock.sleep(timeout_s)
            return None
        begin_s = clock.now()
        stale_lamp = lamp != self._lamp
        if stale_lamp:
            self._plant.lamp(begin_s, lamp)
        clock.sleep(duration_s)
        if not self.plugged or self.hung:
            return None
        counts = self._plant.expose(begin_s, duration_s)
        if stale_lamp:
            self._plant.lamp(clock.now(), self._lamp)
        self._shown = (self._integration_us, self._lamp)
        self._requested = False
        clock.sleep(_READOUT_S)
        if counts.shape != (self._pixels,):
            raise ValueError(f"the plant exposed {counts.shape}, the detector has {self._pixels} pixels")
        scaled = np.rint(counts * (self._saturation / 65535.0))
        raw = np.clip(scaled, 0, self._saturation).astype("<u2").tobytes() + _SYNC_BYTE
        sent, self._spectrum = raw[:length], raw[length:]
        return sent

    def _slot(self, number: int) -> bytes:
        if number == 17:
            return struct.pack("<4xH9x", self._saturation)
        return self._slots.get(number, "").encode("ascii")[: _SLOT_BYTES - 1].ljust(_SLOT_BYTES, b"\0")


class UsbBus:
    """A USB bus with spectrometers on it: what pyusb calls a backend. Unplugged ones are not listed."""

    def __init__(self, twins: Sequence[OceanTwin], clock: BlockingClock) -> None:
        serials = [twin.serial_number for twin in twins]
        if len(set(serials)) != len(serials):
            raise ValueError(f"two spectrometers share a serial number: {serials}")
        import usb.core

        self._twins = list(twins)
        self._clock = clock
        self._usb_error: type[OSError] = usb.core.USBError
        self._usb_timeout_error: type[OSError] = usb.core.USBTimeoutError

    def enumerate_devices(self) -> list[OceanTwin]:
        return [twin for twin in self._twins if twin.plugged]

    def get_device_descriptor(self, dev: OceanTwin) -> SimpleNamespace:
        address = self._twins.index(dev) + 1
        return SimpleNamespace(
            bLength=18, bDescriptorType=1, bcdUSB=0x0200, bDeviceClass=0, bDeviceSubClass=0, bDeviceProtocol=0,
            bMaxPacketSize0=64, idVendor=_VENDOR, idProduct=_USB2000_PLUS, bcdDevice=2, iManufacturer=0, iProduct=0,
            iSerialNumber=0, bNumConfigurations=1, bus=1, address=address, port_number=address,
            port_numbers=(address,), speed=3,
        )  # fmt: skip

    def get_configuration_descriptor(self, dev: OceanTwin, config: int) -> SimpleNamespace:
        if config:
            raise IndexError(config)
        return SimpleNamespace(
            bLength=9, bDescriptorType=2, wTotalLength=46, bNumInterfaces=1, bConfigurationValue=1, iConfiguration=0,
            bmAttributes=0x80, bMaxPower=200, extra_descriptors=[],
        )  # fmt: skip

    def get_interface_descriptor(self, dev: OceanTwin, intf: int, alt: int, config: int) -> SimpleNamespace:
        if intf or alt or config:
            raise IndexError(intf)
        return SimpleNamespace(
            bLength=9, bDescriptorType=4, bInterfaceNumber=0, bAlternateSetting=0, bNumEndpoints=4,
            bInterfaceClass=0xFF, bInterfaceSubClass=0, bInterfaceProtocol=0, iInterface=0, extra_descriptors=[],
        )  # fmt: skip

    def get_endpoint_descriptor(self, dev: OceanTwin, ep: int, intf: int, alt: int, config: int) -> SimpleNamespace:
        return SimpleNamespace(
            bLength=7, bDescriptorType=5, bEndpointAddress=(_OUT, _LOW_IN, _HIGH_IN, _HIGH_IN_2)[ep], bmAttributes=2,
            wMaxPacketSize=512, bInterval=0, bRefresh=0, bSynchAddress=0, extra_descriptors=[],
        )  # fmt: skip

    def open_device(self, dev: OceanTwin) -> OceanTwin:
        self._present(dev)
        return dev

    def close_device(self, dev_handle: OceanTwin) -> None:
        pass

    def set_configuration(self, dev_handle: OceanTwin, config_value: int) -> None:
        self._present(dev_handle)

    def get_configuration(self, dev_handle: OceanTwin) -> int:
        return 1

    def claim_interface(self, dev_handle: OceanTwin, intf: int) -> None:
        self._present(dev_handle)

    def release_interface(self, dev_handle: OceanTwin, intf: int) -> None:
        pass

    def reset_device(self, dev_handle: OceanTwin) -> None:
        dev_handle.reset()

    def is_kernel_driver_active(self, dev_handle: OceanTwin, intf: int) -> bool:
        return False

    def bulk_write(self, dev_handle: OceanTwin, ep: int, intf: int, data: array[int], timeout: int) -> int:
        self._present(dev_handle)
        if not dev_handle.hung:
            dev_handle.write(self._clock.now(), data.tobytes())
        return len(data)

    def bulk_read(self, dev_handle: OceanTwin, ep: int, intf: int, buff: array[int], timeout: int) -> int:
        self._present(dev_handle)
        data = dev_handle.read(self._clock, ep, len(buff), timeout / 1000.0)
        self._present(dev_handle)
        if data is None:
            raise self._usb_timeout_error("Operation timed out", None, errno.ETIMEDOUT)
        buff[: len(data)] = array("B", data)
        return len(data)

    def detach(self) -> None:
        """Let go of the spectrometers: pyusb and seabreeze may keep the bus itself for the life of the process."""
        for twin in self._twins:
            twin.plugged = False
        self._twins = []

    def intr_write(self, dev_handle: OceanTwin, ep: int, intf: int, data: array[int], timeout: int) -> int:
        raise NotImplementedError("every endpoint is a bulk endpoint")

    def intr_read(self, dev_handle: OceanTwin, ep: int, intf: int, buff: array[int], timeout: int) -> int:
        raise NotImplementedError("every endpoint is a bulk endpoint")

    iso_write = intr_write
    iso_read = intr_read

    def _present(self, twin: OceanTwin) -> None:
        if not twin.plugged:
            raise self._usb_error("No such device (it may have been disconnected)", None, errno.ENODEV)


def register_usb(bus: UsbBus) -> str:
    """Make a bus known to pyusb; returns the backend name that ``OceanSpectrometer(backend=...)`` takes.

    seabreeze keeps each backend for the life of the process, so every bus gets a name of its own.
    """
    name = f"twin_{id(bus):x}"
    module = ModuleType(f"usb.backend.{name}")
    get_backend: Callable[..., UsbBus] = lambda find_library=None: bus  # noqa: E731
    module.__dict__["get_backend"] = get_backend
    sys.modules[module.__name__] = module
    return name


def unregister_usb(name: str) -> None:
    """Forget a bus and everything on it."""
    module = sys.modules.pop(f"usb.backend.{name}", None)
    if module is not None:
        bus: UsbBus = module.__dict__["get_backend"]()
        bus.detach()


@contextlib.contextmanager
def usb_bus(twins: Sequence[OceanTwin], clock: BlockingClock) -> Iterator[str]:
    """A registered bus for the length of a block; gives the backend name."""
    name = register_usb(UsbBus(twins, clock))
    try:
        yield name
    finally:
        unregister_usb(name)
