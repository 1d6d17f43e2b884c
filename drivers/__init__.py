"""Real hardware, one file per device family, over a few byte transports. Knows no campaign.

Importing this costs little: pyserial, pymodbus and seabreeze are imported when a port is opened.
"""

from drivers.errors import (
    BrokenWireError,
    DeviceAlarmError,
    DriverError,
    NotConnectedError,
    OutOfRangeError,
    PortError,
    ProtocolError,
    ReadBackError,
    RefusedError,
    WireTimeoutError,
)
from drivers.eurotherm import EurothermController, HeaterReading
from drivers.modbus import ModbusBus, RtuLink, TcpLink
from drivers.new_era import NewEraPump, PumpState, PumpStatus
from drivers.ocean_optics import OceanSpectrometer, SpectrometerIdentity
from drivers.pressure import PressureReading, PressureTransmitter
from drivers.transport import BlockingClock, Line, SerialTransport, Transport

__all__ = [
    "BlockingClock",
    "BrokenWireError",
    "DeviceAlarmError",
    "DriverError",
    "EurothermController",
    "HeaterReading",
    "Line",
    "ModbusBus",
    "NewEraPump",
    "NotConnectedError",
    "OceanSpectrometer",
    "OutOfRangeError",
    "PortError",
    "PressureReading",
    "PressureTransmitter",
    "ProtocolError",
    "PumpState",
    "PumpStatus",
    "ReadBackError",
    "RefusedError",
    "RtuLink",
    "SerialTransport",
    "SpectrometerIdentity",
    "TcpLink",
    "Transport",
    "WireTimeoutError",
]
