"""What seabreeze leaves to be done on a device that it has opened."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Final

from drivers.ocean_obp import ANSWER_BYTES, SET_LAMP_ENABLE, check_acknowledged, encode_command

_LAMP_OPCODE: Final = 0x03


class _Gone:
    """Stands where a handle's USB device was, and cannot be reset."""

    backend = SimpleNamespace(_finalize_called=True)

    def reset(self) -> None:
        """Nothing to reset."""


def disarm(handle: Any) -> None:
    """Let a handle go without a reset of its device.

    seabreeze resets the device when a handle is collected as garbage, whenever that is: of one that was abandoned,
    into the work of its successor, and of one that was only looked at, into the work of another program.
    """
    if hasattr(handle, "pyusb_device"):
        handle.pyusb_device = _Gone()


def is_binary(device: Any) -> bool:
    """Whether a device speaks the binary protocol."""
    from seabreeze.pyseabreeze.protocol import OBPProtocol

    return isinstance(device.f.spectrometer.protocol, OBPProtocol)


def drive_lamp_line(device: Any, high: bool) -> None:
    """Raise or lower the line that enables a lamp."""
    if is_binary(device):
        command(device, SET_LAMP_ENABLE, bytes((high,)))
    else:
        device.f.spectrometer.protocol.send(_LAMP_OPCODE, int(high))


def command(device: Any, kind: int, data: bytes) -> None:
    """Send a command of the binary protocol and take its acknowledgement."""
    transport = device.f.spectrometer.protocol.transport
    transport.write(encode_command(kind, data))
    check_acknowledged(bytes(transport.read(size=ANSWER_BYTES)), kind)


def dark_pixels(indices: Any) -> tuple[int, ...]:
    """seabreeze 2.11 nests the indices of a USB4000 one level too deep."""
    flat: list[int] = []
    for entry in indices:
        flat.extend(entry if isinstance(entry, tuple) else (entry,))
    return tuple(flat)


def nonlinearity(device: Any) -> tuple[float, ...]:
    """The coefficients of a device's correction for nonlinearity; none where it has none."""
    feature = device.f.nonlinearity_coefficients
    try:
        return () if feature is None else tuple(float(value) for value in feature.get_nonlinearity_coefficients())
    except ValueError:
        # An EEPROM slot that was never written.
        return ()
