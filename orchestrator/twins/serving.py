"""A whole rig of twins on real ports: TCP on the loopback, and ptys where the system has them, both at once."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drivers.transport import BlockingClock
from orchestrator.config import EthernetPort, FolderPort, ModbusRtuPort, ModbusTcpPort, RigConfig, SerialPort, UsbPort
from orchestrator.config.spectrometers import OceanOpticsConfig
from orchestrator.kinds import kind_of
from orchestrator.twins.ports import folder_twin, modbus_line, serial_twin, spectrometer_twin
from orchestrator.twins.stage import Setting, Stage
from simulators.party import Party
from simulators.serve import serve_pty, serve_tcp
from simulators.wire_modbus import RtuPort, TcpPort
from simulators.wire_ocean_tcp import ObpPort

NETWORK_MODEL = "HDX"
"""What stands in for spectrometers on USB, which cannot be served: it has the same lamp, cell and fluid before it."""
SERVED_MARK = "# Written by lumiflow twin serve"
"""How a rig file of served twins begins."""


@dataclass(frozen=True)
class ServedPort:
    """One port of the rig on real ports. ``rewritten``: what its section of the rig file must say to reach it.

    ``addresses`` by how they are reached: tcp and pty (bytes of a serial line), modbus_tcp, rtu_tcp, rtu_pty, obp_tcp,
    folder.
    """

    addresses: Mapping[str, str]
    rewritten: Mapping[str, Any]


@dataclass
class ServedRig:
    """A rig of twins that is being served."""

    rig: RigConfig
    stage: Stage
    ports: dict[str, ServedPort] = field(default_factory=dict)
    _closing: list[Callable[[], None]] = field(default_factory=list)

    def close(self) -> None:
        """Stop serving."""
        self.stage.faults.stop()
        for close in reversed(self._closing):
            close()
        self._closing.clear()

    def devices(self) -> list[dict[str, Any]]:
        """Every device: its name, kind, role, port and addresses, the one for a rig file first."""
        rows = []
        for name, config in self.rig.devices.items():
            served = self.ports[config.port]
            rows.append(
                {
                    "name": name,
                    "kind": config.driver,
                    "role": kind_of(config).role,
                    "port": config.port,
                    "address": next(iter(served.addresses.values())),
                    "addresses": dict(served.addresses),
                }
            )
        return rows


def servable(rig: RigConfig) -> RigConfig:
    """The rig as it can be served: a spectrometer on USB is an HDX on the network."""
    devices = {
        name: device.model_copy(update={"model": NETWORK_MODEL}) if isinstance(device, OceanOpticsConfig) else device
        for name, device in rig.devices.items()
    }
    return rig.model_copy(update={"devices": devices})


async def serve_rig(rig: RigConfig, setting: Setting, clock: BlockingClock, *, ptys: bool = True) -> ServedRig:
    """Serve every device of a rig, in the running loop's time, until ``close``.

    Raises RigFault for a device that has no twin. Ports that no device hangs on are left out.
    """
    rig = servable(rig)
    loop = asyncio.get_running_loop()
    served = ServedRig(rig, Stage(rig, setting, loop.time()))
    ptys = ptys and os.name == "posix"
    try:
        for name in rig.ports:
            if rig.on_port(name):
                served.ports[name] = await _serve_port(served, name, clock, ptys=ptys)
        served.stage.schedule_faults()
    except BaseException:
        served.close()
        raise
    return served


async def _serve_port(served: ServedRig, name: str, clock: BlockingClock, *, ptys: bool) -> ServedPort:
    entry = served.rig.ports[name]
    if isinstance(entry, SerialPort):
        return await _serve_serial(served, name, entry, ptys=ptys)
    if isinstance(entry, ModbusRtuPort | ModbusTcpPort):
        return await _serve_modbus(served, name, ptys=ptys)
    if isinstance(entry, UsbPort | EthernetPort):
        return await _serve_spectrometer(served, name, clock)
    assert isinstance(entry, FolderPort)
    return _serve_folder(served, name)


async def _serve_serial(served: ServedRig, name: str, entry: SerialPort, *, ptys: bool) -> ServedPort:
    wire = served.stage.wire(name)
    party = Party(serial_twin(served.stage, name))
    tcp = await serve_tcp(lambda: wire.around(party.door()))
    served._closing.append(tcp.close)
    url = f"socket://{tcp.address}"
    addresses = {"tcp": url}
    if ptys:
        pty = await serve_pty(wire.around(party.door()))
        served._closing.append(pty.close)
        addresses["pty"] = pty.address
    return ServedPort(addresses, {"kind": "serial", "url": url, "baud_rate": entry.baud_rate})


async def _serve_modbus(served: ServedRig, name: str, *, ptys: bool) -> ServedPort:
    wire, line = served.stage.wire(name), modbus_line(served.stage, name)
    tcp = await serve_tcp(lambda: wire.around(TcpPort(line)))
    served._closing.append(tcp.close)
    rtu = await serve_tcp(lambda: wire.around(RtuPort(line)))
    served._closing.append(rtu.close)
    addresses = {"modbus_tcp": tcp.address, "rtu_tcp": f"socket://{rtu.address}"}
    if ptys:
        pty = await serve_pty(wire.around(RtuPort(line)))
        served._closing.append(pty.close)
        addresses["rtu_pty"] = pty.address
    host, _, number = tcp.address.rpartition(":")
    return ServedPort(addresses, {"kind": "modbus_tcp", "host": host, "tcp_port": int(number)})


async def _serve_spectrometer(served: ServedRig, name: str, clock: BlockingClock) -> ServedPort:
    wire, twin = served.stage.wire(name), spectrometer_twin(served.stage, name)
    tcp = await serve_tcp(lambda: wire.around(ObpPort(twin, clock)))
    served._closing.append(tcp.close)
    host, _, number = tcp.address.rpartition(":")
    return ServedPort({"obp_tcp": tcp.address}, {"kind": "ethernet", "host": host, "tcp_port": int(number)})


def _serve_folder(served: ServedRig, name: str) -> ServedPort:
    folder = Path(tempfile.mkdtemp(prefix="lumiflow-"))
    served._closing.append(lambda: shutil.rmtree(folder, ignore_errors=True))
    twin = folder_twin(served.stage, name)(folder)
    twin.start(asyncio.get_running_loop())
    served._closing.append(twin.stop)
    return ServedPort({"folder": str(folder)}, {"kind": "folder", "path": str(folder)})


def rewritten_rig(text: str, served: ServedRig, pace: float) -> str:
    """The text of a rig file with its ports at the served addresses; comments stay where they are."""
    import io

    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.width = 120
    data = yaml.load(text)
    if pace != 1.0:
        data["pace"] = pace
    for name, port in served.ports.items():
        data["ports"][name] = dict(port.rewritten)
    for name, device in served.rig.devices.items():
        if isinstance(device, OceanOpticsConfig):
            data["devices"][name]["model"] = NETWORK_MODEL
    out = io.StringIO()
    yaml.dump(data, out)
    head = f"{SERVED_MARK}: the ports are those of twins, good while it serves.\n"
    return head + out.getvalue()
