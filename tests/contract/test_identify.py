"""What hangs on a port is found out without changing it."""

from __future__ import annotations

import asyncio
import copy
import os
import random
from dataclasses import replace

import pytest

from drivers import Line, ModbusBus, PortError, PumpState, RtuLink, TcpLink
from drivers.identify import PortSettings, RealPorts, Scan, identify
from drivers.identify_text import protocols
from drivers.transport import Transport
from orchestrator.clock.virtual_time import run_real, run_virtual
from simulators.links import Emit, Loop, MemoryTransport, StreamTwin, memory_modbus_connect
from simulators.serve import serve_pty, serve_tcp
from simulators.wire_modbus import crc16
from simulators.wire_new_era import NewEraTwin, PumpMemory
from tests.contract.plants import SteppingPump
from tests.contract.table import ENTRIES, Bench, Entry, new_era

posix = pytest.mark.skipif(os.name != "posix", reason="ptys are POSIX")
every_entry = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)


class Wire:
    """A port in memory whose device listens at one baud rate and framing; None: a socket, which has neither."""

    def __init__(self, twin: StreamTwin, at: PortSettings | None, *, mbap: bool = False) -> None:
        self._twin = twin
        self._at = at
        self._mbap = mbap

    @property
    def name(self) -> str:
        return "memory"

    @property
    def settings(self) -> tuple[PortSettings, ...] | None:
        return None if self._at is None else RealPorts("/dev/ttyUSB0").settings

    def line(self, settings: PortSettings) -> Transport:
        return MemoryTransport(self._reached(settings), name="memory", baud_rate=settings.baud_rate)

    def bus(self, settings: PortSettings | None, timeout_s: float) -> ModbusBus | None:
        if settings is None and self._at is not None:
            return None
        twin = self._reached(settings) if settings or self._mbap else Deaf()
        connect = memory_modbus_connect(twin, baud_rate=settings.baud_rate if settings else None)
        link = RtuLink("memory") if settings else TcpLink("memory")
        return ModbusBus(link, timeout_s=timeout_s, quiet_s=0.1, attempts=1, connect=connect)

    def _reached(self, settings: PortSettings | None) -> StreamTwin:
        return self._twin if self._at is None or settings == self._at else Deaf()


class Deaf:
    """Hears nothing, says nothing."""

    def attach(self, loop: Loop, emit: Emit) -> None:
        pass

    def receive(self, data: bytes) -> None:
        pass


def a_wire(entry: Entry, bench: Bench, *, socket: bool) -> Wire:
    at = None if socket or entry.wire == "tcp" else entry.settings
    return Wire(bench.twin, at, mbap=entry.wire == "tcp")


async def started(entry: Entry, bench: Bench) -> None:
    """The device as its driver leaves it: a pump runs, a heater heats, a valve has turned."""
    line = entry.connection(bench.twin)
    driver = entry.driver(line, "device")
    await driver.connect()
    if entry.role == "pump":
        await driver.infuse(60.0, 400.0)
        await asyncio.sleep(15.0)
        for _ in range(20):
            await asyncio.sleep(1.0 if (await driver.status()).state is not PumpState.INFUSING else 0.0)
        assert (await driver.status()).state is PumpState.INFUSING
    elif entry.role == "heater":
        await driver.set_temperature(80.0)
    elif entry.role == "valve":
        await driver.move(4)
    elif entry.role == "gas":
        await driver.set_flow(12.0)


def told(bench: Bench) -> list[object]:
    """Every order that the plants behind a twin have had, and what they do."""
    names = ("commands", "turns", "flow_ul_min", "target_c", "automatic", "at", "set_point")
    plants = [plant for plant in (bench.plant, bench.second) if plant is not None]
    return [copy.copy(getattr(plant, name, None)) for plant in plants for name in names]


