"""What asks a program to end, heard in the loop: how often it acts, and what a closed terminal does."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterator, Sequence

import pytest

from orchestrator.clock.virtual_time import run_virtual
from orchestrator.console.interrupts import NOT_SUSPENDED, interrupted_by, never_suspended

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of this kind are POSIX")


@pytest.fixture(autouse=True)
def survives() -> Iterator[None]:
    """A signal that is not taken over must not end the tests."""
    kinds = [signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGQUIT", "SIGHUP", "SIGTSTP", "SIGTTOU")]
    before = {kind: signal.signal(kind, lambda *heard: None) for kind in kinds}
    yield
    for kind, handler in before.items():
        signal.signal(kind, handler)


def heard(kinds: Sequence[str]) -> int:
    """How often these signals, one after the other, have acted."""
    acts = 0

    def act() -> None:
        nonlocal acts
        acts += 1

    async def main() -> None:
        with interrupted_by(asyncio.get_running_loop(), act):
            for kind in kinds:
                signal.raise_signal(signal.Signals[kind])
                await asyncio.sleep(1.0)

    run_virtual(main())
    return acts


@pytest.mark.parametrize("kind", ["SIGINT", "SIGTERM", "SIGQUIT", "SIGHUP"])
def test_whatever_asks_for_an_end_acts_instead_of_ending_the_program(kind: str) -> None:
    assert heard([kind]) == 1


@pytest.mark.parametrize(
    ("kinds", "acts"),
    [
        (["SIGINT", "SIGTERM"], 2),
        (["SIGHUP", "SIGHUP", "SIGHUP"], 1),
        (["SIGINT", "SIGHUP"], 1),
        (["SIGHUP", "SIGINT"], 2),
    ],
)
def test_a_terminal_that_is_gone_hurries_nobody(kinds: Sequence[str], acts: int) -> None:
    assert heard(kinds) == acts


def test_a_program_that_was_started_to_outlive_its_terminal_goes_on() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    assert heard(["SIGHUP"]) == 0


def test_afterwards_signals_do_what_they_did_before() -> None:
    before = signal.getsignal(signal.SIGHUP)
    heard(["SIGHUP"])
    assert signal.getsignal(signal.SIGHUP) is before


def test_ctrl_z_does_not_stop_a_program_that_holds_a_rig_and_is_told_so_once() -> None:
    said: list[str] = []

    async def main() -> None:
        before = signal.getsignal(signal.SIGTSTP)
        with never_suspended(asyncio.get_running_loop(), said.append):
            assert signal.getsignal(signal.SIGTTOU) is signal.SIG_IGN
            for _ in range(3):
                signal.raise_signal(signal.SIGTSTP)
                await asyncio.sleep(1.0)
        assert signal.getsignal(signal.SIGTSTP) is before

    run_virtual(main())
    assert said == [NOT_SUSPENDED]
