"""What hangs on a port: found out by questions that change nothing.

Each question of one protocol reaches devices of all the others, at the right baud rate or as noise, so the order and
the choice of the questions have to be harmless for every pair. Why they are:

- Only questions are asked: ``VER``/``DIS`` (New Era), ``ver``/``status`` (Harvard), a bare unit ID and ``VE``
  (Alicat), ``VR``/``CP``/``NP`` (VICI), ``&``/``?`` (Cavro), ProPar reads (Bronkhorst), ``version``/``status``/
  ``in_pv_00`` (Julabo), ``IN_NAME``/``IN_SP_1``/``IN_PV_1`` (IKA), function 3 (Modbus). Nothing sets, moves, starts,
  stops, zeroes, or feeds a watchdog.
- Text to a Modbus RTU unit: no text question ends with a checksum that makes it a frame (a test computes them all).
  Text to a Modbus TCP server is no header of protocol 0, so Modbus TCP is asked first, over a connection of its own.
- Modbus to a text device: frames of function 3 hold the bytes 0x00 and 0x03, and no prefix, letter and end of line
  that a command needs; what a device has collected of them is ended with CR LF before text is asked, and after a
  pause of 0.6 s, for New Era and Cavro drop half a packet after 0.5 s. A lone CR LF is a request for the prompt to
  New Era and Harvard, and nothing to the others.
- New Era and Harvard to each other: ``VER`` asks both for their version; ``5:ver`` is unknown to a New Era.
- New Era and Harvard to Alicat or VICI: ``VER`` begins with a unit ID V, and ``ER`` is nobody's command.
- Alicat to the others: a lone letter is no command of New Era, Harvard, VICI, Julabo, IKA. It is asked before VICI,
  because ``CP`` and ``NP`` would reach Alicat units C and N as ``P``, which newer ones take as an order to tare:
  they are therefore sent only where ``VR`` has been answered with a version, which no Alicat does.
- VICI to New Era, Harvard, Julabo, IKA: ``VR``, ``CP`` and ``NP`` are unknown to them.
- Bronkhorst begins with a colon, Cavro with a slash or STX: nobody else's command begins so, and a New Era takes a
  Cavro packet for one of its own with a wrong length, and drops it.
- Julabo and IKA questions are whole words, unknown to the others; to the Julabo all that is unknown is an error that
  one ``status`` reports and forgets.

What cannot be helped. A New Era's pending alarm answers its next question, which acknowledges it; it is reported. A
Cavro module locks to the framing it hears first after power-up: OEM is asked before DT, as the driver does. Framed New
Era questions come last, when nothing else has answered: a pump in safe mode whose watchdog has not begun to count
since power-up begins with the first of them, and would stop a motor started by its keys. IKA and Julabo count no host.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from drivers.errors import DriverError, PortError
from drivers.identify_modbus import modbus_unit
from drivers.identify_text import Asker, TextProtocol, found, protocols
from drivers.modbus import ModbusBus, RtuLink, TcpLink
from drivers.readings import Found, PortSettings
from drivers.transport import SerialTransport, Transport

__all__ = ["Found", "Identification", "PortSettings", "Ports", "Scan", "identify"]

RTU_SETTINGS: Final = tuple(
    PortSettings(baud_rate, 8, parity) for parity in ("N", "E") for baud_rate in (9600, 19200, 38400)
)
_PAUSE_S: Final = 0.6
"""Longer than the 0.5 s after which New Era and Cavro drop half a packet."""
_MOST_HEARD: Final = 8


@dataclass(frozen=True)
class Scan:
    """What is tried.

    ``addresses``: of pumps, valves and modules, 0 first. ``letters``: unit IDs of Alicat controllers. ``units``: of
    Modbus. ``timeout_s``: how long one answer may take to begin, and to go on. ``limit_s``: the whole search.
    """

    addresses: range = range(10)
    letters: str = "ABCDEF"
    units: range = range(1, 17)
    timeout_s: float = 0.25
    limit_s: float = 180.0

    def __post_init__(self) -> None:
        if not self.letters.isalpha() or not self.letters.isascii() or not self.letters.isupper():
            raise ValueError(f"unit IDs are letters from A to Z, not {self.letters!r}")
        if not (self.timeout_s > 0 and self.limit_s > 0):
            raise ValueError(f"time-out {self.timeout_s} s and limit {self.limit_s} s must be positive")
        if not set(self.addresses) <= set(range(100)) or not set(self.units) <= set(range(1, 248)):
            raise ValueError("addresses are 0 to 99, Modbus units 1 to 247")


@dataclass(frozen=True)
class Identification:
    """What was found on a port, what was tried, and what was heard that nobody understands."""

    port: str
    found: tuple[Found, ...]
    tried: tuple[str, ...]
    heard: tuple[str, ...] = ()
    complete: bool = True

    @property
    def words(self) -> str:
        """One line for a person."""
        if self.found:
            return "; ".join(
                f"{each.kind}{' ' + each.address if each.address else ''}: {each.identity}" for each in self.found
            )
        what = "something answers that is not known" if self.heard else "nothing answered"
        return f"{what} (tried {'; '.join(self.tried)}{'' if self.complete else '; the time was up'})"


class Ports(Protocol):
    """How the port is opened; replaced for a line in memory."""

    @property
    def name(self) -> str:
        """The port in words."""
        ...

    @property
    def settings(self) -> tuple[PortSettings, ...] | None:
        """The settings that it can be given, or None where it has none: a network socket."""
        ...

    def line(self, settings: PortSettings) -> Transport:
        """The port as a stream of bytes."""
        ...

    def bus(self, settings: PortSettings | None, timeout_s: float) -> ModbusBus | None:
        """The port as a Modbus RTU line, or for None as a Modbus TCP connection; None where it cannot be one."""
        ...


class RealPorts:
    """A serial port or pyserial URL (``/dev/ttyUSB0``, ``COM3``, ``socket://host:port``), or plain ``host:port``."""

    def __init__(self, address: str) -> None:
        if not address.strip():
            raise PortError("a port has a name: /dev/ttyUSB0, COM3, socket://host:port or host:port", port=address)
        host, _, port = address.removeprefix("socket://").rpartition(":")
        self._tcp = None
        if address.startswith("socket://") or (host and port.isdigit() and "/" not in host):
            if not (host and port.isdigit() and 0 < int(port) < 0x10000):
                raise PortError("an address on a network is host:port", port=address)
            self._tcp = TcpLink(host.strip("[]"), int(port))
        self._url = f"socket://{host}:{port}" if self._tcp else address

    @property
    def name(self) -> str:
        return self._url

    @property
    def settings(self) -> tuple[PortSettings, ...] | None:
        if self._tcp is not None:
            return None
        text = {each for protocol in protocols(range(1), "A") for each in protocol.settings}
        return tuple(sorted(text | set(RTU_SETTINGS), key=_by_likelihood))

    def line(self, settings: PortSettings) -> Transport:
        return SerialTransport(self._url, settings.baud_rate, settings.bytesize, settings.parity)

    def bus(self, settings: PortSettings | None, timeout_s: float) -> ModbusBus | None:
        link: RtuLink | TcpLink
        if settings is not None:
            link = RtuLink(self._url, settings.baud_rate, settings.parity)
        elif self._tcp is not None:
            link = self._tcp
        else:
            return None
        return ModbusBus(link, timeout_s=timeout_s, quiet_s=0.1, attempts=1)


async def identify(port: str | Ports, scan: Scan | None = None) -> Identification:
    """Find out what hangs on ``port``, by the questions that the module's docstring explains.

    The factory addresses are asked at every baud rate first, then the others. The first protocol that answers is
    searched for all its addresses at its settings; then the search ends. A garbled or echoed answer is no device.

    Raises PortError where the port cannot be opened at all, or goes away.
    """
    search = _Search(RealPorts(port) if isinstance(port, str) else port, scan or Scan())
    complete = True
    try:
        async with asyncio.timeout(search.scan.limit_s):
            await search.run()
    except TimeoutError:
        complete = False
    return Identification(search.ports.name, tuple(search.found), tuple(search.tried), tuple(search.heard), complete)


class _Search:
    def __init__(self, ports: Ports, scan: Scan) -> None:
        self.ports = ports
        self.scan = scan
        self.found: list[Found] = []
        self.tried: list[str] = []
        self.heard: list[str] = []
        self._refused: PortError | None = None
        self._refused_parities: set[str] = set()
        self._opened = False

    async def run(self) -> None:
        settings = self.ports.settings
        text = protocols(self.scan.addresses, self.scan.letters)
        units = self.scan.units
        if settings is None:
            if await self._modbus(None, units):
                return
            places: tuple[PortSettings | None, ...] = (None,)
        else:
            places = settings
        for factory in (True, False):
            for place in places:
                if place is not None and place.parity in self._refused_parities:
                    continue
                spoken = [each for each in text if place is None or place in each.settings]
                if spoken and await self._text(place, spoken, factory=factory):
                    return
                near = [unit for unit in units if (unit == units[0]) is factory]
                rtu = place is None or place in RTU_SETTINGS
                if rtu and near and await self._modbus(place or PortSettings(9600), near, over_socket=place is None):
                    return
        if not self._opened and self._refused is not None:
            raise self._refused

    async def _text(self, place: PortSettings | None, spoken: Sequence[TextProtocol], *, factory: bool) -> bool:
        words = "" if place is None else str(place)
        transport = self.ports.line(place or PortSettings(9600))
        asker = Asker(transport, self.scan.timeout_s)
        try:
            await transport.open()
            await asyncio.sleep(_PAUSE_S)
            await asker.begin()
        except PortError as error:
            # Some ports refuse a framing when they are opened, others when they are first used.
            self._note_refusal(place, error)
            await transport.close()
            return False
        self._opened = True
        try:
            for protocol in spoken:
                addresses = protocol.factory if factory else protocol.others
                if not addresses:
                    continue
                self._note_tried(words, protocol.kind)
                hits = [each for address in addresses if (each := await found(protocol, asker, address))]
                if hits:
                    hits += await _chained(hits, spoken, asker)
                    self.found = [replace(each, settings=words) for each in hits]
                    return True
        finally:
            self._note_heard(words, asker)
            await transport.close()
        return False

    async def _modbus(self, place: PortSettings | None, units: Iterable[int], *, over_socket: bool = False) -> bool:
        bus = self.ports.bus(place, self.scan.timeout_s)
        if bus is None:
            return False
        words = "" if place is None or over_socket else str(place)
        try:
            await bus.open()
        except PortError as error:
            self._note_refusal(None if over_socket else place, error)
            return False
        self._opened = True
        try:
            self._note_tried(words, "modbus tcp" if place is None else "modbus rtu")
            hits = [each for unit in units if (each := await modbus_unit(bus, unit))]
            if hits and place is not None:
                asked = set(units)
                rest = [unit for unit in self.scan.units if unit not in asked]
                hits += [each for unit in rest if (each := await modbus_unit(bus, unit))]
        except DriverError:
            # A server that hangs up on what it does not understand is no Modbus.
            hits = []
        finally:
            await bus.close()
        self.found = [replace(each, settings=words) for each in hits]
        return bool(hits)

    def _note_refusal(self, place: PortSettings | None, error: PortError) -> None:
        self._refused = error
        if self._opened:
            self._note_tried("" if place is None else str(place), f"refused by the port: {error.message}")
            if place is not None and place.parity != "N":
                # Ptys and some adapters have no parity.
                self._refused_parities.add(place.parity)

    def _note_tried(self, words: str, what: str) -> None:
        text = f"{words} {what}".strip()
        if text not in self.tried:
            self.tried.append(text)

    def _note_heard(self, words: str, asker: Asker) -> None:
        for request, answer in asker.heard:
            if len(self.heard) < _MOST_HEARD:
                self.heard.append(f"{words} {request!r} -> {answer!r}".strip())


async def _chained(hits: Sequence[Found], spoken: Sequence[TextProtocol], asker: Asker) -> list[Found]:
    """The other devices of that kind on the same line, whichever framing each of them speaks."""
    chained: dict[str, Found] = {}
    known = {each.address for each in hits}
    for protocol in (each for each in spoken if each.kind == hits[0].kind):
        for address in (*protocol.factory, *protocol.others):
            if address not in known and address not in chained and (each := await found(protocol, asker, address)):
                chained[address] = each
    return list(chained.values())


def _by_likelihood(settings: PortSettings) -> tuple[bool, int, bool]:
    """The makers' defaults first."""
    order = (9600, 19200, 38400, 115200, 4800)
    return settings.parity != "N", order.index(settings.baud_rate), settings.bytesize == 8
