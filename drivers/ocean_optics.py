"""Ocean Optics USB spectrometers through seabreeze's pure-Python backend."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import math
import struct
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, TypeVar

from drivers.errors import (
    DriverError,
    NotConnectedError,
    OutOfRangeError,
    PortError,
    ProtocolError,
    ReadBackError,
    RefusedError,
    WireTimeoutError,
)
from drivers.ocean_models import (
    LONGEST_INTEGRATION_S,
    SEABREEZE_MODELS,
    STATUS_IN_MICROSECONDS,
    LampLine,
    SpectrometerIdentity,
)
from drivers.ocean_obp import SET_INTEGRATION_US
from drivers.ocean_seabreeze import command, dark_pixels, disarm, drive_lamp_line, is_binary, nonlinearity
from drivers.owner_thread import ended_in_thread
from drivers.readings import Look

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["OceanSpectrometer", "SpectrometerIdentity"]

T = TypeVar("T")

_STATUS_OPCODE: Final = 0xFE
_FIRST_INTEGRATION_S: Final = 0.1
_USB_TIMEOUT_S: Final = 1.0
"""pyusb's own default, which seabreeze adds to the integration time."""


class OceanSpectrometer:
    """One spectrometer in its own thread; seabreeze blocks for the integration time.

    Counts are raw: neither dark nor non-linearity is corrected. The first spectrum after a change of integration time
    or lamp began before the change: discard it.

    Proven against twins: USB2000+, Flame-S, USB4000 (and Flame-T), STS, QE Pro and HDX, which differ in protocol,
    pixels, full scale and integration range. seabreeze switches the lamp line of the first two only; for the others the
    opcode of the USB4000 data sheet and the message of the STS data sheet are sent (for QE Pro and HDX assumed to be
    the same). Integration times are read back, or acknowledged, on all six. Families with the second version of the
    binary protocol (SR, HR, ST) are refused: their messages are other ones.

    USB devices are listed directly, not through ``seabreeze.list_devices``, which also searches the network by
    multicast.

    Args:
        serial_number: which spectrometer, or None for the only one.
        backend: pyusb backend, the ``X`` of ``usb.backend.X``; None for the system's libusb.
        network: address and TCP port of a spectrometer on the network, in place of USB. seabreeze knows one, the HDX.
        model: what it must be, as on its box ("QE Pro"), or None for any.
        lamp: what hangs on the lamp line.
        margin_s: how much longer than the integration one spectrum may take before the device counts as hung.
        name: the device's name in messages.
    """

    def __init__(
        self,
        serial_number: str | None = None,
        backend: str | None = None,
        *,
        network: tuple[str, int] | None = None,
        model: str | None = None,
        lamp: LampLine | None = None,
        margin_s: float = 2.0,
        name: str = "spectrometer",
    ) -> None:
        if not (math.isfinite(margin_s) and margin_s > 0):
            raise OutOfRangeError("margin in s", low=0, high=math.inf, device=name, asked=margin_s)
        if model is not None and model not in SEABREEZE_MODELS:
            raise ValueError(f"{name}: no model named {model!r}; known: {', '.join(SEABREEZE_MODELS)}")
        self._serial_number = serial_number
        self._network = network
        self._model = model
        self._backend = backend
        self._lamp = lamp or LampLine()
        self._margin_s = margin_s
        self._name = name
        self._port = f"usb:{serial_number or 'any'}" if network is None else f"tcp:{network[0]}:{network[1]}"
        self._executor: ThreadPoolExecutor | None = None
        self._device: Any = None
        self._socket: Any = None
        self._handle: Any = None
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
    def lamp(self) -> LampLine:
        """What hangs on the lamp line."""
        return self._lamp

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
            if self._lamp.wired:
                await self.set_lamp(False)
        except BaseException:
            await self.close()
            raise
        return str(self._identity)

    async def look(self) -> Look:
        """Who it is; sets no exposure and no lamp, which it does not tell. Before ``connect`` it is let go again."""
        if self._identity is not None:
            return Look(str(self._identity), "connected", f"integrating for {self._integration_s:g} s")
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=self._name)
        try:
            self._device, identity = await self._call(self._open, 10.0, "look")
        finally:
            await self.close()
        return Look(str(identity), "free", "no spectrum was taken")

    async def wavelengths_nm(self) -> NDArray[np.float64]:
        """Wavelength of each pixel from the spectrometer's own calibration, shape (pixels,)."""
        device = self._opened()
        values: NDArray[np.float64] = await self._call(device.f.spectrometer.get_wavelengths, 5.0, "wavelengths")
        return values

    async def set_integration(self, duration_s: float) -> float:
        """Be integrating for ``duration_s``, rounded to a microsecond; returns what took effect.

        The upper end of the range stands for the longest time below it, a microsecond less. Raises OutOfRangeError,
        ReadBackError or RefusedError where the spectrometer has its own opinion.
        """
        low, high = self.identity.integration_range_s
        low_us, high_us = round(low * 1e6), round(high * 1e6)
        if not (math.isfinite(duration_s) and low_us <= round(duration_s * 1e6) <= high_us):
            raise OutOfRangeError(
                f"integration time {duration_s:g} s is outside {low:g} to {high:g} s",
                low=low,
                high=high,
                device=self._name,
                port=self._port,
                asked=duration_s,
            )
        device, duration_us = self._opened(), min(round(duration_s * 1e6), high_us - 1)
        await self._call(lambda: self._integrate(device, duration_us), 5.0, "set integration time")
        self._under_way_s = max(self._under_way_s, self._integration_s)
        self._integration_s = duration_us / 1e6
        return self._integration_s

    async def set_lamp(self, on: bool) -> None:
        """Have the lamp, or its shutter, on or off by the lamp-enable line; waits until the light is steady.

        Raises RefusedError for a lamp that cannot be switched off.
        """
        device = self._opened()
        if not self._lamp.wired:
            if not on:
                raise RefusedError("the lamp has no line", device=self._name, port=self._port, asked="lamp off")
            return
        high = on == self._lamp.high_is_on
        await self._call(lambda: drive_lamp_line(device, high), 5.0, f"lamp {'on' if on else 'off'}")
        if on and self._lamp.settle_s > 0.0:
            await asyncio.sleep(self._lamp.settle_s)

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
            transport = device.f.spectrometer.protocol.transport
            if self._network is None:
                transport._device.pyusb_device.default_timeout = round(1000.0 * (_USB_TIMEOUT_S + overhang_s))
            else:
                transport._device.socket.settimeout(self._integration_s + overhang_s + _USB_TIMEOUT_S)
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
        if self._socket is not None:
            # seabreeze closes another socket than the one it has connected.
            self._socket.close()
            self._socket = None
        self._give_up()

    def _give_up(self) -> None:
        executor, self._executor = self._executor, None
        self._device = None
        disarm(self._handle)
        self._handle = None
        self._identity = None
        if executor is not None:
            executor.shutdown(wait=False, cancel_futures=True)

    def _open(self) -> tuple[Any, SpectrometerIdentity]:
        from seabreeze.pyseabreeze.devices import SeaBreezeDevice
        from seabreeze.pyseabreeze.protocol import OBP2Protocol
        from seabreeze.pyseabreeze.transport import USBTransportDeviceInUse

        found: list[str] = []
        handles = tuple(self._handles())
        for handle in handles:
            device: Any = SeaBreezeDevice(handle)
            try:
                device.open()
            except RuntimeError as error:
                if self._network is None:
                    raise
                raise PortError(f"{error}", device=self._name, port=self._port) from error
            except USBTransportDeviceInUse:
                found.append("one in use")
                disarm(handle)
                continue
            serial_number = str(device.serial_number)
            found.append(serial_number)
            if self._serial_number is None or serial_number == self._serial_number:
                spectrometer = device.f.spectrometer
                self._handle = handle
                for other in handles:
                    if other is not handle:
                        disarm(other)
                if self._network is not None:
                    self._socket = handle.socket
                if isinstance(spectrometer.protocol, OBP2Protocol):
                    device.close()
                    raise self._unknown(device.model)
                if self._model is not None and device.model != SEABREEZE_MODELS[self._model]:
                    device.close()
                    raise RefusedError(
                        f"this is a {device.model}, not a {self._model}",
                        device=self._name,
                        port=self._port,
                        asked=self._model,
                        answered=device.model,
                    )
                low_us, high_us = spectrometer.get_integration_time_micros_limits()
                longest_s = LONGEST_INTEGRATION_S.get(device.model, high_us / 1e6)
                return device, SpectrometerIdentity(
                    model=device.model,
                    serial_number=serial_number,
                    pixels=len(spectrometer.get_wavelengths()),
                    full_scale_counts=float(spectrometer.get_maximum_intensity()),
                    integration_range_s=(low_us / 1e6, min(high_us / 1e6, longest_s)),
                    dark_pixels=dark_pixels(spectrometer.get_electric_dark_pixel_indices()),
                    nonlinearity=nonlinearity(device),
                )
            disarm(handle)
            device.close()
        raise PortError(
            "no such spectrometer" if self._serial_number else "no spectrometer found",
            device=self._name,
            port=self._port,
            asked=self._serial_number or "any",
            answered=", ".join(found) or "none",
        )

    def _handles(self) -> Iterable[Any]:
        """What seabreeze may open: what is on the bus, or what is at the address."""
        from seabreeze.pyseabreeze.transport import IPv4Transport, IPv4TransportHandle, USBTransport

        if self._network is None:
            yield from USBTransport.list_devices(pyusb_backend=self._backend)
            return
        # seabreeze finds the model by multicast, which a routed or a loopback network does not pass.
        model = SEABREEZE_MODELS[self._model or "HDX"]
        IPv4Transport.devices_ip_port[self._network] = model
        yield IPv4TransportHandle(*self._network)

    def _integrate(self, device: Any, duration_us: int) -> None:
        """Set, and make sure that it took: seabreeze itself swallows a refusal, and never reads back."""
        spectrometer = device.f.spectrometer
        if is_binary(device):
            command(device, SET_INTEGRATION_US, struct.pack("<L", duration_us))
        spectrometer.set_integration_time_micros(duration_us)
        if device.model in STATUS_IN_MICROSECONDS:
            status = spectrometer.protocol.query(_STATUS_OPCODE, size=16)
            actual_us = struct.unpack_from("<L", status, 2)[0]
            if actual_us != duration_us:
                raise ReadBackError(
                    "the integration time did not take",
                    device=self._name,
                    port=self._port,
                    asked=f"{duration_us} µs",
                    answered=f"{actual_us} µs",
                )

    def _unknown(self, model: str) -> RefusedError:
        return RefusedError(f"a {model} speaks a protocol not driven here", device=self._name, port=self._port)

    def _opened(self) -> Any:
        if self._device is None:
            raise NotConnectedError("the spectrometer is not connected", device=self._name, port=self._port)
        return self._device

    async def _call(self, action: Callable[[], T], expected_s: float, asked: str) -> T:
        """Run ``action`` in the owner thread, for at most ``expected_s`` and the margin."""
        deadline_s = expected_s + self._margin_s
        call = await ended_in_thread(self._executor, action, deadline_s)
        if call is None:
            self._give_up()
            raise WireTimeoutError(
                f"nothing came within {deadline_s:g} s", device=self._name, port=self._port, asked=asked
            )
        try:
            return call.result()
        except (ProtocolError, RefusedError) as error:
            raise type(error)(
                error.message, device=self._name, port=self._port, asked=error.asked or asked, answered=error.answered
            ) from error
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
