"""Where the HTTP server listens, and under which names it answers."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from orchestrator.errors import EXIT_REFUSED, LumiflowError

if TYPE_CHECKING:
    from orchestrator.daemon.config import HttpConfig

SEND_BUFFER_BYTES = 128 * 1024
"""What the system keeps for a client that does not read; it would grow to megabytes by itself."""
BACKLOG = 128
"""So many connections wait to be accepted."""
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


class ServerRefused(LumiflowError):  # noqa: N818 - a refusal, not a malfunction
    """The HTTP server does not start as it is configured, because that would be unsafe or cannot work."""

    exit_code: ClassVar[int] = EXIT_REFUSED


@dataclass(frozen=True)
class Binding:
    """A numeric address to listen on."""

    family: socket.AddressFamily
    address: str

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return _ip(self.address).is_loopback


def binding_of(config: HttpConfig) -> Binding:
    """The address that `host` means.

    Raises ServerRefused when there is none, and when others could reach it while the token would travel in the clear.
    """
    try:
        found = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ServerRefused(f"http: host {config.host!r} is no address of this machine: {error}") from error
    places = [(family, str(place[0])) for family, _, _, _, place in found]
    family, address = min(places, key=lambda item: item[0] != socket.AF_INET)
    binding = Binding(family, address)
    if not binding.loopback and config.tls is None:
        raise ServerRefused(
            f"http: host {config.host!r} can be reached from other machines, and the token would travel in the clear. "
            "Give certificate and key under http: tls:, or listen on 127.0.0.1"
        )
    return binding


def allowed_hosts(config: HttpConfig, binding: Binding) -> frozenset[str]:
    """What the Host header may say, without its port, in lower case.

    The port is left open so that a forwarded one (ssh -L) works; a page of another site cannot choose the name.
    """
    names = {*LOOPBACK_NAMES, *(name.lower() for name in config.hosts)}
    address = _ip(binding.address)
    if not address.is_unspecified:
        names |= {config.host.lower(), f"[{address}]" if address.version == 6 else str(address)}
    return frozenset(names)


def listening_socket(binding: Binding, port: int) -> socket.socket:
    """A socket that listens. Raises ServerRefused when the address is taken or is not this machine's."""
    listener = socket.socket(binding.family, socket.SOCK_STREAM)
    try:
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):  # Windows lets a second program share the port otherwise
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)  # its connections inherit it
        listener.bind((binding.address, port))
        listener.listen(BACKLOG)  # an address that is only bound may be bound by another program too
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise ServerRefused(f"http: cannot listen on {binding.address} port {port}: {error.strerror}") from error
    return listener


def _ip(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(address.partition("%")[0])
