"""Questions that change nothing, for :mod:`drivers.identify`: protocols of text or of small packets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

from drivers import cavro_frames, harvard_frames, new_era_frames, propar, vici
from drivers.alicat import parse_frame as parse_alicat
from drivers.bronkhorst import FULL_SCALE_COUNTS
from drivers.errors import DeviceAlarmError, DriverError, NotConnectedError, PortError, ProtocolError, WireTimeoutError
from drivers.ika import parse_value as parse_ika
from drivers.julabo import parse_status as parse_julabo
from drivers.julabo import parse_temperature
from drivers.line_heater import answer_text
from drivers.readings import Found, PortSettings
from drivers.transport import Transport

_LONGEST_ANSWER: Final = 256
_PROMPTS: Final = {
    "I": "infusing",
    "W": "withdrawing",
    "S": "stopped",
    "P": "paused",
    "T": "timed pause",
    "U": "waiting for trigger",
    "X": "purging",
}
_HARVARD_PROMPTS: Final = {
    ":": "idle",
    ">": "infusing",
    "<": "withdrawing",
    "*": "stalled",
    "T*": "target reached",
}

_9600: Final = PortSettings(9600)
_19200: Final = PortSettings(19200)
_38400: Final = PortSettings(38400)
_115200: Final = PortSettings(115200)


class Asker:
    """Asks over an open port and takes whatever comes: the answer has ended when ``timeout_s`` pass in silence."""

    def __init__(self, transport: Transport, timeout_s: float) -> None:
        self._transport = transport
        self._timeout_s = timeout_s
        self.heard: list[tuple[bytes, bytes]] = []
        self.opening = b""

    async def begin(self) -> None:
        """End what the devices have collected so far, with an empty line. ``opening`` keeps what they say to it."""
        self.opening = await self.ask(b"\r\n")

    async def ask(self, request: bytes) -> bytes:
        """What comes after ``request``; b"" for silence. Raises PortError."""
        await self._transport.discard_input()
        await self._transport.write(request)
        answer = bytearray()
        try:
            while len(answer) < _LONGEST_ANSWER:
                answer += await self._transport.read_exactly(1, self._timeout_s)
        except WireTimeoutError:
            pass
        if answer:
            self.heard.append((request, bytes(answer)))
        return bytes(answer)


@dataclass(frozen=True)
class TextProtocol:
    """One protocol: where it may be spoken, the addresses to try, and the question.

    ``factory`` are the addresses that devices have when they leave the maker, ``others`` the further ones.
    """

    kind: str
    settings: tuple[PortSettings, ...]
    factory: tuple[str, ...]
    others: tuple[str, ...]
    look: Callable[[Asker, str], Awaitable[Found | None]]


async def new_era(asker: Asker, address: str, *, safe: bool = False) -> Found | None:
    """``VER``, then ``DIS``. A pending alarm answers in their place, and is thereby acknowledged; it is reported."""
    number = int(address)

    encode = new_era_frames.encode_safe if safe else new_era_frames.encode_basic

    async def ask(command: str) -> tuple[new_era_frames.Reply, bool]:
        """The reply, and whether it came framed: a pump in basic mode takes packets and answers without."""
        answer = await asker.ask(encode(number, command))
        try:
            return new_era_frames.parse_reply(new_era_frames.unwrap_safe(answer), number), True
        except ProtocolError:
            return new_era_frames.parse_reply(new_era_frames.unwrap_basic(answer), number), False

    alarm = ""
    with suppress(ProtocolError):
        # The empty line was a question too, and its answer the alarm.
        opening = new_era_frames.parse_reply(new_era_frames.unwrap_basic(asker.opening), number)
        alarm = _alarm_words(opening)
    reply, framed = await ask("VER")
    if reply.alarm is not None:
        alarm = _alarm_words(reply)
        reply, framed = await ask("VER")
    if not reply.data.startswith("NE"):
        return None
    infused_ul, withdrawn_ul = new_era_frames.parse_dispensed_ul((await ask("DIS"))[0].data)
    return Found(
        kind="new_era",
        address=address,
        identity=f"{reply.data}{', safe mode' if framed else ''}",
        state=_PROMPTS[reply.prompt] + alarm,
        reading=f"{infused_ul:g} µL infused, {withdrawn_ul:g} µL withdrawn",
    )


def _alarm_words(reply: new_era_frames.Reply) -> str:
    if reply.alarm is None:
        return ""
    return f", alarm: {new_era_frames.ALARMS.get(reply.alarm, reply.alarm)} (acknowledged by this question)"


async def harvard(asker: Asker, address: str) -> Found | None:
    """``ver``, then ``status``."""
    number = int(address)

    async def ask(command: str) -> harvard_frames.Reply:
        return harvard_frames.parse_reply(await asker.ask(harvard_frames.encode(number, command)), number)

    version = await ask("ver")
    if not version.lines or not any(word in version.lines[0].upper() for word in ("ULTRA", "ELITE")):
        return None
    reply = await ask("status")
    raw = harvard_frames.parse_status(reply.lines[0] if reply.lines else "")
    way = "withdrawn" if raw.withdrawing else "infused"
    return Found(
        kind="harvard",
        address=address,
        identity=version.lines[0].strip(),
        state=_HARVARD_PROMPTS[reply.prompt],
        reading=f"{raw.volume_ul:g} µL {way}, {raw.flow_ul_min:g} µL/min",
    )


async def alicat(asker: Asker, address: str) -> Found | None:
    """The bare unit ID polls a data frame; ``VE`` asks for the firmware."""
    frame = parse_alicat(await asker.ask(f"{address}\r".encode("ascii")), address)
    version = answer_text(await asker.ask(f"{address}VE\r".encode("ascii"))).removeprefix(address).strip()
    return Found(
        kind="alicat",
        address=address,
        identity=f"Alicat, {frame.gas}, firmware {version}",
        state=f"set-point {frame.set_point:g}{', ' + ' '.join(frame.codes) if frame.codes else ''}",
        reading=f"mass flow {frame.mass_flow:g}, {frame.temperature_c:g} °C (flows in the display's unit)",
    )


async def vici_selector(asker: Asker, address: str) -> Found | None:
    """``VR``, and only where something says a version ``CP`` and ``NP``."""
    version = answer_text(await asker.ask(f"{address}VR\r".encode("ascii")))
    if "?" in version or "Bad command" in version or version == f"{address}VR":
        return None
    try:
        at = vici.parse_position(await asker.ask(f"{address}CP\r".encode("ascii")), address)
        state = "" if at is None else f"at position {at}"
    except DeviceAlarmError as error:
        state = error.alarm
    count = vici.parse_count(await asker.ask(f"{address}NP\r".encode("ascii")), address) if state else None
    if count is None:
        return None
    return Found(
        kind="vici",
        address=address,
        identity=version.removeprefix(address),
        state=state,
        reading=f"{count} positions",
    )


async def cavro(asker: Asker, address: str, *, framing: cavro_frames.Framing) -> Found | None:
    """``&`` for the firmware, ``?`` for the plunger: reports, which neither move nor clear anything."""
    number = int(address)

    async def ask(sequence: int, command: str) -> cavro_frames.Answer:
        if framing == "OEM":
            return cavro_frames.parse_oem(await asker.ask(cavro_frames.encode_oem(number, sequence, command)))
        return cavro_frames.parse_dt(await asker.ask(cavro_frames.encode_dt(number, command)))

    version = await ask(1, "&")
    if not version.data.strip():
        return None
    position = await ask(2, "?")
    error = cavro_frames.ERRORS.get(position.error, f"error {position.error}") if position.error else "no error"
    return Found(
        kind="cavro",
        address=address,
        identity=f"{version.data.strip()}, {framing} framing",
        state=error,
        reading=f"plunger at {cavro_frames.parse_number(position.data)}",
    )


async def bronkhorst(asker: Asker, address: str) -> Found | None:
    """Serial number, fluid and measured value by ProPar read requests."""
    node = int(address)

    async def get(parameter: propar.Parameter, index: int) -> propar.Value:
        answer = await asker.ask(propar.encode_read(node, parameter, index))
        return propar.decode_value(propar.decode_frame(answer, node), parameter, index)

    serial_number = str(await get(propar.SERIAL_NUMBER, 1)).strip()
    fluid = str(await get(propar.FLUID_NAME, 2)).strip()
    measure, set_point = int(await get(propar.MEASURE, 3)), int(await get(propar.SET_POINT, 4))
    return Found(
        kind="bronkhorst",
        address=address,
        identity=f"serial number {serial_number}, {fluid}",
        state=f"set-point {set_point / FULL_SCALE_COUNTS:.1%} of capacity",
        reading=f"measured {measure / FULL_SCALE_COUNTS:.1%} of capacity",
    )


async def julabo(asker: Asker, address: str) -> Found | None:
    """``version``, ``status``, ``in_pv_00``. An error of somebody's last command is reported here and forgotten."""
    version = answer_text(await asker.ask(b"version\r"))
    if version == "version":
        return None
    status = parse_julabo(answer_text(await asker.ask(b"status\r")))
    if status.code == -8:
        # What was asked of other devices reached this one as an unknown command.
        status = parse_julabo(answer_text(await asker.ask(b"status\r")))
    temperature_c = parse_temperature(answer_text(await asker.ask(b"in_pv_00\r")))
    return Found(
        kind="julabo",
        address=address,
        identity=version,
        state=f"{status.code:02d} {status.words}",
        reading=f"{temperature_c:g} °C",
    )


