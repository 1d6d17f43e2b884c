"""A USB bus in memory: what pyusb calls a backend, with spectrometers plugged into it.

pyusb takes any object that behaves like ``usb.backend.IBackend``. It is put where ``usb.backend.NAME`` is imported
from, so the true seabreeze and pyusb run unchanged.
"""

from __future__ import annotations

import contextlib
import errno
import secrets
import sys
from array import array
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Final

from drivers.transport import BlockingClock
from simulators.ocean_models import HIGH_IN, HIGH_IN_2, LOW_IN, OUT

if TYPE_CHECKING:
    from simulators.wire_ocean import OceanTwin

_VENDOR: Final = 0x2457


class UsbBus:
    """A USB bus with spectrometers on it: what pyusb calls a backend. Unplugged ones are not listed."""

    def __init__(self, twins: Sequence[OceanTwin], clock: BlockingClock) -> None:
        serials = [twin.serial_number for twin in twins]
        if len(set(serials)) != len(serials):
            raise ValueError(f"two spectrometers share a serial number: {serials}")
        import usb.core

        self._twins = list(twins)
        self._clock: BlockingClock | None = clock
        self._usb_error: type[OSError] = usb.core.USBError
        self._usb_timeout_error: type[OSError] = usb.core.USBTimeoutError

    def enumerate_devices(self) -> list[OceanTwin]:
        return [twin for twin in self._twins if twin.plugged]

    def get_device_descriptor(self, dev: OceanTwin) -> SimpleNamespace:
        address = self._twins.index(dev) + 1
        return SimpleNamespace(
            bLength=18, bDescriptorType=1, bcdUSB=0x0200, bDeviceClass=0, bDeviceSubClass=0, bDeviceProtocol=0,
            bMaxPacketSize0=64, idVendor=_VENDOR, idProduct=dev.model.product_id, bcdDevice=2,
            iManufacturer=0, iProduct=0, iSerialNumber=0, bNumConfigurations=1, bus=1, address=address,
            port_number=address, port_numbers=(address,), speed=3,
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
            bLength=7, bDescriptorType=5, bEndpointAddress=(OUT, LOW_IN, HIGH_IN, HIGH_IN_2)[ep], bmAttributes=2,
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
        clock = self._present(dev_handle)
        if not dev_handle.hung:
            dev_handle.write(clock.now(), data.tobytes())
        return len(data)

    def bulk_read(self, dev_handle: OceanTwin, ep: int, intf: int, buff: array[int], timeout: int) -> int:
        clock = self._present(dev_handle)
        data = dev_handle.read(clock, ep, len(buff), timeout / 1000.0)
        self._present(dev_handle)
        if data is None:
            raise self._usb_timeout_error("Operation timed out", None, errno.ETIMEDOUT)
        buff[: len(data)] = array("B", data)
        return len(data)

    def detach(self) -> None:
        """Let go of the spectrometers and the clock: seabreeze keeps the bus itself for the life of the process."""
        for twin in self._twins:
            twin.plugged = False
        self._twins = []
        self._clock = None

    def intr_write(self, dev_handle: OceanTwin, ep: int, intf: int, data: array[int], timeout: int) -> int:
        raise NotImplementedError("every endpoint is a bulk endpoint")

    def intr_read(self, dev_handle: OceanTwin, ep: int, intf: int, buff: array[int], timeout: int) -> int:
        raise NotImplementedError("every endpoint is a bulk endpoint")

    iso_write = intr_write
    iso_read = intr_read

    def _present(self, twin: OceanTwin) -> BlockingClock:
        """The bus's clock, where the spectrometer is on the bus."""
        if not twin.plugged or self._clock is None:
            raise self._usb_error("No such device (it may have been disconnected)", None, errno.ENODEV)
        return self._clock


def register_usb(bus: UsbBus) -> str:
    """Make a bus known to pyusb; returns the backend name that ``OceanSpectrometer(backend=...)`` takes.

    seabreeze keeps each backend for the life of the process, so every bus gets a name of its own.
    """
    name = f"twin_{secrets.token_hex(8)}"  # never one that a bus before has had
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
