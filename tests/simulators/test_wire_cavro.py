"""The Cavro module twin, byte for byte."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import reduce
from operator import xor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.clock.virtual_time import run_virtual
from simulators.wire_cavro import CavroTwin, SharedOutlet
from tests.contract.plants import SteppingPump


class Host:
    """A host that types bytes and reads what comes."""

    def __init__(self, twin: CavroTwin) -> None:
        self.heard: list[bytes] = []
        self.twin = twin
        twin.attach(asyncio.get_running_loop(), self.heard.append)

    def say(self, data: bytes) -> bytes:
        before = len(self.heard)
        self.twin.receive(data)
        return b"".join(self.heard[before:])

    def ask(self, command: str, address: int = 1) -> tuple[str, str]:
        """A DT command to the switch position ``address - 1``: status character and data."""
        answer = self.say(f"/{address}{command}\r".encode("ascii"))
        assert answer[:2] == b"/0"
        assert answer[-3:] == b"\x03\r\n"
        return chr(answer[2]), answer[3:-3].decode("ascii")

    async def run(self, command: str) -> None:
        """A program, until the module is ready."""
        assert self.ask(command + "R")[0] in "@`"
        for _ in range(2000):
            if self.ask("Q")[0] != "@":
                return
            await asyncio.sleep(0.05)
        raise AssertionError("the module stays busy")


def oem(sequence: int, command: str, *, repeat: bool = False) -> bytes:
    body = bytes((2, 0x31, 0x30 | (8 if repeat else 0) | sequence)) + command.encode("ascii") + b"\x03"
    return body + bytes((reduce(xor, body),))


def play(
    scenario: Callable[[Host, SteppingPump], Awaitable[None]],
    *,
    initialised: bool = True,
    plant: SteppingPump | None = None,
    fill_ul: float = 0.0,
) -> None:
    async def main() -> None:
        mechanics = plant or SteppingPump()
        host = Host(CavroTwin({0: mechanics}, syringe_volume_ul=1000.0, fill_ul=fill_ul))
        if initialised:
            await host.run("Z")
        await scenario(host, mechanics)

    run_virtual(main())


def test_the_manuals_first_command_in_dt_framing() -> None:
    """XLP manual, DT protocol: ``/1ZR`` is acknowledged at once, while the pump is busy."""

    async def scenario(host: Host, plant: SteppingPump) -> None:
        assert host.say(b"/1ZR\r") == b"/0@\x03\r\n"
        await asyncio.sleep(1.0)
        assert host.say(b"/1Q\r") == b"/0`\x03\r\n"

    play(scenario, initialised=False)


def test_the_manuals_first_command_in_oem_framing() -> None:
    """STX 1 sequence-1 Z R ETX and the exclusive-or of all of them."""
    assert oem(1, "ZR") == b"\x02\x31\x31ZR\x03\x09"

    async def scenario(host: Host, plant: SteppingPump) -> None:
        assert host.say(oem(1, "ZR")) == b"\x020@\x03" + bytes((0x02 ^ 0x30 ^ 0x40 ^ 0x03,))

    play(scenario, initialised=False)


def test_the_first_framing_seen_is_the_only_one_until_power_is_cycled() -> None:
    async def scenario(host: Host, plant: SteppingPump) -> None:
        assert host.say(oem(1, "Q")) != b""
        assert host.say(b"/1Q\r") == b""
        host.twin.power_cycle(0)
        assert host.say(b"/1Q\r") != b""
        assert host.say(oem(1, "Q")) == b""

    play(scenario, initialised=False)


def test_a_repeated_sequence_number_is_acknowledged_and_not_executed_again() -> None:
    async def scenario(host: Host, plant: SteppingPump) -> None:
        for sequence, command in enumerate(("ZR", "IP100R"), 1):
            host.say(oem(sequence, command))
            await asyncio.sleep(1.0)
        first = host.say(oem(3, "P100R"))
        await asyncio.sleep(1.0)
        assert host.say(oem(3, "P100R", repeat=True)) == first
        await asyncio.sleep(1.0)
        assert host.say(oem(4, "?"))[3:-2] == b"200"
        host.say(oem(5, "P100R", repeat=True))  # a repeat of what never arrived is executed
        await asyncio.sleep(1.0)
        host.say(oem(6, "P100R"))
        await asyncio.sleep(1.0)
        assert host.say(oem(7, "?"))[3:-2] == b"400"

    play(scenario, initialised=False)


def test_a_damaged_oem_frame_is_met_with_silence() -> None:
    async def scenario(host: Host, plant: SteppingPump) -> None:
        assert host.say(oem(1, "ZR").replace(b"Z", b"Y")) == b""
        assert host.say(oem(1, "?6")) != b""

    play(scenario, initialised=False)


def test_nothing_moves_before_initialising() -> None:
    async def scenario(host: Host, plant: SteppingPump) -> None:
        assert host.ask("Q") == ("g", "")
        assert host.ask("A100R") == ("g", "")
        assert host.ask("IR") == ("g", "")
        assert plant.commands == []
        await host.run("Z")
        assert host.ask("Q") == ("`", "")

    play(scenario, initialised=False)


def test_a_stroke_fills_through_the_inlet_and_empties_through_the_outlet() -> None:
    async def scenario(host: Host, plant: SteppingPump) -> None:
        began_s = asyncio.get_running_loop().time()
        await host.run("N2IV4800A48000O")
        assert asyncio.get_running_loop().time() - began_s == pytest.approx(10.4, abs=0.1)
        assert [host.ask("?"), host.ask("?6"), host.ask("?2")] == [("`", "48000"), ("`", "o"), ("`", "4800")]
        host.ask("V480A24000R")
        await asyncio.sleep(10.0)
        assert host.ask("?") == ("@", "43200")
        assert plant.flow_ul_min == pytest.approx(600.0)
        await asyncio.sleep(41.0)
        assert host.ask("Q") == ("`", "")
        assert plant.base_ul == pytest.approx(-500.0)

    play(scenario)


def test_only_q_reports_a_bad_operand_and_tells_it_once() -> None:
    async def scenario(host: Host, plant: SteppingPump) -> None:
        assert host.ask("A6001R") == ("`", "")
        assert [host.ask("Q"), host.ask("Q")] == [("c", ""), ("`", "")]

    play(scenario)


def test_a_bad_command_is_refused_at_once_and_nothing_of_its_string_runs() -> None:
    async def scenario(host: Host, plant: SteppingPump) -> None:
        before = len(plant.commands)
        for command in ("A100jR", "A100%R", "g5R"):
            assert host.ask(command) == ("b", "")
        assert len(plant.commands) == before

    play(scenario)


def test_a_moving_plunger_takes_a_speed_and_a_terminate_and_nothing_else() -> None:
    async def scenario(host: Host, plant: SteppingPump) -> None:
        await host.run("IA6000O")
        host.ask("V60A0R")
        assert [host.ask(command)[0] for command in ("A10R", "IR", "S5R")] == ["O", "O", "O"]
        assert plant.flow_ul_min == pytest.approx(600.0)
        assert host.ask("V120R")[0] == "@"
        assert plant.flow_ul_min == pytest.approx(1200.0)
        assert host.ask("V7000R")[0] == "C"
        host.ask("TR")
        assert host.ask("T") == ("`", "")
        assert plant.flow_ul_min == 0.0

    play(scenario)


def test_bypass_moves_no_plunger() -> None:
    async def scenario(host: Host, plant: SteppingPump) -> None:
        await host.run("B")
        host.ask("A100R")
        assert host.ask("Q") == ("k", "")

    play(scenario)


def test_a_stall_is_a_plunger_overload_until_it_is_initialised_again() -> None:
    async def scenario(host: Host, plant: SteppingPump) -> None:
        await host.run("IA6000O")
        host.ask("V60A0R")
        plant.stall_at_ul = plant.base_ul + 50.0
        await asyncio.sleep(20.0)
        assert [host.ask("Q"), host.ask("Q")] == [("i", ""), ("g", "")]
        assert host.ask("A0R") == ("i", "")
        assert plant.flow_ul_min == 0.0
        plant.stall_at_ul = 1e9
        await host.run("Z")
        assert host.ask("Q") == ("`", "")

    play(scenario)


def test_a_jammed_valve_is_an_overload_of_its_own() -> None:
    async def scenario(host: Host, plant: SteppingPump) -> None:
        host.twin.jam_valve(0)
        host.ask("IA6000R")
        assert host.ask("Q") == ("j", "")
        assert plant.displaced_ul(asyncio.get_running_loop().time()) == 0.0

    play(scenario)


@pytest.mark.parametrize(("command", "given_ul"), [("Z", 600.0), ("Y", 0.0)])
def test_initialising_empties_the_syringe_through_the_side_it_names(command: str, given_ul: float) -> None:
    async def scenario(host: Host, plant: SteppingPump) -> None:
        await host.run(command)
        assert plant.displaced_ul(asyncio.get_running_loop().time()) == pytest.approx(given_ul)
        assert host.ask("?")[1] == "0"

    play(scenario, initialised=False, fill_ul=600.0)


def test_modules_on_one_outlet_drive_the_plant_with_their_sum_and_refills_do_not_move_it() -> None:
    plant = SteppingPump()
    outlet = SharedOutlet(plant)
    first, second = outlet.shares
    first.drive(0.0, 60.0)
    second.drive(10.0, -600.0)
    assert plant.commands == [(0.0, 60.0)]
    second.drive(20.0, 30.0)
    assert plant.flow_ul_min == 90.0
    assert first.displaced_ul(40.0) == pytest.approx(40.0)
    assert second.displaced_ul(40.0) == pytest.approx(-90.0)
    plant.stall_at_ul = plant.displaced_ul(40.0)
    assert first.displaced_ul(100.0) == pytest.approx(40.0)
    assert first.stalled(100.0)
    assert second.stalled(100.0)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=14) | st.from_regex(rb"/1[A-Za-z?0-9,]{0,8}\r"), max_size=12))
def test_no_bytes_whatever_break_the_twin(pieces: list[bytes]) -> None:
    async def main() -> None:
        host = Host(CavroTwin({0: SteppingPump()}, syringe_volume_ul=1000.0))
        for piece in pieces:
            host.say(piece)
            await asyncio.sleep(0.7)
        host.twin.power_cycle(0)
        await asyncio.sleep(1.0)
        assert host.ask("&")[1].endswith("XLP 6000")

    run_virtual(main())
