"""The daemon's file: which rigs, where runs are kept, and through which doors it may be reached."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field, ValidationError

from orchestrator import units
from orchestrator.config import (
    EthernetPort,
    FolderPort,
    ModbusRtuPort,
    ModbusTcpPort,
    Port,
    RigConfig,
    SerialPort,
    UsbPort,
    load_rig,
)
from orchestrator.config.messages import of_another_kind, problems_of
from orchestrator.config.quantities import Line, Name, Quantity, Section
from orchestrator.daemon.edges.config import Mqtt, NotifyConfig
from orchestrator.errors import ConfigError, Problem
from orchestrator.yaml_source import Document, parse, read_text

Model = TypeVar("Model", bound=Section)

Seconds = Annotated[float, Quantity(units.TIME, gt=0.0, le=86_400.0)]


class StationConfig(Section):
    """One rig. ``file``: its rig file, relative to the daemon's. ``speed``: pace of twins; None: as fast as can be.

    ``queue``: how many campaigns may wait; a submission beyond that is refused.
    """

    file: Line
    hardware: bool = False
    speed: Annotated[float, Field(gt=0.0, le=1.0e6)] | None = None
    queue: Annotated[int, Field(ge=1, le=10_000)] = 100


class TlsConfig(Section):
    """Certificate and key, PEM files relative to the daemon's file."""

    certificate: Line
    key: Line


class HttpConfig(Section):
    """The HTTP API. Beyond loopback it wants ``tls``. ``hosts``: names under which it is also reached."""

    host: Line = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8765
    token_file: Line = "lumiflow.tokens"
    hosts: tuple[Line, ...] = ()
    origins: tuple[Line, ...] = ()
    tls: TlsConfig | None = None


class GuardianConfig(Section):
    """The guardian. ``silence``: how long a rig's control loop may be silent before the guardian acts.

    ``restart``: whether a daemon that died is started again.
    """

    silence_s: Annotated[float, Quantity(units.TIME, ge=0.5, le=60.0)] = 1.5
    restart: bool = True


class DaemonConfig(Section):
    """The whole file."""

    kind: Literal["daemon"]
    rigs: Annotated[Mapping[Name, StationConfig], Field(min_length=1)]
    runs: Line = "runs"
    http: HttpConfig = HttpConfig()
    guardian: GuardianConfig = GuardianConfig()
    mqtt: Mqtt | None = None
    notify: tuple[NotifyConfig, ...] = ()
    stop_timeout_s: Annotated[float, Quantity(units.TIME, ge=1.0, le=3600.0)] = 900.0


@dataclass(frozen=True)
class LoadedDaemon:
    """A daemon's file with its rigs. Paths are absolute."""

    config: DaemonConfig
    path: Path
    rigs: Mapping[str, RigConfig]
    rig_texts: Mapping[str, str]
    rig_paths: Mapping[str, Path]

    @property
    def runs(self) -> Path:
        """Folder of journals; the rigs' own are under ``rigs`` in it."""
        return self.beside(self.config.runs)

    def rig_journal(self, rig: str) -> Path:
        """Where a rig's own journal is kept."""
        return self.runs / "rigs" / f"{rig}.sqlite"

    @property
    def steel_paths(self) -> dict[str, Path]:
        """The rig files of the rigs on hardware, by name: those that a guardian guards."""
        return {name: self.rig_paths[name] for name, rig in self.config.rigs.items() if rig.hardware}

    @property
    def guardian_folder(self) -> Path:
        """Where the guardian keeps its journal."""
        return self.runs / "guardian"

    def beside(self, name: str) -> Path:
        """A path that the file gives, relative to the file."""
        return (self.path.parent / name).absolute()


def load_daemon(path: str | Path) -> LoadedDaemon:
    """Read a daemon's file and the rig files that it names. Raises ConfigError with everything that is wrong."""
    place = Path(path).absolute()
    document = parse(read_text(Path(path)), str(path))
    if (other := of_another_kind(document, "daemon")) is not None:
        raise ConfigError([other])
    try:
        config = DaemonConfig.model_validate(document.root.plain())
    except ValidationError as error:
        raise ConfigError(problems_of(error, document, DaemonConfig.model_json_schema())) from None
    problems: list[Problem] = []
    rigs: dict[str, RigConfig] = {}
    texts: dict[str, str] = {}
    paths: dict[str, Path] = {}
    for name, station in config.rigs.items():
        if station.hardware and station.speed is not None:
            problems.append(document.problem(("rigs", name, "speed"), "speed paces twins; hardware keeps its own time"))
        file = (place.parent / station.file).absolute()
        if not file.is_file():
            problems.append(document.problem(("rigs", name, "file"), f"there is no such rig file: {file}"))
            continue
        try:
            rigs[name] = load_rig(file)
        except ConfigError as error:
            problems += error.problems
            continue
        texts[name], paths[name] = read_text(file), file
    problems += _shared_ports(document, config, rigs)
    for index, section in enumerate(config.notify):
        if section.mqtt and config.mqtt is None:
            problems.append(document.problem(("notify", index, "mqtt"), "there is no mqtt: section to send it by"))
    if problems:
        raise ConfigError(problems)
    return LoadedDaemon(config, place, rigs, texts, paths)


def _address(port: Port) -> str:
    """What a port is known by, however it is set up and whichever of its names stands there."""
    match port:
        case SerialPort() | ModbusRtuPort():
            return os.path.realpath(port.url) if port.url.startswith("/") else port.url.lower()
        case ModbusTcpPort() | EthernetPort():
            return f"socket://{port.host.lower()}:{port.tcp_port}"
        case UsbPort():
            name = port.serial_number
            return "the first USB spectrometer found" if name is None else f"the USB spectrometer {name}"
        case FolderPort():
            return os.path.realpath(port.path)


def _shared_ports(document: Document, config: DaemonConfig, rigs: Mapping[str, RigConfig]) -> list[Problem]:
    """Two rigs on hardware may not name the same port: each would disturb the other's devices."""
    owners: dict[str, str] = {}
    problems: list[Problem] = []
    for name, rig in rigs.items():
        if not config.rigs[name].hardware:
            continue
        for port in rig.ports.values():
            address = _address(port)
            if address in owners and owners[address] != name:
                message = f"shares {address} with rig {owners[address]}"
                problems.append(document.problem(("rigs", name), message))
            owners.setdefault(address, name)
    return problems
