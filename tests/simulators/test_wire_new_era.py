"""The pump twin, byte for byte."""

from __future__ import annotations

import asyncio
import binascii
import re
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.clock.virtual_time import run_virtual
from simulators.wire_new_era import NewEraTwin, PumpMemory
from tests.contract.plants import SteppingPump


class Host:
    """A host that types bytes and reads what comes."""

    def __init__(self, twin: NewEraTwin) -> None:
        self.heard: list[tuple[float, bytes]] = []
        self._twin = twin
        self._loop = asyncio.get_running_loop()
        twin.attach(self._loop, lambda data: self.heard.append((self._loop.time(), data)))

    def say(self, data: bytes) -> bytes:
        before = len(self.heard)
        self._twin.receive(data)
        return b"".join(frame for _, frame in self.heard[before:])

    def ask(self, command: str) -> str:
        """A basic command; the answer without STX and ETX."""
        answer = self.say(command.encode("ascii") + b"\r")
        return answer[1:-1].decode("ascii") if answer else ""

    def packet(self, command: str) -> str:
        """A safe-mode packet; the text of the safe-mode answer, its checksum verified."""
        answer = self.say(framed(command))
        if not answer:
            return ""
        assert answer[0] == 2
        assert answer[1] == len(answer) - 1
        assert answer[-1] == 3
        assert binascii.crc_hqx(answer[2:-3], 0) == int.from_bytes(answer[-3:-1], "big")
        return answer[2:-3].decode("ascii")


def framed(command: str) -> bytes:
    data = command.encode("ascii")
    return bytes((2, len(data) + 4)) + data + binascii.crc_hqx(data, 0).to_bytes(2, "big") + b"\x03"


def play(
    scenario: Callable[[Host, SteppingPump], Awaitable[None]],
    *,
    memory: PumpMemory | None = None,
    fresh: bool = False,
    plant: SteppingPump | None = None,
) -> None:
    async def main() -> None:
        mechanics = plant or SteppingPump()
        host = Host(NewEraTwin({0: mechanics}, memories={0: memory or PumpMemory(diameter_mm=4.61, volume_unit="UL")}))
        if not fresh:
            host.ask("") if not (memory and memory.safe_s) else host.packet("")
        await scenario(host, mechanics)

    run_virtual(main())


def test_power_up_answers_the_first_valid_command_with_its_alarm_and_does_not_execute_it() -> None:
    async def scenario(host: Host, plant: SteppingPump) -> None:
        assert host.say(b"XYZ\r") == b"\x0200S?\x03"
        assert host.say(b"DIA 10.00\r") == b"\x0200A?R\x03"
        assert host.say(b"DIA\r") == b"\x0200S4.610\x03"

    play(scenario, fresh=True)


def test_the_manuals_way_back_to_basic_mode() -> None:
    async def scenario(host: Host, plant: SteppingPump) -> None:
        assert host.say(b"VER\r") == b""
        assert host.say(b"\x02\x08SAF0\x55\x43\x03") == b"\x0200S\x03"
        assert host.say(b"VER\r") == b"\x0200SNE1000V3.928\x03"

    play(scenario, memory=PumpMemory(safe_s=10))


def test_the_public_client_library_opens_the_twin() -> None:
    """NESP-Lib: a framed 0SAF0, a basic reply or alarm, the same again after an alarm, then VER."""

    async def scenario(host: Host, plant: SteppingPump) -> None:
        assert host.say(framed("0SAF0")) == b"\x0200A?R\x03"
        assert host.say(framed("0SAF0")) == b"\x0200S\x03"
        assert re.fullmatch(rb"\x0200SNE(\d+)V(\d+)\.(\d+)\x03", host.say(b"0VER\r"))
        assert host.ask("0DIA30") == "00S"
        assert re.fullmatch(r"00S\d+\.\d*", host.ask("0DIA"))
        assert [host.ask("0VOLML"), host.ask("0VOL1"), host.ask("0VOL")] == ["00S", "00S", "00S1.000ML"]
        assert [host.ask("0RAT20MM"), host.ask("0RAT")] == ["00S", "00S20.00MM"]
        assert host.ask("0RUN") == "00I"
        assert re.fullmatch(r"00II\d+\.\d*W\d+\.\d*[A-Z]+", host.ask("0DIS"))

    play(scenario, fresh=True)