@pytest.mark.parametrize("socket", [False, True], ids=["serial", "socket"])
@every_entry
def test_every_device_is_found_at_work_and_goes_on_working(entry: Entry, socket: bool) -> None:
    async def main() -> None:
        bench = entry.bench()
        await started(entry, bench)
        before = told(bench)
        began_s = asyncio.get_running_loop().time()
        seen = await identify(a_wire(entry, bench, socket=socket))
        assert [each.kind for each in seen.found][:1] == [entry.kind], seen.words
        if entry.second is not None:
            assert len(seen.found) == 2, seen.words
        assert all(each.identity and each.state and each.reading for each in seen.found)
        assert asyncio.get_running_loop().time() - began_s < 100.0
        assert told(bench) == before
        if entry.role == "pump":
            assert seen.found[0].settings == ("" if socket else str(entry.settings))

    run_virtual(main())


@every_entry
def test_a_look_at_a_device_at_work_tells_its_state_and_changes_nothing(entry: Entry) -> None:
    async def main() -> None:
        bench = entry.bench()
        await started(entry, bench)
        before = told(bench)
        driver = entry.driver(entry.connection(bench.twin), "device")
        look = await driver.look()
        assert look.identity
        assert look.state
        assert look.reading
        if entry.role == "pump" and entry.kind != "cavro":
            assert look.state == "infusing"
        assert told(bench) == before
        assert await driver.look() is not None
        assert await driver.connect()
        assert (await driver.look()).identity
        await driver.close()

    run_virtual(main())


def test_a_look_tells_of_a_pending_alarm() -> None:
    async def main() -> None:
        for memory in (PumpMemory(), PumpMemory(safe_s=30)):
            twin = NewEraTwin({0: SteppingPump()}, memories={0: memory})
            pump = new_era(0, None)(Line(MemoryTransport(twin)), "pump")
            assert (await pump.look()).state == "stopped, alarm: power was reset"
            assert memory.safe_s in (0, 30)
            assert memory == replace(memory)

    run_virtual(main())


def test_a_pending_alarm_is_reported_by_whoever_acknowledged_it() -> None:
    async def main() -> None:
        for memory in (PumpMemory(), PumpMemory(safe_s=30)):
            seen = await identify(Wire(NewEraTwin({0: SteppingPump()}, memories={0: memory}), PortSettings(19200)))
            assert "power was reset" in seen.found[0].state
            assert ("safe mode" in seen.found[0].identity) is (memory.safe_s == 30)

    run_virtual(main())


class Babbler:
    """Answers with anything but sense: noise, the question itself, or talk that nobody asked for."""

    def __init__(self, manner: str, seed: int) -> None:
        self._manner = manner
        self._random = random.Random(f"{manner} {seed}")
        self._emit: Emit | None = None

    def attach(self, loop: Loop, emit: Emit) -> None:
        self._emit = emit

    def receive(self, data: bytes) -> None:
        assert self._emit is not None
        draw = self._random
        noise = bytes(draw.randrange(256) for _ in range(draw.randrange(1, 40)))
        text = "".join(draw.choice("0123456789 +-.:;OKERROR?\r\n") for _ in range(draw.randrange(1, 40))).encode()
        answers = {
            "echo": data,
            "noise": noise,
            "text": text,
            "ok": b"OK\r\n",
            "what": b"?\r",
            "modem": data + b"\r\nERROR\r\n",
            "framed": b"\x02" + noise + b"\x03",
            "mixed": draw.choice([data, noise, text, b""]),
        }
        self._emit(answers[self._manner])


@pytest.mark.parametrize("socket", [False, True], ids=["serial", "socket"])
@pytest.mark.parametrize(
    ("manner", "seed"),
    [
        *((manner, 0) for manner in ("echo", "ok", "what", "modem")),
        *((manner, seed) for manner in ("noise", "text", "framed", "mixed") for seed in range(4)),
    ],
)
def test_what_talks_nonsense_is_unknown(manner: str, seed: int, socket: bool) -> None:
    async def main() -> None:
        began_s = asyncio.get_running_loop().time()
        seen = await identify(Wire(Babbler(manner, seed), None if socket else PortSettings(9600), mbap=socket))
        assert seen.found == ()
        assert seen.heard
        assert seen.words.startswith("something answers that is not known (tried ")
        assert asyncio.get_running_loop().time() - began_s <= Scan().limit_s

    run_virtual(main())


