"""What daemon and guardian say to each other."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest

from orchestrator.clock.virtual_time import run_virtual
from orchestrator.guardian import Heart, keep_beating
from orchestrator.guardian.beat import ENVIRONMENT, Messages, message
from orchestrator.guardian.child import daemon_environ

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


def test_a_heart_says_what_its_rig_does(pair: Pair) -> None:
    heart = Heart(pair[0])
    heart.ready()
    heart.begin("bench")
    heart.beat("bench")
    heart.end("bench")
    assert Messages().fed(pair[1].recv(4096)) == [("ready",), ("begin", "bench"), ("beat", "bench"), ("end", "bench")]


def test_without_a_guardian_every_verb_does_nothing() -> None:
    heart = Heart.inherited({})
    assert not heart.guarded
    heart.begin("bench")
    heart.beat("bench")
    heart.end("bench")
    heart.close()


def test_the_environment_names_the_socket_and_no_grandchild_inherits_it(pair: Pair) -> None:
    descriptor = pair[0].detach()
    heart = Heart.inherited({ENVIRONMENT: str(descriptor)})
    assert heart.guarded
    heart.beat("bench")
    assert Messages().fed(pair[1].recv(4096)) == [("beat", "bench")]
    heart.close()


def test_a_daemon_is_started_with_few_heaps_and_without_what_systemd_says_to_its_guardian() -> None:
    around = {"PATH": "/bin", "NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "1"}
    assert daemon_environ(around) == {"PATH": "/bin", "MALLOC_ARENA_MAX": "2"}
    assert daemon_environ({"MALLOC_ARENA_MAX": "8"}) == {"MALLOC_ARENA_MAX": "8"}  # somebody knows better


def test_a_guardian_that_does_not_read_never_blocks_a_beat(pair: Pair) -> None:
    heart = Heart(pair[0])
    for _ in range(100_000):
        heart.beat("bench")
    heard = Messages().fed(pair[1].recv(1 << 20))
    assert heard[0] == ("beat", "bench")


def test_a_loop_beats_four_times_a_second(pair: Pair) -> None:
    async def scenario() -> None:
        beating = asyncio.ensure_future(keep_beating(Heart(pair[0]), "bench"))
        await asyncio.sleep(10.1)
        beating.cancel()

    run_virtual(scenario())
    assert len(Messages().fed(pair[1].recv(1 << 16))) == 41


def test_a_guardian_that_is_gone_is_told_once_and_a_closed_heart_tells_nothing() -> None:
    ours, theirs = socket.socketpair()
    told: list[str] = []
    heard = threading.Event()

    def lost(why: str) -> None:
        told.append(why)
        heard.set()

    heart = Heart(ours)
    heart.listen(lost)
    theirs.close()
    assert heard.wait(5.0)
    assert told == ["the guardian is gone"]
    heart.close()
    ours, theirs = socket.socketpair()
    heart = Heart(ours)
    heart.listen(told.append)
    heart.close()
    theirs.close()
    assert len(told) == 1


def test_messages_come_in_any_pieces_and_nonsense_is_dropped() -> None:
    messages = Messages()
    data = message("beat", "a\nb") + b"rubbish\n[]\n[1]\n" + message("here")
    assert [words for byte in data for words in messages.fed(bytes([byte]))] == [("beat", "a\nb"), ("here",)]