def test_spaces_are_ignored_and_letters_upper_cased() -> None:
    async def scenario(host: Host, plant: SteppingPump) -> None:
        assert host.ask(" 00 rat 80.25 um ") == "00S"
        assert host.ask("rat") == "00S80.25UM"

    play(scenario)


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("DIA 51", "?OOR"),
        ("DIA 4.6100", "?OOR"),
        ("RAT 12345 UM", "?OOR"),
        ("RAT 1.2345 UM", "?OOR"),
        ("RAT 9999 MM", "?OOR"),
        ("RAT x", "?"),
        ("VOL", "0.000UL"),
        ("STP", "?NA"),
        ("RUN", "?NA"),
        ("DIR UP", "?OOR"),
        ("HELLO", "?"),
        ("SAF 256", "?OOR"),
        ("AL", "1"),
        ("LN 2", "?OOR"),
        ("", ""),
    ],
)
def test_a_stopped_pumps_answers(command: str, answer: str) -> None:
    async def scenario(host: Host, plant: SteppingPump) -> None:
        assert host.ask(command) == "00S" + answer
        assert plant.commands == []

    play(scenario)


def test_a_running_pump_takes_a_rate_and_refuses_what_needs_it_still() -> None:
    async def scenario(host: Host, plant: SteppingPump) -> None:
        host.ask("RAT 60 UM")
        assert host.ask("RUN") == "00I"
        for command in ("DIA 5", "VOL 5", "RUN", "CLD INF", "RAT 1 MM", "DIR WDR"):
            assert host.ask(command) == "00I?NA"
        assert host.ask("RAT 90") == "00I"
        assert plant.flow_ul_min == 90.0
        assert host.ask("RAT 90000") == "00I?OOR"

    play(scenario)


def test_a_rate_set_while_pumping_is_forgotten_at_power_down() -> None:
    async def main() -> None:
        twin = NewEraTwin({0: SteppingPump()}, memories={0: PumpMemory(diameter_mm=4.61)})
        host = Host(twin)
        for command in ("", "RAT 60 UM", "RUN", "RAT 90"):
            host.ask(command)
        assert host.ask("RAT") == "00I90.00UM"
        twin.power_cycle(0)
        assert [host.ask(""), host.ask("RAT"), host.ask("")] == ["00A?R", "00S60.00UM", "00S"]

    run_virtual(main())


def test_the_first_stop_pauses_and_the_second_stops() -> None:
    async def scenario(host: Host, plant: SteppingPump) -> None:
        for command in ("RAT 60 UM", "VOL 100", "RUN"):
            host.ask(command)
        await asyncio.sleep(30.0)
        assert host.ask("STP") == "00P"
        await asyncio.sleep(100.0)
        assert host.ask("RUN") == "00I"
        await asyncio.sleep(69.0)
        assert host.ask("") == "00I"
        await asyncio.sleep(2.0)
        assert host.ask("DIS") == "00SI100.0W0.000UL"
        host.ask("RUN")
        assert [host.ask("STP"), host.ask("STP"), host.ask("STP")] == ["00P", "00S", "00S?NA"]

    play(scenario)


def test_withdrawing_counts_apart_and_counters_clear_apart() -> None:
    async def scenario(host: Host, plant: SteppingPump) -> None:
        for command in ("RAT 60 UM", "VOL 10", "DIR WDR"):
            host.ask(command)
        assert host.ask("RUN") == "00W"
        await asyncio.sleep(20.0)
        host.ask("DIR REV")
        host.ask("VOL 4")
        assert host.ask("RUN") == "00I"
        await asyncio.sleep(20.0)
        assert host.ask("DIS") == "00SI4.000W10.00UL"
        host.ask("CLD WDR")
        assert host.ask("DIS") == "00SI4.000W0.000UL"

    play(scenario)


def test_the_diameter_decides_the_unit_of_volumes() -> None:
    async def scenario(host: Host, plant: SteppingPump) -> None:
        host.ask("DIA 14.00")
        assert host.ask("VOL") == "00S0.000UL"
        host.ask("DIA 14.01")
        assert host.ask("DIS") == "00SI0.000W0.000ML"

    play(scenario)


