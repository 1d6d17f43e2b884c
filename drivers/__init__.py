"""Real hardware, one file per device family, over a few byte transports. Knows no campaign.

Importing this costs little: pyserial, pymodbus and seabreeze are imported when a port is opened.
"""

from drivers.alicat import AlicatController
from drivers.bronkhorst import BronkhorstController
from drivers.cavro import CavroPair, CavroPump
from drivers.errors import (
    BrokenWireError,
    DeviceAlarmError,
    DriverError,
    LostDeviceError,
    NotConnectedError,
    OutOfRangeError,
    PortError,
    ProtocolError,
    ReadBackError,
    RefusedError,
    SupersededError,
    WireTimeoutError,
)
from drivers.eurotherm import EurothermController
from drivers.folder_spectrometer import FolderSpectrometer
from drivers.gas import GasReading
from drivers.harvard import HarvardPump
from drivers.heater_reading import HeaterReading
from drivers.identify import Identification, Scan, identify
from drivers.ika import IkaHotplate
from drivers.julabo import JulaboCirculator
from drivers.modbus import ModbusBus, RtuLink, TcpLink
from drivers.nanodac import NanodacController
from drivers.new_era import NewEraPump
from drivers.novus import NovusController
from drivers.ocean_models import LampLine, corrected
from drivers.ocean_optics import OceanSpectrometer, SpectrometerIdentity
from drivers.omega import OmegaController
from drivers.phase_sensor import Phase, PhaseReading, PhaseSensor
from drivers.pressure import PressureReading, PressureTransmitter
from drivers.readings import Found, Look, PumpState, PumpStatus
from drivers.recovering import RecoveringHeater, RecoveringPressure, RecoveringSpectrometer
from drivers.recovering_around import RecoveringGas, RecoveringPhase, RecoveringValve
from drivers.recovering_pump import RecoveringPump
from drivers.recovery import Quality, Reading, RecoveryRules, Rung
from drivers.transport import BlockingClock, Line, SerialTransport, Transport
from drivers.vici import ViciSelector
from drivers.watlow import WatlowController

__all__ = [
    "AlicatController",
    "BlockingClock",
    "BrokenWireError",
    "BronkhorstController",
    "CavroPair",
    "CavroPump",
    "DeviceAlarmError",
    "DriverError",
    "EurothermController",
    "FolderSpectrometer",
    "Found",
    "GasReading",
    "HarvardPump",
    "HeaterReading",
    "Identification",
    "IkaHotplate",
    "JulaboCirculator",
    "LampLine",
    "Line",
    "Look",
    "LostDeviceError",
    "ModbusBus",
    "NanodacController",
    "NewEraPump",
    "NotConnectedError",
    "NovusController",
    "OceanSpectrometer",
    "OmegaController",
    "OutOfRangeError",
    "Phase",
    "PhaseReading",
    "PhaseSensor",
    "PortError",
    "PressureReading",
    "PressureTransmitter",
    "ProtocolError",
    "PumpState",
    "PumpStatus",
    "Quality",
    "ReadBackError",
    "Reading",
    "RecoveringGas",
    "RecoveringHeater",
    "RecoveringPhase",
    "RecoveringPressure",
    "RecoveringPump",
    "RecoveringSpectrometer",
    "RecoveringValve",
    "RecoveryRules",
    "RefusedError",
    "RtuLink",
    "Rung",
    "Scan",
    "SerialTransport",
    "SpectrometerIdentity",
    "SupersededError",
    "TcpLink",
    "Transport",
    "ViciSelector",
    "WatlowController",
    "WireTimeoutError",
    "corrected",
    "identify",
]
