"""The selector-valve twin, byte for byte."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.clock.virtual_time import run_virtual
from simulators.wire_vici import ViciActuator, ViciTwin
from tests.contract.plants_around import TurningValve

Say = Callable[[bytes], bytes]


def talk(script: Callable[[Say, TurningValve], None], unit: str = "", **settings_: object) -> None:
    """Run a script without letting time pass; ``say`` gives what came back at once."""

    async def main() -> None:
        rotor = TurningValve()
        twin = ViciTwin({unit: ViciActuator(rotor, **settings_)})  # type: ignore[arg-type]
        heard = bytearray()
        twin.attach(asyncio.get_running_loop(), heard.extend)

        def say(data: bytes) -> bytes:
            heard.clear()
            twin.receive(data)
            return bytes(heard)

        script(say, rotor)

    run_virtual(main())


def test_the_manuals_short_answers() -> None:
    def script(say: Say, rotor: TurningValve) -> None:
        assert say(b"CP\r") == b"CP01\r"
        assert say(b"NP\r") == b"NP10\r"
        assert say(b"cp\r\n") == b"CP01\r"
        assert say(b"GO3\r") == b""
        assert rotor.turns == [(0.0, 3)]
        assert say(b"GO99\r") == b"GO99 = Bad command\r"
        assert say(b"XY\r") == b"XY = Bad command\r"

    talk(script)


def test_the_long_answers_of_microelectric_actuators() -> None:
    def script(say: Say, rotor: TurningValve) -> None:
        assert say(b"CP\r") == b"Position is  = 1\r"
        assert say(b"NP\r") == b"NP = 10\r"
        rotor.arrives_s = 1.0
        assert say(b"CP\r") == b"Position is near to = 1\r"
        assert say(b"LG0\r") == b""
        assert say(b"NP\r") == b"NP10\r"

    talk(script, long_form=True)


@pytest.mark.parametrize(("command", "target"), [(b"HM", None), (b"CW", 2), (b"GO", 2), (b"CC", 10), (b"CC07", 7)])
def test_every_way_to_move(command: bytes, target: int | None) -> None:
    def script(say: Say, rotor: TurningValve) -> None:
        say(command + b"\r")
        assert [position for _, position in rotor.turns] == ([] if target is None else [target])

    talk(script)


def test_home_is_position_1_from_anywhere() -> None:
    def script(say: Say, rotor: TurningValve) -> None:
        rotor.at = 4
        say(b"HM\r")
        assert [position for _, position in rotor.turns] == [1]

    talk(script)


def test_a_turning_actuator_is_silent_or_names_its_old_position() -> None:
    def silent(say: Say, rotor: TurningValve) -> None:
        say(b"GO5\r")
        assert say(b"CP\r") == b""

    def talkative(say: Say, rotor: TurningValve) -> None:
        say(b"GO5\r")
        assert say(b"CP\r") == b"CP01\r"

    talk(silent)
    talk(talkative, answers_while_turning=True)


def test_only_the_actuator_that_is_named_answers() -> None:
    def script(say: Say, rotor: TurningValve) -> None:
        assert say(b"5CP\r") == b"5CP01\r"
        assert say(b"6CP\r") == b""
        assert say(b"CP\r") == b""

    talk(script, unit="5")


def test_an_actuator_set_to_respond_says_when_it_has_arrived() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        heard: list[tuple[float, bytes]] = []
        twin = ViciTwin({"": ViciActuator(TurningValve(), respond=1)})
        twin.attach(loop, lambda data: heard.append((loop.time(), data)))
        twin.receive(b"GO04\r")
        await asyncio.sleep(2.0)
        assert [data for _, data in heard] == [b"GO04\r"]
        assert heard[0][0] == pytest.approx(0.6, abs=0.03)

    run_virtual(main())


@settings(max_examples=100)
@given(st.lists(st.binary(max_size=20) | st.sampled_from([b"GO1\r", b"NP\r", b"CP", b"\r", b"HM\r"]), max_size=8))
def test_no_bytes_whatever_break_the_twin(pieces: list[bytes]) -> None:
    def script(say: Say, rotor: TurningValve) -> None:
        for piece in pieces:
            say(piece)
        say(b"\r")
        rotor.arrives_s = -1.0
        assert say(b"LG0\r") == b""
        assert say(b"CP\r").startswith(b"CP")

    talk(script)
