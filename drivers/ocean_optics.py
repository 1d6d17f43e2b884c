"""Ocean Optics USB spectrometers through seabreeze's pure-Python backend."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from drivers.errors import (
    DriverError,
    NotConnectedError,
    OutOfRangeError,
    PortError,
    ProtocolError,
    WireTimeoutError,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")

LONGEST_INTEGRATION_S: Final = {"USB2000PLUS": 65.0, "FLAMES": 65.0}
"""The data sheets' limits; seabreeze's tables allow ten times more."""
_FIRST_INTEGRATION_S: Final = 0.1
_USB_TIMEOUT_S: Final = 1.0
"""pyusb's own default, which seabreeze adds to the integration time."""


@dataclass(frozen=True)
class SpectrometerIdentity:
    """What the spectrometer says of itself. An integration time t is valid for low <= t < high."""

    model: str
    serial_number: str
    pixels: int
    full_scale_counts: float
    integration_range_s: tuple[float, float]

    def __str__(self) -> str:
        low, high = self.integration_range_s
        return (
            f"{self.model} {self.serial_number}, {self.pixels} pixels, full scale {self.full_scale_counts:g} counts, "
            f"{low:g} to {high:g} s"
        )


class OceanSpectrometer:
    """One spectrometer in its own thread; seabreeze blocks for the integration time.

    Counts are raw: neither dark nor non-linearity is corrected. The first spectrum after a change of integration time
    or lamp began before the change: discard it.

    USB devices are listed directly, not through ``seabreeze.list_devices``, which also searches the network by
    multicast.

    Args:
        serial_number: which spectrometer, or None for the only one.
        backend: pyusb backend, the ``X`` of ``usb.backend.X``; None for the system's libusb.
        margin_s: how much longer than the integration one spectrum may take before the device counts as hung.
        name: the device's name in messages.
    """

    def __init__(
        self,
        serial_number: str | None = None,
        backend: str | None = None,
        *,
        margin_s: float = 2.0,
        name: str = "spectrometer",
    ) -> None:
        if not (math.isfinite(margin_s) and margin_s > 0):
            raise OutOfRangeError("margin in s", low=0, high=math.inf, device=name, asked=margin_s)
        self._serial_number = serial_number
        self._backend = backend
        self._margin_s = margin_s
        self._name = name
        self._port = f"usb:{serial_number or 'any'}"
        self._executor: ThreadPoolExecutor | None = None
        self._device: Any = None
        self._identity: SpectrometerIdentity | None = None
        self._integration_s = _FIRST_INTEGRATION_S
        self._under_way_s = 0.0

    @property
    def name(self) -> str:
        """The device's name."""
        return self._name

    @property
    def identity(self) -> SpectrometerIdentity:
        """What ``connect`` found. Raises NotConnectedError before that."""
        if self._identity is None:
            raise NotConnectedError("the spectrometer is not connected", device=self._name, port=self._port)
        return self._identity

    @property
    def full_scale_counts(self) -> float:
        """Largest count. Raises NotConnectedError before ``connect``."""
        return self.identity.full_scale_counts

    @property
    def integration_s(self) -> float:
        """The integration time in effect."""
        return self._integration_s

    async def connect(self) -> str:
        """Find and open the spectrometer, set 0.1 s, switch the lamp line off; returns ``str(identity)``.

        Raises PortError when it is absent or in use.
        """
        await self.close()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=self._name)
        try:
            self._device, self._identity = await self._call(self._open, 10.0, "connect")
            # Until a time is set, seabreeze waits for a spectrum as long as the longest integration.
            await self.set_integration(_FIRST_INTEGRATION_S)
            await self.set_lamp(False)
        except BaseException:
            await self.close()
            raise
        return str(self._identity)

    async def wavelengths_nm(self) -> NDArray[np.float64]:
        """Wavelength of each pixel from the spectrometer's own calibration, shape (pixels,)."""
        device = self._opened()
        values: NDArray[np.float64] = await self._call(device.f.spectrometer.get_wavelengths, 5.0, "wavelengths")
        return values

    async def set_integration(self, duration_s: float) -> float:
        """Be integrating for ``duration_s``, rounded to a microsecond; returns what took effect.

        Raises OutOfRangeError.
        """
        low, high = self.identity.integration_range_s
        if not low <= duration_s < high:
            raise OutOfRangeError(
                f"integration time {duration_s:g} s is outside {low:g} <= t < {high:g} s",
                low=low,
                high=high,
                device=self._name,
                port=self._port,
                asked=duration_s,
            )
        device = self._opened()
        duration_us = round(duration_s * 1e6)
        await self._call(
            lambda: device.f.spectrometer.set_integration_time_micros(duration_us), 5.0, "set integration time"
        )
        self._under_way_s = max(self._under_way_s, self._integration_s)
        self._integration_s = duration_us / 1e6
        return self._integration_s

    async def set_lamp(self, on: bool) -> None:
        """Drive the lamp-enable line (opcode 0x03), to which the excitation lamp or its shutter is wired."""
        device = self._opened()
        await self._call(lambda: device.f.continuous_strobe.set_enable(on), 5.0, f"lamp {'on' if on else 'off'}")

    async def acquire(self) -> NDArray[np.float64]:
        """One spectrum: raw counts, shape (pixels,), 0 to full scale.

        Raises WireTimeoutError when the spectrum is overdue (the connection is then given up: ``connect`` again) and
        PortError when the spectrometer was unplugged.
        """
        device = self._opened()
        # The spectrum under way when the time was shortened still takes the longer time, which seabreeze's own
        # time-out (new integration plus pyusb's default) does not know.
        overhang_s = max(self._under_way_s - self._integration_s, 0.0)

        def acquire() -> NDArray[np.float64]:
            usb = device.f.spectrometer.protocol.transport._device.pyusb_device
            usb.default_timeout = round(1000.0 * (_USB_TIMEOUT_S + overhang_s))
            counts: NDArray[np.float64] = device.f.spectrometer.get_intensities()
            return counts

        counts = await self._call(acquire, self._integration_s + overhang_s, "spectrum")
        self._under_way_s = 0.0
        pixels = self.identity.pixels
        if counts.shape != (pixels,):
            raise ProtocolError(
                "the spectrum has a wrong length",
                device=self._name,
                port=self._port,
                asked=f"{pixels} pixels",
                answered=counts.shape,
            )
        return counts

    async def close(self) -> None:
        """Release the spectrometer. A hung one is abandoned: its thread ends when USB gives up."""
        device, self._device = self._device, None
        if device is not None:
            with contextlib.suppress(DriverError):
                await self._call(device.close, 2.0, "close")
        self._give_up()

    def _give_up(self) -> None:
        executor, self._executor = self._executor, None
        self._device = None
        self._identity = None
        if executor is not None:
            executor.shutdown(wait=False, cancel_futures=True)

    def _open(self) -> tuple[Any, SpectrometerIdentity]:
        from seabreeze.pyseabreeze.devices import SeaBreezeDevice
        from seabreeze.pyseabreeze.transport import USBTransport, USBTransportDeviceInUse

        found: list[str] = []
        for handle in USBTransport.list_devices(pyusb_backend=self._backend):
            device = SeaBreezeDevice(handle)
            try:
                device.open()
            except USBTransportDeviceInUse:
                found.append("one in use")
                continue
            serial_number = str(device.serial_number)
            found.append(serial_number)
            if self._serial_number is None or serial_number == self._serial_number:
                spectrometer = device.f.spectrometer
                low_us, high_us = spectrometer.get_integration_time_micros_limits()
                longest_s = LONGEST_INTEGRATION_S.get(device.model, high_us / 1e6)
                return device, SpectrometerIdentity(
                    model=device.model,
                    serial_number=serial_number,
                    pixels=len(spectrometer.get_wavelengths()),
                    full_scale_counts=float(spectrometer.get_maximum_intensity()),
                    integration_range_s=(low_us / 1e6, min(high_us / 1e6, longest_s)),
                )
            device.close()
        raise PortError(
            "no such spectrometer" if self._serial_number else "no spectrometer found",
            device=self._name,
            port=self._port,
            asked=self._serial_number or "any",
            answered=", ".join(found) or "none",
        )

    def _opened(self) -> Any:
        if self._device is None:
            raise NotConnectedError("the spectrometer is not connected", device=self._name, port=self._port)
        return self._device

    async def _call(self, action: Callable[[], T], expected_s: float, asked: str) -> T:
        """Run ``action`` in the owner thread, for at most ``expected_s`` and the margin."""
        deadline_s = expected_s + self._margin_s
        future = asyncio.get_running_loop().run_in_executor(self._executor, action)
        # A USB call cannot be interrupted, so on the deadline it is left alone rather than cancelled.
        done, _ = await asyncio.wait([future], timeout=deadline_s)
        if not done:
            future.add_done_callback(_forget)
            self._give_up()
            raise WireTimeoutError(
                f"nothing came within {deadline_s:g} s", device=self._name, port=self._port, asked=asked
            )
        try:
            return future.result()
        except DriverError:
            raise
        except Exception as error:
            raise self._translated(error, asked) from error

    def _translated(self, error: Exception, asked: str) -> DriverError:
        """An unplugged device raises usb.core.USBError (an OSError), seabreeze's own errors anything else."""
        number = getattr(error, "errno", None)
        kind: type[DriverError] = ProtocolError
        message = f"{type(error).__name__}: {error}"
        if number in {errno.ENODEV, errno.ENXIO, errno.EIO}:
            kind, message = PortError, "the spectrometer was unplugged"
            self._give_up()
        elif number == errno.ETIMEDOUT:
            kind, message = WireTimeoutError, "the spectrometer does not answer"
        elif isinstance(error, OSError) or number is not None:
            kind = PortError
        return kind(message, device=self._name, port=self._port, asked=asked, answered=f"{error}")


def _forget(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()