def test_a_purge_runs_at_full_speed_until_stopped() -> None:
    async def scenario(host: Host, plant: SteppingPump) -> None:
        assert host.ask("PUR") == "00X"
        assert plant.flow_ul_min == pytest.approx(851.3, abs=0.1)
        assert host.ask("STP") == "00S"

    play(scenario)


def test_a_stall_answers_once_and_stops_the_motor() -> None:
    async def scenario(host: Host, plant: SteppingPump) -> None:
        for command in ("RAT 60 UM", "VOL 500", "RUN"):
            host.ask(command)
        await asyncio.sleep(60.0)
        assert [host.ask("DIS"), host.ask("DIS")] == ["00A?S", "00SI20.00W0.000UL"]
        assert plant.flow_ul_min == 0.0

    play(scenario, plant=SteppingPump(stall_at_ul=20.0))


def test_safe_mode_pushes_a_stall_unasked_and_keeps_it_pending() -> None:
    async def scenario(host: Host, plant: SteppingPump) -> None:
        for command in ("RAT 60 UM", "VOL 500", "RUN"):
            host.packet(command)
        before = len(host.heard)
        await asyncio.sleep(30.0)
        pushed = [frame[2:-3] for _, frame in host.heard[before:]]
        assert pushed == [b"00A?S"]
        assert host.packet("") == "00A?S"
        assert host.packet("") == "00S"

    memory = PumpMemory(diameter_mm=4.61, volume_unit="UL", safe_s=200)
    play(scenario, memory=memory, plant=SteppingPump(stall_at_ul=20.0))


def test_the_watchdog_starts_with_the_first_valid_packet_only() -> None:
    async def scenario(host: Host, plant: SteppingPump) -> None:
        await asyncio.sleep(100.0)
        assert host.heard == []
        assert host.packet("") == "00A?R"
        heard_s = host.heard[-1][0]
        await asyncio.sleep(100.0)
        assert [(t_s, frame[2:-3]) for t_s, frame in host.heard[1:]] == [(heard_s + 10.0, b"00A?T")]

    play(scenario, memory=PumpMemory(safe_s=10), fresh=True)


def test_a_damaged_packet_is_answered_and_not_executed() -> None:
    async def scenario(host: Host, plant: SteppingPump) -> None:
        damaged = framed("DIA 9.000").replace(b"9", b"8")
        assert host.say(damaged)[2:-3] == b"00S?COM"
        assert host.packet("DIA") == "00S4.610"

    play(scenario, memory=PumpMemory(diameter_mm=4.61, safe_s=10))


def test_half_a_packet_is_dropped_after_half_a_second() -> None:
    async def scenario(host: Host, plant: SteppingPump) -> None:
        assert host.say(framed("VER")[:4]) == b""
        await asyncio.sleep(0.6)
        assert host.packet("VER") == "00SNE1000V3.928"
        assert host.say(framed("VER")[:4]) == b""
        await asyncio.sleep(0.4)
        assert host.say(framed("VER")[4:])[2:-3] == b"00SNE1000V3.928"

    play(scenario, memory=PumpMemory(safe_s=10))


def test_only_the_addressed_pump_of_a_chain_answers() -> None:
    async def main() -> None:
        host = Host(NewEraTwin({0: SteppingPump(), 7: SteppingPump(), 12: SteppingPump()}))
        assert [host.ask("7"), host.ask("12"), host.ask("")] == ["07A?R", "12A?R", "00A?R"]
        assert [host.ask("07VER"), host.ask("3VER"), host.ask("12ADR 4")] == ["07SNE1000V3.928", "", "04S04"]
        assert [host.ask("12"), host.ask("4")] == ["", "04S"]

    run_virtual(main())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=12), max_size=12))
def test_no_bytes_whatever_break_the_twin(pieces: list[bytes]) -> None:
    async def main() -> None:
        host = Host(NewEraTwin({0: SteppingPump()}, memories={0: PumpMemory(rate=1.0)}))
        for piece in pieces:
            host.say(piece)
        await asyncio.sleep(1.0)
        host.say(b"\r")
        host.say(framed("SAF0"))
        host.say(framed("SAF0"))
        assert host.ask("VER").endswith("NE1000V3.928")

    run_virtual(main())
