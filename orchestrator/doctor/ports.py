"""The ports of a rig: whether they are there and may be opened. Nothing is sent to a device."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit

from orchestrator.config import ModbusTcpPort, RigConfig, UsbPort
from orchestrator.config.rig import EthernetPort, FolderPort
from orchestrator.doctor.verdict import Check

CONNECT_S = 2.0
OCEAN_VENDOR = 0x2457


def check_ports(name: str, rig: RigConfig) -> list[Check]:
    """Every port of a rig's file."""
    checks = []
    for port_name, port in rig.ports.items():
        title = f"{name}: port {port_name}"
        if isinstance(port, UsbPort):
            checks.append(_check_usb(title, port.serial_number))
        elif isinstance(port, FolderPort):
            checks.append(_check_folder(title, Path(port.path)))
        elif isinstance(port, ModbusTcpPort | EthernetPort):
            checks.append(_check_tcp(title, port.host, port.tcp_port))
        elif "://" in port.url:
            parts = urlsplit(port.url)
            checks.append(_check_tcp(title, parts.hostname or "", parts.port or 0))
        else:
            checks.append(_check_serial(title, port.url))
    return checks


def _check_folder(title: str, path: Path) -> Check:
    if path.is_dir() and os.access(path, os.R_OK | os.X_OK):
        return Check(title, "ok", f"{path} is there and may be read")
    return Check(
        title, "problem", f"{path} is no folder that may be read", "have the instrument's software export there"
    )


def _check_serial(title: str, url: str) -> Check:
    path = Path(url)
    known = _serial_ports()
    there = f"this machine has {', '.join(known)}" if known else "this machine has no serial ports"
    if sys.platform == "win32":
        if url.upper() in (port.upper() for port in known):
            return Check(title, "ok", f"{url} is there")
        return Check(title, "problem", f"there is no {url}", f"plug it in, or name another: {there}")
    if not path.exists():
        return Check(title, "problem", f"there is no {url}", f"plug it in, or name another: {there}")
    if os.access(path, os.R_OK | os.W_OK):
        return Check(title, "ok", f"{url} is there and may be opened")
    group = _group(path)
    return Check(
        title,
        "problem",
        f"{url} may not be opened by this user",
        f"sudo usermod -aG {group} $USER, then log in again; for a service: SupplementaryGroups={group}",
    )


def _serial_ports() -> list[str]:
    from serial.tools import list_ports

    return sorted(str(port.device) for port in list_ports.comports())


def _group(path: Path) -> str:
    try:
        return path.group()
    except (KeyError, OSError, NotImplementedError):
        return "dialout"


def _check_tcp(title: str, host: str, port: int) -> Check:
    try:
        socket.create_connection((host, port), CONNECT_S).close()
    except (OSError, OverflowError, UnicodeError) as error:
        advice = "is it switched on, and is the address right? One that serves a single client may be in use"
        return Check(title, "problem", f"{host}:{port} does not answer: {error}", advice)
    return Check(title, "ok", f"{host}:{port} answers")


def _check_usb(title: str, serial_number: str | None) -> Check:
    import usb.core

    wanted = f"spectrometer {serial_number}" if serial_number else "a spectrometer"
    try:
        found = list(usb.core.find(find_all=True, idVendor=OCEAN_VENDOR) or ())
    except usb.core.NoBackendError:
        return Check(title, "problem", "there is no libusb", "apt install libusb-1.0-0, or brew install libusb")
    except usb.core.USBError as error:
        return Check(title, "problem", f"the USB bus cannot be read: {error}", "")
    if not found:
        return Check(title, "problem", f"{wanted} is not on the USB bus", "plug it in; see it with lsusb")
    try:
        numbers = [str(device.serial_number) for device in found]
    except (usb.core.USBError, ValueError, NotImplementedError) as error:
        advice = "install the udev rules: seabreeze_os_setup, then plug it in again"
        return Check(title, "problem", f"{wanted} may not be opened: {error}", advice)
    if serial_number is not None and serial_number not in numbers:
        return Check(title, "problem", f"{wanted} is not there", f"found: {', '.join(numbers)}")
    return Check(title, "ok", f"found {', '.join(numbers)}")
