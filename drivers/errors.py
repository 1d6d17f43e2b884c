"""Errors of the drivers. Each one says which device, on which port, what was asked and what came back."""

from __future__ import annotations


class DriverError(Exception):
    """Root of everything a driver raises.

    Attributes:
        message: what went wrong, in words.
        device: the device's name in the rig, or "".
        port: the port or address it was reached by, or "".
        asked: what was sent or requested, as text, or "".
        answered: what came back, as text, or "".
    """

    def __init__(
        self, message: str, *, device: str = "", port: str = "", asked: object = "", answered: object = ""
    ) -> None:
        self.message = message
        self.device = device
        self.port = port
        self.asked = _text(asked)
        self.answered = _text(answered)
        super().__init__(message)

    def __str__(self) -> str:
        where = " on ".join(part for part in (self.device, self.port) if part)
        detail = "; ".join(
            f"{verb} {value}" for verb, value in (("asked", self.asked), ("answered", self.answered)) if value
        )
        return f"{where + ': ' if where else ''}{self.message}{f' ({detail})' if detail else ''}"


class PortError(DriverError):
    """The port cannot be opened, is in use, or went away."""


class WireTimeoutError(DriverError):
    """No complete answer came within the time allowed."""


class ProtocolError(DriverError):
    """An answer came that the protocol does not allow: bad checksum, wrong address, garbage."""


class RefusedError(DriverError):
    """The device understood and said no."""


class OutOfRangeError(DriverError, ValueError):
    """The value asked lies outside what the device can do; nothing was sent.

    Attributes:
        low, high: the allowed range, in the unit of the value asked.
    """

    def __init__(self, message: str, *, low: float, high: float, device: str = "", port: str = "", asked: object = ""):
        super().__init__(message, device=device, port=port, asked=asked)
        self.low = low
        self.high = high


def must_be_within(what: str, value: float, low: float, high: float, unit: str, *, device: str, port: str = "") -> None:
    """Refuse a value before anything is sent. Raises OutOfRangeError unless low <= value <= high."""
    if not low <= value <= high:
        message = f"{what} {value:g} {unit} is outside {low:.5g} to {high:.5g} {unit}"
        raise OutOfRangeError(message, low=low, high=high, device=device, port=port, asked=value)


def brought_within(
    what: str, value: float, low: float, high: float, unit: str, *, slack: float, device: str, port: str = ""
) -> float:
    """The value; or the end of the range, where it lies beyond that by at most this share of it.

    For ends that the asker knows only as somebody has rounded them. Raises OutOfRangeError before anything is sent.
    """
    nearest = min(max(value, low), high)
    if not abs(nearest - value) <= slack * abs(nearest):
        must_be_within(what, value, low, high, unit, device=device, port=port)
    return nearest


class ReadBackError(DriverError):
    """A setting was accepted, but reads back as something else."""


class DeviceAlarmError(DriverError):
    """The device reports an alarm.

    Attributes:
        alarm: the alarm in words, for example "stalled".
    """

    def __init__(
        self,
        message: str,
        *,
        alarm: str,
        device: str = "",
        port: str = "",
        asked: object = "",
        answered: object = "",
    ):
        super().__init__(message, device=device, port=port, asked=asked, answered=answered)
        self.alarm = alarm


class BrokenWireError(DeviceAlarmError):
    """A current loop carries less than a live transmitter can send, or more."""


class NotConnectedError(DriverError):
    """A verb was used before ``connect`` or after the device was lost."""


class LostDeviceError(DriverError):
    """A device stayed away longer than its outage may last; ``outage_s`` says how long.

    Attributes:
        outage_s: seconds since the device was last heard.
    """

    def __init__(
        self,
        message: str,
        *,
        outage_s: float,
        device: str = "",
        port: str = "",
        asked: object = "",
        answered: object = "",
    ):
        super().__init__(message, device=device, port=port, asked=asked, answered=answered)
        self.outage_s = outage_s


class SupersededError(DriverError):
    """A setting that waited for its device to come back was overtaken by a newer one, and was not sent."""


def _text(value: object) -> str:
    if isinstance(value, (bytes, bytearray)):
        return repr(bytes(value)) if value else ""
    return f"{value:.10g}" if isinstance(value, float) else str(value)