def test_a_silent_port_says_what_was_tried_within_the_limit() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        seen = await identify(Wire(Deaf(), PortSettings(9600)))
        assert loop.time() - began_s < 120.0
        assert seen.complete
        assert seen.words.startswith("nothing answered (tried 9600 8N1 new_era; ")
        assert {"4800 7E1 julabo", "9600 7E1 ika", "38400 8N1 bronkhorst", "19200 8E1 modbus rtu"} <= set(seen.tried)
        began_s = loop.time()
        seen = await identify(Wire(Deaf(), PortSettings(9600)), Scan(limit_s=5.0))
        assert loop.time() - began_s == pytest.approx(5.0)
        assert not seen.complete
        assert seen.words.endswith("the time was up)")

    run_virtual(main())


def test_no_question_in_text_is_a_modbus_frame() -> None:
    """A slave takes what comes between two silences for a frame when it ends with the checksum of the rest."""
    said: list[bytes] = []

    class Listener(Deaf):
        def receive(self, data: bytes) -> None:
            said.append(data)

    async def main() -> None:
        ports = Wire(Listener(), None)
        asked = Scan(addresses=range(100), letters="ABCDEFGHIJKLMNOPQRSTUVWXYZ", limit_s=1e4)
        await identify(ports, replace(asked, units=range(1, 2)))

    run_virtual(main())
    text = [each for each in said if each[1:2] != b"\x03" or len(each) != 8]
    assert len(text) > 400
    assert all(crc16(each[:-2]) != each[-2:] for each in text)
    # A frame to a whole number of units is broadcast, unit 0, only if its first byte is 0.
    assert all(each[0] for each in said)
    modbus = [each for each in said if each not in text]
    assert modbus
    assert all(each[1] == 3 for each in modbus)


def test_every_protocol_has_a_device_in_the_table() -> None:
    asked = {each.kind for each in protocols(range(10), "A")}
    assert asked <= {entry.kind for entry in ENTRIES}


def in_real_time(entry: Entry) -> object:
    """A few of them always, the others in the long run: real ports take real seconds."""
    quick = entry.name in {"new era", "eurotherm", "nanodac", "julabo", "bronkhorst"}
    return pytest.param(entry, id=entry.name, marks=() if quick else pytest.mark.long)


REAL = Scan(addresses=range(8), units=range(1, 3), letters="AC", timeout_s=0.05)


@posix
@pytest.mark.parametrize(
    "entry",
    [in_real_time(entry) for entry in ENTRIES if entry.wire != "tcp" and entry.settings.bytesize == 8],
)
def test_a_device_on_a_pty_is_found(entry: Entry) -> None:
    async def main() -> None:
        bench = entry.bench()
        served = await serve_pty(bench.twin)
        before = told(bench)
        seen = await identify(served.address, REAL)
        assert seen.found, seen.words
        assert seen.found[0].kind == entry.kind
        assert told(bench) == before
        served.close()

    run_real(main())


@pytest.mark.parametrize("entry", [in_real_time(entry) for entry in ENTRIES])
def test_a_device_behind_a_socket_is_found(entry: Entry) -> None:
    async def main() -> None:
        bench = entry.bench()
        served = await serve_tcp(lambda: bench.twin)
        before = told(bench)
        seen = await identify(served.address, REAL)
        assert seen.found, seen.words
        assert seen.found[0].kind == entry.kind
        assert told(bench) == before
        served.close()

    run_real(main())


def test_a_port_that_is_not_there_is_an_error_that_names_it() -> None:
    async def main() -> None:
        with pytest.raises(PortError, match="/dev/no-such-port"):
            await identify("/dev/no-such-port")
        served = await serve_tcp(Deaf)
        served.close()
        with pytest.raises(PortError, match=str(served.port)):
            await identify(served.address)

    run_real(main())


@pytest.mark.parametrize("address", ["", " ", "socket://nowhere", "socket://:1", "host:99999"])
def test_an_address_that_makes_no_sense_is_refused(address: str) -> None:
    with pytest.raises(PortError, match="host:port"):
        RealPorts(address)


@pytest.mark.parametrize(
    "wrong",
    [{"letters": ""}, {"letters": "a"}, {"timeout_s": 0.0}, {"addresses": range(101)}, {"units": range(3)}],
)
def test_a_scan_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        replace(Scan(), **wrong)  # type: ignore[arg-type]
