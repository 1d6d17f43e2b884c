"""Wires in memory: one world, and a twin of every device at the end of its line."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from drivers.transport import BlockingClock, Transport
from orchestrator.config import ModbusRtuPort, ModbusTcpPort, RigConfig, SerialPort
from orchestrator.twins.ports import folder_twin, modbus_line, serial_twin, spectrometer_twin
from orchestrator.twins.stage import Setting, Stage
from simulators.faults import Faults
from simulators.links import MemoryTransport, memory_modbus_connect
from simulators.wire_modbus import RtuPort, TcpPort
from simulators.wire_ocean import UsbBus, register_usb, unregister_usb

if TYPE_CHECKING:
    from drivers.modbus import Connect


class MemoryWires:
    """What the ports of a rig end in when it runs on twins (an ``assembling.Wires``)."""

    exact_restart = True

    def __init__(self, rig: RigConfig, setting: Setting, clock: BlockingClock, start_s: float) -> None:
        self._rig = rig
        self._clock = clock
        self.stage = Stage(rig, setting, start_s)
        self._released: list[Callable[[], None]] = [self.stage.faults.stop]
        self.stage.schedule_faults()

    @property
    def faults(self) -> Faults:
        """Where faults are injected."""
        return self.stage.faults

    @property
    def released(self) -> tuple[Callable[[], None], ...]:
        """What to call once all devices are closed."""
        return tuple(self._released)

    def transport(self, port: str) -> Transport:
        """The bytes of a serial port."""
        entry = self._rig.ports[port]
        baud_rate = entry.baud_rate if isinstance(entry, SerialPort) else 19200
        wire = self.stage.wire(port)
        twin = wire.around(serial_twin(self.stage, port))
        return MemoryTransport(twin, name=f"twin of {port}", baud_rate=baud_rate, gate=wire)

    def modbus_connect(self, port: str) -> Connect | None:
        """What a Modbus port is opened with."""
        wire, entry, line = self.stage.wire(port), self._rig.ports[port], modbus_line(self.stage, port)
        if isinstance(entry, ModbusTcpPort):
            return memory_modbus_connect(wire.around(TcpPort(line)), baud_rate=None, gate=wire)
        baud_rate = entry.baud_rate if isinstance(entry, ModbusRtuPort) else 9600
        return memory_modbus_connect(wire.around(RtuPort(line)), baud_rate=baud_rate, gate=wire)

    def usb_backend(self, port: str) -> str | None:
        """The pyusb backend of a spectrometer's port, whether it is on USB or on the network."""
        backend = register_usb(UsbBus([spectrometer_twin(self.stage, port)], self._clock))
        self._released.append(lambda: unregister_usb(backend))
        return backend

    def folder(self, port: str) -> Path:
        """A temporary folder into which the instrument's twin exports from now on."""
        folder = Path(tempfile.mkdtemp(prefix="lumiflow-"))
        twin = folder_twin(self.stage, port)(folder)
        twin.start(asyncio.get_running_loop())
        self._released += [twin.stop, lambda: shutil.rmtree(folder, ignore_errors=True)]
        return folder