async def ika(asker: Asker, address: str) -> Found | None:
    """``IN_NAME``, ``IN_SP_1``, ``IN_PV_1``; the watchdog is neither armed nor fed."""
    # What others were asked ended with CR; only LF ends it here.
    await asker.ask(b"\r\n")
    name = answer_text(await asker.ask(b"IN_NAME \r\n"))
    if name == "IN_NAME":
        return None
    set_point_c = parse_ika(answer_text(await asker.ask(b"IN_SP_1 \r\n")), 1)
    temperature_c = parse_ika(answer_text(await asker.ask(b"IN_PV_1 \r\n")), 1)
    return Found(
        kind="ika",
        address=address,
        identity=name,
        state=f"set-point {set_point_c:g} °C",
        reading=f"{temperature_c:g} °C",
    )


def protocols(addresses: range, letters: str) -> tuple[TextProtocol, ...]:
    """Every protocol, in the order in which :mod:`drivers.identify` explains that it is harmless to ask."""
    rest = tuple(str(address) for address in addresses if address)
    modules = ("0", *(address for address in rest if int(address) <= 14))
    seven_even = (PortSettings(9600, 7, "E"), PortSettings(4800, 7, "E"))
    return (
        TextProtocol("new_era", (_19200, _9600), ("0",), rest, new_era),
        TextProtocol("harvard", (_9600, _19200, _38400, _115200), ("0",), rest, harvard),
        TextProtocol("alicat", (_19200, _9600, _38400, _115200), (letters[:1],), tuple(letters[1:]), alicat),
        TextProtocol("vici", (_9600, _19200), ("",), ("0", *rest), vici_selector),
        TextProtocol("bronkhorst", (_38400, _9600, _19200, _115200), ("128",), (), bronkhorst),
        TextProtocol("cavro", (_9600, _38400), modules[:1], modules[1:], partial(cavro, framing="OEM")),
        TextProtocol("cavro", (_9600, _38400), modules[:1], modules[1:], partial(cavro, framing="DT")),
        TextProtocol("julabo", seven_even, ("",), (), julabo),
        TextProtocol("ika", seven_even[:1], ("",), (), ika),
        TextProtocol("new_era", (_19200, _9600), ("0",), rest, partial(new_era, safe=True)),
    )


async def found(protocol: TextProtocol, asker: Asker, address: str) -> Found | None:
    """The device at ``address``, or None where nothing that speaks this protocol answers. Raises PortError."""
    try:
        return await protocol.look(asker, address)
    except (PortError, NotConnectedError):
        raise
    except DriverError:
        return None
