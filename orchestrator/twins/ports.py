"""The twins at the end of each port of a rig, whatever the port itself is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from orchestrator.config import DeviceConfig
from orchestrator.twins.built_in import twin_of
from orchestrator.twins.stage import Stage
from simulators.links import StreamTwin
from simulators.wire_folder import FolderTwin
from simulators.wire_modbus import ModbusLine, ModbusUnit
from simulators.wire_ocean import OceanTwin
from simulators.wire_phase import InputModuleTwin


def serial_twin(stage: Stage, port: str) -> StreamTwin:
    """All devices of a serial line as one twin. They are of one kind, as the loader has checked."""
    ((word, devices),) = _by_kind(stage, port).items()
    twin: StreamTwin = twin_of(word)(stage, devices)
    return twin


def modbus_line(stage: Stage, port: str) -> ModbusLine:
    """All devices of a Modbus bus. Channels of one input module may be of several kinds."""
    units: dict[int, ModbusUnit] = {}
    channels: dict[int, dict[int, Any]] = {}
    for word, devices in _by_kind(stage, port).items():
        for address, found in twin_of(word)(stage, devices).items():
            if isinstance(found, Mapping):
                channels.setdefault(address, {}).update(found)
            else:
                units[address] = found
    units.update({address: InputModuleTwin(registers) for address, registers in channels.items()})
    return ModbusLine(units)


def spectrometer_twin(stage: Stage, port: str) -> OceanTwin:
    """The spectrometer on a USB or network port."""
    ((word, devices),) = _by_kind(stage, port).items()
    twin: OceanTwin = twin_of(word)(stage, devices)
    return twin


def folder_twin(stage: Stage, port: str) -> Callable[[Path], FolderTwin]:
    """The instrument that exports into a folder, once it is told which."""
    ((word, devices),) = _by_kind(stage, port).items()
    into: Callable[[Path], FolderTwin] = twin_of(word)(stage, devices)
    return into


def _by_kind(stage: Stage, port: str) -> dict[str, dict[str, DeviceConfig]]:
    kinds: dict[str, dict[str, DeviceConfig]] = {}
    for name, device in stage.rig.on_port(port).items():
        kinds.setdefault(device.driver, {})[name] = device
    return kinds
