"""The Harvard pump twin, byte for byte."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.clock.virtual_time import run_virtual
from simulators.wire_harvard import HarvardMemory, HarvardTwin
from tests.contract.plants import SteppingPump


class Host:
    """A host that types bytes and reads what comes."""

    def __init__(self, twin: HarvardTwin) -> None:
        self.heard: list[bytes] = []
        self._twin = twin
        twin.attach(asyncio.get_running_loop(), self.heard.append)

    def say(self, data: bytes) -> bytes:
        before = len(self.heard)
        self._twin.receive(data)
        return b"".join(self.heard[before:])

    def ask(self, command: str) -> str:
        return self.say(command.encode("ascii") + b"\r").decode("ascii")


def play(scenario: Callable[[Host, SteppingPump], Awaitable[None]], plant: SteppingPump | None = None) -> None:
    async def main() -> None:
        mechanics = plant or SteppingPump()
        await scenario(Host(HarvardTwin({0: mechanics}, memories={0: HarvardMemory(diameter_mm=4.61)})), mechanics)

    run_virtual(main())


def test_the_guides_example_sets_pump_12() -> None:
    """PHD Ultra user guide, pump chain commands: ``12:irat 3.2 ul/min``."""

    async def main() -> None:
        host = Host(HarvardTwin({12: SteppingPump(), 3: SteppingPump()}))
        assert host.say(b"12:irat 3.2 ul/min\r") == b"\n12:"
        assert host.say(b"12:irat\r") == b"\n12:3.2 ul/min\r\n12:"
        assert host.say(b"3:irate\r") == b"\n03:1 ml/min\r\n03:"
        assert host.say(b"4:irate\r") == b""

    run_virtual(main())


def test_prompts_tell_idle_infusing_withdrawing_and_the_target() -> None:
    async def scenario(host: Host, plant: SteppingPump) -> None:
        assert host.ask("") == "\n:"
        host.ask("irate 60 ul/min")
        host.ask("wrate 30 ul/min")
        host.ask("tvolume 10 ul")
        assert host.ask("wrun") == "\n<"
        await asyncio.sleep(2.0)
        assert host.ask("stp") == "\n:"
        assert host.ask("irun") == "\n>"
        await asyncio.sleep(10.5)
        assert host.heard[-1] == b"\nT*"
        assert host.ask("") == "\nT*"
        assert [host.ask("ivolume"), host.ask("wvolume")] == ["\n10 ul\r\nT*", "\n1 ul\r\nT*"]
        assert plant.commands[-1][0] == pytest.approx(12.0)
        assert plant.flow_ul_min == 0.0

    play(scenario)


def test_status_counts_femtolitres_and_shows_five_flags() -> None:
    async def scenario(host: Host, plant: SteppingPump) -> None:
        assert host.ask("status") == "\n0 0 0 i...I\r\n:"
        host.ask("irate 60 ul/min")
        host.ask("irun")
        await asyncio.sleep(3.0)
        assert host.ask("status") == "\n1000000000 3 3000000000 i...I\r\n>"

    play(scenario)


def test_a_stall_shows_in_prompt_and_flag_until_a_stop() -> None:
    async def scenario(host: Host, plant: SteppingPump) -> None:
        host.ask("irate 60 ul/min")
        host.ask("irun")
        await asyncio.sleep(9.0)
        assert host.ask("status") == "\n0 9 5000000000 i.S.I\r\n*"
        assert plant.flow_ul_min == 0.0
        assert host.ask("stp") == "\n:"

    play(scenario, SteppingPump(stall_at_ul=5.0))


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("hello", "\nCommand error: hello\r\n   Unknown command\r\n:"),
        ("irate 9999 ml/min", "\nArgument error: 9999 ml/min\r\n   Out of range\r\n:"),
        ("irate fast", "\nArgument error: fast\r\n   Unknown argument\r\n:"),
        ("diameter 4", "\n:"),
        ("diameter 60", "\nArgument error: 60\r\n   Out of range\r\n:"),
        ("tvolume 11 ml", "\nArgument error: 11 ml\r\n   Out of range\r\n:"),
        ("tvolume", "\nTarget volume not set\r\n:"),
        ("SVOL", "\n10 ml\r\n:"),
        ("irate lim", "\n3.0044 nl/min to 3.1847 ml/min\r\n:"),
        ("force", "\n50%\r\n:"),
        ("stp", "\n:"),
    ],
)
def test_an_idle_pumps_answers(command: str, answer: str) -> None:
    async def scenario(host: Host, plant: SteppingPump) -> None:
        assert host.ask(command) == answer

    play(scenario)


def test_a_running_pump_takes_a_rate_and_refuses_what_needs_it_still() -> None:
    async def scenario(host: Host, plant: SteppingPump) -> None:
        host.ask("irate 60 ul/min")
        host.ask("irun")
        assert host.ask("irate 90 ul/min") == "\n>"
        assert plant.flow_ul_min == 90.0
        for command in ("diameter 5", "svolume 1 ml", "tvolume 5 ul", "irun"):
            assert "Command error" in host.ask(command)
        assert plant.flow_ul_min == 90.0

    play(scenario)


def test_a_target_that_was_reached_must_be_cleared_before_the_next_run() -> None:
    async def scenario(host: Host, plant: SteppingPump) -> None:
        for command in ("irate 60 ul/min", "tvolume 1 ul", "irun"):
            host.ask(command)
        await asyncio.sleep(2.0)
        assert "Command error" in host.ask("irun")
        assert host.ask("cvolume") == "\n:"
        assert host.ask("irun") == "\n>"

    play(scenario)


def test_a_power_blip_loses_target_and_counters_and_keeps_settings() -> None:
    async def main() -> None:
        plant = SteppingPump()
        twin = HarvardTwin({0: plant}, memories={0: HarvardMemory(diameter_mm=4.61)})
        host = Host(twin)
        for command in ("irate 60 ul/min", "tvolume 100 ul", "irun"):
            host.ask(command)
        await asyncio.sleep(5.0)
        twin.power_cycle(0)
        assert plant.flow_ul_min == 0.0
        assert host.ask("status") == "\n0 0 0 i...I\r\n:"
        assert host.ask("tvolume") == "\nTarget volume not set\r\n:"
        assert host.ask("irate") == "\n60 ul/min\r\n:"

    run_virtual(main())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=12), max_size=12))
def test_no_bytes_whatever_break_the_twin(pieces: list[bytes]) -> None:
    async def main() -> None:
        host = Host(HarvardTwin({0: SteppingPump()}))
        for piece in pieces:
            host.say(piece)
        await asyncio.sleep(1.0)
        host.say(b"\r")
        assert "ULTRA" in host.ask("ver")

    run_virtual(main())
