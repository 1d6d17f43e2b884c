"""What a kind of device is, and what its driver is built from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

from orchestrator.config.device_roles import DeviceConfig, Role

if TYPE_CHECKING:
    from drivers import Line, ModbusBus
    from orchestrator.config.rig import Port

PortKind = Literal["serial", "modbus_rtu", "modbus_tcp", "usb", "ethernet", "folder"]
PORT_KINDS: tuple[PortKind, ...] = get_args(PortKind)


class DriverContext(Protocol):
    """What a driver is built from. Each line and bus is made once and shared by the devices on it."""

    def port(self, name: str) -> Port:
        """A port as the rig file describes it."""
        ...

    def line(self, port: str) -> Line:
        """The byte line of a serial port."""
        ...

    def bus(self, port: str) -> ModbusBus:
        """The bus of a Modbus port."""
        ...

    def usb_backend(self, port: str) -> str | None:
        """The pyusb backend that a spectrometer is found on: a twin's, or None for the system's."""
        ...

    def folder(self, port: str) -> Path:
        """Where a folder port's files appear."""
        ...

    @property
    def temperature_range_c(self) -> tuple[float, float]:
        """The rig's limits of temperature."""
        ...

    @property
    def safe_temperature_c(self) -> float:
        """The set-point that a heater leaves behind when it is switched off."""
        ...


BuildDriver = Callable[[DriverContext, str, Any], Any]
"""Takes the context, the device's name and its configuration; gives a driver with the verbs of its role."""


@dataclass(frozen=True)
class DeviceKind:
    """One kind of device.

    Attributes:
        config: its model, below the class of its role in ``orchestrator.config.devices``; its ``driver`` is a Literal
            of one word, by which rig files name the kind.
        ports: kinds of port that it can hang on.
        driver: builds its driver; the recovery ladder of its role is put around it.
        address: keys of the rig file by which devices of one port differ; none for one that has a port to itself.
        faults: the faults of ``orchestrator.config.faults`` that its own electronics can suffer.

    Raises TypeError or ValueError for one that no rig file could name.
    """

    config: type[DeviceConfig]
    ports: tuple[PortKind, ...]
    driver: BuildDriver
    address: tuple[str, ...] = ()
    faults: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        words = get_args(self.config.model_fields["driver"].annotation)
        if len(words) != 1 or not isinstance(words[0], str):
            raise TypeError(f"{self.config.__name__}.driver must be a Literal of one word")
        unknown = set(self.ports) - set(PORT_KINDS)
        if not self.ports or unknown:
            raise ValueError(f"{words[0]}: {', '.join(sorted(unknown)) or 'nothing'} is no kind of port")

    @property
    def word(self) -> str:
        """The ``driver:`` of rig files."""
        return str(get_args(self.config.model_fields["driver"].annotation)[0])

    @property
    def role(self) -> Role:
        """What it does on a rig."""
        return self.config.role
